# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Grey images of any size become binary ones of the text form: by a threshold, or drawn pixel by pixel."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from transformers.utils import logging

from mnist_text_gen.tokenizer import IMAGE_SIZE, check_image_size, scale_images


logger = logging.get_logger(__name__)

Binarization = Literal["rounded", "threshold", "otsu", "sampled"]
BINARIZATIONS = get_args(Binarization)
# The words of a Philox counter that say where in a key's numbers to begin: those of the distortions begin at zero.
_COUNTER = (0, 0, 0, 1)
# Scaled images are float32; blocks keep them in the processor's cache.
_BLOCK = 1024
# Shares of images without ink, or without paper, of a source.
_WARN_OF_BLANK, _REFUSE_BLANK = 0.01, 0.5


def binarize(
    images: np.ndarray,
    image_size: int = IMAGE_SIZE,
    binarization: str = "rounded",
    threshold: float | None = None,
    keys: Sequence[int] | np.ndarray = (),
    seed: int = 0,
) -> np.ndarray:
    """Scale grey images to the size of the text form, and make them binary.

    The scale is [`scale_images`], that of the specification.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in 0 to 255): grey images.
        image_size (`int`, defaults to 30): height and width of the results, one of the tokenizer's `IMAGE_SIZES`.
        binarization (`str`, defaults to `"rounded"`): what becomes 1.
            - `"rounded"`: what is brighter than a half, the text form of the specification;
            - `"threshold"`: what is brighter than `threshold`;
            - `"otsu"`: what is brighter than the threshold, one per image, that parts its grey values into the two
              classes with the greatest variance between them (Otsu 1979, "A Threshold Selection Method from
              Gray-Level Histograms", equation 18, by scikit-image); nothing of an image of one grey value;
            - `"sampled"`: what [`sample_images`] draws, without a scale.
        threshold (`float`, *optional*): for `"threshold"` only, in (0, 1).
        keys (`Sequence[int]`, length N, *optional*), seed (`int`, defaults to 0): those of [`sample_images`].

    Returns:
        `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

    Raises:
        ValueError: for what [`check_binarization`] refuses, and for sampled images that no border brings to the size.
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
            # the specification's torch.round takes 0.5 to the even 0, so that 1 is what is above
            binary[start : start + _BLOCK] = scaled > (0.5 if threshold is None else np.float32(threshold))
    return binary


def check_binarization(binarization: str, threshold: float | None, image_size: int = IMAGE_SIZE) -> None:
    """Raise a `ValueError` for an unknown binarization, a threshold out of place, or another image size."""
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
        raise ValueError(f"`threshold` must be left out with binarization {binarization!r}, got {threshold}")


def _split_by_otsu(images: np.ndarray) -> np.ndarray:
    try:
        from skimage.filters import threshold_otsu
    except ImportError as error:
        raise ValueError(
            "binarization is 'otsu', which needs scikit-image; it is not installed: pip install "
            '"mnist-text-gen[train]"'
        ) from error
    # half a grey value: scaling leaves float noise on an image of one value, and a histogram of noise says nothing
    return np.stack([image > (threshold_otsu(image) if np.ptp(image) > 0.5 / 255 else np.inf) for image in images])


def sample_images(
    images: np.ndarray, keys: Sequence[int] | np.ndarray, seed: int = 0, image_size: int = IMAGE_SIZE
) -> np.ndarray:
    """Draw each pixel as 1 with the probability that its grey value is of 255, and put a blank border around.

    The literature on likelihoods compares models on MNIST in this form (Salakhutdinov and Murray 2008, section 5;
    drawn anew in each epoch it is called dynamic binarisation). Border pixels are 0 and certain, so the likelihood of
    30×30 pixels is that of the 28×28.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in 0 to 255): grey images.
        keys (`Sequence[int]`, length N): what the draw of each image depends on beside the seed, as in
            [`augment_images`], whose draws with the same key are independent of these.
        seed (`int`, defaults to 0): seed of all draws.
        image_size (`int`, defaults to 30): height and width of the results; S, or more by an even number.

    Returns:
        `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

    Raises:
        ValueError: for another number of keys than images, a negative seed, and a size that no border of one width
            on all sides makes.
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
        # one of 255 equally likely numbers is below the grey value in exactly that share of the draws
        drawn[inside, inside] = generator.integers(255, size=image.shape, dtype=np.uint8) < image
    return binary


def check_border(size: int, image_size: int) -> None:
    """Raise a `ValueError` unless sampled images of `size` get a border of one width on all sides."""
    if image_size < size or (image_size - size) % 2:
        raise ValueError(
            f"`image_size` must be a multiple of 6 out of {size}, {size + 2}, {size + 4} and so on for sampled images "
            f"of {size}×{size}, which get a border and are not scaled, got {image_size}"
        )


def check_ink(splits: Sequence[np.ndarray], binarization: str, white: int = 1) -> None:
    """Look at all images of a source once they are binary: few may be blank, and paper is more than ink.

    Args:
        splits (`Sequence[np.ndarray]`, uint8 `[N, S, S]` each): binary images, or grey ones that will be sampled.
        binarization (`str`): how they become binary.
        white (`int`, defaults to 1): the value of a pixel that is ink for certain, 1 or 255.

    Raises:
        ValueError: where more than half of the images are blank, without ink or without paper. More than one in a
            hundred, and more ink than paper in most images, are worth a warning.
    """
    # of sampled pixels the expected number, which may be less than one
    num_ink = np.concatenate([split.sum((1, 2), dtype=np.int64) for split in splits]) / white
    num_pixels = splits[0][0].size
    num_images, num_blank = len(num_ink), int(((num_ink < 1) | (num_ink > num_pixels - 1)).sum())
    others = "threshold" if binarization == "otsu" else "otsu"
    if num_blank > num_images * _WARN_OF_BLANK:
        message = (
            f"{num_blank:,} of {num_images:,} images are blank, all ink or all paper, with the binarization "
            f"{binarization!r}; for images of low contrast, or with the values 0 and 1, see --binarization {others}"
        )
        if num_blank > num_images * _REFUSE_BLANK:
            raise ValueError(message)
        logger.warning(message)
    num_dark = int((num_ink > num_pixels / 2).sum())
    if num_dark > num_images / 2:
        logger.warning(
            f"{num_dark:,} of {num_images:,} images have more ink than paper, and ink is what is bright; for dark ink "
            "on bright paper, see --invert"
        )
