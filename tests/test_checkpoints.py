# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The shipped weights: complete, without pickles, with the code they were saved with, and able to draw."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, pipeline

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.modeling import build_language_model_config
from mnist_text_gen.tokenizer import VOCAB


ROOT = Path(__file__).parent.parent


def test_configuration_is_the_specifications(tokenizer):
    config = json.loads((SHIPPED_CHECKPOINT / "config.json").read_text())
    expected = build_language_model_config(tokenizer).to_diff_dict()
    expected.pop("transformers_version")
    assert {key: config[key] for key in expected} == expected
    assert config["custom_pipelines"]["mnist-text-gen"]["pt"] == ["AutoModelForCausalLM"]


def test_weights_are_float32_safetensors_and_nothing_is_pickled():
    files = {str(path.relative_to(SHIPPED_CHECKPOINT)) for path in SHIPPED_CHECKPOINT.rglob("*") if path.is_file()}
    allowed = {".safetensors", ".json", ".py", ".md", ".png"}
    assert {Path(file).suffix for file in files} <= allowed
    for name in ("model.safetensors", "classifier/model.safetensors"):
        with safe_open(SHIPPED_CHECKPOINT / name, framework="pt") as weights:
            tensors = {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118 - no mapping
        # batch norm counts its batches in an integer
        floats = [tensor for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")]
        assert {tensor.dtype for tensor in floats} == {torch.float32}
        assert all(torch.isfinite(tensor).all() for tensor in floats)


def test_code_beside_the_weights_is_the_projects():
    sources = {path.name: path for room in ("tokenizer", "modeling") for path in (ROOT / room).glob("*.py")}
    # what generate(custom_generate=...) loads has a name that Transformers gives it
    sources["generate.py"] = sources["predictive_sampling.py"]
    copies = sorted(SHIPPED_CHECKPOINT.rglob("*.py"))
    assert {copy.name for copy in copies} >= {
        "configuration_mnist_cnn.py",
        "hub.py",
        "language_model.py",
        "logits_process.py",
        "model_card.py",
        "modeling_mnist_cnn.py",
        "pipeline_mnist_text_generation.py",
        "predictive_sampling.py",
        "tokenization_mnist_text.py",
    }
    for copy in copies:
        assert copy.read_text() == sources[copy.name].read_text(), f"save the pipeline again: {copy} is old"


def test_nothing_of_a_machine_stands_in_the_files():
    for path in SHIPPED_CHECKPOINT.rglob("*.json"):
        text = path.read_text()
        assert "/work" not in text and "/home" not in text and "/root" not in text


def test_every_digit_is_drawn_so_that_the_classifier_reads_it():
    draw = pipeline("mnist-text-gen", device="cpu")
    best = [results[0] for results in draw(list("0123456789"), num_candidates=8, seed=0)]
    assert [result["label"] for result in best] == list("0123456789")
    assert min(result["score"] for result in best) > 0.9


def test_language_model_knows_real_digits(tokenizer, mnist_5k):
    """A guess by the empirical symbol at each position needs about twice as many nats."""
    images, labels = mnist_5k["test"].first(64, "samples")
    ids = tokenizer(tokenizer.encode_images(images, labels), return_tensors="pt")["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(SHIPPED_CHECKPOINT)
    with torch.no_grad():
        nats = model(ids, labels=ids).loss.item() * 151
    assert nats < 75


@pytest.mark.slow
def test_a_process_without_the_package_draws_the_same(tmp_path):
    script = (
        "import json, sys\n"
        "sys.modules['mnist_text_gen'] = None\n"
        "from transformers import pipeline\n"
        f"draw = pipeline(model={str(SHIPPED_CHECKPOINT)!r}, trust_remote_code=True, device='cpu')\n"
        "results = draw('3', num_candidates=4, num_return_sequences=2, seed=5)\n"
        "print(json.dumps([[r['generated_text'], r['score']] for r in results]))\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    results = pipeline("mnist-text-gen", device="cpu")("3", num_candidates=4, num_return_sequences=2, seed=5)
    assert [[r["generated_text"], r["score"]] for r in results] == json.loads(output.stdout.splitlines()[-1])


@pytest.mark.slow
def test_stock_classes_load_it_without_remote_code(tmp_path):
    script = (
        "import sys\n"
        "sys.modules['mnist_text_gen'] = None\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(SHIPPED_CHECKPOINT)!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(SHIPPED_CHECKPOINT)!r})\n"
        "print(type(tokenizer).__name__, len(tokenizer), tokenizer('7:y)')['input_ids'], model.config.n_positions)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert output.stdout.splitlines()[-1] == f"TokenizersBackend {len(VOCAB)} [7, 10, 73, 74] 152"
