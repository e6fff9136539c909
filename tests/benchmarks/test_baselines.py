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
        assert baselines.count_parameters(model) == (10 if class_conditional else 1) * 150 * 64


@torch.no_grad()
def test_regression_equals_a_loop_over_what_each_symbol_may_see(examples):
    model = baselines.LogisticRegression(num_rows=2)
    for parameter in model.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(4))
    image, label = examples.pixels[4].double(), examples.labels[4]
    expected, num_weights = [], 0
    for position in range(150):
        row, column = position // 5, position % 5 * 6
        logits = model.bias[label, position].double()
        for above in (2, 1, 0):
            for x in range(column if above == 0 else 30):
                if row >= above:
                    num_weights += 64
                    logits = logits + model.weight[position, (2 - above) * 30 + x] * image[row - above, x]
        expected.append(-torch.log_softmax(logits, 0)[examples.symbols[4, position]].item())
    np.testing.assert_allclose(model(examples.take(slice(4, 5)))[0].numpy(), expected, rtol=1e-4, atol=1e-4)
    assert baselines.count_parameters(model) == num_weights + 10 * 150 * 64


@torch.no_grad()
def test_pixelcnn_equals_a_loop_that_draws_nothing_ahead(build, examples):
    model, image, label = build("PixelCNN"), examples.pixels[4], examples.labels[4:5]
    nats = 0.0
    for pixel in range(900):
        drawn = torch.ones(900, dtype=torch.uint8)  # wrong, if it were seen
        drawn[:pixel] = image.flatten()[:pixel]
        probability = torch.sigmoid(model.logits(drawn.view(1, 30, 30), label).flatten()[pixel].double()).item()
        nats -= math.log(probability if image.flatten()[pixel] else 1 - probability)
    assert model(examples.take(slice(4, 5))).sum().item() == pytest.approx(nats, rel=1e-4)
    larger = baselines.PixelCNN(num_channels=8, num_blocks=3)
    first = 24 * 8 + 10 * 8  # mask A leaves 24 of the 49 places; a bias for each class
    block = (8 * 4 + 4) + (5 * 4 * 4 + 10 * 4) + (4 * 8 + 8)  # mask B leaves 5 of 9
    assert baselines.count_parameters(larger) == first + 3 * block + 9


def test_parameters_are_those_of_the_report():
    found = {name: baselines.count_parameters(each.build(0)) for name, each in baselines.BASELINES.items()}
    assert list(found.values()) == [9_600, 96_000, 1_267_200, 98_561]


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
    with pytest.raises(ValueError, match="10 or more, of which a tenth is held out, got 9"):
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
