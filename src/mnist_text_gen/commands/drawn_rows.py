# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The settings of a drawn data set, and its rows: drawing, drawing again, and selecting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnist_text_gen.modeling import BLOCK_SIZE, DEFAULTS, Candidates, MnistTextGenerationPipeline
from mnist_text_gen.tokenizer import IMAGE_SIZE


# hidden, so that `datasets` does not read its files as part of the data set
HASHES_FOLDER = ".sha256"
NUM_CLASSES = 10
# The noise of an image depends on (seed, stream, index). On a contact sheet the stream is the digit, 0 to 9.
LABEL_STREAM = NUM_CLASSES
TEXT_STREAM = NUM_CLASSES + 1
CANDIDATE_STREAM = NUM_CLASSES + 2
# With a selection, images come in groups of one class: 8 of 64 candidates, as the pipeline returns them.
NUM_CANDIDATES, GROUP_SIZE = DEFAULTS["num_candidates"], DEFAULTS["num_return_sequences"]


@dataclass(frozen=True)
class Settings:
    """Everything that a data set depends on. `generation.json` has it, the last three only if they differ from these
    defaults."""

    weights: Mapping[str, str | None]
    seed: int
    num_images: int
    num_images_per_shard: int
    classes: list[int] | None
    class_shares: list[float] | None
    min_score: float | None
    temperature: float
    classifier_temperature: float
    decoding: str
    num_threads: int
    class_names: list[str] | None = None
    image_size: int = IMAGE_SIZE
    selection: str | None = None

    @property
    def num_shards(self) -> int:
        return -(-self.num_images // self.num_images_per_shard)

    def indices_of(self, shard: int) -> range:
        start = shard * self.num_images_per_shard
        return range(start, min(start + self.num_images_per_shard, self.num_images))

    def path_of(self, shard: int) -> str:
        return f"data/train-{shard:05d}-of-{self.num_shards:05d}.parquet"

    def hash_path_of(self, shard: int) -> str:
        return f"{HASHES_FOLDER}/{Path(self.path_of(shard)).name}"

    def label_of(self, index: int) -> int:
        if self.selection is not None:
            index //= GROUP_SIZE
        if self.class_shares is None:
            assert self.classes is not None
            return self.classes[index % len(self.classes)]
        # random_raw is the only stream that numpy promises never to change; 53 of its bits make a double below 1
        raw = np.random.Philox(np.random.SeedSequence((self.seed, LABEL_STREAM, index))).random_raw()
        cumulated = np.cumsum(self.class_shares)
        return int(np.searchsorted(cumulated / cumulated[-1], (raw >> 11) * 2.0**-53, side="right"))

    def to_dict(self) -> dict[str, Any]:
        defaults = {"class_names": None, "image_size": IMAGE_SIZE, "selection": None}
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def draw_rows(
    pipe: MnistTextGenerationPipeline,
    settings: Settings,
    indices: range,
    max_attempts: int,
    show: Callable[[int], Any] = lambda num_images: None,
) -> list[dict[str, Any]]:
    """Draw images in blocks. An image whose score is too low goes into the next block. For a selection, see
    [`draw_group`].

    Args:
        pipe (`MnistTextGenerationPipeline`): draws and judges.
        settings (`Settings`), indices (`range`): the data set, and which of its images are drawn.
        max_attempts (`int`): how often an image is drawn at most, 1 or more.
        show (`Callable[[int], Any]`, *optional*): called with the number of new images.

    Returns:
        `list[dict]` in order of index, with `label`, `image`, `text`, `score` and `index`.

    Raises:
        ValueError: if an image does not reach `min_score` in `max_attempts`.
    """
    if settings.selection is not None:
        groups = range(indices[0] // GROUP_SIZE, indices[-1] // GROUP_SIZE + 1)
        rows = [row for group in groups for row in draw_group(pipe, settings, group, max_attempts, show)]
        return [row for row in rows if row["index"] in indices]
    waiting = [(index, 0) for index in indices]
    drawn: dict[int, dict[str, Any]] = {}
    while waiting:
        block, waiting = waiting[:BLOCK_SIZE], waiting[BLOCK_SIZE:]
        rejected = []
        for row, attempt in zip(draw_block(pipe, settings, block), (attempt for _, attempt in block), strict=True):
            if settings.min_score is None or row["score"] >= settings.min_score:
                drawn[row["index"]] = row
            elif attempt + 1 < max_attempts:
                rejected.append((row["index"], attempt + 1))
            else:
                raise ValueError(
                    f"`min_score` must be a score that the model reaches, got {settings.min_score}: image "
                    f"{row['index']} of class {pipe.class_names[row['label']]!r} is below it after {max_attempts} "
                    "attempts (`max_attempts`)"
                )
        show(len(block) - len(rejected))
        waiting = rejected + waiting  # still in order of index
    return [drawn[index] for index in indices]


def draw_block(
    pipe: MnistTextGenerationPipeline, settings: Settings, block: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Draw an image for each `(index, attempt)`."""
    labels = [settings.label_of(index) for index, _ in block]
    seed_keys = [(settings.seed, TEXT_STREAM, index, attempt) for index, attempt in block]
    how = (settings.temperature, settings.classifier_temperature, settings.decoding)
    candidates = pipe.sample_texts(labels, seed_keys, *how)
    return build_rows(candidates, range(len(block)), labels, [index for index, _ in block])


def draw_group(
    pipe: MnistTextGenerationPipeline,
    settings: Settings,
    group: int,
    max_attempts: int,
    show: Callable[[int], Any] = lambda num_images: None,
) -> list[dict[str, Any]]:
    """Draw 64 candidates of one class and keep 8, best first. If one of the 8 does not reach `min_score`, draw again.

    `group` is the index of the group of 8; other arguments, rows and errors are those of [`draw_rows`].
    """
    assert settings.selection is not None
    first = group * GROUP_SIZE
    label = settings.label_of(first)
    how = (settings.temperature, settings.classifier_temperature, settings.decoding)
    min_score = DEFAULTS["min_score"] if settings.min_score is None else settings.min_score
    for attempt in range(max_attempts):
        seed_keys = [(settings.seed, CANDIDATE_STREAM, group, attempt, index) for index in range(NUM_CANDIDATES)]
        candidates = pipe.sample_texts([label] * NUM_CANDIDATES, seed_keys, *how)
        kept = candidates.select(label, GROUP_SIZE, settings.selection, min_score)
        if settings.min_score is None or candidates.passed(label, min_score)[kept].all():
            show(GROUP_SIZE)
            return build_rows(candidates, kept.tolist(), [label] * GROUP_SIZE, range(first, first + GROUP_SIZE))
    raise ValueError(
        f"`min_score` must be a score that {GROUP_SIZE} of {NUM_CANDIDATES} candidates of each class reach, got "
        f"{settings.min_score}: images {first} to {first + GROUP_SIZE - 1} of class {pipe.class_names[label]!r} are "
        f"below it after {max_attempts} attempts (`max_attempts`)"
    )


def build_rows(
    candidates: Candidates, places: Sequence[int], labels: Sequence[int], indices: Sequence[int]
) -> list[dict[str, Any]]:
    """The candidates at `places` as the rows `indices` of the data set, with the wanted classes `labels`."""
    return [
        {
            "label": label,
            "image": candidates.images[place],
            "text": candidates.texts[place],
            "score": float(candidates.probabilities[place, label]),
            "index": index,
        }
        for place, label, index in zip(places, labels, indices, strict=True)
    ]
