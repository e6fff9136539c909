# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Calls that any Transformers pipeline takes."""

import re

import datasets
import numpy as np
import pytest
import torch
from transformers.pipelines.pt_utils import KeyDataset

from mnist_text_gen import MnistTextGenerationPipeline


FEW = {"num_candidates": 2, "num_return_sequences": 1, "seed": 0}


@pytest.fixture
def pipe(small_pipe):
    return small_pipe


def texts(results):
    return [[result["generated_text"] for result in best] for best in results]


@pytest.mark.parametrize(
    "digit", [torch.tensor(7), np.array(7), np.uint8(7), np.str_("7"), torch.tensor(7, dtype=torch.int8)], ids=repr
)
def test_one_digit_may_be_a_whole_number_of_any_library(pipe, digit):
    assert pipe(digit, **FEW)[0]["label"] == "7"


@pytest.mark.parametrize(
    "digits",
    [torch.tensor([3, 7]), np.array([3, 7], np.uint8), np.array(["3", "7"]), [torch.tensor(3), np.int8(7)]],
    ids=repr,
)
def test_an_array_of_digits_is_a_list_of_them(pipe, digits):
    assert texts(pipe(digits, **FEW)) == texts(pipe(["3", "7"], **FEW))


@pytest.mark.parametrize(
    "digit",
    [
        *("10", "a", "", "-1", "７", "7 ", -1, 10, True, None, 7.0, np.float32(7), b"7", {"digit": 7}, object),
        *(torch.tensor(7.0), torch.tensor(True)),
    ],
    ids=repr,
)
def test_what_is_no_digit_is_named_and_refused(pipe, digit):
    value = digit.item() if hasattr(digit, "item") else digit
    for draw in (lambda: pipe(digit, **FEW), lambda: pipe(["1", digit], **FEW), lambda: pipe.sample(digit)):
        with pytest.raises(ValueError, match=f"^digit must be '0' to '9' or 0 to 9, got {re.escape(repr(value))}$"):
            draw()


def test_a_data_set_gives_an_iterator_with_its_length(pipe):
    rows = datasets.Dataset.from_dict({"label": [3, 7, 3]})
    expected = texts(pipe([3, 7, 3], **FEW))
    for num_workers in (0, 1):
        results = pipe(KeyDataset(rows, "label"), num_workers=num_workers, **FEW)
        assert len(results) == 3
        assert texts(results) == expected
    assert len(pipe(range(5), **FEW)) == 5
    with pytest.raises(TypeError, match="len"):
        len(pipe(iter("37"), **FEW))


@pytest.mark.parametrize("batch_size", [2, np.int64(8)])
def test_a_batch_size_changes_no_result(pipe, batch_size):
    expected = texts(pipe([3, 7, 3], **FEW))
    assert texts(pipe([3, 7, 3], batch_size=batch_size, **FEW)) == expected
    parts = (pipe.model, pipe.tokenizer, pipe.classifier)
    at_start = MnistTextGenerationPipeline(*parts, batch_size=batch_size, num_workers=0)
    assert texts(at_start(iter([3, 7, 3]), **FEW)) == expected


def test_without_a_length_nothing_is_read_ahead(pipe):
    read = []
    results = iter(pipe((read.append(digit) or digit for digit in "375"), **FEW))
    next(results)
    assert read == ["3"]


@pytest.mark.parametrize("decoding", ["exact", "generate"])
def test_a_generation_configuration_beside_the_weights_changes_nothing(pipe, decoding):
    expected = pipe("7", decoding=decoding, **FEW)[0]["generated_text"]
    before = pipe.model.generation_config
    values = {"bad_words_ids": [[10]], "no_repeat_ngram_size": 2, "num_beams": 3, "max_time": 1e-9, "min_length": 400}
    for name, value in (values | {"repetition_penalty": 9.0, "suppress_tokens": [10], "top_p": 0.1}).items():
        setattr(before, name, value)
        assert pipe("7", decoding=decoding, **FEW)[0]["generated_text"] == expected, name
    assert pipe.model.generation_config is before and before.num_beams == 3
