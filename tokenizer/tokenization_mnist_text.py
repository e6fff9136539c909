# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Text form of an MNIST image, and its tokenizer.

A text has 152 characters: the class digit, 150 pixel symbols, and `)`. Six pixels, row by row and most significant
first, are one symbol. So 900 binary pixels are 150 of the 64 symbols from `:` (all six off) to `y` (all six on). ASCII
codes and ids have no gap: class digits are ASCII 48-57 with ids 0-9, pixel symbols are ASCII 58-121 with ids 10-73,
and `)` has the last id, 74.

`MnistTextTokenizer(image_size=...)` is for images of another size that is divisible by 6. Their texts have
2 + image_size² / 6 characters of the same 75.

This file imports only its sibling, because both are also uploaded to the Hub as remote code of the tokenizer.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers import __version__ as transformers_version
from transformers.utils import extract_commit_hash, logging

from .binary_images import (
    IMAGE_SIZE,
    PIXELS_PER_SYMBOL,
    binarize_images,
    check_image_size,
    pack_pixels,
    read_pixels,
    unpack_pixels,
)


logger = logging.get_logger(__name__)

NUM_PIXEL_SYMBOLS = IMAGE_SIZE * IMAGE_SIZE // PIXELS_PER_SYMBOL  # 150
TEXT_LENGTH = 1 + NUM_PIXEL_SYMBOLS + 1  # 152: class digit, pixels, end
FIRST_PIXEL_ASCII = 58
LAST_PIXEL_ASCII = FIRST_PIXEL_ASCII + 2**PIXELS_PER_SYMBOL - 1  # 121
CLASS_SYMBOLS = "0123456789"
DIGITS = tuple(CLASS_SYMBOLS)
PIXEL_SYMBOLS = "".join(map(chr, range(FIRST_PIXEL_ASCII, LAST_PIXEL_ASCII + 1)))
END_SYMBOL = ")"
VOCAB = {symbol: index for index, symbol in enumerate(CLASS_SYMBOLS + PIXEL_SYMBOLS + END_SYMBOL)}

_ILLEGAL_SYMBOL = re.compile(r"[^0-y)]")  # ASCII 48-121 has no gap
_PIXEL_RUN = re.compile(r"[:-y]*")


def get_text_length(image_size: int) -> int:
    """The number of characters of a text: the class digit, the pixel symbols, and the end token."""
    return 1 + image_size * image_size // PIXELS_PER_SYMBOL + 1


def normalize_class_name(name: str) -> str:
    """A name in Unicode's normal form NFC, which makes composed names (Linux) and decomposed ones (macOS) equal."""
    return unicodedata.normalize("NFC", name)


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of the classes 0, 1, and so on, and return them in Unicode's normal form NFC.

    Args:
        class_names (`Sequence[str]`, 2 to 10): different names of printable characters.

    Raises:
        ValueError: if there are fewer than 2 or more than 10 names, or one is blank, not printable, or there twice.
    """
    names = tuple(normalize_class_name(name) if isinstance(name, str) else name for name in class_names)
    if isinstance(class_names, str) or not 2 <= len(names) <= len(CLASS_SYMBOLS):
        listed = ", ".join(map(repr, names))
        found = repr(class_names) if isinstance(class_names, str) else f"{len(names)}: {listed}"
        raise ValueError(
            f"`class_names` must be 2 to {len(CLASS_SYMBOLS)} names, because each needs a class symbol, got {found}"
        )
    for label, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"the name of class {label} must be text on one line, got {name!r}")
        if name in names[:label]:
            raise ValueError(f"class names must differ, got {name!r} for classes {names.index(name)} and {label}")
    return names


def check_text(text: str, partial: bool = False, name: str = "text", image_size: int = IMAGE_SIZE) -> None:
    """Raise a `ValueError` with the first character that breaks the text form and its position, if there is one.

    Args:
        text (`str`): the text to check.
        partial (`bool`, defaults to `False`):
            Also allow a text that stops anywhere after its class digit, with or without `)`.
        name (`str`, defaults to `"text"`): what the error calls the text.
        image_size (`int`, defaults to 30): height and width of the image.
    """
    text_length = get_text_length(image_size)
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a str, got {text!r}")
    if text[:1] not in tuple(CLASS_SYMBOLS):
        raise ValueError(f"{name} must have a class digit, '0' to '9', at position 0, got {text[:1]!r}")
    run = _PIXEL_RUN.match(text, 1, text_length - 1)
    assert run is not None  # it may be empty
    position = run.end()
    if position == text_length - 1:
        allowed = f"the end token {END_SYMBOL!r}"
        ends = text[position:] == END_SYMBOL or (partial and position == len(text))
        position += text[position : position + 1] == END_SYMBOL  # what comes after `)` is the error, not `)`
    else:
        allowed = f"one of the 64 pixel symbols {PIXEL_SYMBOLS[0]!r} to {PIXEL_SYMBOLS[-1]!r}"
        ends = partial and text[position:] in ("", END_SYMBOL)
    if ends:
        return
    if position < len(text):
        allowed = "nothing" if position == text_length else allowed
        raise ValueError(f"{name} must have {allowed} at position {position}, got {text[position]!r}")
    raise ValueError(f"{name} stops at position {position} of {text_length}, where it must have {allowed}")


class MnistTextTokenizer(PreTrainedTokenizerFast):
    """Tokenizer of the text form of MNIST images: one token per character, 75 ids.

    `encode_images` and `decode_images` convert between images and texts, the usual methods between texts and ids. No
    special token is added. `)` ends a text and is also the pad token; only prompts of different length need padding.

    Train with `default_data_collator` and `labels` equal to `input_ids`, as in the data of [`load_corpus`]. The stock
    `DataCollatorForLanguageModeling` masks the pad token in the labels, so its models never learn to end a text. There
    is no separate pad token because the vocabulary has 75 tokens, each with another use.

    Args:
        image_size (`int`, defaults to 30):
            Height and width of an image: 6, 12, 18, 24, 30, 36, 42 or 48. It is saved in `tokenizer_config.json`.
        kwargs: arguments of `PreTrainedTokenizerFast`. The vocabulary cannot be changed.

    Attributes:
        num_pixel_symbols (`int`): the number of pixel symbols of a text, image_size² / 6: 150.
        model_max_length (`int`): the length of a text, 2 + image_size² / 6: 152.
        commit_hash (`str` or `None`): the commit on the Hub that the tokenizer was loaded from, if any.

    Raises:
        ValueError: if the image size is not allowed, a `vocab` (or saved `tokenizer.json`) is not the text form's, or
            `model_max_length` is not the length of a text.

    Examples:

    ```python
    >>> import numpy as np
    >>> from mnist_text_gen import MnistTextTokenizer

    >>> tokenizer = MnistTextTokenizer()
    >>> image = np.zeros((1, 30, 30), dtype=np.uint8)
    >>> image[0, 0, :6] = [0, 0, 0, 0, 1, 1]
    >>> text = tokenizer.encode_images(image, labels=[7])[0]
    >>> text[:5], text[-1], len(text)
    ('7=:::', ')', 152)
    >>> tokenizer(text)["input_ids"][:3]
    [7, 13, 10]
    >>> bool((tokenizer.decode_images([text]) == image).all())
    True
    ```
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]
    # for decoding: as remote code, modeling/ cannot import this module's constants
    class_ids = range(len(CLASS_SYMBOLS))
    pixel_ids = range(len(CLASS_SYMBOLS), len(CLASS_SYMBOLS) + len(PIXEL_SYMBOLS))
    check_class_names = staticmethod(check_class_names)

    def __init__(self, image_size: int = IMAGE_SIZE, **kwargs):
        check_image_size(image_size)
        self.image_size = int(image_size)
        self.num_pixel_symbols = self.image_size**2 // PIXELS_PER_SYMBOL
        text_length = get_text_length(self.image_size)
        vocab = kwargs.pop("vocab", None)
        if vocab is None and kwargs.get("tokenizer_file") is not None:
            vocab = Tokenizer.from_file(str(kwargs["tokenizer_file"])).get_vocab()
        if vocab is not None and dict(vocab) != VOCAB:
            raise ValueError(
                f"the vocabulary of a {type(self).__name__} must be its {len(VOCAB)} symbols, ASCII 48 to 121 and "
                f"')', got one of {len(vocab)} symbols"
            )
        self.commit_hash = kwargs.pop("commit_hash", None)
        for name in ("tokenizer_file", "tokenizer_object", "merges"):
            kwargs.pop(name, None)
        if kwargs.get("model_max_length", text_length) != text_length:
            raise ValueError(
                f"`model_max_length` must be {text_length}, the length of a text for an image size of {image_size}, "
                f"got {kwargs['model_max_length']}"
            )
        kwargs = {
            "eos_token": END_SYMBOL,
            "pad_token": END_SYMBOL,
            "model_max_length": text_length,
            "padding_side": "left",
            "clean_up_tokenization_spaces": False,
        } | kwargs
        super().__init__(tokenizer_object=_build_backend(), image_size=self.image_size, **kwargs)
        # tokenizer_config.json must not say how the tokenizer was loaded here
        for name in ("is_local", "local_files_only"):
            self.init_kwargs.pop(name, None)

    @classmethod
    def convert_to_native_format(cls, **kwargs):  # type: ignore[override]  # passes on all arguments
        # A pipeline does not know the revision that it is loaded with. The cache has the commit in its paths, and this
        # is the last method that gets a path.
        commit_hash = extract_commit_hash(kwargs.get("tokenizer_file"), None)
        return {**super().convert_to_native_format(**kwargs), "commit_hash": commit_hash}

    def encode_images(self, images, labels: Sequence[int] | np.ndarray | torch.Tensor) -> list[str]:
        """Convert images to texts.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[N, 28, 28]` or `[N, 30, 30]`, or one or a list of PIL images):
                28×28 as integers in [0, 255] or floats in [0, 1]; 30×30 in {0, 1} or {0, 255}. With another image
                size, only `[N, image_size, image_size]` in {0, 1} or {0, 255}.
            labels (`Sequence[int]`, `np.ndarray` or `torch.Tensor`, length N): the class of each image, 0 to 9.

        Returns:
            `list[str]`: N texts of `model_max_length` characters.

        Raises:
            ValueError: if `images` have a wrong shape or value, a label is out of range, or there are not N labels.
        """
        binary = binarize_images(images, self.image_size)
        classes = _check_labels(labels, len(binary))
        text_length = self.model_max_length
        codes = np.empty((len(binary), text_length), dtype=np.uint8)
        codes[:, 0] = classes + ord("0")
        codes[:, 1:-1] = pack_pixels(binary) + FIRST_PIXEL_ASCII
        codes[:, -1] = ord(END_SYMBOL)
        characters = codes.tobytes().decode("ascii")
        return [characters[start : start + text_length] for start in range(0, len(characters), text_length)]

    read_pixels = staticmethod(read_pixels)

    def decode_images(self, texts: Sequence[str], partial: bool = False) -> np.ndarray:
        """Convert texts to images.

        Args:
            texts (`Sequence[str]`, length N): texts of `model_max_length` characters.
            partial (`bool`, defaults to `False`):
                Also accept texts that stop after their class digit or any pixel symbol, with or without `)`. Missing
                pixels are 0.

        Returns:
            `np.ndarray`: uint8 `[N, image_size, image_size]`, values {0, 1}.

        Raises:
            ValueError: if a text is not valid; the error has the text's index, the character and its position.
        """
        if isinstance(texts, str):
            raise ValueError("`texts` must be a list of str, got one str")
        for index, text in enumerate(texts):
            check_text(text, partial, f"text {index}", self.image_size)
        blank = PIXEL_SYMBOLS[0]
        num_symbols = self.num_pixel_symbols
        pixels = "".join(text[1:].rstrip(END_SYMBOL).ljust(num_symbols, blank) for text in texts)
        codes = np.frombuffer(pixels.encode("ascii"), dtype=np.uint8).reshape(len(texts), num_symbols)
        return unpack_pixels(codes - FIRST_PIXEL_ASCII)

    def add_tokens(self, new_tokens, special_tokens: bool = False) -> int:
        """As in `PreTrainedTokenizerFast`, but a `ValueError` for any token that is not one of the 75."""
        for token in new_tokens if isinstance(new_tokens, list | tuple) else [new_tokens]:
            _check_token(token)
        return super().add_tokens(new_tokens, special_tokens=special_tokens)

    def add_special_tokens(self, special_tokens_dict: dict, *args, **kwargs) -> int:
        """As in `PreTrainedTokenizerFast`, but a `ValueError` for any token that is not one of the 75."""
        for value in special_tokens_dict.values():
            for token in value if isinstance(value, list | tuple) else [value]:
                _check_token(token)
        return super().add_special_tokens(special_tokens_dict, *args, **kwargs)

    def convert_tokens_to_ids(self, tokens):
        """As in `PreTrainedTokenizerFast`, but an unknown token is a `ValueError` instead of `None`."""
        for position, token in enumerate([tokens] if isinstance(tokens, str) else tokens or []):
            if token not in VOCAB:
                raise ValueError(f"token {token!r} at position {position} is not one of the 75: '0' to 'y', and ')'")
        return super().convert_tokens_to_ids(tokens)

    def _encode_plus(self, text, text_pair=None, **kwargs):  # type: ignore[override]  # passes on all arguments
        # the backend's own error has neither the unknown character nor its position
        for value in (text, text_pair):
            texts = [value] if isinstance(value, str) else value or []
            for index, item in enumerate(texts):
                for part in [item] if isinstance(item, str) else item:
                    _check_symbols(part, f"text {index}" if len(texts) > 1 else "text")
        encoded = super()._encode_plus(text, text_pair, **kwargs)
        _check_not_truncated(encoded)
        return encoded


def _check_transformers() -> None:
    """Warn if Transformers does not have the private method that is overridden here, and so never calls it."""
    if not hasattr(PreTrainedTokenizerFast, "_encode_plus"):
        logger.warning(
            f"transformers {transformers_version} has no PreTrainedTokenizerFast._encode_plus, so `truncation=True` "
            "may cut a text without an error"
        )


_check_transformers()


def _build_backend() -> Tokenizer:
    # WordLevel without an unknown token fails on an unknown character; BPE without merges would drop it
    backend = Tokenizer(models.WordLevel(VOCAB))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return backend


def _check_token(token) -> None:
    if str(token) not in VOCAB:
        raise ValueError(f"a token must be one of the 75 of the text form, '0' to 'y' and ')', got {str(token)!r}")


def _check_symbols(text: str, name: str) -> None:
    illegal = _ILLEGAL_SYMBOL.search(text)
    if illegal:
        raise ValueError(
            f"{name} must have only the symbols '0' to 'y' and ')', got {illegal[0]!r} at position {illegal.start()}"
        )


def _check_not_truncated(encoded) -> None:
    for index, encoding in enumerate(encoded.encodings or []):
        if encoding.overflowing:
            dropped = sum(len(piece) for piece in encoding.overflowing)
            raise ValueError(
                f"`truncation` must be off, because a text cannot be cut, got {len(encoding)} tokens of text {index} "
                f"and {dropped} that would be dropped"
            )


def _check_labels(labels: Sequence[int] | np.ndarray | torch.Tensor, num_images: int) -> np.ndarray:
    classes = np.asarray(labels.cpu() if isinstance(labels, torch.Tensor) else labels)
    if classes.shape != (num_images,):
        raise ValueError(f"`labels` must have shape [{num_images}], one per image, got {list(classes.shape)}")
    if num_images and classes.dtype.kind not in "ui":
        raise ValueError(f"`labels` must be integers from 0 to 9, got {classes.dtype}")
    wrong = np.flatnonzero((classes < 0) | (classes > 9))
    if len(wrong):
        raise ValueError(f"label {wrong[0]} must be from 0 to 9, got {classes[wrong[0]]}")
    return classes.astype(np.uint8)


MnistTextTokenizer.register_for_auto_class("AutoTokenizer")
