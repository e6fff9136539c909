# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What benchmarks/quality.py measures of drawn images: choices, bins and judgements, against plain loops."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.tokenizer import binarize_images


sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import accuracy_score
import sample_quality
from sample_quality import RealImages, Samples


@pytest.fixture(scope="module")
def pool(mnist_5k, tokenizer):
    """1,300 real images, the digits in turn, 130 of each: two groups of 64, and two left over; scores with ties."""
    train = mnist_5k["train"]
    rows = np.stack([np.flatnonzero(train.labels == label)[:130] for label in range(10)], axis=1).ravel()
    scores = np.random.default_rng(0).integers(0, 40, len(rows)).astype(np.float32) / 40
    return Samples(tokenizer.encode_images(train.images[rows], train.labels[rows]), train.labels[rows], scores)


@pytest.fixture(scope="module")
def real(mnist_5k):
    splits = [(mnist_5k["train"], slice(300)), (mnist_5k["test"], slice(400)), (mnist_5k["train"], slice(-350, None))]
    return RealImages(*(LabelledImages(binarize_images(s.images[rows]), s.labels[rows]) for s, rows in splits))


def rank(pool, label, group, number=64):
    """Positions of the first `number` of a group of 64 candidates of a digit, best first, one after the other."""
    positions = [index for index, wanted in enumerate(pool.labels) if wanted == label][
        64 * group : 64 * group + number
    ]
    return sorted(positions, key=lambda index: (-pool.scores[index], index))


def texts_at(pool, positions):
    return [pool.texts[index] for index in positions]


@pytest.mark.parametrize("number", [8, 16, 64])
def test_best_are_the_eight_of_highest_score_of_the_first_of_each_group(pool, number):
    best = sample_quality.choose_best(pool, number)
    wanted = [index for label in range(10) for group in range(2) for index in rank(pool, label, group, number)[:8]]
    assert best.texts == texts_at(pool, wanted)
    assert best.labels.tolist() == pool.labels[wanted].tolist()
    assert best.scores.tolist() == pool.scores[wanted].tolist()


def test_best_of_eight_are_the_raw_ones(pool):
    best = sample_quality.choose_best(pool, 8)
    wanted = [index for label in range(10) for group in range(2) for index in rank(pool, label, group, 8)]
    assert sorted(best.texts) == sorted(texts_at(pool, wanted))


def test_worst_are_those_of_the_first_group_worst_first(pool):
    worst = sample_quality.choose_worst(pool)
    assert worst.texts == texts_at(pool, [index for label in range(10) for index in rank(pool, label, 0)[::-1][:8]])


def test_raw_are_the_first_as_many_as_there_are(pool):
    assert sample_quality.choose_raw(pool, 30).texts == pool.texts[:30]
    assert sample_quality.choose_raw(pool, 5_000).texts == pool.texts


def test_images_are_those_of_the_texts(pool, tokenizer):
    few = pool.take([3, 1, 4])
    assert np.array_equal(few.images, tokenizer.decode_images([pool.texts[index] for index in (3, 1, 4)]))


def test_real_images_are_binary_and_the_floor_has_the_last_ones(mnist_5k):
    real = RealImages.load("mnist-5k", 20, 30)
    assert np.array_equal(real.train.images, binarize_images(mnist_5k["train"].images[:20]))
    assert np.array_equal(real.others.images, binarize_images(mnist_5k["train"].images[-30:]))
    assert np.array_equal(real.others.labels, mnist_5k["train"].labels[-30:])
    assert np.array_equal(real.test.images, binarize_images(mnist_5k["test"].images))


def test_looking_gives_the_classifiers_probabilities_and_what_its_last_layer_sees(tiny_classifier, real):
    probabilities, features = sample_quality.look_at(tiny_classifier, real.train.images)
    with torch.no_grad():
        logits = tiny_classifier(torch.from_numpy(real.train.images)[:, None].float()).logits
        from_features = tiny_classifier.classifier(torch.from_numpy(features))
    assert probabilities == pytest.approx(logits.softmax(-1).numpy(), abs=1e-6)
    assert from_features.numpy() == pytest.approx(logits.numpy(), abs=1e-5)


@pytest.mark.parametrize(("rows", "wanted"), [(10, 10), (10, 4), (7, 1), (1600, 1600)])
def test_spread_rows_rise_from_the_first_to_the_last(rows, wanted):
    found = sample_quality.spread(rows, wanted)
    assert len(set(found.tolist())) == wanted
    assert found[0] == 0
    assert found[-1] <= rows - 1
    assert (np.diff(found) > 0).all()


def test_bins_by_hand():
    confidence = np.array([0.1, 0.3, 0.8, 0.9, 1.0])
    right = np.array([False, True, True, False, True])
    found = sample_quality.bin_by_confidence(confidence, right, num_bins=2)
    assert found["num_samples"] == 5
    assert [each["num_samples"] for each in found["bins"]] == [2, 3]
    assert [each["confidence"] for each in found["bins"]] == pytest.approx([0.2, 0.9])
    assert [each["share"] for each in found["bins"]] == pytest.approx([1 / 2, 2 / 3])
    assert found["calibration_error"] == pytest.approx(2 / 5 * 0.3 + 3 / 5 * (0.9 - 2 / 3))


def test_samples_are_measured_with_the_real_ones_beside(pool, real, tiny_classifier):
    best = sample_quality.choose_best(pool)
    found = sample_quality.measure_samples(best, tiny_classifier, real, num_folds=2)
    probabilities, _ = sample_quality.look_at(tiny_classifier, best.images)
    agreement = (probabilities.argmax(1) == best.labels).mean()
    assert found["num_samples"] == found["class_agreement"]["num_samples"] == 160
    assert found["class_agreement"]["class_agreement"] == pytest.approx(agreement)
    assert found["frechet_distance"]["num_samples"] == 160
    features = [sample_quality.look_at(tiny_classifier, split.images[:160])[1] for split in (real.test, real.others)]
    floor = sample_quality.load_metric("frechet_distance").compute(predictions=features[1], references=features[0])
    assert found["frechet_distance"]["floor"] == pytest.approx(floor["frechet_distance"])
    assert found["diversity"]["test"]["num_images"] == 400


def test_best_of_n_measures_the_same_number_of_images_for_each_n(pool, real, tiny_classifier):
    found = sample_quality.measure_best_of_n(pool, tiny_classifier, real, numbers=(8, 64))
    assert [row["num_candidates"] for row in found] == [8, 64]
    assert [row["num_samples"] for row in found] == [160, 160]


def test_calibration_of_scores_against_the_judge(pool, real, tiny_classifier):
    draw = type("Pipeline", (), {"classifier": tiny_classifier})
    found = sample_quality.measure_calibration(pool, draw, tiny_classifier, real, num_bins=10)
    probabilities, _ = sample_quality.look_at(tiny_classifier, real.test.images)
    plain = found["test images"]
    assert sum(each["num_samples"] * each["share"] for each in plain["bins"]) == pytest.approx(
        (probabilities.argmax(1) == real.test.labels).sum()
    )
    assert sum(each["num_samples"] * each["confidence"] for each in plain["bins"]) == pytest.approx(
        probabilities.max(axis=1).sum(), rel=1e-4
    )
    sharper = found["test images, logits / 0.8"]
    mean = [sum(each["num_samples"] * each["confidence"] for each in way["bins"]) for way in (plain, sharper)]
    assert mean[1] > mean[0]
    assert found["raw candidates, logits / 0.8"]["num_samples"] == len(pool.texts)


def test_texts_without_the_grammar_are_counted_by_kind_of_error(tiny_model, tokenizer):
    draw = type("Pipeline", (), {"model": tiny_model, "tokenizer": tokenizer, "device": tiny_model.device})
    found = sample_quality.measure_validity(draw, [1.0, 0.5], num_texts=70, seed=3)
    assert list(found) == ["1", "0.5"]
    for result in found.values():
        assert result["num_samples"] == 70
        # what was cut at its end token has nothing behind it; the digit is given, so it is the wanted one
        assert result["errors"]["text_after_end"] == result["errors"]["wrong_class_digit"] == 0
        assert round(result["validity"] * 70) + sum(result["errors"].values()) == 70
    assert found == sample_quality.measure_validity(draw, [1.0, 0.5], num_texts=70, seed=3)


@pytest.mark.slow
def test_a_cnn_learns_from_right_labels_and_not_from_wrong_ones(mnist_5k):
    train = mnist_5k["train"].first(1_000, "train")
    images = binarize_images(train.images)
    wrong = np.random.default_rng(0).permutation(train.labels)
    test = LabelledImages(binarize_images(mnist_5k["test"].images), mnist_5k["test"].labels)
    sets = {"right": LabelledImages(images, train.labels), "wrong": LabelledImages(images, wrong)}
    found = accuracy_score.measure_accuracy_scores(sets, test, seeds=(0,))
    assert found["right"]["accuracy"] > 0.8
    assert found["wrong"]["accuracy"] < 0.4
    low, high = found["right"]["interval"]
    assert low < found["right"]["accuracy"] < high
    assert found["right"]["num_samples"] == 1_000
    assert found["right"]["num_train_samples"] == 1_000
