# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Data sets for training: texts for the language model, binary images for the classifier."""

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import datasets
import numpy as np
import pyarrow as pa
import torch

from mnist_text_gen.tokenizer import IMAGE_SIZE, MnistTextTokenizer

from .augmentation import augment_images
from .binarization import Binarization, binarize, check_binarization, check_border, check_ink
from .sources import HUB_SOURCE, LabelledImages, load_images


Layout = Literal["aligned", "sliding"]
LAYOUTS = get_args(Layout)
# Larger than any epoch, so that test images are drawn with keys that no training image has.
_TEST_EPOCH = 2**32 - 1
_MAX_OTSU = 2000  # images per split that are checked for being blank


def load_corpus(
    source: str | Mapping[str, LabelledImages] = HUB_SOURCE,
    tokenizer: MnistTextTokenizer | None = None,
    num_train_samples: int | None = 10_000,
    num_eval_samples: int | None = None,
    layout: Layout = "aligned",
    augmentation: float = 0.0,
    seed: int = 0,
    binarization: Binarization = "rounded",
    threshold: float | None = None,
    invert: bool = False,
) -> datasets.DatasetDict:
    """Turn a source of small images into rows of text for the language model.

    Args:
        source (`str` or `Mapping[str, LabelledImages]`, defaults to `"ylecun/mnist"`):
            The source, see [`load_images`], or the result of that function.
        tokenizer (`MnistTextTokenizer`, *optional*): a new one by default. Its `image_size` is that of the texts.
        num_train_samples (`int` or `None`, defaults to 10,000): the first training images; `None` takes all.
        num_eval_samples (`int` or `None`, *optional*): the first test images; `None` takes all.
        layout (`"aligned"` or `"sliding"`, defaults to `"aligned"`):
            With `"aligned"`, a row is one text, so that a pixel is always at the same position. With `"sliding"`, a
            row is one of all windows of 152 tokens over the concatenated texts. Windows are cut when they are read, so
            memory holds 10,000 texts, not 1,519,849 windows. The test split is always aligned.
        augmentation (`float`, defaults to 0.0):
            Strength of the distortions of the training images, 0 or more; only in the aligned layout (see
            [`augment_images`]). They are drawn when a row is read, and depend only on `seed`, the epoch (see
            [`set_epoch`]) and the row number.
        seed (`int`, defaults to 0): seed of the distortions, and of sampled training images.
        binarization (`"rounded"`, `"threshold"`, `"otsu"` or `"sampled"`, defaults to `"rounded"`):
            How images become binary, see [`binarize`]; the specification has `"rounded"`. `"sampled"` works only in
            the aligned layout. It draws training images anew in each epoch, and test images once, for any seed.
        threshold (`float`, *optional*): for the binarization `"threshold"`, in (0, 1).
        invert (`bool`, defaults to `False`): exchange bright and dark, for images of dark ink on bright paper.

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns `text` (`str`, 152 characters, or as many as the
        tokenizer's `image_size` gives), `input_ids`, `attention_mask` and `labels` (int64, one per character; `labels`
        equal `input_ids`, with `)`, because the model shifts them itself), and `label` (`int`, the class; for a
        window, that of the text in which it begins).

    Raises:
        ValueError: if an argument is not allowed, there are fewer images than asked for, the layout is sliding with
            distorted or sampled images, a border cannot bring sampled images to the size of the texts, or
            [`load_images`] or [`check_ink`] raises one.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be 'aligned' or 'sliding', got {layout!r}")
    tokenizer = tokenizer or MnistTextTokenizer()
    _check_augmentation(augmentation, layout)
    if binarization == "sampled" and layout != "aligned":
        raise ValueError(f"`binarization` must not be 'sampled' in the {layout} layout")
    options = {"image_size": tokenizer.image_size, "binarization": binarization, "threshold": threshold}
    images = _load_binary_images(source, num_train_samples, num_eval_samples, options, augmentation, seed, invert)
    train, test = images["train"], images["test"]
    if layout == "sliding":
        rows = _lazy_rows(_SlidingWindows(train.read_all(), tokenizer))
    elif train.changes:
        rows = _lazy_rows(_TrainingTexts(train, tokenizer))
    else:
        rows = _aligned_rows(train.read_all(), tokenizer)
    return datasets.DatasetDict(train=rows, test=_aligned_rows(test.read_all(), tokenizer))


def load_image_corpus(
    source: str | Mapping[str, LabelledImages] = HUB_SOURCE,
    num_train_samples: int | None = None,
    num_eval_samples: int | None = None,
    augmentation: float = 0.0,
    seed: int = 0,
    binarization: Binarization = "rounded",
    threshold: float | None = None,
    image_size: int = IMAGE_SIZE,
    invert: bool = False,
) -> datasets.DatasetDict:
    """Turn a source of small images into binary images for the classifier.

    Args:
        source, num_train_samples, num_eval_samples, augmentation, seed, binarization, threshold:
            As in [`load_corpus`], but all training images by default.
        image_size (`int`, defaults to 30): height and width of the binary images, one of `IMAGE_SIZES`.
        invert (`bool`, defaults to `False`): as in [`load_corpus`].

    Returns:
        `datasets.DatasetDict`: `train` and `test` with the columns `pixel_values` (float32 `[1, image_size,
        image_size]`, values {0, 1}) and `labels` (`int`, the class).

    Raises:
        ValueError: as in [`load_corpus`].
    """
    _check_augmentation(augmentation)
    options = {"image_size": image_size, "binarization": binarization, "threshold": threshold}
    images = _load_binary_images(source, num_train_samples, num_eval_samples, options, augmentation, seed, invert)
    return datasets.DatasetDict({name: _lazy_rows(_PixelValues(split)) for name, split in images.items()})


def make_binary(
    splits: Mapping[str, LabelledImages],
    image_size: int = IMAGE_SIZE,
    binarization: Binarization = "rounded",
    threshold: float | None = None,
) -> dict[str, LabelledImages]:
    """The binary images, uint8 `[N, image_size, image_size]`, that [`load_corpus`] turns into texts.

    Args:
        splits (`Mapping[str, LabelledImages]`): `train` and `test`, from [`load_images`].
        image_size, binarization, threshold: see [`binarize`]. Sampled training images are those of the first epoch
            with the seed 0.
    """
    options = {"image_size": image_size, "binarization": binarization, "threshold": threshold}
    images = _load_binary_images(splits, None, None, options)
    return {name: split.read_all() for name, split in images.items()}


def set_epoch(rows: datasets.Dataset, epoch: int, augmentation: float | None = None) -> None:
    """Draw distorted or sampled rows anew. Does nothing for other data sets.

    Args:
        rows (`datasets.Dataset`): the `train` split of [`load_corpus`] or [`load_image_corpus`].
        epoch (`int`): 0 to 2**32 - 2; a new data set has 0.
        augmentation (`float`, *optional*): the strength from now on, 0 or more.
    """
    make_rows = (rows.format["format_kwargs"] or {}).get("transform")
    images = getattr(make_rows, "images", None)
    if images is None:
        return
    images.epoch = epoch
    if augmentation is not None:
        _check_augmentation(augmentation)
        images.augmentation = augmentation


def _check_augmentation(augmentation: float, layout: str = "aligned") -> None:
    if not augmentation >= 0 or (augmentation and layout != "aligned"):
        raise ValueError(
            f"`augmentation` must be 0 or more, and 0 in the sliding layout, got {augmentation} in the {layout} layout"
        )


def _load_binary_images(
    source: str | Mapping[str, LabelledImages],
    num_train_samples: int | None,
    num_eval_samples: int | None,
    options: dict,
    augmentation: float = 0.0,
    seed: int = 0,
    invert: bool = False,
) -> dict[str, "_BinaryImages"]:
    binarization, image_size = options["binarization"], options["image_size"]
    check_binarization(**options)
    splits = load_images(source) if isinstance(source, str | os.PathLike) else source
    train = splits["train"].first(num_train_samples, "num_train_samples")
    test = splits["test"].first(num_eval_samples, "num_eval_samples")
    if invert:
        train, test = train.invert(), test.invert()
    if binarization == "sampled":
        check_border(train.images.shape[-1], image_size)
        check_ink([train.images, test.images], binarization, white=255)
    else:
        # a threshold per image takes long, so about 2000 images of each split must do
        steps = [1 + len(split.images) // _MAX_OTSU * (binarization == "otsu") for split in (train, test)]
        shown = [split.images[::step] for split, step in zip((train, test), steps, strict=True)]
        check_ink([binarize(images, **options) for images in shown], binarization)
    return {
        "train": _BinaryImages(train, options, augmentation, seed),
        "test": _BinaryImages(test, options, epoch=_TEST_EPOCH),
    }


def _encode(tokenizer: MnistTextTokenizer, split: LabelledImages) -> tuple[list[str], np.ndarray]:
    """Texts and their ids, int64 `[N, 152]`."""
    texts = tokenizer.encode_images(split.images, split.labels)
    return texts, tokenizer(texts, return_tensors="np")["input_ids"]


def _aligned_rows(split: LabelledImages, tokenizer: MnistTextTokenizer) -> datasets.Dataset:
    texts, input_ids = _encode(tokenizer, split)

    def column(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), type=pa.int64()), values.shape[1])

    # Dataset.from_dict would go through Python lists, which takes thirty times as long
    return datasets.Dataset(
        pa.table(
            {
                "text": texts,
                "input_ids": column(input_ids),
                "attention_mask": column(np.ones_like(input_ids)),
                "labels": column(input_ids),
                "label": pa.array(split.labels, type=pa.int64()),
            }
        )
    )


def _lazy_rows(make_rows) -> datasets.Dataset:
    """A data set that stores only row numbers; `make_rows` turns a batch of them into columns when it is read."""
    numbers = pa.table({"row": pa.array(np.arange(len(make_rows), dtype=np.int32))})
    return _with_class(datasets.Dataset(numbers).with_transform(make_rows), _LazyRows)


class _LazyRows(datasets.Dataset):
    """Rows that are made when they are read. Methods that would see the stored row numbers instead are refused."""

    def _refuse(self, *args, **kwargs):
        raise ValueError(
            "the rows of this split are made when they are read, so they cannot be stored, mapped, sorted or "
            "formatted; `datasets.Dataset.from_dict(rows[:])` is a copy of the present rows, which can"
        )

    def select(self, *args, **kwargs) -> "_LazyRows":
        return _with_class(_with_class(self, datasets.Dataset).select(*args, **kwargs), _LazyRows)

    def filter(self, *args, **kwargs) -> "_LazyRows":
        return _with_class(_with_class(self, datasets.Dataset).filter(*args, **kwargs), _LazyRows)


def _with_class(rows: datasets.Dataset, dataset_class: type[datasets.Dataset]) -> datasets.Dataset:
    rows = copy.copy(rows)
    rows.__class__ = dataset_class
    return rows


_OF_STORED_COLUMNS = (
    *("add_column", "add_item", "cast", "cast_column", "class_encode_column", "flatten"),
    *("map", "push_to_hub", "remove_columns", "rename_column", "rename_columns", "reset_format"),
    *("save_to_disk", "select_columns", "set_format", "set_transform", "sort", "to_csv"),
    *("to_dict", "to_iterable_dataset", "to_json", "to_list", "to_pandas", "to_parquet"),
    *("to_polars", "to_sql", "unique", "with_format", "with_transform"),
)
for _name in _OF_STORED_COLUMNS:
    setattr(_LazyRows, _name, _LazyRows._refuse)


class _SlidingWindows:
    """Row i is the window that begins at token i of the concatenated texts."""

    def __init__(self, split: LabelledImages, tokenizer: MnistTextTokenizer):
        texts, input_ids = _encode(tokenizer, split)
        self.characters = "".join(texts)
        self.text_length = input_ids.shape[1]
        self.input_ids = input_ids.ravel()
        self.classes = split.labels

    def __len__(self) -> int:
        return len(self.input_ids) - self.text_length + 1

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        starts = np.asarray(batch["row"])
        input_ids = self.input_ids[starts[:, None] + np.arange(self.text_length)]
        texts = [self.characters[start : start + self.text_length] for start in starts]
        return _text_columns(texts, input_ids, self.classes[starts // self.text_length])


class _TrainingTexts:
    """Row i is image i as text, as the epoch sees it."""

    def __init__(self, images: "_BinaryImages", tokenizer: MnistTextTokenizer):
        self.images, self.tokenizer = images, tokenizer

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        split = self.images.read(np.asarray(batch["row"]))
        texts, input_ids = _encode(self.tokenizer, split)
        return _text_columns(texts, input_ids, split.labels)


class _PixelValues:
    """Row i is image i as pixels for the classifier, as the epoch sees it."""

    def __init__(self, images: "_BinaryImages"):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        split = self.images.read(np.asarray(batch["row"]))
        return {"pixel_values": list(split.images[:, None].astype(np.float32)), "labels": split.labels.tolist()}


class _BinaryImages:
    """Images as an epoch sees them: distorted if the strength is above 0, and then made binary.

    Epoch and strength are in shared memory, so that workers of a data loader that stay alive see a new epoch.
    """

    def __init__(self, split: LabelledImages, options: dict, augmentation: float = 0.0, seed: int = 0, epoch: int = 0):
        self.split, self.options, self.seed = split, options, seed
        self.state = torch.tensor([epoch, augmentation], dtype=torch.float64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self.state[0])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.state[0] = epoch

    @property
    def augmentation(self) -> float:
        return float(self.state[1])

    @augmentation.setter
    def augmentation(self, augmentation: float) -> None:
        self.state[1] = augmentation

    def __len__(self) -> int:
        return len(self.split.images)

    @property
    def changes(self) -> bool:
        """Whether pixels differ between epochs."""
        return bool(self.augmentation) or self.options["binarization"] == "sampled"

    def read(self, rows: np.ndarray) -> LabelledImages:
        """The images `rows`, int64 `[N]`, as binary images, uint8 `[N, image_size, image_size]`."""
        images = self.split.images[rows]
        keys = (np.uint64(self.epoch) << np.uint64(32)) + rows.astype(np.uint64)
        if self.augmentation:
            images = augment_images(images, keys, self.seed, self.augmentation)
        images = binarize(images, keys=keys, seed=self.seed, **self.options)
        return replace(self.split, images=images, labels=self.split.labels[rows])

    def read_all(self) -> LabelledImages:
        return self.read(np.arange(len(self)))


def _text_columns(texts: list[str], input_ids: np.ndarray, classes: np.ndarray) -> dict[str, list]:
    return {
        "text": texts,
        "input_ids": list(input_ids),
        "attention_mask": list(np.ones_like(input_ids)),
        "labels": list(input_ids),
        "label": classes.tolist(),
    }
