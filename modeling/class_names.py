# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Classes and what people call them: class k has the token `str(k)` always, and its name in `id2label`."""

import unicodedata
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase


DIGITS = tuple("0123456789")


def read_class_names(
    config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase | None = None
) -> tuple[str, ...] | None:
    """The names in the `id2label` of a configuration.

    Args:
        config (`PreTrainedConfig`): of a language model or a classifier.
        tokenizer (`MnistTextTokenizer`, *optional*): where the configuration comes from elsewhere, checks the names.

    Returns:
        `tuple[str, ...]`, in the normal form NFC, in which a name has one spelling, so that equal ones are equal; or
        `None` where it has only Transformers' own, LABEL_0, LABEL_1, and so on.

    Raises:
        ValueError: for classes that are not numbered from 0 on, and for what `tokenizer.check_class_names` refuses.
    """
    id2label: Mapping[Any, str] = config.id2label or {}
    if id2label == {label: f"LABEL_{label}" for label in range(len(id2label))}:
        return None
    if sorted(id2label) != list(range(len(id2label))):
        raise ValueError(f"`id2label` must have numbers from 0 on, without a gap, got {_list(id2label)}")
    names = tuple(_normalize(id2label[label]) for label in range(len(id2label)))
    if tokenizer is not None:
        try:
            tokenizer.check_class_names(names)
        except ValueError as error:
            raise ValueError(f"id2label of a {type(config).__name__}: {error}") from error
    return names


def name_classes(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> tuple[str, ...]:
    """The names of the classes of a classifier: those of [`read_class_names`], else as many of the digits."""
    return read_class_names(config, tokenizer) or DIGITS[: config.num_labels]


def read_classes(
    config: PreTrainedConfig, model_config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, ...]:
    """The names of the classes that a language model and its classifier have in common.

    Args:
        config (`PreTrainedConfig`): the classifier's.
        model_config (`PreTrainedConfig`): the language model's.
        tokenizer (`MnistTextTokenizer`): the language model's, with the size of the images that it writes.

    Raises:
        ValueError: for a classifier of images of another size, or of other classes than the language model names, and
            for what `tokenizer.check_class_names` refuses.
    """
    image_size = tokenizer.image_size
    found = (config.num_labels, config.num_channels, config.image_size)
    if found[0] not in range(2, len(DIGITS) + 1) or found[1:] != (1, image_size):
        raise ValueError(
            f"the classifier must have 2 to {len(DIGITS)} labels, 1 channel and images of {image_size} pixels, got "
            f"{found[0]!r}, {found[1]!r} and {found[2]!r}"
        )
    class_names = name_classes(config, tokenizer)
    of_model = read_class_names(model_config) or class_names
    if of_model != class_names:
        raise ValueError(
            f"language model and classifier must have the same classes, got {', '.join(map(repr, of_model))} and "
            f"{', '.join(map(repr, class_names))}"
        )
    return class_names


def label_maps(class_names: Sequence[str]) -> dict[str, Any]:
    """`id2label` and `label2id`, as a configuration takes them."""
    return {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: label for label, name in enumerate(class_names)},
    }


def find_class(wanted: str | int, class_names: Sequence[str] = DIGITS) -> int:
    """The number of the class that somebody names.

    Args:
        wanted (`str` or `int`): its name, or its number, which may be a string too: `"Bag"`, `8` or `"8"`.
        class_names (`Sequence[str]`, defaults to the ten digits): the names of all classes.

    Raises:
        ValueError: for what is neither, and for the name of one class that is the number of another.
    """
    if isinstance(wanted, Integral) and not isinstance(wanted, bool) and 0 <= wanted < len(class_names):
        return int(wanted)
    if isinstance(wanted, str):
        wanted, class_names = _normalize(wanted), tuple(map(_normalize, class_names))
        numbers = DIGITS[: len(class_names)]
        found = {places.index(wanted) for places in (class_names, numbers) if wanted in places}
        if len(found) == 1:
            return found.pop()
        if found:
            named, numbered = class_names.index(wanted), numbers.index(wanted)
            raise ValueError(
                f"class must be an integer from 0 to {len(class_names) - 1} or one of the names {_list(class_names)}, "
                f"got {wanted!r}, the name of class {named} and the number of class {numbered}, "
                f"{class_names[numbered]!r}"
            )
    last = len(class_names) - 1
    if class_word(class_names) == "digit":
        raise ValueError(f"digit must be '0' to '{last}' or 0 to {last}, got {wanted!r}")
    raise ValueError(f"class must be 0 to {last} or one of the names {_list(class_names)}, got {wanted!r}")


def class_word(class_names: Sequence[str]) -> str:
    """What one of the classes is called in a sentence: "digit", where they are the first of the digits, or "class"."""
    return "digit" if tuple(class_names) == DIGITS[: len(class_names)] else "class"


def _normalize(name: Any) -> Any:
    """A name in the one spelling that is compared: a folder from a Mac has ë as two characters."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _list(values) -> str:
    return ", ".join(map(repr, values))
