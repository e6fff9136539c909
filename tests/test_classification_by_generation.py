# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Classification and detection by likelihood, with a tiny model, against plain loops; and what the cache keeps."""

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from image_files import write_idx_folder
from transformers.utils import logging

from mnist_text_gen.commands.sample_hf import load_pipeline
from mnist_text_gen.modeling import hash_weights
from mnist_text_gen.tokenizer import binarize_images


NUM_IMAGES, NUM_OUTLIERS = 12, 6


@pytest.fixture(scope="module")
def benchmark(mnist_5k):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        import classification_by_generation

        patch.setattr(classification_by_generation, "SHARD_SIZE", 5)
        # reading them takes seconds
        load = classification_by_generation.load_images
        patch.setattr(
            classification_by_generation,
            "load_images",
            lambda source: mnist_5k if source == "mnist-5k" else load(source),
        )
        yield classification_by_generation


@pytest.fixture(scope="module")
def fashion(tmp_path_factory, mnist_5k):
    """A folder of IDX files that stands for Fashion-MNIST."""
    train, test = mnist_5k["train"], mnist_5k["test"]
    other = replace(test, images=255 - test.images)
    return write_idx_folder(tmp_path_factory.mktemp("fashion"), train.first(1, ""), other)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def result(benchmark, tiny_files, fashion, cache):
    return benchmark.measure("mnist-5k", tiny_files, NUM_IMAGES, NUM_OUTLIERS, fashion, cache=cache)


@pytest.fixture(scope="module")
def draw(tiny_files):
    return load_pipeline(str(tiny_files))


@torch.no_grad()
def plain_log_likelihoods(draw, images):
    """log p(x | y), by rows, from the model's own logits."""
    found = []
    for image in images:
        texts = draw.tokenizer.encode_images(np.repeat(image[None], 10, axis=0), range(10))
        ids = torch.tensor([[ord(symbol) - 48 if symbol != ")" else 74 for symbol in text] for text in texts])
        log_p = draw.model(ids, attention_mask=torch.ones_like(ids)).logits.double().log_softmax(-1)
        found.append([sum(log_p[row, t, ids[row, t + 1]].item() for t in range(151)) for row in range(10)])
    return np.array(found)


def log_marginal(log_likelihoods):
    """log of the mean, in a way that does not underflow."""
    largest = log_likelihoods.max(axis=1)
    return largest + np.log(np.exp(log_likelihoods - largest[:, None]).mean(axis=1))


def pairwise_area(digits, others):
    return np.mean([(digit > other) + 0.5 * (digit == other) for digit in digits for other in others])


@pytest.fixture(scope="module")
def plain(draw, mnist_5k):
    test = mnist_5k["test"]
    binary = binarize_images(test.images[:NUM_IMAGES])
    others = binary[:NUM_OUTLIERS]
    sets = {
        "test digits": binary,
        "digits turned by 90°": np.stack([image.T[::-1] for image in others]),
        "digits turned by 180°": others[:, ::-1, ::-1],
        "a blank image": np.zeros((1, 30, 30), dtype=np.uint8),
        "Fashion-MNIST": binarize_images(255 - test.images[:NUM_OUTLIERS]),
    }
    return {name: plain_log_likelihoods(draw, images) for name, images in sets.items()}


def test_classification_is_that_of_plain_loops(result, plain, draw, mnist_5k):
    labels = mnist_5k["test"].labels[:NUM_IMAGES]
    likelihoods = plain["test digits"]
    answers = likelihoods.argmax(axis=1)
    found = result["classification"]["language_model"]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(answers == labels))
    assert found["accuracy"]["num_samples"] == NUM_IMAGES
    confusion = [[int(((labels == row) & (answers == column)).sum()) for column in range(10)] for row in range(10)]
    assert found["confusion"] == confusion
    log_posterior = likelihoods[range(NUM_IMAGES), labels] - math.log(10) - log_marginal(likelihoods)
    assert found["label_nats"]["value"] == pytest.approx(-log_posterior.mean(), rel=1e-4)

    with torch.no_grad():
        pixels = torch.from_numpy(binarize_images(mnist_5k["test"].images[:NUM_IMAGES])).float()[:, None]
        log_p = draw.classifier(pixels).logits.double().log_softmax(-1).numpy()
    found = result["classification"]["classifier"]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(log_p.argmax(axis=1) == labels))
    assert found["label_nats"]["value"] == pytest.approx(-log_p[range(NUM_IMAGES), labels].mean(), rel=1e-4)
    comparison = result["classification"]["comparison"]
    ours, theirs = answers == labels, log_p.argmax(axis=1) == labels
    assert comparison["only_classifier"] == sum(theirs & ~ours)
    assert comparison["neither"] == sum(~theirs & ~ours)


def test_detection_is_that_of_plain_loops(result, plain):
    scores = {name: log_marginal(values) for name, values in plain.items()}
    digits = scores["test digits"]
    for name, values in scores.items():
        assert result["nats"][name]["value"] == pytest.approx(-values.mean(), rel=1e-6), name
        assert result["nats"][name]["num_samples"] == len(values)
        if name != "test digits":
            figure = result["detection"][name]
            assert figure["value"] == pytest.approx(pairwise_area(digits, values)), name
            assert (figure["num_samples"], figure["num_digits"]) == (len(values), NUM_IMAGES)
            assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
    made_up = {"noise, as much ink", "digits, pixels shuffled"}
    without = "digits turned by 180°, without 0, 1, 8"
    assert set(result["nats"]) == {*plain, *made_up}
    assert set(result["detection"]) == {*plain, *made_up, without} - {"test digits"}
    # of one image there is no spread
    assert set(result["nats"]["a blank image"]) == {"value", "num_samples"}


def test_digits_that_look_alike_upside_down_are_left_out_on_both_sides(result, plain, mnist_5k):
    kept = ~np.isin(mnist_5k["test"].labels[:NUM_IMAGES], [0, 1, 8])
    assert 0 < kept[:NUM_OUTLIERS].sum() < NUM_OUTLIERS
    digits = log_marginal(plain["test digits"])[kept]
    turned = log_marginal(plain["digits turned by 180°"])[kept[:NUM_OUTLIERS]]
    figure = result["detection"]["digits turned by 180°, without 0, 1, 8"]
    assert figure["value"] == pytest.approx(pairwise_area(digits, turned))
    assert (figure["num_samples"], figure["num_digits"]) == (len(turned), len(digits))


def test_result_says_what_was_measured_and_is_plain_json(result, tiny_files):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["weights"] == hash_weights(tiny_files)
    assert (result["dataset"], result["dtype"], result["prior"]) == ("mnist-5k", "float32", "uniform")
    assert "bf16_difference" not in result


def test_bf16_says_what_it_changes(benchmark, result, draw, tiny_files, cache, plain, mnist_5k, monkeypatch):
    build = benchmark.build_image_sets
    three = (benchmark.DIGITS, benchmark.UPSIDE_DOWN, benchmark.BLANK)
    monkeypatch.setattr(benchmark, "build_image_sets", lambda *args: {name: build(*args)[name] for name in three})
    num_before = num_files(cache)
    found = benchmark.measure("mnist-5k", tiny_files, NUM_IMAGES, NUM_OUTLIERS, bf16=True, cache=cache)
    assert found["dtype"] == "bfloat16"
    # 12 digits, 6 turned ones and the blank one; the first 5 in float32 were there
    assert num_files(cache) == num_before + 3 + 2 + 1
    test = mnist_5k["test"].first(5, "")
    with torch.autocast("cpu", torch.bfloat16):
        rounded = benchmark.class_log_likelihoods(draw.model, draw.tokenizer, test.images).numpy()
    exact = plain["test digits"][:5]
    difference = found["bf16_difference"]
    assert difference["num_samples"] == 5
    assert difference["largest"] == pytest.approx(np.abs(exact - rounded).max(), abs=1e-3) != 0
    more = (exact - rounded)[range(5), test.labels].mean()
    assert difference["label_conditional_nats"]["value"] == pytest.approx(more, abs=1e-3)
    assert difference["changed_answers"] == sum(exact.argmax(axis=1) != rounded.argmax(axis=1))


def num_files(folder):
    return len(list(folder.iterdir()))


def test_made_up_images_have_the_ink_of_digits_and_depend_on_their_number_alone(benchmark, mnist_5k):
    test = mnist_5k["test"]
    sets = benchmark.build_image_sets(test.first(3, ""), test.first(200, ""))
    originals = binarize_images(test.images[:200])
    noise, shuffled = sets["noise, as much ink"], sets["digits, pixels shuffled"]
    assert noise.shape == shuffled.shape == (200, 30, 30)
    assert noise.dtype == shuffled.dtype == np.uint8 and set(np.unique(noise)) == {0, 1}
    # 180,000 pixels: four standard errors are 0.4 % of them at most
    assert noise.mean() == pytest.approx(originals.mean(), abs=0.004)
    assert (noise.mean(axis=0) > 0).all()
    np.testing.assert_array_equal(shuffled.sum((1, 2)), originals.sum((1, 2)))
    # ink is everywhere, as in noise and unlike in digits
    assert originals[:, :3].mean() < 0.01 < shuffled[:, :3].mean()
    assert len(np.unique(shuffled, axis=0)) == len(np.unique(noise, axis=0)) == 200
    fewer = benchmark.build_image_sets(test.first(3, ""), test.first(7, ""))
    np.testing.assert_array_equal(fewer["digits, pixels shuffled"], shuffled[:7])
    assert len(sets["test digits"]) == 3
    same = test.first(1, "")
    twice = benchmark.build_image_sets(same, type(same)(same.images.repeat(2, 0), same.labels.repeat(2)))
    assert (twice["digits, pixels shuffled"][0] != twice["digits, pixels shuffled"][1]).any()


def test_area_and_standard_error_are_those_of_hanley_and_mcneil(benchmark):
    # 109 CT images rated 1 to 5, Hanley and McNeil 1982, table I: area 0.893, standard error 0.032
    abnormal, normal = (np.repeat(np.arange(1.0, 6.0), counts) for counts in ([3, 2, 2, 11, 33], [33, 6, 6, 11, 2]))
    figure = benchmark.measure_auroc(abnormal, normal)
    assert figure["value"] == pytest.approx(0.893, abs=5e-4)
    assert (figure["value"] - figure["interval"][0]) / 1.96 == pytest.approx(0.032, abs=1e-3)
    assert figure["interval"][1] == pytest.approx(2 * figure["value"] - figure["interval"][0])
    # A = 1 / 4, Q1 = 1 / 7, Q2 = 1 / 10; the variance is (3 / 16 + 0 + 3 (1 / 10 - 1 / 16)) / 4 = 0.075
    one_digit = benchmark.measure_auroc(np.array([0.5]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert one_digit["value"] == 0.25
    assert one_digit["interval"] == pytest.approx([0.0, 0.25 + 1.959964 * math.sqrt(0.075)], abs=1e-6)
    apart = benchmark.measure_auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert (apart["value"], apart["interval"]) == (1.0, [1.0, 1.0])


@pytest.mark.parametrize(
    ("count", "total", "interval"),
    # at the ends (α / 2)^(1/n); in the middle the tables of Clopper and Pearson
    [(5, 5, [0.025**0.2, 1.0]), (0, 4, [0.0, 1 - 0.025**0.25]), (5, 10, [0.1871, 0.8129])],
)
def test_interval_of_a_share_is_exact(benchmark, count, total, interval):
    figure = benchmark.measure_share(count, total)
    assert (figure["value"], figure["num_samples"]) == (count / total, total)
    assert figure["interval"] == pytest.approx(interval, abs=1e-4)


def test_interval_of_a_mean(benchmark):
    figure = benchmark.measure_mean(torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64))
    # deviations −2, −1, 0, 3: variance 14 / 3
    error = 1.959964 * math.sqrt(14 / 3 / 4)
    assert figure["value"] == 3.0
    assert figure["interval"] == pytest.approx([3 - error, 3 + error], rel=1e-6)


def test_calibration_is_that_of_15_bins(benchmark):
    probabilities = torch.tensor([[1 - 1e-12, 1e-12], [0.96, 0.04], [0.3, 0.7], [0.31, 0.69]], dtype=torch.float64)
    found = benchmark.measure_classifier(probabilities.log(), torch.tensor([1, 0, 1, 0]))
    # bins (14/15, 1], where 1 - 1e-12 is 1 in float32: confidence 0.98, half right; (10/15, 11/15]: 0.695, half right
    assert found["calibration_error"]["value"] == pytest.approx(0.5 * 0.48 + 0.5 * 0.195, abs=1e-6)
    assert found["calibration_error"]["num_bins"] == 15
    assert found["label_nats"]["value"] == pytest.approx(-math.log(1e-12 * 0.96 * 0.7 * 0.31) / 4)
    assert found["confusion"] == [[1, 1], [1, 1]]
    assert found["accuracy"]["value"] == 0.5


def test_two_classifiers_are_compared_where_they_disagree(benchmark, monkeypatch):
    labels = np.zeros(20, dtype=np.int64)
    right, wrong = torch.eye(10, dtype=torch.float64)[[0, 1]]
    # both right 10 times, only the language model once, only the classifier 7 times, neither twice
    ours = torch.stack([right] * 10 + [right] + [wrong] * 7 + [wrong] * 2) * 1000 - 2000
    theirs = torch.stack([right] * 10 + [wrong] + [right] * 7 + [wrong] * 2).log_softmax(1)
    monkeypatch.setattr(benchmark, "classifier_log_posterior", lambda *args: theirs)
    found = benchmark.compare_classifiers(SimpleNamespace(classifier=None), None, labels, ours)
    comparison = found["comparison"]
    assert [comparison[name] for name in ("both", "only_language_model", "only_classifier", "neither")] == [
        10,
        1,
        7,
        2,
    ]
    # twice the chance of 0 or 1 heads of 8
    assert comparison["mcnemar_p"] == pytest.approx(2 * (1 + 8) / 2**8)
    # 1000 nats for another digit are more than a float holds as a probability
    assert found["language_model"]["label_nats"]["value"] == pytest.approx(9 * 1000 / 20)
    monkeypatch.setattr(benchmark, "classifier_log_posterior", lambda *args: ours)
    same = benchmark.compare_classifiers(SimpleNamespace(classifier=None), None, labels, ours)["comparison"]
    assert (same["mcnemar_p"], same["only_classifier"]) == (1.0, 0)


@pytest.fixture
def read(benchmark, draw, mnist_5k, tmp_path, tiny_files, monkeypatch):
    """Read the likelihoods of 12 digits by way of a cache, and say how many images were computed."""
    images = binarize_images(mnist_5k["test"].images[:NUM_IMAGES])
    computed = []
    original = benchmark.class_log_likelihoods

    def compute(model, tokenizer, shard, batch_size):
        if sum(computed) >= compute.limit:
            raise KeyboardInterrupt
        computed.append(len(shard))
        return original(model, tokenizer, shard, batch_size)

    compute.limit = math.inf
    monkeypatch.setattr(benchmark, "class_log_likelihoods", compute)

    def read_images(weights=None, limit=math.inf, bf16=False, images=images):
        computed.clear()
        compute.limit = limit
        weights = weights or hash_weights(tiny_files)
        values = benchmark.cached_log_likelihoods(
            draw.model, draw.tokenizer, weights, "digits", images, bf16, tmp_path
        )
        return values.numpy(), sum(computed)

    return read_images


def test_run_that_was_killed_goes_on(read, tmp_path, plain):
    with pytest.raises(KeyboardInterrupt):
        read(limit=10)
    assert num_files(tmp_path) == 2
    values, num_computed = read()
    assert num_computed == 2
    np.testing.assert_allclose(values, plain["test digits"], rtol=1e-6)
    again, num_computed = read()
    assert num_computed == 0
    np.testing.assert_array_equal(again, values)


def test_other_weights_images_and_precision_are_computed_and_kept_apart(read, tmp_path, mnist_5k):
    values, _ = read()
    assert read(weights={"model.safetensors": "0" * 64})[1] == NUM_IMAGES
    rounded, num_computed = read(bf16=True)
    assert num_computed == NUM_IMAGES
    assert not np.array_equal(rounded, values)
    changed = binarize_images(mnist_5k["test"].images[:NUM_IMAGES])
    changed[7, 0, 0] = 1
    assert read(images=changed)[1] == 5  # the shard of image 7
    np.testing.assert_array_equal(read()[0], values)
    assert num_files(tmp_path) == 3 + 3 + 3 + 1


def test_classifier_has_no_part_in_the_likelihoods(read, tiny_files):
    read()
    weights = hash_weights(tiny_files)
    assert "classifier/model.safetensors" in weights
    assert read(weights=weights | {"classifier/model.safetensors": "0" * 64})[1] == 0


class Opened:
    """A pickle that leaves a trace where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def empty(path, other):
    path.write_bytes(b"")


def truncate(path, other):
    path.write_bytes(path.read_bytes()[:-8])


def swap(path, other):
    path.write_bytes(other.read_bytes())


def spoil(path, other):
    data = path.read_bytes()
    path.write_bytes(data[:-8] + np.array([np.nan]).tobytes())


def put_pickle(path, other):
    path.write_bytes(pickle.dumps(Opened(path.parent / "opened")))


@pytest.mark.parametrize("damage", [empty, truncate, swap, spoil, put_pickle])
def test_file_of_the_cache_that_is_damaged_or_foreign_is_made_anew(read, tmp_path, damage, caplog, monkeypatch):
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    values, _ = read()
    path, other, *_ = sorted(tmp_path.iterdir(), key=lambda path: -path.stat().st_size)
    damage(path, other)
    found, num_computed = read()
    assert num_computed == 5
    np.testing.assert_array_equal(found, values)
    assert read()[1] == 0
    assert num_files(tmp_path) == 3
    assert path.name in caplog.text


def test_tables_have_the_figures(benchmark, result, capsys):
    benchmark.show(result)
    printed = capsys.readouterr().out
    area = result["detection"]["digits turned by 90°"]
    low, high = area["interval"]
    nats = result["nats"]["digits turned by 90°"]["value"]
    assert f"| digits turned by 90° | 6 | {nats:.2f} |" in printed
    assert f"| {area['value']:.4f} | {low:.4f} to {high:.4f} |" in printed
    assert "left out" not in printed
    del result["nats"]["Fashion-MNIST"], result["detection"]["Fashion-MNIST"]
    benchmark.show(result)
    assert "Fashion-MNIST was left out: --fashion_mnist names its folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_images", "0"], "num_images is 0; allowed is 1 to 1000"),
        (["--num_outliers", "1001"], "num_outliers is 1001; allowed is 1 to 1000"),
        (["--fashion_mnist", "EMPTY"], "EMPTY has no parquet file and none of train-images-idx3-ubyte"),
        (["--model", "EMPTY"], "EMPTY'; allowed is a folder with the weights of a model"),
        (["--cache", "FILE"], "FILE'; allowed is a folder that can be written to"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(benchmark, refusal_of, tmp_path, options, message):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").touch()
    options = [str(tmp_path / option) if option in ("EMPTY", "FILE") else option for option in options]
    error = refusal_of(benchmark, "--source", "mnist-5k", "--cache", tmp_path / "cache", *options)
    assert message in error
