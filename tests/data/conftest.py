# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A few real digits, which the tests of sources write to files."""

import numpy as np
import pytest

from mnist_text_gen.data import LabelledImages


@pytest.fixture(scope="module")
def train(mnist_5k):
    return mnist_5k["train"].first(20, "train")


@pytest.fixture(scope="module")
def test(mnist_5k):
    return mnist_5k["test"].first(10, "test")


@pytest.fixture(scope="module")
def all_classes(mnist_5k):
    """Ten images of every class, sorted by class."""
    images, labels = mnist_5k["train"]
    chosen = np.concatenate([np.flatnonzero(labels == label)[:10] for label in range(10)])
    return LabelledImages(images[chosen], labels[chosen])
