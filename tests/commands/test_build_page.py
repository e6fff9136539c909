# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The command that writes the page: what it leaves, and what it refuses."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from mnist_text_gen.commands import build_page
from mnist_text_gen.page.writing import quantize


def build(source, folder):
    build_page.main(["--model_name_or_path", str(source), "--output_dir", str(folder)])
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_weights_give_the_same_page_and_pieces_of_larger_ones_go(tiny_files, tmp_path, capsys):
    files = build(tiny_files, tmp_path / "page")
    assert set(files) == {"index.html", "data/fast-00.js", "data/exact-00.js"}
    size = (len(files["index.html"]) + len(files["data/fast-00.js"])) / 1e6
    assert f"{tmp_path / 'page' / 'index.html'}: {size:.1f} MB to load" in capsys.readouterr().out
    for name in ("fast-07.js", "exact-33.js", "mine.js"):
        (tmp_path / "page" / "data" / name).write_text("")
    assert build(tiny_files, tmp_path / "page") == files | {"data/mine.js": b""}


def test_a_column_of_zeros_and_the_largest_weight_become_integers():
    integers, scales = quantize(torch.tensor([[0.0, -2.54], [0.0, 1.27]]).numpy())
    assert integers.tolist() == [[0, -127], [0, 64]] and scales[1] == pytest.approx(0.02)


def test_activation_that_the_engine_does_not_know_is_refused(refusal_of, tiny_checkpoint, tmp_path):
    path = tiny_checkpoint / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"activation_function": "relu"}))
    line = refusal_of(build_page, "--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "page")
    assert "activation_function" in line and "must be one of gelu_new, gelu_pytorch_tanh, gelu" in line
    assert line.endswith("got 'relu'") and not (tmp_path / "page").exists()


def test_model_that_is_no_gpt2_and_its_own_folder_are_refused(refusal_of, tiny_checkpoint, tokenizer, tmp_path):
    command = (build_page, "--model_name_or_path", tiny_checkpoint, "--output_dir")
    assert "`output_dir` must not be the folder of the model" in refusal_of(*command, tiny_checkpoint)
    assert load_file(tiny_checkpoint / "model.safetensors")
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=152, **sizes)
    LlamaForCausalLM(config).save_pretrained(tiny_checkpoint)
    assert "must be a GPT-2 without cross-attention for the page, got a Llama" in refusal_of(
        *command, tmp_path / "page"
    )
    assert not (tmp_path / "page").exists()
