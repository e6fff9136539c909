# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The attention for training: the same function and gradients as Transformers' own."""

import pytest
import torch
from transformers import GPT2LMHeadModel

from mnist_text_gen.modeling import build_language_model_config
from mnist_text_gen.training.causal_attention import causal_attention


@pytest.fixture
def heads():
    """Queries, keys and values of 2 texts, 3 heads, 9 positions, 4 wide."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 9, 4, generator=generator, requires_grad=True) for _ in range(3)]


def build(tokenizer, attn_implementation, **overrides):
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_head": 2, "n_layer": 2, "attn_implementation": attn_implementation}
    return GPT2LMHeadModel(build_language_model_config(tokenizer, **(sizes | overrides)))


@pytest.mark.parametrize("other", ["sdpa", "eager"])
def test_model_has_the_same_loss_and_gradients_as_with_stock_attention(tokenizer, other):
    input_ids = torch.randint(75, (3, 152), generator=torch.Generator().manual_seed(1))
    found = {}
    for name in ("causal", other):
        model = build(tokenizer, name).eval()
        loss = model(input_ids, attention_mask=torch.ones_like(input_ids), labels=input_ids, use_cache=False).loss
        loss.backward()
        found[name] = [loss, *(parameter.grad for parameter in model.parameters())]
    torch.testing.assert_close(found["causal"], found[other], rtol=1e-4, atol=1e-6)


def test_dropout_acts_in_training_only_and_keeps_the_mean(heads):
    query, key, value = (part.detach().expand(2, 3, 9, 4) for part in heads)
    layer = torch.nn.Module()
    plain, _ = causal_attention(layer.eval(), query, key, value, None, dropout=0.5)
    layer.train()
    torch.manual_seed(0)
    dropped = torch.stack([causal_attention(layer, query, key, value, None, dropout=0.5)[0] for _ in range(2000)])
    assert (dropped[0] != plain).any()
    torch.testing.assert_close(dropped.mean(0), plain, rtol=0, atol=0.15)


def test_fewer_queries_than_keys_are_refused(heads):
    query, key, value = heads
    with pytest.raises(ValueError, match=r"the shape of the queries, \[2, 3, 1, 4\], got \[2, 3, 9, 4\]"):
        causal_attention(torch.nn.Module(), query[:, :, -1:], key, value, None)
