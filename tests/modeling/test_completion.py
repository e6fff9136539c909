# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Completion against the enumerated conditional of a tiny model, and against plain sampling."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers import GPT2LMHeadModel

from mnist_text_gen import MnistTextGenerationPipeline
from mnist_text_gen.modeling import (
    KnownPixelsLogitsProcessor,
    build_language_model_config,
    completion,
    gumbel_noise,
    sample_particles,
    symbol_nats,
)
from mnist_text_gen.modeling.completion import resample
from mnist_text_gen.tokenizer import binarize_images, check_text


@pytest.fixture
def model(tokenizer):
    """A tiny model that gives pixel symbols all the probability, so that its likelihoods need no grammar."""
    sizes = {"n_embd": 16, "n_head": 2, "n_layer": 2, "initializer_range": 0.6, "tie_word_embeddings": False}
    torch.manual_seed(0)
    model = GPT2LMHeadModel(build_language_model_config(tokenizer, **sizes)).eval()
    with torch.no_grad():
        # the first of what reaches the output layer is always 1, and so its first weight is a bias
        model.transformer.ln_f.weight[0], model.transformer.ln_f.bias[0] = 0, 1
        model.lm_head.weight[:, 0] = -100
        model.lm_head.weight[tokenizer.pixel_ids.start : tokenizer.pixel_ids.stop, 0] = 0
    return model


@pytest.fixture
def pipe(model, tokenizer, tiny_classifier):
    return MnistTextGenerationPipeline(model, tokenizer, tiny_classifier, device="cpu")


@pytest.fixture(scope="module")
def images(mnist_5k):
    return binarize_images(mnist_5k["test"].first(3, "images").images)


def pixels_of(results):
    return np.stack([np.asarray(result["image"]) // 255 for result in results])


def mask_without(symbols, bits=(1, 4)):
    """Everything is known but two pixels of some symbols."""
    known = np.ones((150, 6), dtype=bool)
    known[np.ix_(symbols, bits)] = False
    return known.reshape(30, 30)


def enumerate_conditional(model, tokenizer, image, known, labels):
    """All images that agree `[2^K, K]` by their unknown pixels, and log p(image | label) `[2^K, labels]`."""
    rows, columns = np.nonzero(~known)
    unknown = np.array(list(itertools.product((0, 1), repeat=len(rows))))
    candidates = image[None].repeat(len(unknown), axis=0)
    candidates[:, rows, columns] = unknown
    log_p = []
    for label in labels:
        texts = tokenizer.encode_images(candidates, [label] * len(candidates))
        nats = symbol_nats(model, tokenizer(texts, return_tensors="pt")["input_ids"], 256)
        log_p.append(-nats[:, :150].double().sum(dim=1))  # the end token is no pixel
    return torch.stack(log_p, dim=1)


def frequencies(results, known, labels):
    """How often each image and label came, `[2^K, labels]`, in the order of `enumerate_conditional`."""
    unknown = pixels_of(results)[:, ~known]
    index = unknown @ (1 << np.arange(unknown.shape[1])[::-1])
    counts = np.zeros((2 ** unknown.shape[1], len(labels)))
    np.add.at(counts, (index, [labels.index(int(result["label"])) for result in results]), 1)
    return counts / len(results)


def distance(p, q):
    """Total variation, 0 to 1."""
    return np.abs(np.asarray(p) - np.asarray(q)).sum() / 2


SYMBOLS = [118, 126, 133, 140]  # what comes behind them is known, and says what they were
MANY = {"num_particles": 2000, "num_return_sequences": 2000}


def test_completions_follow_the_exact_conditional(pipe, model, tokenizer, images, monkeypatch):
    resamplings = []
    monkeypatch.setattr(completion, "resample", lambda *args: resamplings.append(1) or resample(*args))
    known = mask_without(SYMBOLS)
    found = frequencies(pipe.complete(images[1], 7, known, seed=0, temperature=0.7, **MANY), known, [7])
    with torch.no_grad():
        model.lm_head.weight /= 0.7
    exact = enumerate_conditional(model, tokenizer, images[1], known, [7]).flatten().softmax(0)
    assert len(resamplings) > 1
    assert exact.shape == (256,) and exact.max() < 0.5
    assert distance(found[:, 0], exact) < 0.25


def test_labels_follow_their_exact_posterior_with_the_pixels(pipe, model, tokenizer, images):
    with torch.no_grad():  # digits so much alike that several of them are likely
        digits = model.transformer.wte.weight[:10]
        digits.copy_(0.06 * digits + 0.94 * digits[3])
    known, labels = mask_without([126, 133]), list(range(10))
    found = frequencies(pipe.complete(images[1], None, known, seed=1, **MANY), known, labels)
    exact = enumerate_conditional(model, tokenizer, images[1], known, labels).flatten().softmax(0).view(16, 10)
    assert (exact.sum(0) > 0.02).sum() > 2 and exact.sum(0).max() < 0.8
    assert distance(found.sum(0), exact.sum(0)) < 0.1
    assert distance(found, exact) < 0.15


def test_weights_sum_to_the_probability_of_what_is_known(model, tokenizer, images):
    known = mask_without(SYMBOLS)
    pixels = KnownPixelsLogitsProcessor(tokenizer, images[1], known)
    expected = enumerate_conditional(model, tokenizer, images[1], known, [3, 7]).logsumexp((0, 1)) - math.log(2)
    _, log_weights = sample_particles(model, tokenizer, pixels, [3, 7], (0,), num_particles=1000)
    assert np.logaddexp.reduce(log_weights) == pytest.approx(expected.item(), abs=0.15)

    # without resampling one particle would have nearly all the weight


def test_rows_from_the_top_are_plain_sampling_behind_a_prompt(tiny_model, tokenizer, images):
    """A model that needs the grammar, its own noise, and no cache."""
    prompt = tokenizer(tokenizer.encode_images(images[:1], [6]), return_tensors="pt")["input_ids"][:, : 1 + 23 * 5]
    pixels = KnownPixelsLogitsProcessor(tokenizer, images[0], np.arange(30)[:, None].repeat(30, 1) < 23)
    found, log_weights = sample_particles(tiny_model, tokenizer, pixels, [6], (3, 1), 4, temperature=0.8)
    noise = gumbel_noise([(3, 1, 1 + index) for index in range(4)], 150, 64)
    ids = prompt.repeat(4, 1)
    with torch.no_grad():
        scores = tiny_model(prompt).logits[0, :-1, 10:74] / 0.8
        for step in range(115, 150):
            logits = tiny_model(ids, use_cache=False).logits[:, -1, 10:74]
            ids = torch.cat([ids, 10 + (logits / 0.8 + noise[:, step]).argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(found[:, :-1], ids)
    assert (found[:, -1] == tokenizer.eos_token_id).all()
    of_prompt = scores.double().log_softmax(-1).gather(1, prompt[0, 1:, None] - 10).sum().item()
    assert log_weights.tolist() == pytest.approx([of_prompt - math.log(4)] * 4, abs=1e-3)


@given(
    known=arrays(np.bool_, (12, 12)).filter(np.any), label=st.sampled_from([None, 3]), seed=st.integers(0, 2**64 - 1)
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_known_pixels_are_kept_whatever_the_mask(small_pipe, known, label, seed):
    image = np.random.default_rng(0).integers(0, 2, (12, 12))
    results = small_pipe.complete(torch.from_numpy(image), label, torch.from_numpy(known), seed, 3, num_particles=10)
    assert len(results) == 3
    np.testing.assert_array_equal(pixels_of(results)[:, known], image[known][None].repeat(3, 0))
    for result in results:
        check_text(result["generated_text"], image_size=12)
        assert result["label"] == result["generated_text"][0] and (label is None or result["label"] == "3")


def test_a_result_is_the_pipelines_and_the_upper_half_is_what_is_known(pipe, tokenizer, images, tiny_classifier):
    seen = []
    (result,) = pipe.complete(images[0], "7", seed=0, callback=lambda *update: seen.append(update))
    assert pipe.complete(images[0], "7", seed=0) == [result]
    # the particles, as whole rows of them are drawn
    assert [(index, block.shape) for index, block in seen] == [(0, (64, rows, 30)) for rows in range(15, 31)]
    assert np.asarray(result["image"]).tobytes() in {(255 * image).tobytes() for image in seen[-1][1]}
    assert list(result) == ["label", "generated_text", "image", "score"] and result["label"] == "7"
    (pixels,) = pixels_of([result])
    np.testing.assert_array_equal(pixels, tokenizer.decode_images([result["generated_text"]])[0])
    np.testing.assert_array_equal(pixels[:15], images[0][:15])
    assert (pixels[15] != images[0][15]).any()
    with torch.no_grad():
        logits = tiny_classifier(torch.from_numpy(pixels)[None, None].float()).logits
    assert result["score"] == pytest.approx((logits / 0.8).softmax(-1)[0, 7].item(), abs=1e-6)


def test_an_image_gives_the_same_alone_and_in_a_batch(small_pipe):
    images = np.random.default_rng(0).integers(0, 2, (2, 12, 12))
    few = {"num_particles": 12, "num_return_sequences": 2}
    state = torch.random.get_rng_state()
    batch = small_pipe.complete(images[[0, 1, 0]], ["3", "5", "3"], seed=4, **few)
    assert [len(results) for results in batch] == [2, 2, 2]
    assert small_pipe.complete(images[0], 3, seed=4, **few) == batch[0]
    assert small_pipe.complete(images[1:2], [5], seed=4, **few) == [batch[1]]
    assert batch[2] != batch[0]
    masks = np.zeros((2, 12, 12), dtype=bool)
    masks[0, :6], masks[1, :, 8:] = True, True
    assert small_pipe.complete(images, [3, 5], masks, seed=4, **few)[0] == batch[0]
    assert small_pipe.complete(images[0], 3, seed=5, **few) != batch[0]
    assert small_pipe.complete(images[0], 4, seed=4, **few) != batch[0]
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    first, second = (small_pipe.complete(images[0], 3, **few) for _ in range(2))
    torch.manual_seed(1)
    assert small_pipe.complete(images[0], 3, **few) == first != second


@given(
    weights=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1)), min_size=1, max_size=20).filter(any),
    num_samples=st.integers(1, 30),
    uniform=st.one_of(st.floats(2.0**-54, 1 - 2.0**-53), st.sampled_from([2.0**-54, 1 - 2.0**-53])),
)
@settings(deadline=None)
def test_a_particle_is_drawn_as_often_as_its_weight_says(weights, num_samples, uniform):
    weights = np.array(weights)
    with np.errstate(divide="ignore"):
        chosen = resample(np.log(weights) - 2000, num_samples, uniform)
    assert chosen.shape == (num_samples,)
    expected = num_samples * weights / weights.sum()
    counts = np.bincount(chosen, minlength=len(weights))
    assert (counts > expected - 1 - 1e-9).all() and (counts < expected + 1 + 1e-9).all()
    assert not counts[weights == 0].any()


def test_each_of_several_draws_has_the_probabilities_of_the_weights():
    weights = np.array([0.5, 0.1, 0.15, 0.25])
    drawn = np.stack([resample(np.log(weights), 3, (step + 0.5) / 1000) for step in range(1000)])
    for column in drawn.T:
        np.testing.assert_allclose(np.bincount(column) / 1000, weights, atol=0.002)


@torch.no_grad()
def test_what_the_model_thinks_impossible_is_an_error_and_no_nan(pipe, model, tokenizer, images):
    image = images[0].copy()
    image[3, :6] = 1
    model.lm_head.weight[tokenizer.pixel_ids[63], 0] = -math.inf  # six pixels that are all on
    with pytest.raises(ValueError, match="a probability above 0, got the probability 0 after all 16 particles at"):
        pipe.complete(image, 7, seed=0, num_particles=16)
    # where one of the six is not known, there is a way
    known = np.ones((30, 30), dtype=bool)
    known[3, 2], known[4:] = False, False
    (result,) = pipe.complete(image, 7, known, seed=0, num_particles=16)
    assert np.asarray(result["image"])[3, :6].tolist() == [255, 255, 0, 255, 255, 255]
    model.lm_head.weight[:] = math.nan
    with pytest.raises(ValueError, match="a probability above 0, got NaN"):
        pipe.complete(image, 7, seed=0, num_particles=16)


HALF = np.arange(30)[:, None].repeat(30, axis=1) < 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"known": HALF[:29]}, "`known` must have shape [30, 30] or [N, 30, 30] with N of 1 or more, got [29, 30]"),
        ({"known": np.stack([HALF] * 2)}, "`known` must have one mask or one per image (1), got 2"),
        ({"known": np.zeros_like(HALF)}, "`known` must have 1 pixel or more in each mask, got none in mask 0"),
        ({"image": np.zeros((28, 28))}, "`image` must have shape [30, 30] or [N, 30, 30] with N of 1 or more"),
        ({"image": torch.full((30, 30), 0.5)}, "values 0 and 1, or 0 and 255, got 0.5 in image 0"),
        ({"label": [3, 4]}, "there must be one label per image (1), got 2"),
        ({"num_return_sequences": 65}, "`num_return_sequences` must be from 1 to `num_particles`, 64, got 65"),
        ({"num_particles": 0}, "`num_particles` must be an integer of 1 or more, got 0"),
        ({"num_particles": 9}, "`num_particles` must be 10 or more, one per label, got 9"),
        ({"seed": -1}, "`seed` must be an integer from 0 to 2**64 - 1, or None, got -1"),
    ],
)
def test_bad_input_is_refused(pipe, images, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pipe.complete(**{"image": images[0], **arguments})


def test_all_images_are_checked_before_the_first_is_completed(pipe, images, monkeypatch):
    monkeypatch.setattr(completion, "sample_particles", lambda *_: pytest.fail("drew an image"))
    masks = np.stack([HALF, ~HALF & HALF])
    with pytest.raises(ValueError, match="`known` must have 1 pixel or more in each mask, got none in mask 1"):
        pipe.complete(images[:2], known=masks)
    with pytest.raises(ValueError, match="got 3 in image 1"):
        pipe.complete(np.stack([images[0], images[1] * 3]))
    with pytest.raises(ValueError, match=r"there must be one label per image \(2\), got 1"):
        pipe.complete(images[:2], 3)
