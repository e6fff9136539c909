"""Image ↔ text ↔ ids: the one place that knows the text form."""

from .binary_images import IMAGE_SIZE, IMAGE_SIZES, binarize_images, check_image_size, scale_images
from .tokenization_mnist_text import (
    CLASS_SYMBOLS,
    DIGITS,
    END_SYMBOL,
    NUM_PIXEL_SYMBOLS,
    PIXEL_SYMBOLS,
    TEXT_LENGTH,
    VOCAB,
    MnistTextTokenizer,
    check_class_names,
    check_text,
    get_text_length,
    normalize_class_name,
)


__all__ = [
    "CLASS_SYMBOLS",
    "DIGITS",
    "END_SYMBOL",
    "IMAGE_SIZE",
    "IMAGE_SIZES",
    "NUM_PIXEL_SYMBOLS",
    "PIXEL_SYMBOLS",
    "TEXT_LENGTH",
    "VOCAB",
    "MnistTextTokenizer",
    "binarize_images",
    "check_class_names",
    "check_image_size",
    "check_text",
    "get_text_length",
    "normalize_class_name",
    "scale_images",
]
