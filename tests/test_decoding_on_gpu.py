# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decoding on a CUDA device: `pytest -m gpu`."""

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.modeling import TASK, cached_gpt2


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def draw():
    return pipeline(TASK, device="cuda")


def num_differing(ids, others):
    return int((ids != others).any(dim=1).sum())


def test_classifier_is_on_the_device_of_the_pipeline(draw):
    assert draw.classifier.device.type == draw.device.type == "cuda"
    best = draw("7", seed=0)
    assert len(best) == 8 and best[0]["score"] > 0.5


def test_exact_texts_are_those_of_the_stock_loop(draw):
    exact, stock = (draw.generate_candidates(7, seed=0, decoding=decoding) for decoding in ("exact", "generate"))
    assert num_differing(exact, stock) <= 1  # a near tie


@pytest.mark.parametrize("size", [1, 8, 64, 100, 640])
def test_texts_with_and_without_a_graph_are_equal(draw, monkeypatch, size):
    labels, seed_keys = [index % 10 for index in range(size)], [(0, index) for index in range(size)]
    cached_gpt2._GRAPHS.clear()
    graphed = draw.generate_texts(labels, seed_keys)
    idle = [graph for graphs in cached_gpt2._GRAPHS[draw.model].values() for graph in graphs]
    assert idle and all(isinstance(graph, cached_gpt2._GraphedGPT2) for graph in idle)
    assert torch.equal(draw.generate_texts(labels, seed_keys), graphed)
    cached_gpt2._GRAPHS.clear()
    monkeypatch.setattr(cached_gpt2, "_capture", lambda network, num_tokens: network)
    assert torch.equal(draw.generate_texts(labels, seed_keys), graphed)
    cached_gpt2._GRAPHS.clear()


def test_a_list_is_drawn_like_its_items(draw):
    assert draw([3, 7], seed=0) == [draw(3, seed=0), draw(7, seed=0)]


def test_bf16_is_autocast_and_stays_close(draw):
    bf16 = draw.generate_candidates(7, seed=0, decoding="bf16")
    with torch.autocast("cuda", torch.bfloat16):
        assert torch.equal(draw.generate_candidates(7, seed=0), bf16)
    right = draw.classify_candidates(bf16).argmax(dim=-1) == 7
    assert right.float().mean() > 0.9


def test_device_map_puts_the_model_on_the_gpu(draw):
    model = AutoModelForCausalLM.from_pretrained(SHIPPED_CHECKPOINT, device_map="auto").eval()
    mapped = pipeline(TASK, model=model, tokenizer=draw.tokenizer, classifier=draw.classifier)
    assert torch.equal(mapped.generate_candidates(7, seed=0), draw.generate_candidates(7, seed=0))
