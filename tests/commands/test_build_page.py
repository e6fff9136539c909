# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The command that writes the page: what it leaves, and what it refuses."""

import json

from transformers import LlamaConfig, LlamaForCausalLM

from mnist_text_gen.commands import build_page


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


def test_model_that_the_engine_does_not_know_is_refused_by_name(refusal_of, tiny_checkpoint, tokenizer, tmp_path):
    command = (build_page, "--model_name_or_path", tiny_checkpoint, "--output_dir")
    assert "`output_dir` must not be the folder of the model" in refusal_of(*command, tiny_checkpoint)
    path = tiny_checkpoint / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"activation_function": "relu"}))
    line = refusal_of(*command, tmp_path / "page")
    assert "must be one of gelu_new, gelu_pytorch_tanh, gelu for the page, got 'relu'" in line
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=152, **sizes)
    LlamaForCausalLM(config).save_pretrained(tiny_checkpoint)
    line = refusal_of(*command, tmp_path / "page")
    assert "must be a GPT-2 without cross-attention for the page, got a Llama" in line
    assert not (tmp_path / "page").exists()
