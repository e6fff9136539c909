# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Likelihoods against one token at a time, probabilities that sum to 1, and Bayes' rule by hand."""

import itertools
import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mnist_text_gen.modeling import (
    class_log_likelihoods,
    class_posterior,
    log_likelihood,
    marginal_log_likelihood,
    symbol_nats,
)


@pytest.fixture
def input_ids(mnist_5k, tokenizer):
    images, labels = mnist_5k["test"].first(5, "images")
    return tokenizer(tokenizer.encode_images(images, labels), return_tensors="pt")["input_ids"]


@torch.no_grad()
def test_nats_are_those_of_one_token_at_a_time(tiny_model, input_ids):
    input_ids = input_ids[:2]
    found = symbol_nats(tiny_model, input_ids)
    assert found.dtype == torch.float32
    expected = torch.empty(2, 151)
    for row, position in itertools.product(range(2), range(151)):
        # a model that is given no more than the tokens before
        scores = tiny_model(input_ids[row : row + 1, : position + 1]).logits[0, -1].double()
        expected[row, position] = -scores.softmax(-1)[input_ids[row, position + 1]].log()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_likelihood(tiny_model, input_ids), -expected.double().sum(1), rtol=1e-6, atol=1e-3)


def test_probabilities_of_all_continuations_sum_to_1():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=4, n_positions=5, n_embd=8, n_head=2, n_layer=1))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    texts = torch.tensor([[2, *rest] for rest in itertools.product(range(4), repeat=4)])
    probabilities = log_likelihood(model, texts).exp()
    assert probabilities.max() > 2 / len(texts)  # far from uniform
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_size_of_the_batches_makes_no_difference(tiny_model, input_ids, batch_size):
    expected = symbol_nats(tiny_model, input_ids)
    torch.testing.assert_close(symbol_nats(tiny_model, input_ids, batch_size), expected, rtol=1e-5, atol=1e-5)


def test_dropout_is_off_and_the_mode_is_given_back(tiny_model, input_ids):
    expected = symbol_nats(tiny_model, input_ids)
    tiny_model.train()
    assert torch.equal(symbol_nats(tiny_model, input_ids), expected)
    assert tiny_model.training
    tiny_model.forward = None
    with pytest.raises(TypeError):
        symbol_nats(tiny_model, input_ids)
    assert tiny_model.training


def test_autocast_rounds_logits_and_no_sums(tiny_model, input_ids):
    exact = symbol_nats(tiny_model, input_ids)
    with torch.autocast("cpu", torch.bfloat16):
        nats, sums = symbol_nats(tiny_model, input_ids), log_likelihood(tiny_model, input_ids)
    assert (nats.dtype, sums.dtype) == (torch.float32, torch.float64)
    assert not torch.equal(nats, exact)
    torch.testing.assert_close(nats, exact, rtol=0.1, atol=0.3)
    # values that bfloat16 cannot hold
    assert not torch.equal(nats, nats.bfloat16().float())
    assert sums.tolist() == pytest.approx([-math.fsum(row) for row in nats.tolist()], rel=1e-14)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(152, dtype=torch.int64), r"shape \[N, T\] with T from 2 to 152, got \[152\]"),
        (torch.zeros(1, 153, dtype=torch.int64), r"shape \[N, T\] with T from 2 to 152, got \[1, 153\]"),
        (torch.zeros(1, 2), r"dtype int64 or int32, got torch.float32"),
        (torch.tensor([[7, 10], [7, 75]]), r"from 0 to 74, got 75 in row 1 at position 1"),
        (torch.tensor([[-100, 10]]), r"from 0 to 74, got -100 in row 0 at position 0"),
    ],
)
def test_ids_that_are_no_texts_are_refused(tiny_model, ids, message):
    with pytest.raises(ValueError, match=message):
        log_likelihood(tiny_model, ids)


def test_no_text_and_no_image_and_no_batch(tiny_model, tokenizer, input_ids):
    assert symbol_nats(tiny_model, torch.empty(0, 152, dtype=torch.int64)).shape == (0, 151)
    with pytest.raises(ValueError, match="`batch_size` must be 1 or more, got 0"):
        symbol_nats(tiny_model, input_ids, batch_size=0)
    with pytest.raises(ValueError, match="`images` must have 1 image or more, got none"):
        class_log_likelihoods(tiny_model, tokenizer, torch.empty(0, 30, 30))


def test_each_class_is_the_same_image_under_another_digit(tiny_model, tokenizer, mnist_5k):
    images, _ = mnist_5k["test"].first(3, "images")
    found = class_log_likelihoods(tiny_model, tokenizer, torch.from_numpy(images), batch_size=2)
    assert (found.shape, found.dtype) == ((3, 10), torch.float64)
    for label in range(10):
        texts = tokenizer.encode_images(images, [label] * 3)
        expected = log_likelihood(tiny_model, tokenizer(texts, return_tensors="pt")["input_ids"])
        torch.testing.assert_close(found[:, label], expected, rtol=1e-6, atol=1e-3)
    assert found.std(dim=1).min() > 0.1


# p(x | y) of two images under three classes
LIKELIHOODS = torch.tensor([[0.1, 0.2, 0.5], [0.3, 0.3, 0.0]], dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("log_prior", "posterior", "marginal"),
    [
        (None, [[1 / 8, 2 / 8, 5 / 8], [1 / 2, 1 / 2, 0]], [0.8 / 3, 0.6 / 3]),
        ([math.log(0.5), math.log(0.5), -math.inf], [[1 / 3, 2 / 3, 0], [1 / 2, 1 / 2, 0]], [0.15, 0.3]),
    ],
)
def test_bayes_rule_by_hand(log_prior, posterior, marginal):
    posterior, marginal = (torch.tensor(values, dtype=torch.float64) for values in (posterior, marginal))
    torch.testing.assert_close(class_posterior(LIKELIHOODS, log_prior), posterior, rtol=1e-14, atol=0)
    torch.testing.assert_close(marginal_log_likelihood(LIKELIHOODS, log_prior).exp(), marginal, rtol=1e-14, atol=0)


def test_bayes_rule_where_likelihoods_are_too_small_for_floats():
    shifted = LIKELIHOODS[:1] - 2000
    assert not shifted.exp().any()
    torch.testing.assert_close(class_posterior(shifted), class_posterior(LIKELIHOODS[:1]), rtol=1e-11, atol=0)
    expected = marginal_log_likelihood(LIKELIHOODS[:1]) - 2000
    torch.testing.assert_close(marginal_log_likelihood(shifted), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("function", [class_posterior, marginal_log_likelihood])
@pytest.mark.parametrize(
    ("likelihoods", "log_prior", "message"),
    [
        (LIKELIHOODS, [math.log(0.5)] * 2, r"`log_prior` must be the logarithms of 3 .*, got shape \[2\]"),
        (LIKELIHOODS, [math.log(0.5)] * 3, r"must be the logarithms of 3 probabilities .* a sum of 1.5"),
        (LIKELIHOODS[0], None, r"`log_likelihoods` must have shape \[N, classes\], got \[3\]"),
    ],
)
def test_priors_and_likelihoods_that_do_not_fit_are_refused(function, likelihoods, log_prior, message):
    with pytest.raises(ValueError, match=message):
        function(likelihoods, log_prior)
