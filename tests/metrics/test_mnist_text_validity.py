# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The metric, loaded by its path as a user would, against the tokenizer's own check and texts made by hand."""

import importlib
import re

import evaluate
import numpy as np
import pytest

from mnist_text_gen.metrics import METRICS_FOLDER
from mnist_text_gen.tokenizer import IMAGE_SIZES, MnistTextTokenizer, check_text


BLANK_TEXT = "5" + ":" * 150 + ")"
# What each kind of error is, for a text of which the digit 5 is wanted. No text matches two.
PATTERNS = {
    None: r"5[:-y]{150}\)",
    "no_class_digit": r"(?![0-9]).*",
    "wrong_class_digit": r"[0-46-9].*",
    "misplaced_symbol": r"5[:-y]{0,149}[^:-y)].*",
    "early_end": r"5[:-y]{0,149}\).*",
    "cut_short": r"5[:-y]{0,150}",
    "missing_end": r"5[:-y]{150}[^)].*",
    "text_after_end": r"5[:-y]{150}\).+",
}
ERRORS = [error for error in PATTERNS if error]
FAULTS = {
    "": "no_class_digit",
    BLANK_TEXT[1:]: "no_class_digit",
    "٥" + BLANK_TEXT[1:]: "no_class_digit",
    "6" + BLANK_TEXT[1:]: "wrong_class_digit",
    "6z": "wrong_class_digit",
    "55" + BLANK_TEXT[2:]: "misplaced_symbol",
    "5::z)": "misplaced_symbol",
    BLANK_TEXT[:150] + "\n)": "misplaced_symbol",
    BLANK_TEXT[:150] + "9)": "misplaced_symbol",
    "5::)z": "early_end",
    "5" + ":" * 149 + ")": "early_end",
    "5": "cut_short",
    BLANK_TEXT[:150]: "cut_short",
    BLANK_TEXT[:151]: "cut_short",
    BLANK_TEXT[:151] + ":)": "missing_end",
    BLANK_TEXT[:151] + "\n": "missing_end",
    BLANK_TEXT + ")": "text_after_end",
    BLANK_TEXT + "\n": "text_after_end",
}


@pytest.fixture(scope="module")
def validity():
    # in memory: after a refusal, a metric on disk waits a second for its own lock
    return evaluate.load(str(METRICS_FOLDER / "mnist_text_validity"), keep_in_memory=True)


@pytest.fixture(scope="module")
def find_error(validity):
    return importlib.import_module(type(validity).__module__).find_error


def is_valid(text, label):
    """What the tokenizer of the package says; the metric has constants of its own."""
    try:
        check_text(text)
    except ValueError:
        return False
    return text[0] == str(label)


@pytest.mark.parametrize(("text", "error"), [(BLANK_TEXT, None), *FAULTS.items()])
def test_first_error_of_a_text_is_named(find_error, text, error):
    assert find_error(text, 5) == error
    assert (error is None) == is_valid(text, 5)
    assert [kind for kind, pattern in PATTERNS.items() if re.fullmatch(pattern, text, re.DOTALL)] == [error]


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_texts_of_another_size_are_valid_for_that_size_alone(validity, image_size):
    images = np.random.default_rng(0).integers(2, size=(10, image_size, image_size), dtype=np.uint8)
    texts = MnistTextTokenizer(image_size=image_size).encode_images(images, range(10))
    for size in IMAGE_SIZES:
        result = validity.compute(predictions=texts, references=range(10), image_size=size)
        expected = "early_end" if size > image_size else "missing_end" if size < image_size else None
        found = {error for error, count in result["errors"].items() if count}
        assert (result["validity"], found) == ((0.0, {expected}) if expected else (1.0, set()))


@pytest.mark.parametrize("image_size", [0, 25, 30.5, None, True, "30"])
def test_image_size_that_no_text_has_is_refused(validity, image_size):
    with pytest.raises(ValueError, match=f"`image_size` must be 6, 12, 18, 24, 30, 36, 42 or 48, got {image_size!r}"):
        validity.compute(predictions=[BLANK_TEXT], references=[5], image_size=image_size)


def test_result_by_hand(validity):
    texts = [BLANK_TEXT, *FAULTS, BLANK_TEXT]
    result = validity.compute(predictions=texts, references=[5] * len(texts))
    assert set(result) == {"validity", "interval", "num_samples", "errors"}
    assert (result["validity"], result["num_samples"]) == (2 / 20, 20)
    assert list(result["errors"].items()) == list(zip(ERRORS, [3, 2, 4, 2, 3, 2, 2], strict=True))
    # Clopper and Pearson's for 2 of 20
    assert result["interval"] == pytest.approx([0.0123, 0.3170], abs=5e-5)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "`predictions` must have 1 text or more, got none"),
        ([BLANK_TEXT, "5"], [5], r"number of predictions \(2\) and references \(1\)"),
        ([BLANK_TEXT, None], [5, 5], r"`predictions\[1\]` must be a str, got None"),
        ("5", [5], "`predictions` must be a list of str, got one str"),
        ([BLANK_TEXT] * 2, [5, 10], r"`references\[1\]` must be an integer from 0 to 9, got 10"),
        ([BLANK_TEXT] * 2, [5, 5.5], r"`references\[1\]` must be an integer from 0 to 9, got 5\.5"),
        ([BLANK_TEXT] * 2, [5, "5"], r"`references\[1\]` must be a whole number, got '5'"),
    ],
)
def test_what_are_no_texts_or_digits_is_refused(validity, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        validity.compute(predictions=predictions, references=references)
    # and the next computation is not disturbed
    assert validity.compute(predictions=[BLANK_TEXT], references=[5])["validity"] == 1.0
