# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The metric, loaded by its path as a user would, against values by hand and the quantiles of scipy."""

import math

import evaluate
import pytest
from scipy.stats import beta

from mnist_text_gen.metrics import METRICS_FOLDER


@pytest.fixture(scope="module")
def class_agreement():
    # in memory: after a refusal, a metric on disk waits a second for its own lock
    return evaluate.load(str(METRICS_FOLDER / "class_agreement"), keep_in_memory=True)


def compute_for_counts(class_agreement, num_agreed, num_samples, **options):
    predictions = [1] * num_agreed + [2] * (num_samples - num_agreed)
    return class_agreement.compute(predictions=predictions, references=[1] * num_samples, **options)


def test_three_of_four_by_hand(class_agreement):
    result = class_agreement.compute(predictions=[2, 2, 0, 1], references=[2, 2, 2, 1], num_classes=4)
    assert set(result) == {"class_agreement", "interval", "num_samples", "per_class", "confusion"}
    assert (result["class_agreement"], result["num_samples"]) == (0.75, 4)
    # a row for each wanted class, a column for each that they were taken for
    assert result["confusion"] == [[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    no_images = {"class_agreement": None, "interval": None, "num_samples": 0}
    assert result["per_class"][0] == result["per_class"][3] == no_images
    assert [found["num_samples"] for found in result["per_class"]] == [0, 1, 3, 0]
    assert [found["class_agreement"] for found in result["per_class"]] == [None, 1.0, 2 / 3, None]
    # all of one, and 2 of 3, which is 1 of 3 seen from the other side
    assert result["per_class"][1]["interval"] == pytest.approx([0.025, 1.0])
    assert result["per_class"][2]["interval"] == pytest.approx([0.0943, 0.9916], abs=5e-5)


@pytest.mark.parametrize(
    ("num_agreed", "num_samples", "confidence_level"), [(1, 2, 0.8), (5, 10, 0.95), (98, 100, 0.999), (627, 640, 0.95)]
)
def test_interval_is_its_definition_by_quantiles_of_beta(class_agreement, num_agreed, num_samples, confidence_level):
    tail = (1 - confidence_level) / 2
    expected = [
        beta.ppf(tail, num_agreed, num_samples - num_agreed + 1),
        beta.ppf(1 - tail, num_agreed + 1, num_samples - num_agreed),
    ]
    result = compute_for_counts(class_agreement, num_agreed, num_samples, confidence_level=confidence_level)
    assert result["class_agreement"] == num_agreed / num_samples
    assert result["interval"] == pytest.approx(expected, rel=1e-9)
    assert result["per_class"][1]["interval"] == result["interval"]


@pytest.mark.parametrize(
    ("predictions", "references", "options", "message"),
    [
        ([], [], {}, "`predictions` must have 1 class or more, got none"),
        ([1, 2], [1], {}, r"number of predictions \(2\) and references \(1\)"),
        ([1, 10], [1, 1], {}, r"`predictions\[1\]` must be an integer from 0 to 9, got 10"),
        # probabilities, which would all be class 0
        ([0.0, 0.98], [0, 0], {}, r"`predictions\[1\]` must be an integer from 0 to 9, got 0\.98"),
        ([1, math.nan], [1, 1], {}, r"`predictions\[1\]` must be an integer from 0 to 9, got nan"),
        # each of which a column of evaluate's makes a number
        ([1, None], [1, 1], {}, r"`predictions\[1\]` must be a whole number, got None"),
        ([1, 1], [True, True], {}, r"`references\[0\]` must be a whole number, got True"),
        (["1", 1], [1, 1], {}, r"`predictions\[0\]` must be a whole number, got '1'"),
        ([1], [1], {"num_classes": 0}, "`num_classes` must be an integer of 1 or more, got 0"),
        ([1], [1], {"confidence_level": 95}, "`confidence_level` must be a number above 0 and below 1, got 95"),
    ],
)
def test_what_are_no_classes_is_refused(class_agreement, predictions, references, options, message):
    with pytest.raises(ValueError, match=message):
        class_agreement.compute(predictions=predictions, references=references, **options)
    # and the next computation is not disturbed
    assert class_agreement.compute(predictions=[1], references=[1])["num_samples"] == 1
