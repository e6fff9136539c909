# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Classes with names, and images of other sizes, from the configurations to what the pipeline draws."""

import re
import unicodedata
from functools import partial

import numpy as np
import pytest
from tiny_models import CLASS_NAMES, build_tiny_classifier, build_tiny_model
from transformers import GPT2Config

from mnist_text_gen import MnistCnnConfig, MnistTextGenerationPipeline, MnistTextTokenizer
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import (
    build_language_model_config,
    check_language_model_config,
    find_class,
    read_class_names,
)
from mnist_text_gen.tokenizer import DIGITS, check_class_names


NAMES = "'T-shirt/top', 'Ankle boot', 'Bag'"


@pytest.mark.parametrize(("wanted", "label"), [("T-shirt/top", 0), ("Bag", 2), (2, 2), ("2", 2), (np.int64(1), 1)])
def test_a_class_is_found_by_its_name_or_number(wanted, label):
    found = find_class(wanted, CLASS_NAMES)
    assert (found, type(found)) == (label, int)


@pytest.mark.parametrize("wanted", ["bag", "Bag ", "", "3", 3, -1, 2.0, True, None, ["Bag"], "２"])
def test_what_is_no_class_is_refused_with_all_names(wanted):
    message = f"class must be 0 to 2 or one of the names {NAMES}, got {wanted!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_class(wanted, CLASS_NAMES)


def test_a_name_that_is_the_number_of_another_class_is_ambiguous():
    names = ("1", "0", "x")
    message = (
        "class must be an integer from 0 to 2 or one of the names '1', '0', 'x', got '1', the name of class 0 and"
    )
    with pytest.raises(ValueError, match=f"^{message} the number of class 1, '0'$"):
        find_class("1", names)
    assert [find_class(wanted, names) for wanted in (0, 1, "x", "2")] == [0, 1, 2, 2]
    # a name that is the number of no class, or of its own, is not
    assert [find_class(wanted, ("3", "7")) for wanted in ("3", "7", 0)] == [0, 1, 0]
    assert find_class("0", ("0", "2")) == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "`class_names` must be 2 to 10 names, because each needs a class symbol, got 1: 'a'"),
        ("abcdefghijk", "`class_names` must be 2 to 10 names, because each needs a class symbol, got 'abcdefghijk'"),
        (list("abcdefghijk"), "`class_names` must be 2 to 10 names, because each needs a class symbol, got 11: "),
        (["Bag", "Shirt", "Bag"], "class names must differ, got 'Bag' for classes 0 and 2"),
        (["Bag", "Ankle\nboot"], "the name of class 1 must be text on one line, got 'Ankle\\nboot'"),
        (["Bag", 7], "the name of class 1 must be text on one line, got 7"),
    ],
)
def test_names_that_do_not_tell_classes_apart_are_refused(tokenizer, names, message):
    for check in (check_class_names, partial(build_language_model_config, tokenizer)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            check(names)


def test_a_name_is_the_same_composed_and_decomposed(tiny_model):
    composed, decomposed = (unicodedata.normalize(form, "Zöë") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert check_class_names(["a", decomposed]) == ("a", composed)
    tiny_model.config.id2label = {0: "a", 1: decomposed}
    assert read_class_names(tiny_model.config) == ("a", composed)
    assert find_class(decomposed, ("a", composed)) == find_class(composed, ("a", decomposed)) == 1
    with pytest.raises(ValueError, match="class names must differ"):
        check_class_names([composed, decomposed])


@pytest.mark.parametrize("size", [6, 48])
def test_context_and_names_follow_tokenizer_and_classes(size, tmp_path):
    tokenizer = MnistTextTokenizer(image_size=size)
    config = build_language_model_config(tokenizer, CLASS_NAMES, n_layer=1)
    assert (config.n_positions, config.vocab_size) == (2 + size * size // 6, 75)
    assert config.id2label == {0: "T-shirt/top", 1: "Ankle boot", 2: "Bag"}
    assert config.label2id == {"T-shirt/top": 0, "Ankle boot": 1, "Bag": 2}
    config.save_pretrained(tmp_path)
    assert read_class_names(GPT2Config.from_pretrained(tmp_path)) == CLASS_NAMES
    with pytest.raises(
        ValueError, match=f"context of {2 + size * size // 6} tokens .* or more, got {1 + size * size // 6}"
    ):
        build_language_model_config(tokenizer, n_positions=config.n_positions - 1)


def test_a_configuration_with_transformers_own_names_says_nothing(tokenizer):
    assert read_class_names(build_language_model_config(tokenizer)) is None
    assert read_class_names(GPT2Config(num_labels=7)) is None
    assert read_class_names(MnistCnnConfig()) == DIGITS
    assert read_class_names(build_language_model_config(tokenizer, ["LABEL_1", "LABEL_0"])) == ("LABEL_1", "LABEL_0")


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        ({1: "a", 2: "b"}, "`id2label` must number the classes from 0 on without a gap, got 1, 2"),
        ({0: "a", 1: "a"}, "id2label of a GPT2Config: class names must differ, got 'a' for classes 0 and 1"),
    ],
)
def test_bad_names_in_a_language_model_are_refused(tokenizer, id2label, message):
    config = GPT2Config(vocab_size=75, n_positions=152, id2label=id2label)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_language_model_config(config, tokenizer, "weights")


@pytest.fixture(scope="module")
def pipe(named_files):
    return load_pipeline(str(named_files))


ARGUMENTS = {"num_candidates": 4, "num_return_sequences": 3, "seed": 0}


def test_a_class_is_drawn_by_name_and_by_number(pipe):
    assert pipe.class_names == CLASS_NAMES
    assert pipe.sample(2, num_candidates=5).probabilities.shape == (5, 3)
    results = pipe("Ankle boot", **ARGUMENTS)
    assert [result["label"] for result in results] == ["Ankle boot"] * 3
    assert pipe("1", **ARGUMENTS) == pipe(1, **ARGUMENTS) == results
    for result in results:
        assert re.fullmatch(r"1[:-y]{24}\)", result["generated_text"])
        assert result["image"].size == (12, 12)
    mixed = pipe(["Bag", 0, "Ankle boot", "2"], **ARGUMENTS)
    assert [of_class[0]["label"] for of_class in mixed] == ["Bag", "T-shirt/top", "Ankle boot", "Bag"]
    assert mixed[2] == results
    assert mixed[3] != mixed[0]  # the second time of the same class


def test_an_unknown_class_is_refused_by_every_method(pipe):
    image, known = np.zeros((12, 12)), np.ones((12, 12), dtype=bool)
    for call in (
        lambda: pipe("Sneaker"),
        lambda: pipe(["Bag", 3]),
        lambda: pipe.complete(image, "Sneaker", known),
        lambda: pipe.log_likelihood(image, 3),
        lambda: pipe.surprise(image, "7"),
    ):
        with pytest.raises(ValueError, match=rf"class must be 0 to 2 or one of the names {NAMES}, got "):
            call()


def test_likelihoods_are_of_the_classes_that_there_are(pipe):
    images = np.random.default_rng(0).integers(0, 2, (2, 12, 12))
    posterior = pipe.classify(images)
    assert posterior.shape == (2, 3)
    joint = np.stack([pipe.log_likelihood(images, [label] * 2) for label in range(3)], axis=1)
    assert np.array_equal(joint[:, 2], pipe.log_likelihood(images, ["Bag", "2"]))
    weights = np.exp(joint - joint.max(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior, weights / weights.sum(axis=1, keepdims=True), rtol=1e-9)
    surprise = pipe.surprise(images, ["Ankle boot", 2])
    assert surprise.shape == (2, 12, 12)
    # but for the end token, which has no pixel
    assert (surprise.sum(axis=(1, 2)) < -joint[[0, 1], [1, 2]]).all()


def test_completion_keeps_what_is_known_and_finds_one_of_the_classes(pipe):
    image = np.random.default_rng(1).integers(0, 2, (12, 12))
    results = pipe.complete(image, seed=0, num_return_sequences=6, num_particles=12)
    assert {result["label"] for result in results} <= set(CLASS_NAMES)
    for result in results:
        assert result["label"] == CLASS_NAMES[int(result["generated_text"][0])]
        assert np.array_equal(np.asarray(result["image"])[:6] // 255, image[:6])
    # three particles are enough for three classes, and two are not
    pipe.complete(image, seed=0, num_particles=3)
    with pytest.raises(ValueError, match="`num_particles` must be 3 or more, one per label, got 2"):
        pipe.complete(image, seed=0, num_particles=2)
    (named,) = pipe.complete(image, "Bag", seed=0)
    assert named["label"] == "Bag"


SAME = f"the language model and the classifier must have the same classes, got {NAMES} and"


@pytest.mark.parametrize(
    ("of_model", "of_classifier", "message"),
    [
        (CLASS_NAMES, {0: "T-shirt/top", 1: "Bag", 2: "Ankle boot"}, f"{SAME} 'T-shirt/top', 'Bag',"),
        (CLASS_NAMES, {0: "T-shirt/top", 1: "Ankle boot"}, f"{SAME} 'T-shirt/top', 'Ankle boot'"),
        (CLASS_NAMES, None, f"{SAME} '0', '1', '2', '3'"),
        (None, {0: "Bag", 1: "Bag"}, "id2label of a MnistCnnConfig: class names must differ, got 'Bag'"),
    ],
)
def test_a_pipeline_of_classes_that_do_not_fit_is_refused(of_model, of_classifier, message):
    tokenizer = MnistTextTokenizer(image_size=12)
    names = {} if of_classifier is None else {"id2label": of_classifier}
    classifier = build_tiny_classifier(image_size=12, **names)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        MnistTextGenerationPipeline(build_tiny_model(tokenizer, of_model), tokenizer, classifier)


def test_a_language_model_that_names_no_classes_has_those_of_the_classifier():
    tokenizer = MnistTextTokenizer(image_size=12)
    model = build_tiny_model(tokenizer)
    named = build_tiny_classifier(image_size=12, id2label=dict(enumerate(CLASS_NAMES)))
    assert MnistTextGenerationPipeline(model, tokenizer, named).class_names == CLASS_NAMES
    unnamed = build_tiny_classifier(image_size=12, num_labels=4)
    assert MnistTextGenerationPipeline(model, tokenizer, unnamed).class_names == ("0", "1", "2", "3")
