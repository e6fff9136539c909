# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The arguments of the pipeline's calls: defaults and checks."""

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, get_args

import torch

from .class_names import find_class
from .selection import SELECTIONS


Decoding = Literal["exact", "bf16", "generate"]
DECODINGS = get_args(Decoding)
DEFAULTS: dict[str, Any] = {
    "num_candidates": 64,
    "num_return_sequences": 8,
    "selection": "best",
    "min_score": 0.999,
    "temperature": 0.8,
    "classifier_temperature": 0.8,
    "seed": None,
    "decoding": "exact",
    "callback": None,
}
# the arguments that choose among candidates; the others say how candidates are drawn
CHOICE = ("num_return_sequences", "selection", "min_score")
# further arguments, of a `transformers.Pipeline`
LOADING = ("batch_size", "num_workers")


def check_sampling_arguments(fill: bool = True, **arguments) -> dict[str, Any]:
    """Check the arguments of a call.

    Args:
        fill (`bool`, defaults to `True`): also add the defaults of missing arguments, and check all of them together.
        arguments: arguments of the pipeline's `__call__`.

    Returns:
        `dict[str, Any]`: the arguments.

    Raises:
        ValueError: if an argument does not exist, a count is below 1, a temperature is not finite or not above 0, the
            seed is outside 0 to 2**64 - 1, `min_score` is outside [0, 1], `decoding`, `selection` or `callback` is not
            allowed, or `num_return_sequences` is above `num_candidates`.
    """
    for name, value in arguments.items():
        if name not in DEFAULTS:
            allowed = ", ".join((*DEFAULTS, *LOADING))
            raise ValueError(f"an argument must be one of {allowed}, got {name!r}")
        elif name == "seed":
            _check_seed(value)
        elif "temperature" in name:
            _check_temperature(value, name)
        elif name == "decoding":
            _check_decoding(value)
        elif name == "callback":
            _check_callback(value)
        elif name == "selection":
            _check_selection(value)
        elif name == "min_score":
            _check_min_score(value)
        else:
            _check_count(value, name)
    if not fill:
        return arguments
    arguments = DEFAULTS | arguments
    candidates, returned = arguments["num_candidates"], arguments["num_return_sequences"]
    if returned > candidates:
        raise ValueError(f"`num_return_sequences` must be from 1 to `num_candidates`, {candidates}, got {returned}")
    return arguments


def check_completion_arguments(
    seed: int | None,
    temperature: float,
    num_return_sequences: int,
    num_particles: int,
    callback: Callable | None,
) -> None:
    """Check the arguments of `complete`; see [`check_sampling_arguments`]."""
    _check_seed(seed)
    _check_temperature(temperature, "temperature")
    _check_count(num_return_sequences, "num_return_sequences")
    _check_count(num_particles, "num_particles")
    _check_callback(callback)
    if num_return_sequences > num_particles:
        raise ValueError(
            f"`num_return_sequences` must be from 1 to `num_particles`, {num_particles}, got {num_return_sequences}"
        )


def check_loading_arguments(batch_size: int | None, num_workers: int | None) -> None:
    """Check further arguments, of a [`~transformers.Pipeline`]; `None` means that one is not given."""
    if batch_size is not None:
        _check_count(batch_size, "batch_size")
    if num_workers is not None and num_workers != 0:
        _check_count(num_workers, "num_workers", "0 or more")


def to_python(labels: Any) -> Any:
    """Arrays, tensors and their scalars as Python numbers, in lists; other values are returned as they are."""
    return labels.tolist() if hasattr(labels, "tolist") else labels


def check_labels(labels: str | int | Sequence[str | int], num_images: int, class_names: Sequence[str]) -> list[int]:
    """The numbers of the classes of `num_images` images, from names or numbers; a single class is for one image."""
    wanted = to_python(labels)
    wanted = wanted if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    numbers = [find_class(to_python(name_or_number), class_names) for name_or_number in wanted]
    if len(numbers) != num_images:
        raise ValueError(f"there must be one label per image ({num_images}), got {len(numbers)}")
    return numbers


def draw_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**63 - 1, ()))


def _check_decoding(value: str) -> None:
    if value not in DECODINGS:
        raise ValueError(f"`decoding` must be one of {', '.join(DECODINGS)}, got {value!r}")


def _check_selection(value: str) -> None:
    if value not in SELECTIONS:
        raise ValueError(f"`selection` must be one of {', '.join(SELECTIONS)}, got {value!r}")


def _check_min_score(value: float) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"`min_score` must be a number from 0 to 1, got {value!r}")


def _check_callback(value: Callable | None) -> None:
    if value is not None and not callable(value):
        raise ValueError(f"`callback` must be a function, or None, got {value!r}")


def _check_count(value: int, name: str, allowed: str = "1 or more") -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be an integer of {allowed}, got {value!r}")


def _check_temperature(value: float, name: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be a finite number above 0, got {value!r}")


def _check_seed(value: int | None) -> None:
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= value < 2**64):
        raise ValueError(f"`seed` must be an integer from 0 to 2**64 - 1, or None, got {value!r}")
