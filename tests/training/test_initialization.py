# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The starting weights that know the text form: where heads look, and which symbols are alike."""

import pytest
import torch
from transformers import GPT2LMHeadModel

from mnist_text_gen import MnistTextTokenizer
from mnist_text_gen.modeling import build_language_model_config
from mnist_text_gen.training.initialization import OFFSETS, initialize_from_text_form


def build(tokenizer, **overrides):
    torch.manual_seed(0)
    return GPT2LMHeadModel(build_language_model_config(tokenizer, attn_implementation="eager", **overrides)).eval()


@pytest.fixture(scope="module")
def model(tokenizer):
    model = build(tokenizer, n_layer=1)
    initialize_from_text_form(model, tokenizer)
    return model


# a row of 48 pixels has 8 symbols, where the one above stands
@pytest.mark.parametrize(("image_size", "offsets"), [(30, OFFSETS), (48, (0, 6, 7, 8, 1, 15, 14, 2))])
def test_each_head_of_the_first_layer_looks_most_at_its_offset(image_size, offsets):
    tokenizer = MnistTextTokenizer(image_size=image_size)
    model = build(tokenizer, n_layer=1)
    initialize_from_text_form(model, tokenizer)
    input_ids = torch.randint(10, 74, (4, 152), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = model(input_ids, output_attentions=True).attentions[0].mean(0)  # [8, 152, 152]
    for position in (20, 60, 75, 150):
        assert (position - weights[:, position].argmax(-1)).tolist() == list(offsets)


def test_symbols_are_the_nearer_the_more_bits_they_share(model):
    embeddings = model.transformer.wte.weight[10:74]
    distances = torch.cdist(embeddings, embeddings)
    codes = torch.arange(64)
    differing = torch.tensor([[bin(a ^ b).count("1") for b in codes.tolist()] for a in codes.tolist()])
    means = [distances[differing == count].mean().item() for count in range(7)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(0, abs=0.01)
    assert means[6] > 1.5 * means[1]


def test_only_embeddings_and_queries_and_keys_of_the_first_layer_differ_from_gpt2s_own(tokenizer):
    model, again, own = (build(tokenizer, n_layer=2) for _ in range(3))
    for one in (model, again):
        initialize_from_text_form(one, tokenizer)
    assert torch.equal(model.transformer.wpe.weight, again.transformer.wpe.weight)
    own = dict(own.named_parameters())
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, own[name])}
    assert changed == {"transformer.wte.weight", "transformer.wpe.weight", "transformer.h.0.attn.c_attn.weight"}
    name = "transformer.h.0.attn.c_attn.weight"
    assert torch.equal(model.get_parameter(name)[:, 512:], own[name][:, 512:])
    assert model.lm_head.weight is model.transformer.wte.weight
