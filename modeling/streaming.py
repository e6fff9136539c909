# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Runs of the pipeline over many classes, which are read in order and drawn several at a time."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from .candidates import BLOCKS_TOGETHER
from .class_names import find_class
from .sampling_arguments import CHOICE, to_python


class DrawnOutputs:
    """Iterates over the outputs of the pipeline's `_forward`, one per class.

    Args:
        pipe (`MnistTextGenerationPipeline`): draws the classes.
        classes (`Iterable[str | int]`): names or numbers.
        num_workers (`int`): processes that read a data set of classes. It changes no result.
        batch_size (`int`, *optional*): how many classes are drawn at the same time.
        arguments (`dict`): all arguments of a call.
    """

    classes: Any  # torch's data sets have a length and indices, but need not be `Iterable`

    def __init__(
        self, pipe: Any, classes: Iterable[str | int], num_workers: int, batch_size: int | None, arguments: dict
    ):
        self.pipe, self.classes, self.num_workers, self.arguments = pipe, classes, num_workers, dict(arguments)
        self.choice = {name: self.arguments.pop(name) for name in CHOICE}
        # an iterable without a length may wait for a result before it yields the next class
        default = BLOCKS_TOGETHER.get(pipe.device.type, 1) if isinstance(classes, Sized) else 1
        # a callback follows one class at a time
        self.batch_size = 1 if arguments["callback"] is not None else batch_size or default

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        items = number_labels(self._read(), self.pipe.class_names)
        while chunk := list(itertools.islice(items, self.batch_size)):
            with self.pipe.device_placement():
                drawn = self.pipe.sample_items(chunk, **self.arguments)
            for item, candidates in zip(chunk, drawn, strict=True):
                yield {**item, "candidates": candidates, "choice": self.choice}

    def _read(self) -> Iterable[str | int]:
        has_places = isinstance(self.classes, Sized) and hasattr(self.classes, "__getitem__")
        if isinstance(self.classes, IterableDataset) or not has_places:
            return self.classes
        if not self.num_workers:
            # torch's data sets may raise no IndexError at their end
            return (self.classes[index] for index in range(len(self.classes)))
        return DataLoader(
            self.classes,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # otherwise the loader would draw from the global one
        )


def number_labels(classes: Iterable[str | int], class_names: Sequence[str]) -> Iterator[dict[str, int]]:
    """Check names or numbers of classes, and count how often each came before."""
    seen: Counter[int] = Counter()
    for wanted in classes:
        label = find_class(to_python(wanted), class_names)
        yield {"label": label, "occurrence": seen[label]}
        seen[label] += 1


def is_iterable(value: Any) -> bool:
    """Whether a `for` loop accepts a value; torch's data sets may have only `__getitem__`."""
    return isinstance(value, Iterable) or hasattr(value, "__getitem__")


def _as_it_is(value: Any) -> Any:
    return value
