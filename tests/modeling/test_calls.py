# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Calls that any Transformers pipeline takes."""

import unicodedata

import datasets
import numpy as np
import pytest
import torch
from transformers.pipelines.pt_utils import KeyDataset

from mnist_text_gen import MnistTextGenerationPipeline
from mnist_text_gen.modeling import find_class, read_class_names
from mnist_text_gen.tokenizer import check_class_names


FEW = {"num_candidates": 2, "num_return_sequences": 1, "seed": 0}


@pytest.fixture
def pipe(tiny_model, tiny_classifier, tokenizer):
    return MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier)


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
    [None, 7.0, np.float32(7), torch.tensor(7.0), torch.tensor([[7]]), b"7", {"digit": 7}, object, torch.tensor(True)],
    ids=repr,
)
def test_what_is_no_digit_is_named_and_refused(pipe, digit):
    with pytest.raises(ValueError, match=r"^digit is .*; allowed are '0' to '9'"):
        pipe(digit, **FEW)


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


@pytest.mark.parametrize("batch_size", [1, 2, np.int64(8)])
def test_a_batch_size_changes_no_result(pipe, tiny_model, tiny_classifier, tokenizer, batch_size):
    expected = texts(pipe([3, 7, 3], **FEW))
    assert texts(pipe([3, 7, 3], batch_size=batch_size, **FEW)) == expected
    at_start = MnistTextGenerationPipeline(
        tiny_model, tokenizer, tiny_classifier, batch_size=batch_size, num_workers=0
    )
    assert texts(at_start(iter([3, 7, 3]), **FEW)) == expected


def test_without_a_length_nothing_is_read_ahead(pipe):
    read = []
    results = iter(pipe((read.append(digit) or digit for digit in "375"), **FEW))
    next(results)
    assert read == ["3"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("batch_size", 0), ("batch_size", 1.5), ("batch_size", "4"), ("num_workers", -1), ("num_workers", True)),
        *(("generate_kwargs", {"top_k": 5}), ("max_new_tokens", 10)),
    ],
)
def test_bad_arguments_are_refused_in_a_call_and_at_the_start(
    pipe, tiny_model, tiny_classifier, tokenizer, name, value
):
    with pytest.raises(ValueError, match=name):
        pipe("7", **{name: value})
    with pytest.raises(ValueError, match=name):
        MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier, **{name: value})


@pytest.mark.parametrize("decoding", ["exact", "generate"])
def test_a_generation_configuration_beside_the_weights_changes_nothing(pipe, tiny_model, decoding):
    expected = pipe("7", decoding=decoding, **FEW)[0]["generated_text"]
    before = tiny_model.generation_config
    values = {"bad_words_ids": [[10]], "no_repeat_ngram_size": 2, "num_beams": 3, "max_time": 1e-9, "min_length": 400}
    for name, value in (values | {"repetition_penalty": 9.0, "suppress_tokens": [10], "top_p": 0.1}).items():
        setattr(before, name, value)
        assert pipe("7", decoding=decoding, **FEW)[0]["generated_text"] == expected, name
    assert tiny_model.generation_config is before and before.num_beams == 3


@pytest.mark.parametrize(
    "add",
    [
        lambda tokenizer: tokenizer.add_tokens("z"),
        lambda tokenizer: tokenizer.add_tokens(["7", "<digit>"]),
        lambda tokenizer: tokenizer.add_special_tokens({"cls_token": "[CLS]"}),
        lambda tokenizer: tokenizer.add_special_tokens({"extra_special_tokens": ["<a>"]}),
    ],
)
def test_no_token_is_added_to_the_75(tokenizer, add):
    with pytest.raises(ValueError, match="a token must be one of the 75"):
        add(tokenizer)
    assert len(tokenizer) == 75


def test_a_name_is_the_same_composed_and_decomposed(tiny_model):
    composed, decomposed = (unicodedata.normalize(form, "Zöë") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert check_class_names(["a", decomposed]) == ("a", composed)
    tiny_model.config.id2label = {0: "a", 1: decomposed}
    assert read_class_names(tiny_model.config) == ("a", composed)
    assert find_class(decomposed, ("a", composed)) == find_class(composed, ("a", decomposed)) == 1
    with pytest.raises(ValueError, match="both have the name"):
        check_class_names([composed, decomposed])
