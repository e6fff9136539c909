# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Reads the grey pixels of image files, which are not trusted, and collects many of them in one array."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
MAX_MEGAPIXELS = 25
# Larger images are reduced to this width and height when they are read; a text has 48×48 pixels at most.
MAX_STORED_SIZE = 256
# Limits of a split. MNIST has 60,000 training images and 47 million pixels.
MAX_IMAGES = 1_000_000
MAX_PIXELS = 2**30
# Pillow raises all of these, depending on format and damage.
_BROKEN_IMAGE_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError),
    *(MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)


def check_regular_file(path: Path) -> None:
    """Raise a `ValueError` unless `path` is a regular file: reading a pipe or a device might never end."""
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file")


def read_image(file: io.BytesIO | Path, name: str) -> np.ndarray:
    """The grey pixels of an image file, upright as in an image viewer.

    Args:
        file (`io.BytesIO` or `Path`): an image in one of the `FORMATS`.
        name (`str`): what an error calls the image.

    Returns:
        `np.ndarray`: uint8 `[H, W]` in [0, 255].

    Raises:
        ValueError: if the file is not regular, cannot be read, or has more than 25 megapixels (it is not decoded).
    """
    try:
        if isinstance(file, Path):
            check_regular_file(file)
        with Image.open(file, formats=FORMATS) as image:
            megapixels = image.width * image.height / 1e6
            if megapixels > MAX_MEGAPIXELS:
                raise ValueError(f"it has {megapixels:.0f} megapixels; the limit is {MAX_MEGAPIXELS}")
            return np.asarray(read_grey(image))
    except _BROKEN_IMAGE_ERRORS as error:
        raise ValueError(f"{name} has no image that can be read: {error}") from error


# `examples/app/uploads.py` has a copy, because the page runs without this package; a test compares the two.
def read_grey(image: Image.Image) -> Image.Image:
    """Turn an image upright as its EXIF data says, and make it grey (mode L).

    16 bits are scaled to 8. Where an image has transparent pixels, it is put on paper that differs from its ink: on
    black where what can be seen is bright, else on white.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float32)
        if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise ValueError(f"its mode is {image.mode}, with more than 16 bits; 8 and 16 bits per channel are read")
        return Image.fromarray((values / 257).round().astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB").convert("L") if image.mode == "P" else image.convert("L")
    image = image.convert("RGBA")
    weights = np.asarray(image.getchannel("A"), dtype=np.float32)
    is_bright = (weights * np.asarray(image.convert("L"))).sum() >= 128 * weights.sum()
    paper = Image.new("RGBA", image.size, "black" if is_bright and weights.min() < 255 else "white")
    return Image.alpha_composite(paper, image).convert("L")


class ImageCollector:
    """Collects images of the same size. Images larger than 256×256 must be square and are reduced to that."""

    def __init__(self):
        self.images, self.first_name, self.shape = [], None, None

    def add(self, image: np.ndarray, name: str) -> None:
        """Add an image `[H, W]`; raises a `ValueError` if its size differs from the first one's, or at the limits."""
        if self.shape is None:
            self.first_name, self.shape = name, image.shape
        if image.shape != self.shape:
            sizes = [f"{height}×{width}" for height, width in (self.shape, image.shape)]
            raise ValueError(
                f"images must have the same size, got {self.first_name} of {sizes[0]} and {name} of {sizes[1]}"
            )
        if max(image.shape) > MAX_STORED_SIZE:
            if image.shape[0] != image.shape[1]:
                raise ValueError(f"images must be square, got {name} of {image.shape[0]}×{image.shape[1]}")
            size = (MAX_STORED_SIZE, MAX_STORED_SIZE)
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
        check_total(len(self.images) + 1, image.shape, f"{name}:")
        self.images.append(image)

    def stack(self) -> np.ndarray:
        """All images, uint8 `[N, H, W]`, with N of 1 or more."""
        return np.stack(self.images)


def check_total(num_images: int, shape: tuple[int, ...], name: str) -> None:
    """Raise a `ValueError` for more images, or more pixels, than a split may have."""
    num_pixels = num_images * int(np.prod(shape, dtype=object))
    if num_images > MAX_IMAGES or num_pixels > MAX_PIXELS:
        raise ValueError(
            f"{name} a split must have at most {MAX_IMAGES:,} images and {MAX_PIXELS:,} pixels, got {num_images:,} "
            f"images of {'×'.join(map(str, shape))}"
        )
