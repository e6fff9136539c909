# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The commands that train, on images of three classes and another size: what is saved, said and refused."""

import json
import math

import numpy as np
import pytest
import torch
from image_files import NAMES, write_classes
from safetensors.torch import load_file
from small_trainings import small_options
from transformers import AutoModelForImageClassification, GPT2LMHeadModel

from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.data import binarize, load_images
from mnist_text_gen.modeling import token_losses
from mnist_text_gen.tokenizer import MnistTextTokenizer


SIZE, TEXT_LENGTH = 24, 98
HOW = {"image_size": SIZE, "binarization": "threshold", "threshold": 0.3, "do_train": True, "do_eval": True}
HOW |= {"num_train_samples": 8, "num_eval_samples": 4, "per_device_train_batch_size": 2, "max_steps": 1}


@pytest.fixture(scope="module")
def folder(mnist_5k, tmp_path_factory):
    """Ten images per class, of 28×28."""
    images, labels = mnist_5k["train"]
    rows = np.concatenate([np.flatnonzero(labels == label)[:10] for label in (3, 8, 1)])
    return write_classes(tmp_path_factory.mktemp("own"), images[rows])


def options(folder, output_dir, **changes):
    return small_options(output_dir, **{"dataset_name": folder, **HOW, **changes})


@pytest.fixture(scope="module")
def language_model(folder, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("language model")
    train_hf.train(options(folder, output_dir, save_strategy="steps", save_steps=1))
    return output_dir


@pytest.fixture(scope="module")
def classifier(folder, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("classifier")
    train_classifier.train(options(folder, output_dir, hidden_sizes=(4, 8)))
    return output_dir


@pytest.mark.slow
def test_language_model_is_saved_with_names_and_size(language_model, folder):
    assert MnistTextTokenizer.from_pretrained(language_model).image_size == SIZE
    model = GPT2LMHeadModel.from_pretrained(language_model).eval()
    assert model.config.id2label == dict(enumerate(NAMES)) and model.config.n_positions == TEXT_LENGTH
    (stage,) = json.loads((language_model / "run.json").read_text())["training"]
    assert stage["description"].startswith(
        "8 images of 3 classes (bow, cat, dog), scaled to 24×24, binarization threshold 0.3, aligned texts"
    )
    assert (stage["num_tokens"], stage["class_names"]) == (2 * TEXT_LENGTH, list(NAMES))
    # the figures are sums over the 97 predicted tokens, and bits are of 24×24 pixels
    test = load_images(folder)["test"].first(4, "test")
    tokenizer = MnistTextTokenizer(SIZE)
    texts = tokenizer.encode_images(binarize(test.images, SIZE, "threshold", 0.3), test.labels)
    input_ids = tokenizer(texts, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        nats = token_losses(model(input_ids).logits, input_ids).sum(1).mean().item()
    metrics = json.loads((language_model / "eval_results.json").read_text())
    assert metrics["eval_nats_per_image"] == pytest.approx(nats, rel=1e-4)
    assert metrics["eval_bits_per_pixel"] == pytest.approx(nats / math.log(2) / 24**2, rel=1e-4)
    state = json.loads((language_model / "checkpoint-1" / "trainer_state.json").read_text())
    logged = state["log_history"][0]
    assert logged["nats_per_image"] == pytest.approx(97 * logged["loss"], rel=1e-3)


@pytest.mark.slow
def test_classifier_is_saved_with_names_and_size(classifier):
    model = AutoModelForImageClassification.from_pretrained(classifier)
    assert model.config.id2label == dict(enumerate(NAMES))
    assert model.config.label2id == {name: label for label, name in enumerate(NAMES)}
    assert model(torch.zeros(1, 1, SIZE, SIZE)).logits.shape == (1, 3)
    (stage,) = json.loads((classifier / "run.json").read_text())["training"]
    assert stage["description"].startswith("8 images of 3 classes (bow, cat, dog), scaled to 24×24")


@pytest.mark.slow
def test_a_checkpoint_of_other_images_is_not_gone_on_from(language_model, folder, refusal_of):
    changes = {"binarization": "otsu", "threshold": None, "image_size": 30}
    line = refusal_of(train_hf, *options(folder, language_model, max_steps=2, **changes))
    for found in ("threshold: 0.3 in", "binarization: 'threshold' in the checkpoint, 'otsu' now", "image_size: 24 in"):
        assert found in line


@pytest.mark.slow
def test_weights_of_another_size_are_refused(language_model, classifier, folder, refusal_of, tmp_path):
    for command, weights in ((train_hf, language_model), (train_classifier, classifier)):
        line = refusal_of(command, *options(folder, tmp_path, model_name_or_path=weights, image_size=30))
        assert f"{str(weights)!r}" in line and "24" in line and "30" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_names_of_weights_to_start_from_are_those_of_the_images(language_model, classifier, folder, tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    for name in NAMES:
        (others / f"new {name}").symlink_to(folder / name)
    for command, weights in ((train_hf, language_model), (train_classifier, classifier)):
        output_dir = tmp_path / command.PROG
        command.train(options(others, output_dir, model_name_or_path=weights, learning_rate=0, do_eval=False))
        config = json.loads((output_dir / "config.json").read_text())
        assert list(config["id2label"].values()) == [f"new {name}" for name in NAMES]
        before, after = (load_file(path / "model.safetensors") for path in (weights, output_dir))
        assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("stages"))
