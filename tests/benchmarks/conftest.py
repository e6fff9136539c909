# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The benchmarks import each other by their names alone."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from image_files import write_idx_folder
from transformers.utils import logging

from mnist_text_gen.commands import train_hf
from mnist_text_gen.data import LabelledImages
from mnist_text_gen.modeling import build_language_model_config


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def verbosity():
    """The commands silence Transformers."""
    level = logging.get_verbosity()
    yield
    logging.set_verbosity(level)


@pytest.fixture(scope="session")
def source(mnist_5k, tmp_path_factory):
    """A folder of IDX files: 4 test images of each digit, and 6 training images, but 3 of the digit 0."""

    def take(split: LabelledImages, number: int) -> LabelledImages:
        rows = np.stack([np.flatnonzero(split.labels == label)[:number] for label in range(10)], axis=1).ravel()
        return LabelledImages(split.images[rows], split.labels[rows])

    train, test = take(mnist_5k["train"], 6), take(mnist_5k["test"], 4)
    train = LabelledImages(*(np.delete(column, [0, 10, 20], axis=0) for column in train))
    return str(write_idx_folder(tmp_path_factory.mktemp("idx"), train, test))


@pytest.fixture
def tiny_training(monkeypatch):
    sizes = {"n_embd": 48, "n_head": 2, "n_layer": 1}
    monkeypatch.setattr(train_hf, "build_language_model_config", partial(build_language_model_config, **sizes))
