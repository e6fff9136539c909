# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The training command of the classifier: what it saves, measures, learns and refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification
from mnist_text_gen.commands import train_classifier
from mnist_text_gen.tokenizer import binarize_images


SMALL = {
    "dataset_name": "mnist-5k",
    "num_train_samples": 40,
    "num_eval_samples": 30,
    "hidden_sizes": (4, 8),
    "per_device_train_batch_size": 20,
    "per_device_eval_batch_size": 20,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "max_steps": 2,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
}


def options(output_dir, **changes):
    argv = []
    for name, value in (SMALL | {"output_dir": output_dir} | changes).items():
        argv += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return argv


def train(output_dir, **changes):
    train_classifier.train(options(output_dir, **changes))
    return output_dir


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a run long enough to learn: 60 steps of 50 images."""
    return train(
        tmp_path_factory.mktemp("trained"),
        do_train=True,
        do_eval=True,
        hidden_sizes=(8, 16),
        num_train_samples=1000,
        num_eval_samples=200,
        per_device_train_batch_size=50,
        max_steps=60,
    )


@pytest.fixture(scope="module")
def pixels(mnist_5k):
    images = mnist_5k["test"].images[:200]
    return torch.from_numpy(binarize_images(images))[:, None].float()


@pytest.fixture
def error_of(refusal_of):
    return lambda *argv: refusal_of(train_classifier, *argv)


def accuracy_of(folder, pixels, labels):
    model = AutoModelForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        predicted = [model(pixels[index : index + 1]).logits.argmax().item() for index in range(len(pixels))]
    return np.mean(np.array(predicted) == labels)


@pytest.mark.slow
def test_output_folder_holds_model_code_and_metrics(trained):
    assert names(trained) == {
        "all_results.json",
        "config.json",
        "configuration_mnist_cnn.py",
        "eval_results.json",
        "model.safetensors",
        "modeling_mnist_cnn.py",
        "weights.py",
        "train_results.json",
        "run.json",
        "training_curve.png",
    }
    (stage,) = json.loads((trained / "run.json").read_text())["training"]
    assert stage["arguments"]["hidden_sizes"] == [8, 16]
    assert stage["curve"]["step"] == [60] and stage["images_per_second"] > 0 and stage["train_loss"] > 0


@pytest.mark.slow
def test_saved_weights_load_with_the_auto_class(trained):
    model = AutoModelForImageClassification.from_pretrained(trained)
    assert type(model) is MnistCnnForImageClassification
    assert model.config.hidden_sizes == [8, 16]
    assert model.config.id2label == {label: str(label) for label in range(10)}


@pytest.mark.slow
def test_measured_accuracy_is_that_of_the_saved_model(trained, pixels, mnist_5k):
    metrics = json.loads((trained / "eval_results.json").read_text())
    expected = accuracy_of(trained, pixels, mnist_5k["test"].labels[:200])
    assert metrics["eval_accuracy"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
def test_training_learns_the_digits(trained):
    assert json.loads((trained / "eval_results.json").read_text())["eval_accuracy"] > 0.6


@pytest.mark.slow
def test_saved_weights_load_as_remote_code_in_a_fresh_process_without_the_package(trained, pixels, tmp_path):
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "mnist_text_gen.py").write_text("raise ImportError('mnist_text_gen is blocked')\n")
    torch.save(pixels[:5], tmp_path / "pixels.pt")
    program = """
import sys
import torch
from transformers import AutoModelForImageClassification
try:
    import mnist_text_gen
except ImportError as error:
    assert str(error) == "mnist_text_gen is blocked"
else:
    raise AssertionError("mnist_text_gen can be imported")
folder, pixels = sys.argv[1:]
try:
    AutoModelForImageClassification.from_pretrained(folder)
except ValueError as error:
    assert "trust_remote_code" in str(error)
else:
    raise AssertionError("remote code was run without trust")
model = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
with torch.no_grad():
    torch.save(model(torch.load(pixels)).logits, "logits.pt")
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(trained), str(tmp_path / "pixels.pt")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "blocked")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    with torch.no_grad():
        expected = AutoModelForImageClassification.from_pretrained(trained)(pixels[:5]).logits
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected)


@pytest.mark.slow
def test_evaluation_alone_measures_named_weights_and_saves_no_model(trained, tmp_path):
    output_dir = train(tmp_path / "evaluated", do_eval=True, model_name_or_path=trained, num_eval_samples=200)
    assert names(output_dir) == {"all_results.json", "eval_results.json"}
    found, expected = (json.loads((folder / "eval_results.json").read_text()) for folder in (output_dir, trained))
    assert found["eval_accuracy"] == expected["eval_accuracy"]


@pytest.mark.slow
def test_training_starts_from_named_weights(trained, tmp_path):
    output_dir = train(tmp_path / "continued", do_train=True, max_steps=1, learning_rate=0, model_name_or_path=trained)
    before, after = load_file(trained / "model.safetensors"), load_file(output_dir / "model.safetensors")
    # a step at rate 0 moves batch norm's statistics only
    moved = {name.rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.slow
def test_resumed_run_ends_with_the_same_bits_as_an_uninterrupted_one(tmp_path):
    settings = {"do_train": True, "augmentation": 1, "save_strategy": "steps", "save_steps": 2}
    train(tmp_path / "resumed", max_steps=2, **settings)
    checkpoint = tmp_path / "resumed" / "checkpoint-2" / "model.safetensors"
    written = checkpoint.stat().st_mtime_ns
    train(tmp_path / "resumed", max_steps=4, **settings)
    # a run that starts anew would end with the same bits, but pass its second step, and write its checkpoint, again
    assert checkpoint.stat().st_mtime_ns == written
    train(tmp_path / "whole", max_steps=4, **settings)
    resumed, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("resumed", "whole"))
    assert [name for name in whole if not torch.equal(resumed[name], whole[name])] == []


@pytest.mark.slow
def test_hidden_sizes_and_dropout_make_the_model(tmp_path):
    output_dir = train(tmp_path / "out", do_train=True, max_steps=1, hidden_sizes=(3, 5, 7), dropout=0.2)
    config = MnistCnnConfig.from_pretrained(output_dir)
    assert (config.hidden_sizes, config.hidden_dropout_prob) == ([3, 5, 7], 0.2)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"dropout": 1}, ["dropout", "is 1.0", "< 1"]),
        ({"dropout": -0.1}, ["dropout", "is -0.1", "0 <="]),
        ({"hidden_sizes": 0}, ["hidden_sizes [0]", "1 and more"]),
        ({"hidden_sizes": (4, 4, 4, 4, 4)}, ["hidden_sizes has 5 stages"]),
        ({"hidden_sizes": "many"}, ["--hidden_sizes", "'many'"]),
        ({"num_train_samples": 0}, ["num_train_samples is 0", "1 to 4000"]),
        ({"num_eval_samples": 1001}, ["num_eval_samples is 1001", "1 to 1000"]),
        ({"augmentation": -1}, ["augmentation is -1.0"]),
        ({"layout": "aligned"}, ["--layout"]),
    ],
)
def test_bad_option_is_refused_by_name_and_leaves_nothing(error_of, tmp_path, changes, found):
    line = error_of(*options(tmp_path / "out", do_train=True, **changes))
    assert [part for part in found if part not in line] == []
    assert names(tmp_path) == set()


def test_output_dir_that_is_a_file_is_refused_and_the_file_stays(error_of, tmp_path):
    (tmp_path / "out").write_text("mine")
    line = error_of(*options(tmp_path / "out", do_train=True))
    assert f"output_dir is {str(tmp_path / 'out')!r}; allowed is a folder" in line
    assert names(tmp_path) == {"out"}
    assert (tmp_path / "out").read_text() == "mine"


def test_folder_without_idx_files_is_refused_and_leaves_nothing(error_of, tmp_path):
    (tmp_path / "data").mkdir()
    line = error_of(*options(tmp_path / "out", do_train=True, dataset_name=tmp_path / "data"))
    assert str(tmp_path / "data") in line
    assert names(tmp_path) == {"data"}


def test_weights_that_do_not_exist_are_refused_and_leave_nothing(error_of, tmp_path):
    line = error_of(*options(tmp_path / "out", do_train=True, model_name_or_path=tmp_path / "weights"))
    assert str(tmp_path / "weights") in line
    assert names(tmp_path) == set()
