# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Numbers and names of classes: the token of class k is always `str(k)`, and its name is in `id2label`."""

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
        config (`PreTrainedConfig`): the configuration of a language model or a classifier.
        tokenizer (`MnistTextTokenizer`, *optional*): checks the names. Pass it for a configuration from elsewhere.

    Returns:
        `tuple[str, ...]`: the names in Unicode's normal form NFC, which has one spelling per name, or `None` if the
        configuration has only Transformers' default names, LABEL_0, LABEL_1, and so on.

    Raises:
        ValueError: if the classes are not numbered from 0 on, or `tokenizer.check_class_names` refuses the names.
    """
    id2label: Mapping[Any, str] = config.id2label or {}
    if id2label == {label: f"LABEL_{label}" for label in range(len(id2label))}:
        return None
    if sorted(id2label) != list(range(len(id2label))):
        raise ValueError(f"`id2label` must number the classes from 0 on without a gap, got {_list(id2label)}")
    names = tuple(_normalize(id2label[label]) for label in range(len(id2label)))
    if tokenizer is not None:
        try:
            tokenizer.check_class_names(names)
        except ValueError as error:
            raise ValueError(f"id2label of a {type(config).__name__}: {error}") from error
    return names


def name_classes(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> tuple[str, ...]:
    """The names of a classifier's classes: those of [`read_class_names`], else the first `num_labels` digits."""
    return read_class_names(config, tokenizer) or DIGITS[: config.num_labels]


def read_classes(
    config: PreTrainedConfig, model_config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, ...]:
    """The names of the classes of a language model and its classifier, which must be the same.

    Args:
        config (`PreTrainedConfig`): the classifier's configuration.
        model_config (`PreTrainedConfig`): the language model's configuration.
        tokenizer (`MnistTextTokenizer`): the language model's tokenizer, which has the size of the images.

    Raises:
        ValueError: if the classifier is for another image size or other classes than the language model, or
            `tokenizer.check_class_names` refuses the names.
    """
    image_size = tokenizer.image_size
    found = (config.num_labels, config.num_channels, config.image_size)
    if found[0] not in range(2, len(DIGITS) + 1) or found[1:] != (1, image_size):
        raise ValueError(
            f"the classifier must have 2 to {len(DIGITS)} labels, 1 channel and an image size of {image_size}, got "
            f"{found[0]!r}, {found[1]!r} and {found[2]!r}"
        )
    class_names = name_classes(config, tokenizer)
    of_model = read_class_names(model_config) or class_names
    if of_model != class_names:
        raise ValueError(
            f"the language model and the classifier must have the same classes, got {', '.join(map(repr, of_model))} "
            f"and {', '.join(map(repr, class_names))}"
        )
    return class_names


def label_maps(class_names: Sequence[str]) -> dict[str, Any]:
    """The arguments `id2label` and `label2id` of a configuration with these classes."""
    return {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: label for label, name in enumerate(class_names)},
    }


def find_class(wanted: str | int, class_names: Sequence[str] = DIGITS) -> int:
    """The number of a class, given its name or number.

    Args:
        wanted (`str` or `int`): the name or the number, which may be a string too: `"Bag"`, `8` or `"8"`.
        class_names (`Sequence[str]`, defaults to the ten digits): the names of all classes.

    Returns:
        `int`: from 0 to `len(class_names) - 1`.

    Raises:
        ValueError: if no class has this name or number, or it is the name of one class and the number of another.
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
    """What a sentence calls one of the classes: "digit" if they are the first of the ten digits, else "class"."""
    return "digit" if tuple(class_names) == DIGITS[: len(class_names)] else "class"


def _normalize(name: Any) -> Any:
    """A name in one spelling, for comparing: the name of a folder from a Mac may have ë as two characters."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _list(values) -> str:
    return ", ".join(map(repr, values))
