# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Uploaded pictures: from a file that may be anything to binary pixels."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers import PreTrainedTokenizerBase


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
MAX_MEGAPIXELS = 25
ALLOWED = f"a picture ({', '.join(FORMATS)}) of at most {MAX_MEGAPIXELS} megapixels"
_MNIST_SIZE, _TEXT_SIZE = 28, 30
_WIDE = 1.5  # so many times as wide as high, it is taken for the upper half alone


def read_upper_half(path: str, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The upper half of a picture of a digit, or all of a picture that is much wider than high.

    Ink may be bright on dark, as in MNIST, or dark on bright: what the rim has most of is the background. MNIST's own
    28×28 images become what the tokenizer makes of them, if its images are 30×30, and those stay as they are.

    Args:
        path (`str`): a file.
        tokenizer (`MnistTextTokenizer`): knows the size, and how 28×28 images are scaled.

    Returns:
        `np.ndarray`: uint8 `[15, 30]`, half of the tokenizer's image size and all of it, in {0, 1}.

    Raises:
        ValueError: for a file that is no picture, or too large a one, which is not decoded.
    """
    if not isinstance(path, str):
        raise ValueError(f"there is no picture; allowed is {ALLOWED}")
    grey = _read_grey(path)
    size = tokenizer.image_size
    num_rows = size // 2
    rim = np.concatenate([np.asarray(grey)[[0, -1]].ravel(), np.asarray(grey)[:, [0, -1]].ravel()])
    if np.median(rim) >= 128:
        grey = ImageOps.invert(grey)
    if grey.size == (_MNIST_SIZE, _MNIST_SIZE) and size == _TEXT_SIZE:
        texts = tokenizer.encode_images(np.asarray(grey)[None], [0])
        return tokenizer.decode_images(texts)[0, :num_rows]
    height = num_rows if grey.width >= _WIDE * grey.height else size
    pixels = np.asarray(grey.resize((size, height), Image.Resampling.BOX))
    return (pixels[:num_rows] >= 128).astype(np.uint8)


def _read_grey(path: str) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            megapixels = image.width * image.height / 1e6
            if megapixels > MAX_MEGAPIXELS:
                raise ValueError(f"the picture has {megapixels:.0f} megapixels; allowed is {ALLOWED}")
            # what is transparent is paper
            image = ImageOps.exif_transpose(image).convert("RGBA")
            paper = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(paper, image).convert("L")
    except UnidentifiedImageError as error:
        raise ValueError(f"the file is not a picture that can be read; allowed is {ALLOWED}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"the picture has far too many pixels; allowed is {ALLOWED}") from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the picture is damaged ({error}); allowed is {ALLOWED}") from error
