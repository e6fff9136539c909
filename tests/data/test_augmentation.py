# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Distortions of real digits: small, the same for the same key, and of nothing but key and seed."""

import numpy as np
import pytest

from mnist_text_gen.data import augment_images
from mnist_text_gen.tokenizer import binarize_images


@pytest.fixture(scope="module")
def images(mnist_5k):
    return mnist_5k["train"].images[:200]


def measure_centres(images: np.ndarray) -> np.ndarray:
    """Centres of brightness, row and column, `[N, 2]`."""
    weights = images.astype(float) / images.sum(axis=(1, 2), dtype=float)[:, None, None]
    places = np.arange(28)
    return np.stack([weights.sum(axis=2) @ places, weights.sum(axis=1) @ places], axis=1)


def test_an_image_depends_on_its_key_and_not_on_its_batch(images):
    before = images.copy()
    whole = augment_images(images[:40], range(40), seed=1)
    assert (whole.shape, whole.dtype) == ((40, 28, 28), np.uint8) and (images == before).all()
    order = np.random.default_rng(0).permutation(40)
    assert (augment_images(images[order], order, seed=1) == whole[order]).all()
    assert (augment_images(images[17:18], [17], seed=1)[0] == whole[17]).all()


@pytest.mark.parametrize(("keys", "seed"), [(range(200, 400), 0), (range(200), 1), (range(1, 201), 0)])
def test_another_key_or_seed_gives_another_image(images, keys, seed):
    first, second = augment_images(images, range(200), seed=0), augment_images(images, keys, seed)
    assert (first != second).any(axis=(1, 2)).mean() > 0.99


def measure_sizes(images: np.ndarray) -> np.ndarray:
    """The longer sides of the boxes around what is brighter than a quarter, `[N]`."""
    ink = images > 63
    return np.maximum(ink.any(axis=2).sum(axis=1), ink.any(axis=1).sum(axis=1))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_size_and_centre_of_mass_stay_as_mnist_has_them(images, strength):
    augmented = augment_images(images, range(200), strength=strength)
    shifts = measure_centres(augmented) - measure_centres(images)
    assert np.abs(shifts).max() < 1
    # no drift to one side
    assert np.abs(shifts.mean(axis=0)).max() < 0.1
    growth = measure_sizes(augmented).astype(int) - measure_sizes(images)
    assert (np.abs(growth) <= 2).mean() > 0.95
    assert np.abs(growth.mean()) < 0.3


def test_strokes_get_thinner_and_thicker_but_not_on_average(images):
    ratios = binarize_images(augment_images(images, range(200))).mean((1, 2)) / binarize_images(images).mean((1, 2))
    assert 0.95 < ratios.mean() < 1.05
    assert ratios.min() < 0.9
    assert ratios.max() > 1.1


def test_strength_zero_changes_nothing_and_more_changes_more(images):
    assert (augment_images(images, range(200), strength=0) == images).all()
    changes = [np.abs(augment_images(images, range(200), strength=s).astype(int) - images).mean() for s in (0.3, 1, 2)]
    assert changes == sorted(changes)
    assert changes[0] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": range(3)}, "there must be one key per image, .*, got 200 images, 3 keys"),
        ({"seed": -1}, "a seed and a strength of 0 or more, .* seed -1 and"),
        ({"strength": -0.5}, "a seed and a strength of 0 or more, .* strength -0.5"),
        ({"strength": float("nan")}, "strength nan"),
    ],
)
def test_wrong_arguments_are_refused(images, changes, message):
    with pytest.raises(ValueError, match=message):
        augment_images(images, **({"keys": range(200)} | changes))
