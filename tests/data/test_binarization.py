# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Binary images of grey ones: sampled as often as their grey value says; scaled, and parted by a threshold."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import threshold_otsu

from mnist_text_gen.data import binarize, sample_images
from mnist_text_gen.tokenizer import IMAGE_SIZES, binarize_images


@pytest.fixture(scope="module")
def images(mnist_5k):
    return mnist_5k["train"].images[:50]


def test_the_share_of_ones_is_the_grey_value_of_255():
    grey = np.arange(784).reshape(1, 28, 28) % 256
    num_draws = 4_000
    drawn = sample_images(np.repeat(grey.astype(np.uint8), num_draws, axis=0), range(num_draws))
    wanted = grey[0] / 255
    # six standard errors: of 784 pixels one is beyond them in 1 of 600,000 draws of other seeds
    margin = 6 * np.sqrt(wanted * (1 - wanted) / num_draws)
    assert (abs(drawn[:, 1:-1, 1:-1].mean(axis=0) - wanted) <= margin).all()


def test_an_image_depends_on_its_key_and_seed_and_not_on_its_batch(images):
    whole = sample_images(images, range(50), seed=3)
    order = np.random.default_rng(0).permutation(50)
    assert np.array_equal(sample_images(images[order], order, seed=3), whole[order])
    assert np.array_equal(sample_images(images[7:8], [7], seed=3)[0], whole[7])
    for keys, seed in ((range(50, 100), 3), (range(50), 4)):
        assert (sample_images(images, keys, seed) != whole).any(axis=(1, 2)).all()


@pytest.mark.parametrize(("keys", "seed"), [(range(49), 0), (range(50), -1)])
def test_wrong_numbers_are_refused(images, keys, seed):
    with pytest.raises(ValueError, match=f"a seed of 0 or more, got 50 images, {len(keys)} keys and seed {seed}"):
        sample_images(images, keys, seed)


def resize_plainly(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, with a triangle filter as wide as the scale where it shrinks; float64, from the definition."""
    scale = len(image) / size
    centres = (np.arange(size) + 0.5) * scale
    if scale <= 1:
        centres = np.clip(centres, 0.5, len(image) - 0.5)
    distances = abs(np.arange(len(image)) + 0.5 - centres[:, None])
    weights = np.clip(1 - distances / max(scale, 1.0), 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights @ (image / 255) @ weights.T


def grey_images(size):
    return hnp.arrays(np.uint8, (2, size, size))


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(), size=st.integers(1, 60), image_size=st.sampled_from(IMAGE_SIZES), threshold=st.floats(0.01, 0.99)
)
def test_images_of_any_size_are_the_scaled_ones_above_a_half_or_a_threshold(data, size, image_size, threshold):
    images = data.draw(grey_images(size))
    for how, limit in (((), 0.5), (("threshold", threshold), threshold)):
        binary = binarize(images, image_size, *how)
        assert (binary.shape, binary.dtype) == ((2, image_size, image_size), np.uint8)
        for image, found in zip(images, binary, strict=True):
            scaled = resize_plainly(image, image_size)
            clear = abs(scaled - limit) > 1e-5
            assert np.array_equal(found[clear], scaled[clear] > limit)
            assert set(np.unique(found)) <= {0, 1}


def test_the_specifications_images_stay_bit_for_bit(mnist_5k):
    images = mnist_5k["train"].images
    assert np.array_equal(binarize(images), binarize_images(images))
    # values right at a half: the mean of 0 and 255, and whatever else 8 bits give
    noise = np.random.default_rng(0).choice(np.array([0, 127, 128, 255], dtype=np.uint8), (2_000, 28, 28))
    assert np.array_equal(binarize(noise), binarize_images(noise))
    assert np.array_equal(binarize(noise, 30, "threshold", 0.5), binarize_images(noise))


@pytest.mark.parametrize("size", [24, 48])
def test_images_of_the_size_are_not_scaled(size):
    images = np.random.default_rng(0).integers(256, size=(3, size, size), dtype=np.uint8)
    assert np.array_equal(binarize(images, size), images >= 128)
    assert np.array_equal(binarize(images, size, "threshold", 0.2), images > 51)


def test_otsu_is_of_the_scaled_image_and_one_an_image(mnist_5k):
    images = mnist_5k["train"].images[:20]
    dark = images // 4
    binary, of_dark = binarize(images, 30, "otsu"), binarize(dark, 30, "otsu")
    assert not binarize(dark).any()
    assert (binary != of_dark).mean() < 0.02
    grey = torch.nn.functional.interpolate(
        torch.from_numpy(dark)[:, None].float() / 255, (30, 30), mode="bilinear", align_corners=False
    )[:, 0].numpy()
    assert np.array_equal(of_dark, [image > threshold_otsu(image) for image in grey])


def test_otsu_takes_the_least_contrast_that_8_bits_have_and_nothing_of_one_grey_value():
    for value in range(255):
        assert not binarize(np.full((1, 28, 28), value, dtype=np.uint8), 48, "otsu").any()
        image = np.full((1, 30, 30), value, dtype=np.uint8)
        image[0, 3, 4] += 1
        assert np.argwhere(binarize(image, 30, "otsu")).tolist() == [[0, 3, 4]]


def test_otsu_without_scikit_image_says_what_to_install(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.filters", None)
    with pytest.raises(ValueError, match=r'pip install "mnist-text-gen\[train\]"'):
        binarize(images, 30, "otsu")


@pytest.mark.parametrize(("size", "image_size"), [(30, 30), (20, 30), (5, 9)])
def test_sampled_images_have_a_border_of_one_width_on_all_sides(size, image_size):
    grey = np.full((1, size, size), 255, dtype=np.uint8)
    border = (image_size - size) // 2
    assert np.array_equal(sample_images(grey, [0], 0, image_size)[0], np.pad(grey[0] // 255, border))


@pytest.mark.parametrize(("size", "image_size"), [(28, 24), (29, 30)])
def test_sampled_images_of_a_size_without_such_a_border_are_refused(size, image_size):
    with pytest.raises(ValueError, match=f"for sampled images of {size}×{size}, .*, got {image_size}"):
        binarize(np.zeros((1, size, size), dtype=np.uint8), image_size, "sampled", keys=[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 28}, "^`image_size` must be one of 6, 12, 18, 24, 30, 36, 42, 48, got 28$"),
        ({"binarization": "grey"}, "^`binarization` must be 'rounded', .* or 'sampled', got 'grey'$"),
        ({"binarization": "threshold"}, "^`threshold` must be above 0 and below 1 .* 'threshold', got None$"),
        ({"binarization": "threshold", "threshold": 1.0}, "^`threshold` must be .*, got 1.0$"),
        ({"binarization": "threshold", "threshold": float("nan")}, "^`threshold` must be .*, got nan$"),
        ({"binarization": "otsu", "threshold": 0.5}, "^`threshold` must not be given .* 'otsu', got 0.5$"),
    ],
)
def test_wrong_ways_to_make_images_binary_are_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        binarize(images, **options)
