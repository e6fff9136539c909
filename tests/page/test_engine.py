# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The engine of the page, in Node, against torch; and the compiled file against its source."""

import copy
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import CLASS_NAMES, build_tiny_classifier
from transformers import GPT2LMHeadModel

from mnist_text_gen import MnistTextTokenizer, load_pipeline
from mnist_text_gen.commands import build_page
from mnist_text_gen.modeling import build_language_model_config, gumbel_noise, symbol_nats
from mnist_text_gen.page.writing import MATRICES, quantize


ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node: apt-get install nodejs")


def start_node(page, mode, requests, num_texts=64):
    command = ["node", ROOT / "tests" / "page" / "run_engine.js", page, mode, str(num_texts)]
    return subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=300)


def ask(*arguments):
    done = start_node(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def build_odd_checkpoint(folder):
    """Sizes that neither four nor the width of a head divides, and what a configuration may say besides."""
    tokenizer = MnistTextTokenizer(image_size=12)
    torch.manual_seed(1)
    odd = {"n_embd": 18, "n_head": 3, "n_layer": 3, "n_inner": 21, "n_positions": 40, "initializer_range": 0.4}
    said = {"activation_function": "gelu", "scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False}
    config = build_language_model_config(tokenizer, CLASS_NAMES, layer_norm_epsilon=1e-3, **odd, **said)
    model = GPT2LMHeadModel(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, parameter.mean().item(), 0.3)
    classifier = build_tiny_classifier(image_size=12, id2label=dict(enumerate(CLASS_NAMES)))
    for stage in classifier.stages:
        for norm in (stage[1], stage[4]):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 1.5)
    for part, place in ((model, folder), (tokenizer, folder), (classifier, folder / "classifier")):
        part.save_pretrained(place)
    return folder


@pytest.fixture(scope="module", params=["tiny", "odd"])
def case(request, tmp_path_factory, tiny_files):
    """A pipeline, and the folder of its page."""
    folder = tmp_path_factory.mktemp(request.param)
    source = tiny_files if request.param == "tiny" else build_odd_checkpoint(folder / "checkpoint")
    build_page.main(["--model_name_or_path", str(source), "--output_dir", str(folder / "page")])
    return load_pipeline(source, "cpu"), folder / "page"


def run_torch(model, input_ids):
    with torch.no_grad():
        return model(input_ids, attention_mask=torch.ones_like(input_ids)).logits.numpy()


def test_logits_and_judgements_are_those_of_torch(case):
    pipe, page = case
    candidates = pipe.sample(1, num_candidates=11, seed=3)
    input_ids = pipe.tokenizer(candidates.texts, return_tensors="pt")["input_ids"]
    images = candidates.images.reshape(11, -1).tolist()
    requests = [["logits", input_ids.tolist()], ["judge", images]]
    logits, probabilities = ask(page, "exact", requests)
    expected = run_torch(pipe.model, input_ids)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(probabilities, candidates.probabilities, rtol=0, atol=1e-5)

    # fast is the same with matrices that 8 bits can hold, but for activations of 16 bits and a cache of 8
    model = copy.deepcopy(pipe.model)
    with torch.no_grad():
        for name, weight in model.transformer.named_parameters():
            if name.endswith(tuple(f"{part}.weight" for part in MATRICES)):
                integers, scales = quantize(weight.numpy())
                weight.copy_(torch.from_numpy(integers * scales))
    expected = run_torch(model, input_ids)
    (logits,) = ask(page, "fast", requests[:1])
    differences = np.abs(logits - expected) / np.abs(expected).max()
    assert differences.mean() < 2e-3 and differences.max() < 0.05


def test_a_seed_draws_what_it_draws_in_python(case):
    pipe, page = case
    seed = 2**64 - 1
    candidates = pipe.sample(1, num_candidates=20, seed=seed)
    # JSON has no integers of 64 bits, and strings do as well
    keys = [[str(seed), 1, 0, index] for index in range(20)]
    noise, drawn = ask(
        page, "exact", [["noise", keys[7]], ["draw", {"labels": [1], "keys": keys, "temperature": 0.8}]]
    )
    expected = gumbel_noise([(seed, 1, 0, 7)], pipe.tokenizer.num_pixel_symbols, 64).numpy()
    np.testing.assert_array_equal(np.float32(noise), expected.ravel())
    assert drawn["texts"] == candidates.texts
    np.testing.assert_allclose(drawn["probabilities"], candidates.probabilities, rtol=0, atol=1e-5)


def test_completion_draws_the_class_from_what_is_known_and_goes_on(case):
    pipe, page = case
    num_known = pipe.tokenizer.num_pixel_symbols // 2
    known = [value * 7 % 64 for value in range(num_known)]
    labels = list(range(len(pipe.class_names)))
    keys = [[5, index] for index in range(12)]
    request = {"labels": labels, "keys": keys, "known": known, "temperature": 0.7}
    (drawn,) = ask(page, "exact", [["draw", request]])
    input_ids = pipe.tokenizer(drawn["texts"], return_tensors="pt")["input_ids"]
    assert (input_ids[:, 1 : 1 + num_known] == torch.tensor(known) + 10).all()
    of_classes = input_ids[:1, :-1].repeat(len(labels), 1)
    of_classes[:, 0] = torch.tensor(labels)
    scores = torch.from_numpy(run_torch(pipe.model, of_classes)[:, :num_known, 10:74]).double() / 0.7
    log_probabilities = scores.log_softmax(-1)[:, torch.arange(num_known), known].sum(1)
    noise = gumbel_noise(keys, pipe.tokenizer.num_pixel_symbols, 64).double()
    assert drawn["labels"] == (log_probabilities + noise[:, 0, : len(labels)]).argmax(1).tolist()
    scores = torch.from_numpy(run_torch(pipe.model, input_ids)[:, num_known:-2, 10:74]).double() / 0.7
    best = scores + noise[:, num_known:]
    values = input_ids[:, 1 + num_known : -1] - 10
    assert (best.gather(2, values[..., None])[..., 0] > best.amax(2) - 1e-3).all()


def test_memory_that_cannot_be_had_is_said(case):
    done = start_node(case[1], "fast", [], 40_000_000)
    assert done.returncode != 0 and "Error: there is not enough memory" in done.stderr


@pytest.mark.slow
def test_shipped_weights_cost_no_nats_in_8_bits(tmp_path, mnist_5k, tokenizer):
    build_page.main(["--output_dir", str(tmp_path / "page")])
    images, labels = mnist_5k["test"]
    texts = tokenizer.encode_images(images[::25], labels[::25])
    input_ids = tokenizer(texts, return_tensors="pt")["input_ids"]
    expected = symbol_nats(load_pipeline(device="cpu").model, input_ids).sum(1).numpy()
    for mode, tolerance in (("exact", 0.002), ("fast", 0.3)):
        (found,) = ask(tmp_path / "page", mode, [["nats", input_ids.tolist()]])
        assert abs(np.mean(found) - expected.mean()) < tolerance


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="there is no ziglang: pip install '.[wasm]'")
def test_compiled_engine_is_that_of_its_source(tmp_path):
    path = tmp_path / "engine.wasm"
    subprocess.run(["make", "wasm", f"WASM={path}", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    assert path.read_bytes() == (ROOT / "src/mnist_text_gen/page/engine.wasm").read_bytes()
