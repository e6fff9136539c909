# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Images as binary pixels: reading, checking, scaling, rounding, and packing six pixels into one value.

This file imports nothing from the package, because it is uploaded to the Hub with the tokenizer.
"""

import math
from numbers import Integral

import numpy as np
import torch
from PIL import Image


PIXELS_PER_SYMBOL = 6
IMAGE_SIZES = range(6, 49, PIXELS_PER_SYMBOL)  # a row is a whole number of symbols
IMAGE_SIZE = 30
_GREY_SIZE = 28
# Images per interpolation: in float32 they take 30 * 30 * 4 bytes each, and a block fits in the processor's cache.
_BLOCK = 1024


def check_image_size(image_size: int) -> None:
    """Raise a `ValueError` unless the text form supports images of this height and width."""
    if not isinstance(image_size, Integral) or isinstance(image_size, bool) or image_size not in IMAGE_SIZES:
        raise ValueError(f"`image_size` must be one of {', '.join(map(str, IMAGE_SIZES))}, got {image_size!r}")


def scale_images(images: np.ndarray, image_size: int = IMAGE_SIZE) -> np.ndarray:
    """Scale grey images to the size of the text form by bilinear interpolation (`align_corners=False`) in float32.

    Larger images are smoothed (`antialias=True`), so that no line is lost between the pixels. Images of the right size
    keep their values. The scaling always runs on the CPU: a pixel may be so close to 0.5 that another order of
    additions would round it the other way.

    Args:
        images (`np.ndarray`, `[N, S, S]`): integers in [0, 255], or floats in [0, 1].
        image_size (`int`, defaults to 30): height and width of the returned images.

    Returns:
        `np.ndarray`: float32 `[N, image_size, image_size]` in [0, 1].
    """
    grey = torch.from_numpy(images.astype(np.float32))
    if images.dtype.kind != "f":
        grey /= 255
    if images.shape[-1] == image_size:
        return grey.numpy()
    scaled = torch.nn.functional.interpolate(
        grey[:, None],  # [N, 1, S, S]
        (image_size, image_size),
        mode="bilinear",
        align_corners=False,
        antialias=images.shape[-1] > image_size,
    )
    return scaled[:, 0].numpy()


def binarize_images(images, image_size: int = IMAGE_SIZE) -> np.ndarray:
    """Scale 28×28 images to 30×30 and round them to {0, 1}. Images of 30×30 must be binary and keep their pixels.

    Args:
        images (`np.ndarray` or `torch.Tensor`, shape `[N, 28, 28]` or `[N, image_size, image_size]`):
            28×28 only for an image size of 30, as integers in [0, 255] or floats in [0, 1]. Other images have any
            dtype, and values 0 and 1 only, or 0 and 255 only. PIL images are also accepted, see [`read_pixels`].
        image_size (`int`, defaults to 30): height and width of the returned images, one of `IMAGE_SIZES`.

    Returns:
        `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

    Raises:
        ValueError: if the size, shape or dtype is wrong, a value is NaN or out of range (the error has the image's
            index), or the largest of 28×28 integers is 1, because divided by 255 they would be blank.
    """
    images = read_pixels(images)
    if isinstance(images, torch.Tensor):
        images = images.detach().cpu()
        # numpy has no bfloat16, and float32 represents every 16-bit float exactly
        images = (images.float() if images.is_floating_point() else images).numpy()
    images = np.asarray(images)
    check_image_size(image_size)
    sizes = (_GREY_SIZE, IMAGE_SIZE) if image_size == IMAGE_SIZE else (image_size,)
    if images.ndim != 3 or images.shape[1:] not in {(size, size) for size in sizes}:
        allowed = " or ".join(f"[N, {size}, {size}]" for size in sizes)
        raise ValueError(f"images must have shape {allowed}, got {list(images.shape)}")
    if images.dtype.kind not in "buif":
        raise ValueError(f"images must be integers, floats or bool, got {images.dtype}")
    if images.shape[1] == image_size:
        return _read_binary(images)
    if images.dtype.kind == "b":
        raise ValueError("images of 28×28 must be integers in [0, 255] or floats in [0, 1], got bool")
    if images.dtype.kind == "f":
        _check_values(images, (images >= 0) & (images <= 1), "a float 28×28 image must have values in [0, 1]")
    else:
        if images.dtype != np.uint8:
            _check_values(
                images, (images >= 0) & (images <= 255), "an integer 28×28 image must have values in [0, 255]"
            )
        if images.max(initial=0) == 1:
            raise ValueError(
                "images of 28×28 must be integers in [0, 255] or floats in [0, 1], got integers of at most 1, which "
                "would be blank"
            )
    binary = np.empty((len(images), IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        scaled = scale_images(images[start : start + _BLOCK])
        binary[start : start + _BLOCK] = torch.round(torch.from_numpy(scaled)).numpy()
    return binary


def read_pixels(images):
    """A `PIL.Image.Image`, or a list or tuple of them, as uint8 `[N, H, W]` in [0, 255]; other values are unchanged.

    Raises:
        ValueError: if the mode of an image is not 1, L, P or RGB, or the sizes of the images differ.
    """
    images = [images] if isinstance(images, Image.Image) else images
    if not isinstance(images, list | tuple) or not any(isinstance(image, Image.Image) for image in images):
        return images
    for index, image in enumerate(images):
        if not isinstance(image, Image.Image) or image.mode not in ("1", "L", "P", "RGB"):
            found = f"mode {image.mode}" if isinstance(image, Image.Image) else f"a {type(image).__name__}"
            raise ValueError(f"image {index} must be a PIL image of mode 1, L, P or RGB, got {found}")
        if image.size != images[0].size:
            raise ValueError(
                f"images must have the same size, got {image.size} for image {index} and {images[0].size} for image 0"
            )
    # L from a palette would be indices, so its colours come first
    return np.stack(
        [np.asarray((image.convert("RGB") if image.mode == "P" else image).convert("L")) for image in images]
    )


def _read_binary(images: np.ndarray) -> np.ndarray:
    """Images `[N, S, S]` with the values 0 and 1, or 0 and 255, as uint8 in {0, 1}."""
    ink = images.max(axis=(1, 2), initial=0, keepdims=True) if images.dtype.kind != "b" else np.True_
    white = np.where(ink == 255, ink, 1)  # [N, 1, 1]
    size = images.shape[1]
    allowed = (images == 0) | (images == white)
    _check_values(images, allowed, f"a {size}×{size} image must have values 0 and 1, or 0 and 255")
    return (images != 0).astype(np.uint8)


def _check_values(images: np.ndarray, allowed: np.ndarray, rule: str) -> None:
    if not allowed.all():
        index, row, column = np.argwhere(~allowed)[0]
        value = images[index, row, column]
        raise ValueError(f"{rule}, got {value} in image {index} at row {row}, column {column}")


def pack_pixels(images: np.ndarray) -> np.ndarray:
    """Pack binary images, uint8 `[N, S, S]` in {0, 1}, into one value per symbol, uint8 `[N, S² / 6]`, 0 to 63."""
    bits = images.reshape(len(images), images.shape[1] * images.shape[2] // PIXELS_PER_SYMBOL, PIXELS_PER_SYMBOL)
    # packbits puts six bits in front, and zeros in the last two
    return np.packbits(bits, axis=-1)[..., 0] >> 2


def unpack_pixels(symbols: np.ndarray) -> np.ndarray:
    """Unpack one value per symbol, uint8 `[N, S² / 6]`, 0 to 63, into binary images, uint8 `[N, S, S]` in {0, 1}."""
    bits = np.unpackbits(np.left_shift(symbols, 2)[..., None], axis=-1, count=PIXELS_PER_SYMBOL)
    image_size = math.isqrt(symbols.shape[1] * PIXELS_PER_SYMBOL)
    return bits.reshape(len(symbols), image_size, image_size)
