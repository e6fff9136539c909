# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/quality.py: sections with a tiny model, and choices and figures against plain loops."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest
import quality
import quality_report
import torch

from mnist_text_gen.data import LabelledImages
from mnist_text_gen.publishing import read_quality
from mnist_text_gen.tokenizer import binarize_images


@pytest.fixture
def options(source, tiny_checkpoint, tmp_path):
    """The smallest run: 64 candidates of a digit, of which 8 are the best, and 40 raw images."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "judge").symlink_to(tiny_checkpoint / "classifier")
    values = {"source": source, "model": tiny_checkpoint, "work": tmp_path / "work", "temperatures": 0.5}
    values |= {"num_candidates": 640, "num_images": 40, "num_train_samples": 30, "num_other_samples": 40}
    values |= {"num_free_texts": 10, "num_outliers": 3}
    return [str(part) for name, value in values.items() for part in (f"--{name}", value)]


@pytest.mark.slow
def test_parts_become_sections_beside_the_weights_and_a_report(options, source, tiny_checkpoint, tmp_path):
    parts = ["judge", "samples", "best_of_n", "validity", "calibration", "generation", "literature"]
    quality.main([*options, "--sampled_model", str(tiny_checkpoint), "--parts", *parts])
    sections = read_quality(tiny_checkpoint)
    assert list(sections) == parts
    samples = sections["samples"]["0.5"]
    assert sections["judge"]["num_samples"] == 40
    assert [samples[kind]["num_samples"] for kind in ("raw", "best", "diverse")] == [40, 80, 80]
    assert [row["num_samples"] for row in sections["best_of_n"]] == [80] * 4
    assert sections["best_of_n"][-1]["class_agreement"] == samples["best"]["class_agreement"]
    assert sections["validity"]["0.5"]["num_samples"] == 10
    assert sections["calibration"]["raw candidates, logits / 0.8"]["num_samples"] == 640
    assert sections["generation"]["classification"]["language_model"]["accuracy"]["num_samples"] == 40
    record = json.loads((tmp_path / "work" / "samples-0.5" / "generation.json").read_text())
    assert (record["temperature"], record["seed"]) == (0.5, 1)

    # a part that is measured again replaces its section alone; the pool is not drawn again
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")}
    quality.main([*options, "--parts", "validity", "--num_free_texts", "7"])
    assert read_quality(tiny_checkpoint) == sections | {"validity": read_quality(tiny_checkpoint)["validity"]}
    assert read_quality(tiny_checkpoint)["validity"]["0.5"]["num_samples"] == 7
    quality.main([*options, "--parts", "judge"])
    assert shards == {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")}

    places = ["--samples", str(tmp_path / "work" / "samples-0.5"), "--output_dir", str(tmp_path / "docs")]
    counts = ["--num_images", "40", "--num_train_samples", "30"]
    quality_report.main(["--source", source, "--model", str(tiny_checkpoint), *places, *counts])
    text = (tmp_path / "docs" / "quality.md").read_text()
    assert "the nearest of 30 training images" in text and "among 640 raw images" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--parts", "beauty"], "`parts` must be some of judge, samples, best_of_n,"),
        (["--parts", "literature"], "`sampled_model` must be a folder for the part literature"),
        (["--num_candidates", "64", "64"], "got 2 numbers for 1 temperatures"),
    ],
)
def test_wrong_arguments_are_refused(options, refusal_of, tiny_checkpoint, changes, message):
    assert message in refusal_of(quality, *options, *changes)
    assert not (tiny_checkpoint / "quality.json").exists()


@pytest.fixture(scope="module")
def pool(mnist_5k, tokenizer):
    """1,300 real images, the digits in turn, 130 of each: two groups of 64, and two left over; scores with ties."""
    train = mnist_5k["train"]
    rows = np.stack([np.flatnonzero(train.labels == label)[:130] for label in range(10)], axis=1).ravel()
    scores = np.random.default_rng(0).integers(0, 41, len(rows)).astype(np.float32) / 40
    return quality.Samples(tokenizer.encode_images(train.images[rows], train.labels[rows]), train.labels[rows], scores)


@pytest.fixture(scope="module")
def real(mnist_5k):
    return quality.RealImages.load("mnist-5k", 300, 350)


def test_samples_are_read_in_the_order_of_their_index(pool, tmp_path, tokenizer):
    (tmp_path / "data").mkdir()
    columns = {"text": pool.texts, "label": pool.labels, "score": pool.scores, "index": range(len(pool.texts))}
    table = pyarrow.table({name: list(values) for name, values in columns.items()})
    pyarrow.parquet.write_table(table[700:], tmp_path / "data" / "a.parquet")
    pyarrow.parquet.write_table(table[:700], tmp_path / "data" / "b.parquet")
    found = quality.Samples.read(tmp_path)
    assert found.texts == pool.texts and found.labels.tolist() == pool.labels.tolist()
    few = found.take([3, 1, 4])
    assert np.array_equal(few.images, tokenizer.decode_images([pool.texts[index] for index in (3, 1, 4)]))
    assert found.raw(30).texts == pool.texts[:30] and found.raw(5_000).texts == pool.texts


def test_best_and_worst_are_those_of_highest_and_lowest_score_of_each_group(pool):
    def rank(label, group, number=64):
        places = [index for index, wanted in enumerate(pool.labels) if wanted == label][64 * group :][:number]
        return sorted(places, key=lambda index: (-pool.scores[index], index))

    for number in (8, 16, 64):
        best = pool.best(number)
        wanted = [index for label in range(10) for group in range(2) for index in rank(label, group, number)[:8]]
        assert best.texts == [pool.texts[index] for index in wanted]
        assert best.labels.tolist() == pool.labels[wanted].tolist()
        assert best.scores.tolist() == pool.scores[wanted].tolist()
    diverse = pool.diverse()
    firsts = [rank(label, group)[0] for label in range(10) for group in range(2)]
    assert diverse.texts[::8] == [pool.texts[index] for index in firsts] and len(set(diverse.texts)) == 160
    assert diverse.labels.tolist() == pool.labels[np.repeat(firsts, 8)].tolist()
    wanted = [index for label in range(10) for index in rank(label, 0)[::-1][:8]]
    assert pool.worst().texts == [pool.texts[index] for index in wanted]


def test_samples_are_measured_with_the_real_ones_beside(pool, real, tiny_classifier):
    best = pool.best()
    found = quality.measure_samples(best, tiny_classifier, real, num_folds=2)
    probabilities, features = quality.look_at(tiny_classifier, best.images)
    agreement = (probabilities.argmax(1) == best.labels).mean()
    assert found["num_samples"] == found["class_agreement"]["num_samples"] == 160
    assert found["class_agreement"]["class_agreement"] == pytest.approx(agreement)
    test, others = (quality.look_at(tiny_classifier, each.images[:160])[1] for each in (real.test, real.others))
    metric = quality.load_metric("frechet_distance")
    for name, predictions in (("frechet_distance", features), ("floor", others)):
        plain = metric.compute(predictions=predictions, references=test)["frechet_distance"]
        assert found["frechet_distance"][name] == pytest.approx(plain)
    assert found["diversity"]["test"]["num_images"] == len(real.test.labels)
    # what its last layer sees
    with torch.no_grad():
        logits = tiny_classifier.classifier(torch.from_numpy(features))
    assert logits.softmax(-1).numpy() == pytest.approx(probabilities, abs=1e-5)


@pytest.mark.slow
def test_a_cnn_learns_from_right_labels_and_not_from_wrong_ones(mnist_5k, monkeypatch):
    train = mnist_5k["train"].first(1_000, "train")
    test = LabelledImages(binarize_images(mnist_5k["test"].images), mnist_5k["test"].labels)
    images, wrong = binarize_images(train.images), np.random.default_rng(0).permutation(train.labels)
    right = quality.measure_accuracy_score(images, train.labels, test, seeds=(0,))
    assert right["accuracy"] > 0.8 > 0.4 > quality.measure_accuracy_score(images, wrong, test, seeds=(0,))["accuracy"]
    low, high = right["interval"]
    assert low < right["accuracy"] < high
    assert (right["num_samples"], right["num_train_samples"]) == (1_000, 1_000)


def test_synthetic_data_are_counted_and_put_beside_the_real_ones(pool, real, monkeypatch):
    monkeypatch.setattr(quality, "measure_accuracy_score", lambda images, labels, **how: (len(images), len(labels)))
    args = SimpleNamespace(num_synthetic=[50, 5_000])
    found = quality.measure_synthetic_data(SimpleNamespace(args=args, real=real, pool=lambda temperature: pool))
    num_good = int((pool.scores >= 0.999).sum())
    assert found["real"] == (300, 300)
    assert [(row["min_score"], row["num_images"]) for row in found["rows"][::5]] == [(0, 50), (0.999, num_good)]
    assert all(row["alone"] == (row["num_images"],) * 2 for row in found["rows"])
    assert all(row["beside_real"] == (300 + row["num_images"],) * 2 for row in found["rows"])
