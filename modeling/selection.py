# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Selection among judged candidates: the best ones, or good ones that differ most from each other."""

from typing import Literal, get_args

import numpy as np


Selection = Literal["best", "diverse"]
SELECTIONS = get_args(Selection)


def select_best(scores: np.ndarray, number: int | None = None) -> np.ndarray:
    """Indices of the highest scores, highest first. Equal scores keep their order.

    Args:
        scores (`np.ndarray`, float `[N]`): one score per candidate.
        number (`int`, *optional*): how many are selected; all by default.

    Returns:
        `np.ndarray`: int64 `[number]`.
    """
    return np.argsort(-scores, kind="stable")[:number]


def select_diverse(scores: np.ndarray, images: np.ndarray, passed: np.ndarray, number: int) -> np.ndarray:
    """Indices of candidates that differ most: the best one, then always the one farthest from those selected so far.

    This is the farthest-point heuristic of Gonzalez (1985, Theoretical Computer Science 38, pages 293 to 306). Its
    smallest distance between two selected candidates is at least half of the largest that any selection could have.
    The distance is the number of pixels that differ. Of equally far candidates, it takes the one with a higher score.

    Args:
        scores (`np.ndarray`, float `[N]`): one score per candidate.
        images (`np.ndarray`, uint8 `[N, S, S]` in {0, 1}): the candidates.
        passed (`np.ndarray`, bool `[N]`): which candidates may be selected. If there are too few, the others with the
            highest scores fill the remaining places.
        number (`int`): how many are selected, 1 to N.

    Returns:
        `np.ndarray`: int64 `[number]`; those that passed, best first, then the others, best first.
    """
    order = select_best(scores)
    good, others = order[passed[order]], order[~passed[order]]
    if len(good) > number:
        pixels = images[good].reshape(len(good), -1).astype(np.float32)  # [G, S * S]
        selected = [0]
        nearest = _count_differences(pixels, pixels[0])  # [G], to the nearest selected one
        while len(selected) < number:
            nearest[selected] = -1  # never select twice, even if only copies of selected images are left
            selected.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, _count_differences(pixels, pixels[selected[-1]]))
        good = good[np.sort(selected)]
    return np.concatenate([good, others])[:number]


def _count_differences(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """How many pixels of each image `[G, P]` differ from one image `[P]`, float32 `[G]`."""
    return np.abs(images - image).sum(axis=1)
