# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Fixtures: a run of six steps with a checkpoint after every second, and the command that makes it."""

import shutil

import pytest
from image_files import write_idx_folder
from small_trainings import small_options

from mnist_text_gen.commands import train_hf


@pytest.fixture(scope="session")
def source(tmp_path_factory, mnist_5k):
    """A few images that are read at once, as IDX files."""
    train, test = mnist_5k["train"].first(62, "train"), mnist_5k["test"].first(8, "test")
    return write_idx_folder(tmp_path_factory.mktemp("source"), train, test)


@pytest.fixture(scope="session")
def options_of(source, tiny_files):
    how = {"dataset_name": source, "model_name_or_path": tiny_files, "do_train": True, "num_train_samples": 62}
    how |= {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "dropout": 0.1, "augmentation": 1.0}
    return lambda output_dir, **changes: small_options(output_dir, **how | changes)


@pytest.fixture
def train(options_of):
    return lambda output_dir, **changes: train_hf.train(options_of(output_dir, **changes))


@pytest.fixture
def error_of(refusal_of, options_of):
    return lambda output_dir, **changes: refusal_of(train_hf, *options_of(output_dir, **changes))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, options_of):
    """A run of six steps that nobody stopped; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_hf.train(options_of(folder))
    return folder


@pytest.fixture
def half(tmp_path, finished):
    """The same run as it was after four steps."""
    folder = tmp_path / "half"
    for name in ("checkpoint-2", "checkpoint-4"):
        shutil.copytree(finished / name, folder / name)
    return folder
