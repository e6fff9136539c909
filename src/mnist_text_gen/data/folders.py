# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Finds out what kind of data set a folder is, and which of its files belong to which split."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets.data_files import NON_WORDS_CHARS, SPLIT_KEYWORDS
from transformers.utils import logging

from mnist_text_gen.drawing import show_text
from mnist_text_gen.tokenizer import check_class_names, normalize_class_name

from .idx import IDX_NAMES
from .images import FORMATS, ImageCollector, read_image


logger = logging.get_logger(__name__)

LAYOUTS = (
    "parquet files of one split, or with train and test in their names or folders; the four IDX files of MNIST; "
    f"folders train and test of class folders with images ({', '.join(FORMATS)}); class folders"
)
_USED_SPLITS = ("train", "test")
# Files and folders of operating systems. Names that begin with a dot, and folders that begin with two underscores, are
# skipped too.
_LEFT_BY_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "@eadir", "lost+found")
# Files that contain labels in other layouts, without their endings.
_LABEL_FILES = ("labels", "metadata")
# A split in a name, as `datasets` finds it: a word with separators or ends of the name around it.
_SPLITS = {word: str(split) for split, words in SPLIT_KEYWORDS.items() for word in words}
_WORD = re.compile(
    rf"(?<![^{NON_WORDS_CHARS}])({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?![^{NON_WORDS_CHARS}])"
)
_SHARD = re.compile(r"(?P<name>.+?)-(?P<number>\d{5})-of-(?P<total>\d{5}).*")
_NUM_LISTED = 5


def list_visible(folder: Path) -> list[Path]:
    """The files and folders in a folder, sorted by name, without hidden ones and those of operating systems."""
    return sorted(path for path in folder.iterdir() if not _is_hidden(path))


def _is_hidden(path: Path) -> bool:
    name = path.name.lower()
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS or (name.startswith("__") and path.is_dir())


def list_files(folder: Path, parents: tuple[Path, ...] = ()) -> list[Path]:
    """The visible files in a folder and its visible subfolders, sorted. Links to folders above are not followed."""
    parents, files = (*parents, folder.resolve()), []
    for path in list_visible(folder):
        if not path.is_dir():
            files.append(path)
        elif path.resolve() not in parents:
            files += list_files(path, parents)
    return files


def find_kind(folder: Path) -> tuple[str, list[Path]]:
    """The kind of a folder, `"parquet"`, `"idx"` or `"classes"`, and its files of this kind."""
    kinds: dict[str, list[Path]] = {"parquet": [], "idx": [], "classes": []}
    for path in list_files(folder):
        is_parquet = path.suffix.lower() == ".parquet"
        kinds["parquet" if is_parquet else "idx" if path.name in IDX_NAMES else "classes"].append(path)
    if kinds["parquet"] and kinds["idx"]:
        raise ValueError(f"{folder} must have one kind of file, got {kinds['parquet'][0]} and {kinds['idx'][0]}")
    return next(((kind, files) for kind, files in kinds.items() if files), ("classes", []))


def find_idx_folder(folder: Path, files: Sequence[Path]) -> Path:
    """The folder of the IDX files, which may be a subfolder, as in `MNIST/raw`."""
    folders = sorted({path.parent for path in files})
    if len(folders) > 1:
        raise ValueError(f"{folder} must have IDX files in one folder, got {_list(folders)}; choose one of them")
    return folders[0]


@dataclass(frozen=True)
class _Place:
    """What a path says: the split, the data set (`configuration`), and the name without numbers (`shape`)."""

    path: Path
    split: str | None
    configuration: tuple[str, ...]
    shape: str


def find_splits(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Find the splits of parquet files from their paths, as `datasets.load_dataset` does.

    Args:
        folder (`Path`): the folder of the data set.
        files (`Sequence[Path]`): its parquet files.

    Returns:
        `dict[str, list[Path]]`: `train` and `test`, or a single split of any name, which is `train` by default.

    Raises:
        ValueError: if a file belongs to two splits, files belong to several data sets, a shard is missing, or there
            are several splits but not `train` and `test`.
    """
    shards = [match for path in files if (match := _SHARD.fullmatch(path.stem.lower()))]
    # if so, `train_extra-00000-of-00001` is a split of its own
    is_split = any(match["name"] in _SPLITS for match in shards)
    places = [_locate(path, path.relative_to(folder), is_split) for path in files]
    named = [place for place in places if place.split]
    _warn_of_left_out(folder, [place.path for place in places if named and not place.split])
    by_split = _choose_splits(folder, _group(named or places))
    for split, of_split in by_split.items():
        _check_one_data_set(split, of_split)
    first, *_, last = (of_split[0] for of_split in (*by_split.values(), *by_split.values()))
    if first.configuration != last.configuration:
        raise ValueError(f"{first.path} and {last.path} must be of one data set, got two; choose the folder of one")
    return {split: [place.path for place in of_split] for split, of_split in by_split.items()}


def _group(places: Iterable[_Place]) -> dict[str, list[_Place]]:
    by_split: dict[str, list[_Place]] = {}
    for place in places:
        by_split.setdefault(place.split or "train", []).append(place)
    return by_split


def _choose_splits(folder: Path, by_split: dict[str, list[_Place]]) -> dict[str, list[_Place]]:
    """`train` and `test`, or the only split."""
    if len(by_split) == 1:
        return by_split
    missing = [split for split in _USED_SPLITS if split not in by_split]
    if missing:
        found = {split: str(of_split[0].path.relative_to(folder)) for split, of_split in by_split.items()}
        raise ValueError(f"{folder} must have 'train' and 'test', or one split, got no {missing[0]!r} but {found}")
    others = [place.path for split, of_split in by_split.items() if split not in _USED_SPLITS for place in of_split]
    _warn_of_left_out(folder, others)
    return {split: by_split[split] for split in _USED_SPLITS}


def _locate(path: Path, relative: Path, shards_name_splits: bool = False) -> _Place:
    folders, stem = relative.parent.parts, path.stem.lower()
    shard = _SHARD.fullmatch(stem)
    name = shard["name"] if shard else stem
    by_name = _find_splits_in(name)
    if shard and shards_name_splits and name not in _SPLITS and name.isidentifier():
        by_name = {name: 0}
    by_folder = [(index, _find_splits_in(part.lower())) for index, part in enumerate(folders)]
    by_folder = [(index, found) for index, found in by_folder if found]
    splits = set(by_name).union(*(found for _, found in by_folder))
    if len(splits) > 1:
        raise ValueError(f"{path} must be in one split by its name and folders, got {_list(sorted(splits))}")
    split = next(iter(splits), None)
    if by_folder:
        index, found = by_folder[0]
        word, (start,) = folders[index].lower(), found.values()
        return _Place(path, split, (*folders[:index], word[:start]), _drop_numbers(word))
    prefix = name[: next(iter(by_name.values()), 0)]
    return _Place(path, split, (*folders, prefix), _drop_numbers(name) + "-of-" * bool(shard))


def _find_splits_in(name: str) -> dict[str, int]:
    """The splits in a name, and where each begins."""
    return {_SPLITS[match[1]]: match.start(1) for match in _WORD.finditer(name)}


def _drop_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _check_one_data_set(split: str, places: Sequence[_Place]) -> None:
    shards: dict[tuple[Path, str, str], set[int]] = {}
    for place in places:
        if (place.configuration, place.shape) != (places[0].configuration, places[0].shape):
            raise ValueError(
                f"{places[0].path} and {place.path} must be shards of one data set, because both are of the split "
                f"{split!r}; choose the folder or file of one, or name the files by split, as in train.parquet"
            )
        if shard := _SHARD.fullmatch(place.path.stem):
            shards.setdefault((place.path.parent, shard["name"], shard["total"]), set()).add(int(shard["number"]))
    for (folder, name, total), numbers in shards.items():
        if missing := sorted(set(range(int(total))) - numbers):
            raise ValueError(f"{folder} must have all shards, got no {name}-{missing[0]:05}-of-{total}.parquet")


def _warn_of_left_out(folder: Path, paths: Sequence[Path]) -> None:
    if paths:
        logger.warning(show_text(f"{folder}: {_list(paths)} left out, as neither training nor test images"))


def _list(values: Iterable) -> str:
    values = [str(value) for value in values]
    more = f" and {len(values) - _NUM_LISTED} more" if len(values) > _NUM_LISTED else ""
    return ", ".join(values[:_NUM_LISTED]) + more


def find_class_folders(folder: Path) -> dict[str, Path]:
    """The folders that have class folders, by split: `train` and `test`, one split, or all images as `train`."""
    folders = [path for path in list_visible(folder) if path.is_dir()]
    # a folder without subfolders may be a class, even if its name is that of a split
    splits = [path for path in folders if _name_split(path) and _has_folders(path)]
    if not splits and all(map(_name_split, folders)):
        splits = folders
    if not splits:
        if len(folders) == 1 and _has_folders(folders[0]):
            return find_class_folders(folders[0])
        return {"train": folder}
    check_no_label_file(folder)
    _warn_of_left_out(folder, [path for path in folders if path not in splits])
    by_split = _choose_splits(folder, _group(_Place(path, _name_split(path), (), "") for path in splits))
    for split, of_split in by_split.items():
        if len(of_split) > 1:
            found = _list(place.path for place in of_split)
            raise ValueError(f"{folder} must have one folder for the split {split!r}, got {found}")
    return {split: place.path for split, (place,) in by_split.items()}


def _name_split(folder: Path) -> str | None:
    splits = _find_splits_in(folder.name.lower())
    return next(iter(splits)) if len(splits) == 1 else None


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() for path in list_visible(folder))


def check_no_label_file(folder: Path) -> None:
    for path in list_visible(folder):
        if path.stem.lower() in _LABEL_FILES and not path.is_dir():
            raise ValueError(
                f"{path} must not be beside class folders: labels come from a file or from folders, not from both"
            )


def read_class_folders(folder: Path, skip_broken_images: bool) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read all visible files of all class folders, in the order of their names.

    The builder `imagefolder` of `datasets` does not report a class folder without files, takes `[` and `*` in names of
    files for patterns, and copies all images into a cache.

    Returns:
        Images, uint8 `[N, H, W]`, their labels, int64 `[N]`, and the names of the classes.

    Raises:
        ValueError: if there is no class folder, or one without an image, an image cannot be read (unless
            `skip_broken_images`), or images or names are not allowed.
    """
    # in the order of the normalized names, because on macOS the order of the others may differ
    class_folders = [path for path in list_visible(folder) if path.is_dir()]
    class_folders.sort(key=lambda path: normalize_class_name(path.name))
    names = tuple(normalize_class_name(path.name) for path in class_folders)
    if not names:
        found = _list(path.name for path in list_visible(folder)) or "no visible file"
        raise ValueError(f"{folder} must have one of these layouts: {LAYOUTS}; got no folder of images but {found}")
    try:
        check_class_names(names)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    check_no_label_file(folder)
    images, labels, broken = ImageCollector(), [], []
    for label, class_folder in enumerate(class_folders):
        for file in list_visible(class_folder):
            try:
                image = read_image(file, str(file))
            except ValueError as error:
                if not skip_broken_images:
                    raise
                broken.append(str(error))
                continue
            images.add(image, str(file))
            labels.append(label)
        if labels[-1:] != [label]:
            raise ValueError(f"{class_folder} must have an image that can be read, got none")
    if broken:
        num_files = len(broken) + len(labels)
        logger.warning(show_text(f"{len(broken)} of {num_files} files in {folder} are left out: {'; '.join(broken)}"))
    return images.stack(), np.array(labels, dtype=np.int64), names
