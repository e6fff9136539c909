# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decoding on a CUDA device: `pytest -m gpu`."""

from functools import partial

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.modeling import TASK, cached_gpt2, generate_candidates


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]


@pytest.fixture(scope="module")
def pipe():
    return pipeline(TASK, device="cuda")


def num_differing(texts, others):
    return sum(text != other for text, other in zip(texts, others, strict=True))


def test_classifier_is_on_the_device_of_the_pipeline(pipe):
    assert pipe.classifier.device.type == pipe.device.type == "cuda"
    best = pipe("7", seed=0)
    assert len(best) == 8 and best[0]["score"] > 0.5


def test_exact_texts_are_those_of_the_stock_loop(pipe):
    exact, stock = (pipe.sample(7, seed=0, decoding=decoding).texts for decoding in ("exact", "generate"))
    assert num_differing(exact, stock) <= 1  # a near tie


@pytest.mark.parametrize("size", [1, 8, 64, 100, 640])
def test_texts_with_and_without_a_graph_are_equal(pipe, monkeypatch, size):
    labels, seed_keys = [index % 10 for index in range(size)], [(0, index) for index in range(size)]
    cached_gpt2._IDLE.clear()
    generate = partial(generate_candidates, pipe.model, pipe.tokenizer, labels, seed_keys)
    graphed = generate()
    idle = [graph for graphs in cached_gpt2._IDLE[pipe.model].values() for graph in graphs]
    assert idle and all(isinstance(graph, cached_gpt2._GraphedGPT2) for graph in idle)
    assert torch.equal(generate(), graphed)
    cached_gpt2._IDLE.clear()
    monkeypatch.setattr(cached_gpt2, "_capture", lambda network, num_tokens: network)
    assert torch.equal(generate(), graphed)
    cached_gpt2._IDLE.clear()


def test_a_list_is_drawn_like_its_items(pipe):
    assert pipe([3, 7], seed=0) == [pipe(3, seed=0), pipe(7, seed=0)]


def test_bf16_is_autocast_and_stays_close(pipe):
    bf16 = pipe.sample(7, seed=0, decoding="bf16")
    with torch.autocast("cuda", torch.bfloat16):
        assert pipe.sample(7, seed=0).texts == bf16.texts
    right = bf16.probabilities.argmax(axis=1) == 7
    assert right.mean() > 0.9


def test_device_map_puts_the_model_on_the_gpu(pipe):
    model = AutoModelForCausalLM.from_pretrained(SHIPPED_CHECKPOINT, device_map="auto").eval()
    mapped = pipeline(TASK, model=model, tokenizer=pipe.tokenizer, classifier=pipe.classifier)
    assert mapped.sample(7, seed=0).texts == pipe.sample(7, seed=0).texts
