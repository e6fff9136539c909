# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The baselines of the likelihood: probabilities that sum to one, plain loops, and how settings are chosen."""

import math

import baselines
import numpy as np
import pytest
import torch
from tiny_baselines import TINY

from mnist_text_gen.data import LabelledImages


@pytest.fixture
def examples(mnist_5k):
    """One image of each class, and 20 more."""
    images, labels = mnist_5k["train"]
    rows = [*(np.flatnonzero(labels == label)[0] for label in range(10)), *range(20)]
    return baselines.Examples.from_images(LabelledImages(images[rows], labels[rows]))


@pytest.fixture
def build(examples):
    def build_baseline(name):
        """With weights that make all inputs matter."""
        built = TINY[name].build(seed=1).eval()
        if isinstance(built, baselines.SymbolFrequencies):
            baselines.count(built, examples, 0.5, seed=0)
            return built
        generator = torch.Generator().manual_seed(2)
        for parameter in built.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
        return built

    return build_baseline


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_probabilities_of_a_symbol_sum_to_one_and_do_not_see_what_follows(build, examples, name):
    """All 64 values of one symbol in turn, and noise for all that follows it."""
    model = build(name)
    for position in (0, 37, 149):
        pixels = examples.pixels[:1].repeat(64, 1, 1)
        values = torch.arange(64)[:, None].bitwise_and(2 ** torch.arange(5, -1, -1)).ne(0).to(torch.uint8)
        flat = pixels.view(64, 900)
        flat[:, 6 * position : 6 * position + 6] = values
        noise = torch.rand(flat[:, 6 * position + 6 :].shape, generator=torch.Generator().manual_seed(3)) < 0.5
        flat[:, 6 * position + 6 :] = noise.to(torch.uint8)
        symbols = torch.from_numpy(baselines.pack_pixels(pixels.numpy()).astype(np.int64))
        nats = model(baselines.Examples(pixels, symbols, examples.labels[:1].repeat(64))).double()
        assert torch.exp(-nats[:, position]).sum().item() == pytest.approx(1, abs=1e-5)
        original = model(examples.take(slice(1)))[:, :position].double().expand(64, -1)
        torch.testing.assert_close(nats[:, :position], original, rtol=1e-4, atol=1e-4)
    others = examples._replace(labels=(examples.labels + 1) % 10)
    is_given_the_class = name != "symbol at each position"
    assert (model(examples) != model(others)).any(1).tolist() == [is_given_the_class] * 30


@torch.no_grad()
def test_frequencies_are_smoothed_counts(examples):
    for class_conditional in (False, True):
        model = baselines.SymbolFrequencies(class_conditional)
        baselines.count(model, examples, 0.5, seed=0)
        nats = model(examples)
        for image, position in ((0, 0), (3, 70), (9, 71), (25, 100)):
            symbol, label = examples.symbols[image, position], examples.labels[image]
            same = [i for i in range(30) if not class_conditional or examples.labels[i] == label]
            seen = sum(int(examples.symbols[i, position] == symbol) for i in same)
            assert nats[image, position].item() == pytest.approx(-math.log((seen + 0.5) / (len(same) + 32)), rel=1e-5)


def test_choice_is_the_best_on_held_out_images_and_the_last_fit_sees_all(examples):
    fits = []

    class Constant(torch.nn.Module):
        def forward(self, examples):
            return torch.full((len(examples.labels), 150), abs(self.choice - 3.0))

    def fit(model, seen, choice, seed):
        fits.append((choice, len(seen.labels), seed))
        model.choice = choice

    baseline = baselines.Baseline(Constant, fit, (1, 4, 9))
    model, record = baselines.fit_baseline(baseline, examples, seed=7)
    assert fits == [(1, 27, 7), (4, 27, 7), (9, 27, 7), (4, 30, 7)]
    assert model.choice == record["choice"] == 4
    assert record["held_out_nats"] == {"1": 300.0, "4": 150.0, "9": 900.0}
    with pytest.raises(ValueError, match="10 or more, because a tenth is held out, got 9"):
        baselines.fit_baseline(baseline, examples.take(slice(9)))


def test_training_lowers_the_nats_and_depends_on_the_seed_alone(examples):
    baseline = TINY["PixelCNN"]

    def nats(seed):
        model = baseline.build(seed)
        before = baselines.baseline_nats(model, examples).sum(1).mean()
        torch.rand(3)  # somebody else's noise
        baseline.fit(model, examples, 2, seed, **baseline.options)
        return before, baselines.baseline_nats(model, examples).sum(1).mean()

    before, after = nats(0)
    assert after < before - 20
    assert nats(0) == (before, after)
    assert nats(1) != (before, after)
