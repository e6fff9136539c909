# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The metric, loaded by its path as a user would, against values by hand, another formula and repeated draws."""

import math

import evaluate
import numpy as np
import pytest
from scipy.linalg import sqrtm

from mnist_text_gen.metrics import METRICS_FOLDER


@pytest.fixture(scope="module")
def frechet_distance():
    return evaluate.load(str(METRICS_FOLDER / "frechet_distance"), keep_in_memory=True)


@pytest.fixture(scope="module")
def distance(frechet_distance):
    return lambda predictions, references: frechet_distance.compute(predictions=predictions, references=references)[
        "frechet_distance"
    ]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def correlated(rng, num_rows, num_features, mean=0.0):
    return mean + rng.normal(size=(num_rows, num_features)) @ rng.normal(size=(num_features, num_features))


def distance_in_one_dimension(predictions, references):
    return (predictions.mean() - references.mean()) ** 2 + (predictions.std(ddof=1) - references.std(ddof=1)) ** 2


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        ([[0.0], [2.0]], [[3.0], [5.0]], 9.0),  # the same variance, means 1 and 4
        ([[0.0], [2.0]], [[0.0], [4.0]], 3.0),  # variances 2 and 8, means 1 and 2: 1 + (sqrt(2) - sqrt(8))²
        ([[0.0], [0.0]], [[0.0], [4.0]], 12.0),  # a feature that is constant in one set: 4 + 8
        ([[0.0, 7.0], [2.0, 7.0]], [[0.0, 7.0], [4.0, 7.0]], 3.0),  # and in both
        ([[1.0, 1.0], [-1.0, -1.0]], [[1.0, -1.0], [-1.0, 1.0]], 8.0),  # the product of the covariances is 0
    ],
)
def test_values_by_hand(distance, predictions, references, expected):
    assert distance(predictions, references) == pytest.approx(expected, abs=1e-6)


def test_covariances_that_do_not_commute(distance, rng):
    predictions, references = correlated(rng, 40, 5), correlated(rng, 40, 5, mean=0.5)
    first, second, shift = np.cov(predictions.T), np.cov(references.T), predictions.mean(0) - references.mean(0)
    expected = shift @ shift + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert distance(predictions, references) == pytest.approx(expected, rel=1e-5)


def test_equal_sets_are_at_distance_0_though_covariances_are_singular(distance, rng):
    features = correlated(rng, 4, 8)
    features[:, 0], features[:, 1] = 0.0, features[:, 2]
    assert 0 <= distance(features, rng.permutation(features)) < 1e-6


def test_interval_is_the_jackknife_over_folds(frechet_distance, rng):
    sets = {"predictions": rng.normal(size=(23, 1)), "references": rng.normal(size=(23, 1)) + 2}
    sets = {name: rows.astype(np.float32).astype(np.float64) for name, rows in sets.items()}
    result = frechet_distance.compute(**sets, num_folds=4, seed=5)
    folds = np.array_split(np.random.default_rng(5).permutation(23), 4)
    kept = [np.setdiff1d(np.arange(23), fold) for fold in folds]
    values = [distance_in_one_dimension(sets["predictions"][rows], sets["references"][rows]) for rows in kept]
    deviations = np.array(values) - np.mean(values)
    margin = 3.182446 * math.sqrt(3 / 4 * (deviations**2).sum())  # Student's t, 3 degrees of freedom, from a table
    low, high = result["interval"]
    assert (low + high) / 2 == pytest.approx(result["frechet_distance"])
    assert (high - low) / 2 == pytest.approx(margin, rel=1e-5)
    assert result["floor"] is result["floor_interval"] is result["ratio"] is result["ratio_interval"] is None
    assert frechet_distance.compute(**sets, num_folds=4, seed=5) == result
    assert frechet_distance.compute(**sets, num_folds=4, seed=6)["interval"] != result["interval"]


FEATURES = {"predictions": [[0.0], [2.0]], "references": [[3.0], [5.0]], "floor_references": [[4.0], [7.0]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": [[0.0]]}, r"number of predictions \(1\) and references \(2\)"),
        ({"predictions": [[0.0]], "references": [[1.0]]}, r"`predictions` must have shape \[N, D\] .*, got \[1, 1\]"),
        ({"predictions": [[0.0], [1.0, 2.0]]}, r"`predictions` must be numbers of shape \[N, D\], .*inhomogeneous"),
        ({"references": [[0.0, 1.0], [2.0, 3.0]]}, r"`references` must have the shape .*, got \[2, 2\]"),
        ({"references": [[0.0], [math.nan]]}, "`references` must be finite, got NaN or infinity in row 1"),
        ({"floor_references": [["a"], ["b"]]}, r"`floor_references` must be numbers of shape \[N, D\], .*'a'"),
        ({"floor_references": [[5.0], [3.0]]}, "`floor_references` must be other real images than `references`"),
        ({"num_folds": 2}, "`num_folds` must be 0, or from 2 to half of the 2 images, got 2"),
        ({"seed": -1}, "`seed` must be an integer of 0 or more, got -1"),
    ],
)
def test_input_that_is_not_allowed_is_refused(frechet_distance, change, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance.compute(**FEATURES | change)
    # and the next computation is not disturbed
    assert frechet_distance.compute(**FEATURES)["frechet_distance"] == pytest.approx(9.0)
