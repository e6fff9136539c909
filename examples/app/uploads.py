# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Uploaded pictures: from a file that may be anything to binary pixels."""

import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers import PreTrainedTokenizerBase


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
MAX_MEGAPIXELS = 25
ALLOWED = f"a picture ({', '.join(FORMATS)}) of at most {MAX_MEGAPIXELS} megapixels"
_MNIST_SIZE, _TEXT_SIZE = 28, 30
_WIDE = 1.5  # a picture this many times as wide as high is taken for the upper half alone


def read_picture(path: str, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """A picture of a digit, or of the upper half of one if it is much wider than high.

    Ink may be bright on dark, as in MNIST, or dark on bright: what the rim has most of is the background. MNIST's own
    28×28 images become what the tokenizer makes of them, if its images are 30×30, and those stay as they are.

    Args:
        path (`str`): a file.
        tokenizer (`MnistTextTokenizer`): knows the size, and how 28×28 images are scaled.

    Returns:
        `np.ndarray`: uint8 `[30, 30]` in {0, 1}, the tokenizer's image size; 0 where there is no lower half.

    Raises:
        ValueError: for a file that is no picture, too large a one, which is not decoded, and one that is blank once it
            is black and white.
    """
    if not isinstance(path, str):
        raise ValueError(f"there must be {ALLOWED}, got none")
    grey = _open_picture(path)
    values = grey.getextrema()
    size = tokenizer.image_size
    rim = np.concatenate([np.asarray(grey)[[0, -1]].ravel(), np.asarray(grey)[:, [0, -1]].ravel()])
    if np.median(rim) >= 128:
        grey = ImageOps.invert(grey)
    height = size // 2 if grey.width >= _WIDE * grey.height else size
    if grey.size == (_MNIST_SIZE, _MNIST_SIZE) and size == _TEXT_SIZE and grey.getextrema()[1] > 1:
        texts = tokenizer.encode_images(np.asarray(grey)[None], [0])
        pixels = tokenizer.decode_images(texts)[0]
    else:
        pixels = (np.asarray(grey.resize((size, height), Image.Resampling.BOX)) >= 128).astype(np.uint8)
    if pixels.min() == pixels.max():
        raise ValueError(
            f"the ink must be much darker or brighter than its paper, got grey values from {values[0]} to {values[1]} "
            "of 255, which are blank in black and white"
        )
    return np.pad(pixels, ((0, size - len(pixels)), (0, 0)))


def _open_picture(path: str) -> Image.Image:
    try:
        if not os.path.isfile(path):
            raise ValueError(f"the file must be {ALLOWED}, got one that cannot be read")
        with Image.open(path, formats=FORMATS) as image:
            megapixels = image.width * image.height / 1e6
            if megapixels > MAX_MEGAPIXELS:
                raise ValueError(f"the file must be {ALLOWED}, got one of {megapixels:.0f} megapixels")
            return read_grey(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"the file must be {ALLOWED}, got one that cannot be read") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"the file must be {ALLOWED}, got one of far too many pixels") from error
    except (OSError, EOFError, SyntaxError, TypeError, LookupError, struct.error, zlib.error) as error:
        raise ValueError(f"the file must be {ALLOWED}, got a damaged one ({error})") from error


# `mnist_text_gen.data.images` has the same function; a test compares the two.
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
