# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Sampled pixels of real digits: as often 1 as their grey value says, and of nothing but key and seed."""

import numpy as np
import pytest

from mnist_text_gen.corpus import sample_images


@pytest.fixture(scope="module")
def images(mnist_5k):
    return mnist_5k["train"].images[:50]


def test_shape_dtype_and_a_blank_border(images):
    binary = sample_images(images, range(50))
    assert binary.shape == (50, 30, 30)
    assert binary.dtype == np.uint8
    assert set(np.unique(binary)) == {0, 1}
    assert binary.sum() == binary[:, 1:-1, 1:-1].sum()


def test_black_stays_black_and_white_white():
    grey = np.zeros((1, 28, 28), dtype=np.uint8)
    grey[0, 3, 5:9] = 255
    for key in range(100):
        assert np.array_equal(sample_images(grey, [key])[0, 1:-1, 1:-1], grey[0] == 255)


def test_the_share_of_ones_is_the_grey_value_of_255():
    grey = np.arange(784).reshape(1, 28, 28) % 256
    num_draws = 4_000
    drawn = sample_images(np.repeat(grey.astype(np.uint8), num_draws, axis=0), range(num_draws))
    wanted = grey[0] / 255
    # six standard errors: of 784 pixels one is beyond them in 1 of 600,000 draws of other seeds
    margin = 6 * np.sqrt(wanted * (1 - wanted) / num_draws)
    assert (abs(drawn[:, 1:-1, 1:-1].mean(axis=0) - wanted) <= margin).all()


def test_pixels_are_independent_of_each_other_and_of_the_next_key():
    drawn = sample_images(np.full((4_000, 28, 28), 128, dtype=np.uint8), range(4_000))[:, 1:-1, 1:-1].astype(float)
    drawn -= drawn.mean()
    for other in (np.roll(drawn, 1, axis=2), np.roll(drawn, 1, axis=1), np.roll(drawn, 1, axis=0)):
        # the correlation of 3 million pairs has a standard error of 0.0006
        assert abs((drawn * other).mean() / drawn.var()) < 0.004


def test_an_image_depends_on_its_key_and_seed_and_not_on_its_batch(images):
    whole = sample_images(images, range(50), seed=3)
    order = np.random.default_rng(0).permutation(50)
    assert np.array_equal(sample_images(images[order], order, seed=3), whole[order])
    assert np.array_equal(sample_images(images[7:8], [7], seed=3)[0], whole[7])
    for keys, seed in ((range(50, 100), 3), (range(50), 4)):
        assert (sample_images(images, keys, seed) != whole).any(axis=(1, 2)).all()


@pytest.mark.parametrize(("keys", "seed"), [(range(49), 0), (range(51), 0), (range(50), -1)])
def test_wrong_numbers_are_refused(images, keys, seed):
    with pytest.raises(ValueError, match=f"50 images and {len(keys)} keys, and the seed is {seed}; allowed are"):
        sample_images(images, keys, seed)
