# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The baselines of the likelihood: probabilities that sum to one, computed again one by one, and what is kept."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers.utils import logging

from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.modeling import hash_weights, write_run


ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmarks(monkeypatch, mnist_5k):
    """The modules, which import each other by their names alone; the images are read once."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import baselines
    import likelihood

    monkeypatch.setattr(likelihood, "load_images", {"mnist-5k": mnist_5k}.__getitem__)
    verbosity = logging.get_verbosity()
    yield SimpleNamespace(baselines=baselines, likelihood=likelihood)
    logging.set_verbosity(verbosity)


@pytest.fixture
def tiny(benchmarks):
    """The baselines, smaller and trained for less."""
    changes = {
        "LogisticRegression": {
            "sizes": {"num_rows": 2},
            "options": {"alpha": 0.1, "num_epochs": 2, "learning_rate": 0.03, "batch_size": 8},
        },
        "PixelCNN": {
            "choices": (2,),
            "sizes": {"num_channels": 4, "num_blocks": 2},
            "options": {"learning_rate": 0.03, "batch_size": 5},
        },
    }
    return {
        name: dataclasses.replace(baseline, **changes.get(baseline.model.__name__, {}))
        for name, baseline in benchmarks.baselines.BASELINES.items()
    }


@pytest.fixture
def examples(benchmarks, mnist_5k):
    """One image of each class, and 20 more."""
    images, labels = mnist_5k["train"]
    rows = [*(np.flatnonzero(labels == label)[0] for label in range(10)), *range(20)]
    return benchmarks.baselines.Examples.from_images(LabelledImages(images[rows], labels[rows]))


def build(benchmarks, tiny, examples, name):
    """A baseline with weights that make all its inputs matter."""
    built = tiny[name].build(seed=1).eval()
    if isinstance(built, benchmarks.baselines.SymbolFrequencies):
        benchmarks.baselines.count(built, examples, 0.5, seed=0)
    generator = torch.Generator().manual_seed(2)
    for parameter in built.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return built


@pytest.fixture(params=range(4), ids=["position", "class", "regression", "pixelcnn"])
def model(request, benchmarks, tiny, examples):
    return build(benchmarks, tiny, examples, list(tiny)[request.param])


@pytest.fixture
def pixelcnn(benchmarks, tiny, examples):
    return build(benchmarks, tiny, examples, "PixelCNN")


def with_pixels(benchmarks, examples, pixels):
    symbols = torch.from_numpy(benchmarks.baselines.pack_pixels(pixels.numpy()).astype(np.int64))
    return examples._replace(pixels=pixels, symbols=symbols)


@pytest.mark.parametrize("position", [0, 37, 74, 149])
@torch.no_grad()
def test_probabilities_of_a_symbol_sum_to_one_and_do_not_see_what_follows(benchmarks, model, examples, position):
    """All 64 values of one symbol in turn, and noise for all that follows it."""
    pixels = examples.pixels[:1].repeat(64, 1, 1)
    values = torch.arange(64)[:, None].bitwise_and(2 ** torch.arange(5, -1, -1)).ne(0).to(torch.uint8)
    flat = pixels.view(64, 900)
    flat[:, 6 * position : 6 * position + 6] = values
    noise = torch.rand(flat[:, 6 * position + 6 :].shape, generator=torch.Generator().manual_seed(3)) < 0.5
    flat[:, 6 * position + 6 :] = noise.to(torch.uint8)
    variants = with_pixels(benchmarks, examples.take(torch.zeros(64, dtype=torch.int64)), pixels)
    assert variants.symbols[:, position].tolist() == list(range(64))
    nats = model(variants).double()
    assert torch.exp(-nats[:, position]).sum().item() == pytest.approx(1, abs=1e-5)
    original = model(examples.take(slice(1)))[:, :position].double().expand(64, -1)
    torch.testing.assert_close(nats[:, :position], original, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_all_but_the_first_baseline_are_given_the_class(model, examples):
    others = examples._replace(labels=(examples.labels + 1) % 10)
    changed = (model(examples) != model(others)).any(1)
    assert changed.tolist() == [bool(list(model.parameters())) or len(model.log_probabilities) > 1] * 30


@torch.no_grad()
def test_frequencies_are_smoothed_counts(benchmarks, examples):
    count = benchmarks.baselines.count
    for class_conditional in (False, True):
        model = benchmarks.baselines.SymbolFrequencies(class_conditional)
        count(model, examples, 0.5, seed=0)
        nats = model(examples)
        for image, position in ((0, 0), (3, 70), (9, 71), (25, 100)):
            symbol, label = examples.symbols[image, position], examples.labels[image]
            same = [i for i in range(30) if not class_conditional or examples.labels[i] == label]
            seen = sum(int(examples.symbols[i, position] == symbol) for i in same)
            assert nats[image, position].item() == pytest.approx(-math.log((seen + 0.5) / (len(same) + 32)), rel=1e-5)
        assert model.num_parameters == (10 if class_conditional else 1) * 150 * 64


@torch.no_grad()
def test_regression_equals_a_loop_over_what_each_symbol_may_see(benchmarks, tiny, examples):
    model = benchmarks.baselines.LogisticRegression(num_rows=2)
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
    assert model.num_parameters == num_weights + 10 * 150 * 64


@torch.no_grad()
def test_pixelcnn_equals_a_loop_that_draws_nothing_ahead(pixelcnn, examples):
    model, image, label = pixelcnn, examples.pixels[4], examples.labels[4:5]
    nats = 0.0
    for pixel in range(900):
        drawn = torch.ones(900, dtype=torch.uint8)  # wrong, if it were seen
        drawn[:pixel] = image.flatten()[:pixel]
        probability = torch.sigmoid(model.logits(drawn.view(1, 30, 30), label).flatten()[pixel].double()).item()
        nats -= math.log(probability if image.flatten()[pixel] else 1 - probability)
    assert model(examples.take(slice(4, 5))).sum().item() == pytest.approx(nats, rel=1e-4)


def test_pixelcnn_sees_all_of_its_receptive_field_and_nothing_else(benchmarks):
    """The field is followed here step by step, by what a kernel may read."""
    model = benchmarks.baselines.PixelCNN(num_channels=4, num_blocks=2)
    for parameter in model.parameters():
        parameter.data = parameter.data.abs() + 0.1  # no ReLU is at rest, nothing cancels
    pixels = torch.ones(1, 30, 30, requires_grad=True)
    for row, column in ((0, 0), (0, 9), (12, 0), (15, 14), (29, 29)):
        (gradient,) = torch.autograd.grad(model.logits(pixels, torch.tensor([3]))[0, row, column], pixels)
        seen = {(row, column)}
        for _ in range(2):
            seen |= {(r + dy, c + dx) for r, c in seen for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1))}
        field = {(r - dy, c + dx) for r, c in seen for dy in range(4) for dx in range(-3, 4) if dy or dx < 0}
        inside = {(r, c) for r, c in field if 0 <= r < 30 and 0 <= c < 30}
        assert {tuple(place) for place in gradient[0].nonzero().tolist()} == inside
        assert all((r, c) < (row, column) for r, c in inside)


def test_parameters_of_the_pixelcnn_are_those_that_no_mask_hides(benchmarks):
    model = benchmarks.baselines.PixelCNN(num_channels=8, num_blocks=3)
    first = 24 * 8 + 10 * 8  # mask A leaves 24 of the 49 places; a bias for each class
    block = (8 * 4 + 4) + (5 * 4 * 4 + 10 * 4) + (4 * 8 + 8)  # mask B leaves 5 of 9
    assert model.num_parameters == first + 3 * block + 9


def test_choice_is_the_best_on_held_out_images_and_the_last_fit_sees_all(benchmarks, examples):
    fits = []

    class Constant(torch.nn.Module):
        def forward(self, examples):
            return torch.full((len(examples.labels), 150), abs(self.choice - 3.0))

    def fit(model, seen, choice, seed):
        fits.append((choice, len(seen.labels), seed))
        model.choice = choice

    baseline = benchmarks.baselines.Baseline(Constant, fit, (1, 4, 9))
    model, record = benchmarks.baselines.fit_baseline(baseline, examples, seed=7)
    assert fits == [(1, 27, 7), (4, 27, 7), (9, 27, 7), (4, 30, 7)]
    assert model.choice == record["choice"] == 4
    assert record["held_out_nats"] == {"1": 300.0, "4": 150.0, "9": 900.0}
    with pytest.raises(ValueError, match=r"9 training images; allowed is 10 or more"):
        benchmarks.baselines.fit_baseline(baseline, examples.take(slice(9)))


def test_training_lowers_the_nats_and_depends_on_the_seed_alone(benchmarks, tiny, examples):
    baseline = tiny["PixelCNN"]

    def nats(seed):
        model = baseline.build(seed)
        before = benchmarks.baselines.baseline_nats(model, examples).sum(1).mean()
        torch.rand(3)  # somebody else's noise
        baseline.fit(model, examples, 2, seed, **baseline.options)
        return before, benchmarks.baselines.baseline_nats(model, examples).sum(1).mean()

    before, after = nats(0)
    assert after < before - 20
    assert nats(0) == (before, after)
    assert nats(1) != (before, after)


def test_measure_gives_every_row_and_fits_nothing_twice(
    benchmarks, tiny, tiny_checkpoint, tiny_files, tmp_path, monkeypatch, mnist_5k, capsys
):
    stages = [{"train_seconds": 60.0, "num_steps": 3, "num_tokens": 10, "hardware": "an abacus"}] * 2
    write_run(tiny_checkpoint, hash_weights(tiny_checkpoint), stages, {})

    def measure():
        return benchmarks.likelihood.measure(
            "mnist-5k", tiny_files, {"other": tiny_checkpoint}, 40, 12, tmp_path / "cache", tiny
        )

    found = measure()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["rows"]) == [*tiny, "this model", "other"]
    assert (found["dataset"], found["num_train_samples"], found["num_samples"]) == ("mnist-5k", 40, 12)
    monkeypatch.setattr(benchmarks.likelihood, "fit_baseline", None)
    assert measure() == found

    other, this = found["rows"]["other"], found["rows"]["this model"]
    assert (other["train_seconds"], other["num_steps"], other["num_tokens"]) == (120.0, 6, 20)
    assert other["hardware"] == "an abacus" and this["train_seconds"] is None
    assert this["nats_per_image"] == other["nats_per_image"]
    row = found["rows"]["symbol at each position"]
    test = benchmarks.baselines.Examples.from_images(mnist_5k["test"].first(12, ""))
    (path,) = (path for path in (tmp_path / "cache").glob("*symbolfrequencies*") if len(read_table(path)) == 1)
    images = [sum(-read_table(path)[0, p, s].item() for p, s in enumerate(text)) for text in test.symbols.tolist()]
    assert row["nats_per_image"] == pytest.approx(np.mean(images), rel=1e-6)
    half = 1.959964 * np.std(images, ddof=1) / 12**0.5
    assert row["interval"] == pytest.approx([np.mean(images) - half, np.mean(images) + half], rel=1e-6)
    assert row["bits_per_pixel"] == pytest.approx(np.mean(images) / math.log(2) / 900, rel=1e-6)

    benchmarks.likelihood.show(found)
    printed = capsys.readouterr().out
    assert f"| other | {other['nats_per_image']:.2f} | " in printed and " | 120 |" in printed

    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"symbolfrequencies-.* is no baseline that was kept; remove it"):
        measure()


def read_table(path):
    return load_file(path)["log_probabilities"]


def test_language_model_is_measured_on_its_151_predicted_tokens(
    benchmarks, tiny_files, tiny_model, tokenizer, mnist_5k
):
    test = mnist_5k["test"].first(3, "")
    found = benchmarks.likelihood.measure_language_model(tiny_files, test)
    texts = tokenizer.encode_images(*test)
    nats = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            probabilities = tiny_model(ids).logits[0].double().softmax(-1)
        nats.append(-sum(math.log(probabilities[t, ids[0, t + 1]]) for t in range(151)))
    assert found["nats_per_image"] == pytest.approx(np.mean(nats), rel=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--others", "name"], "others has 'name'; allowed is NAME=FOLDER"),
        (["--others", "PixelCNN=runs/a"], "others has 'PixelCNN=runs/a'"),
        (["--others", "a=nowhere"], "the folder of 'a' is 'nowhere'; allowed is one with a language model"),
        (["--num_train_samples", "4001"], "num_train_samples is 4001; allowed is 1 to 4000"),
        (["--num_eval_samples", "0"], "num_eval_samples is 0; allowed is 1 to 1000"),
        (["--num_eval_samples", "1"], "num_eval_samples is 1; allowed is 2 or more"),
    ],
)
def test_command_refuses_in_one_line(benchmarks, refusal_of, tmp_path, option, message):
    argv = ["--source", "mnist-5k", "--cache", tmp_path / "cache", "--num_train_samples", 10, *option]
    assert message in refusal_of(benchmarks.likelihood, *argv)
    assert not list(tmp_path.rglob("*.safetensors"))
