# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The training command of the classifier: what it saves, measures, learns and refuses."""

import json

import numpy as np
import pytest
import torch
from run_folders import names
from small_trainings import small_options
from transformers import AutoModelForImageClassification

from mnist_text_gen import MnistCnnForImageClassification
from mnist_text_gen.commands import train_classifier
from mnist_text_gen.tokenizer import binarize_images


def options(output_dir, **changes):
    return small_options(output_dir, **{"hidden_sizes": (4, 8), **changes})


def train(output_dir, **changes):
    train_classifier.train(options(output_dir, **changes))
    return output_dir


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a run long enough to learn: 60 steps of 50 images."""
    how = {"do_train": True, "do_eval": True, "hidden_sizes": (8, 16), "dropout": 0.2, "max_steps": 60}
    how |= {"num_train_samples": 1000, "num_eval_samples": 200, "per_device_train_batch_size": 50}
    return train(tmp_path_factory.mktemp("trained"), **how)


@pytest.mark.slow
def test_output_folder_holds_the_model_its_code_and_its_record(trained):
    results = {"all_results.json", "eval_results.json", "train_results.json", "run.json", "training_curve.png"}
    code = {"configuration_mnist_cnn.py", "modeling_mnist_cnn.py", "weights.py"}
    assert names(trained) == {"config.json", "model.safetensors", *results, *code}
    (stage,) = json.loads((trained / "run.json").read_text())["training"]
    assert stage["arguments"]["hidden_sizes"] == [8, 16]
    assert stage["curve"]["step"] == [60] and stage["images_per_second"] > 0 and stage["train_loss"] > 0


@pytest.mark.slow
def test_saved_model_has_learned_the_digits_as_well_as_was_measured(trained, mnist_5k):
    model = AutoModelForImageClassification.from_pretrained(trained)
    assert type(model) is MnistCnnForImageClassification
    assert (model.config.hidden_sizes, model.config.hidden_dropout_prob) == ([8, 16], 0.2)
    assert model.config.id2label == {label: str(label) for label in range(10)}
    images, labels = mnist_5k["test"].first(200, "test")
    with torch.no_grad():
        predicted = model(torch.from_numpy(binarize_images(images))[:, None].float()).logits.argmax(-1).numpy()
    measured = json.loads((trained / "eval_results.json").read_text())["eval_accuracy"]
    assert measured == pytest.approx(np.mean(predicted == labels), abs=1e-9) and measured > 0.6


@pytest.mark.slow
def test_evaluation_alone_measures_named_weights_and_saves_no_model(trained, tmp_path):
    output_dir = train(tmp_path / "evaluated", do_eval=True, model_name_or_path=trained, num_eval_samples=200)
    assert names(output_dir) == {"all_results.json", "eval_results.json"}
    found, expected = (json.loads((folder / "eval_results.json").read_text()) for folder in (output_dir, trained))
    assert found["eval_accuracy"] == expected["eval_accuracy"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"dropout": 1}, ["`hidden_dropout_prob` must be at least 0 and below 1, got 1.0"]),
        ({"hidden_sizes": 0}, ["`hidden_sizes` must be 1 or more", "and [0]"]),
        ({"hidden_sizes": (4, 4, 4, 4, 4)}, ["`hidden_sizes` must have at most 4 stages"]),
        ({"hidden_sizes": "many"}, ["--hidden_sizes", "'many'"]),
        ({"layout": "aligned"}, ["--layout"]),
    ],
)
def test_bad_option_is_refused_by_name_and_leaves_nothing(refusal_of, tmp_path, changes, found):
    line = refusal_of(train_classifier, *options(tmp_path / "out", do_train=True, **changes))
    assert [part for part in found if part not in line] == []
    assert names(tmp_path) == set()
