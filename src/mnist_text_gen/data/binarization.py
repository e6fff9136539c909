# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Conversion of grey images of any size to binary ones of the text form, by a threshold or by sampling pixels."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from transformers.utils import logging

from mnist_text_gen.tokenizer import IMAGE_SIZE, check_image_size, scale_images


logger = logging.get_logger(__name__)

Binarization = Literal["rounded", "threshold", "otsu", "sampled"]
BINARIZATIONS = get_args(Binarization)
# Where Philox starts in the numbers of a key. The distortions start at zero, so these draws are independent of them.
_COUNTER = (0, 0, 0, 1)
# Images that are scaled at a time, so that they fit in the processor's cache as float32.
_BLOCK = 1024
# Shares of blank images, without ink or without paper, in a source.
_WARN_OF_BLANK, _REFUSE_BLANK = 0.01, 0.5


def binarize(
    images: np.ndarray,
    image_size: int = IMAGE_SIZE,
    binarization: str = "rounded",
    threshold: float | None = None,
    keys: Sequence[int] | np.ndarray = (),
    seed: int = 0,
) -> np.ndarray:
    """Scale grey images to the size of the text form with [`scale_images`], and make them binary.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in [0, 255]): grey images.
        image_size (`int`, defaults to 30): height and width of the results, one of the tokenizer's `IMAGE_SIZES`.
        binarization (`str`, defaults to `"rounded"`): which pixels become 1.
            - `"rounded"`: those brighter than a half, as in the specification;
            - `"threshold"`: those brighter than `threshold`;
            - `"otsu"`: those brighter than a threshold per image, which splits its grey values into the two classes
              with the greatest variance between them (Otsu 1979, "A Threshold Selection Method from Gray-Level
              Histograms", equation 18, in scikit-image); none in an image with a single grey value;
            - `"sampled"`: those that [`sample_images`] draws, without scaling.
        threshold (`float`, *optional*): only for `"threshold"`, in (0, 1).
        keys (`Sequence[int]`, length N, *optional*), seed (`int`, defaults to 0): for [`sample_images`].

    Returns:
        `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

    Raises:
        ValueError: if [`check_binarization`] or, for sampled images, [`sample_images`] raises one.
    """
    check_binarization(binarization, threshold, image_size)
    if binarization == "sampled":
        return sample_images(images, keys, seed, image_size)
    binary = np.empty((len(images), image_size, image_size), dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        scaled = scale_images(images[start : start + _BLOCK], image_size)
        if binarization == "otsu":
            binary[start : start + _BLOCK] = _split_by_otsu(scaled)
        else:
            # torch.round of the specification rounds 0.5 to the even number 0, so only values above it become 1
            binary[start : start + _BLOCK] = scaled > (0.5 if threshold is None else np.float32(threshold))
    return binary


def check_binarization(binarization: str, threshold: float | None, image_size: int = IMAGE_SIZE) -> None:
    """Raise a `ValueError` if the binarization or the image size is not allowed, or the threshold does not fit."""
    check_image_size(image_size)
    if binarization not in BINARIZATIONS:
        raise ValueError(
            f"`binarization` must be {', '.join(map(repr, BINARIZATIONS[:-1]))} or {BINARIZATIONS[-1]!r}, got "
            f"{binarization!r}"
        )
    if binarization == "threshold":
        if threshold is None or not 0 < threshold < 1:
            raise ValueError(f"`threshold` must be above 0 and below 1 with binarization 'threshold', got {threshold}")
    elif threshold is not None:
        raise ValueError(f"`threshold` must not be given with binarization {binarization!r}, got {threshold}")


def _split_by_otsu(images: np.ndarray) -> np.ndarray:
    try:
        from skimage.filters import threshold_otsu
    except ImportError as error:
        raise ValueError(
            "scikit-image must be installed for the binarization 'otsu'; "
            'pip install "mnist-text-gen[train]" installs it'
        ) from error
    # after scaling, an image with a single grey value has float noise, of which a threshold would mean nothing
    return np.stack([image > (threshold_otsu(image) if np.ptp(image) > 0.5 / 255 else np.inf) for image in images])


def sample_images(
    images: np.ndarray, keys: Sequence[int] | np.ndarray, seed: int = 0, image_size: int = IMAGE_SIZE
) -> np.ndarray:
    """Draw each pixel as 1 with the probability grey value / 255, and add a blank border.

    The literature on likelihoods compares models on MNIST in this form (Salakhutdinov and Murray 2008, section 5).
    With new draws in each epoch it is called dynamic binarisation. The border is always 0, so a model can predict it
    with certainty, and the likelihood of 30×30 pixels is that of 28×28.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in [0, 255]): grey images.
        keys (`Sequence[int]`, length N): one integer per image, as in [`augment_images`], whose draws with the same
            key are independent of these.
        seed (`int`, defaults to 0): seed of all draws, 0 to 2**64 - 1.
        image_size (`int`, defaults to 30): height and width of the results; S plus an even number, 0 or more.

    Returns:
        `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

    Raises:
        ValueError: if there is not one key per image, the seed is negative, or a border of the same width on all sides
            cannot give the size.
    """
    if len(keys) != len(images) or seed < 0:
        raise ValueError(
            f"there must be one key per image, and a seed of 0 or more, got {len(images)} images, {len(keys)} keys "
            f"and seed {seed}"
        )
    size = images.shape[-1]
    check_border(size, image_size)
    inside = slice((image_size - size) // 2, (image_size + size) // 2)
    binary = np.zeros((len(images), image_size, image_size), dtype=np.uint8)
    for image, key, drawn in zip(images, keys, binary, strict=True):
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64), counter=_COUNTER))
        # a number from 0 to 254 is below the grey value with exactly the probability grey value / 255
        drawn[inside, inside] = generator.integers(255, size=image.shape, dtype=np.uint8) < image
    return binary


def check_border(size: int, image_size: int) -> None:
    """Raise a `ValueError` unless a border of the same width on all sides brings `size` to `image_size`."""
    if image_size < size or (image_size - size) % 2:
        raise ValueError(
            f"`image_size` must be a multiple of 6 among {size}, {size + 2}, {size + 4} and so on for sampled images "
            f"of {size}×{size}, which get a border and are not scaled, got {image_size}"
        )


def check_ink(splits: Sequence[np.ndarray], binarization: str, white: int = 1) -> None:
    """Check that few images of a source are blank, and that they have more paper than ink.

    Warns if more than 1 in 100 images are blank (only ink or only paper), or if most images have more ink than paper.

    Args:
        splits (`Sequence[np.ndarray]`, uint8 `[N, S, S]` each): binary images, or grey ones that will be sampled.
        binarization (`str`): how the images become binary.
        white (`int`, defaults to 1): the value of a pixel that is certainly ink, 1 or 255.

    Raises:
        ValueError: if more than half of the images are blank.
    """
    # for sampled pixels this is the expected number, which may be below 1
    num_ink = np.concatenate([split.sum((1, 2), dtype=np.int64) for split in splits]) / white
    num_pixels = splits[0][0].size
    num_images, num_blank = len(num_ink), int(((num_ink < 1) | (num_ink > num_pixels - 1)).sum())
    others = "threshold" if binarization == "otsu" else "otsu"
    if num_blank > num_images * _WARN_OF_BLANK:
        message = (
            f"{num_blank:,} of {num_images:,} images are blank, all ink or all paper, with the binarization "
            f"{binarization!r}; for images of low contrast, or with the values 0 and 1, try --binarization {others}"
        )
        if num_blank > num_images * _REFUSE_BLANK:
            raise ValueError(message)
        logger.warning(message)
    num_dark = int((num_ink > num_pixels / 2).sum())
    if num_dark > num_images / 2:
        logger.warning(
            f"{num_dark:,} of {num_images:,} images have more ink (bright pixels) than paper; for dark ink on bright "
            "paper, use --invert"
        )
