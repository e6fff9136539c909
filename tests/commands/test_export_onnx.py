# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The export: what is written, what it computes, and what is refused."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from run_folders import read_bytes
from transformers import GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mnist_text_gen import MnistCnnForImageClassification, MnistTextTokenizer
from mnist_text_gen.commands import export_onnx
from mnist_text_gen.loading import load_pipeline


WEB = Path(__file__).parents[2] / "examples" / "web"


def open_session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def sizes_of(values):
    return {value.name: value.shape for value in values}


def test_folder_has_what_transformers_js_loads(tiny_onnx):
    files = "config.json generation_config.json tokenizer.json tokenizer_config.json onnx/model.onnx "
    assert {*files.split(), "classifier/config.json", "classifier/onnx/model.onnx"} <= set(read_bytes(tiny_onnx))
    config = json.loads((tiny_onnx / "config.json").read_text())
    assert config["transformers.js_config"] == {"dtype": "fp32"}
    assert type(MnistTextTokenizer.from_pretrained(tiny_onnx)) is MnistTextTokenizer


def test_code_of_the_pipeline_is_not_named_where_it_is_not(stale_export, tiny_checkpoint, tmp_path):
    load_pipeline(str(tiny_checkpoint)).save_pretrained(tiny_checkpoint)
    assert "custom_pipelines" in json.loads((tiny_checkpoint / "config.json").read_text())
    export_onnx.main(["--model_name_or_path", str(tiny_checkpoint), "--output_dir", str(tmp_path / "out")])
    assert "custom_pipelines" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_inputs_and_outputs_have_the_names_and_sizes_of_transformers_js(tiny_onnx):
    session = open_session(tiny_onnx / "onnx" / "model.onnx")
    states = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    past = ["batch_size", 2, "past_sequence_length", 8]
    inputs = sizes_of(session.get_inputs())
    caches = [f"past_key_values.{state}" for state in states]
    assert list(inputs) == ["input_ids", "attention_mask", "position_ids", *caches]
    assert inputs["input_ids"] == inputs["position_ids"] == ["batch_size", "sequence_length"]
    assert inputs["attention_mask"] == ["batch_size", "total_sequence_length"]
    assert all(inputs[name] == past for name in caches)
    outputs = sizes_of(session.get_outputs())
    assert list(outputs) == ["logits", *(f"present.{state}" for state in states)]
    assert outputs["logits"] == ["batch_size", "sequence_length", 75]
    classifier = open_session(tiny_onnx / "classifier" / "onnx" / "model.onnx")
    assert sizes_of(classifier.get_inputs()) == {"pixel_values": ["batch_size", 1, 30, 30]}
    assert sizes_of(classifier.get_outputs()) == {"logits": ["batch_size", 10]}


def test_logits_of_real_images_are_those_of_torch(tiny_onnx, tiny_files, tokenizer, mnist_5k):
    images, labels = mnist_5k["test"].first(3, "images")
    texts = tokenizer.encode_images(images, labels)
    input_ids = tokenizer(texts, return_tensors="pt")["input_ids"]
    model = GPT2LMHeadModel.from_pretrained(tiny_files).eval()
    session = open_session(tiny_onnx / "onnx" / "model.onnx")
    # in three parts of unlike lengths: the first has nothing in the cache, the last is one token
    states = {value.name: np.zeros((3, 2, 0, 8), np.float32) for value in session.get_inputs() if "past" in value.name}
    found = []
    for start, end in ((0, 100), (100, 151), (151, 152)):
        inputs = {
            "input_ids": input_ids[:, start:end].numpy(),
            "attention_mask": np.ones((3, end), np.int64),
            "position_ids": np.tile(np.arange(start, end), (3, 1)),
        }
        logits, *present = session.run(None, inputs | states)
        states = dict(zip(states, present, strict=True))
        found.append(logits)
    with torch.no_grad():
        expected = model(input_ids).logits.numpy()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=0, atol=1e-4)

    classifier = MnistCnnForImageClassification.from_pretrained(tiny_files / "classifier").eval()
    pixels = tokenizer.decode_images(texts)[:, None].astype(np.float32)
    (logits,) = open_session(tiny_onnx / "classifier/onnx/model.onnx").run(None, {"pixel_values": pixels})
    with torch.no_grad():
        expected = classifier(torch.from_numpy(pixels)).logits.numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_files_say_nothing_of_the_machine(tiny_onnx):
    for path in tiny_onnx.rglob("*.onnx"):
        content = path.read_bytes()
        assert b"stack_trace" not in content and b".py" not in content
        onnx.checker.check_model(onnx.load(path))


@pytest.fixture
def stale_export(monkeypatch, tiny_onnx):
    """Export in no time: the files of `tiny_onnx`, whatever the model."""

    def place(model, path):
        path.parent.mkdir(parents=True)
        part = "." if isinstance(model, GPT2LMHeadModel) else "classifier"
        shutil.copyfile(tiny_onnx / part / "onnx" / "model.onnx", path)

    monkeypatch.setattr(export_onnx, "write_language_model", place)
    monkeypatch.setattr(export_onnx, "write_classifier", place)


def scale(folder, model_class, name, factor):
    model = model_class.from_pretrained(folder)
    with torch.no_grad():
        model.get_parameter(name).mul_(factor)
    model.save_pretrained(folder)


@pytest.mark.parametrize(
    ("part", "model_class", "name"),
    [
        ("language model", GPT2LMHeadModel, "transformer.h.1.attn.c_attn.weight"),
        ("classifier", MnistCnnForImageClassification, "classifier.weight"),
    ],
)
def test_export_that_differs_from_torch_is_refused_and_leaves_nothing(
    stale_export, refusal_of, tiny_checkpoint, tmp_path, part, model_class, name
):
    folder = tiny_checkpoint / "classifier" if part == "classifier" else tiny_checkpoint
    scale(folder, model_class, name, 1.01)
    line = refusal_of(export_onnx, "--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out")
    assert f"the logits of the exported {part} must agree with torch's to within 1e-04, got a difference of " in line
    assert not (tmp_path / "out").exists()


def test_difference_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="must agree with torch's to within 1e-04, got a difference of nan"):
        export_onnx.check_difference([1e-6, float("nan"), 2e-6], "classifier")
    assert export_onnx.check_difference([1e-6, 1e-4], "classifier") == 1e-4


def test_other_models_and_too_few_packages_are_refused_by_name(refusal_of, tiny_checkpoint, tmp_path, monkeypatch):
    options = ("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=75, max_position_embeddings=152, **sizes)).save_pretrained(tiny_checkpoint)
    line = refusal_of(export_onnx, *options)
    assert f"must be a GPT-2, got {str(tiny_checkpoint)!r}, a LlamaForCausalLM" in line
    find = export_onnx.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *at: None if name == "onnx" else find(name, *at))
    line = refusal_of(export_onnx, *options)
    assert 'onnx must be installed; pip install "mnist-text-gen[onnx]" installs it' in line
    assert not list(Path(tmp_path, "out").rglob("*"))


def test_folder_of_the_model_is_no_place_for_the_export(refusal_of, tiny_checkpoint):
    before = read_bytes(tiny_checkpoint)
    line = refusal_of(export_onnx, "--model_name_or_path", tiny_checkpoint, "--output_dir", f"{tiny_checkpoint}/.")
    assert "`output_dir` must not be the folder of the model, got" in line
    assert read_bytes(tiny_checkpoint) == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node: apt-get install nodejs npm")
@pytest.mark.skipif(
    not (WEB / "node_modules").is_dir(), reason="there is no transformers.js: npm ci --prefix examples/web"
)
def test_transformers_js_generates_the_ids_of_torch(tiny_onnx, tiny_files, tokenizer):
    digits = list("0123456789")
    done = subprocess.run(
        ["node", WEB / "generate.mjs", tiny_onnx, *digits], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    model = GPT2LMHeadModel.from_pretrained(tiny_files).eval()
    inputs = tokenizer(digits, return_tensors="pt")
    expected = [up_to_end(ids) for ids in model.generate(**inputs, do_sample=False).tolist()]
    assert len({tuple(ids) for ids in expected}) == 10 and max(map(len, expected)) > 50
    assert [result["ids"] for result in found] == expected
    assert [result["text"] for result in found] == tokenizer.batch_decode(expected)


def up_to_end(ids):
    return ids[: ids.index(74) + 1] if 74 in ids else ids
