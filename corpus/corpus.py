# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Data sets of rows to train on: texts for the language model, binary images for the classifier."""

from typing import Literal

import datasets
import numpy as np
import pyarrow as pa

from mnist_text_gen.tokenizer import TEXT_LENGTH, MnistTextTokenizer, binarize_images

from .augmentation import augment_images
from .binarization import BINARIZATIONS, sample_images
from .sources import HUB_SOURCE, LabelledImages, load_images


LAYOUTS = ("aligned", "sliding")
# Epochs are below it, so test images are drawn with keys that no training image has.
_TEST_EPOCH = 2**32 - 1


def load_corpus(
    source: str = HUB_SOURCE,
    tokenizer: MnistTextTokenizer | None = None,
    num_train_samples: int | None = 10_000,
    num_eval_samples: int | None = None,
    layout: Literal["aligned", "sliding"] = "aligned",
    augmentation: float = 0.0,
    seed: int = 0,
    binarization: Literal["rounded", "sampled"] = "rounded",
) -> datasets.DatasetDict:
    """Turn a source of MNIST-like images into rows of text for the language model.

    Args:
        source (`str`, defaults to `"ylecun/mnist"`): see [`load_images`].
        tokenizer (`MnistTextTokenizer`, *optional*): a new one by default.
        num_train_samples (`int` or `None`, defaults to 10,000): the first training images; `None` takes all.
        num_eval_samples (`int` or `None`, *optional*): the first test images; `None` takes all.
        layout (`"aligned"` or `"sliding"`, defaults to `"aligned"`):
            `"aligned"`: a row is one text, so that every pixel is at its own position. `"sliding"`: a row is one of
            all windows of 152 tokens over the concatenated texts; windows are cut when they are read, so 10,000 texts,
            and not 1,519,849 windows, are held. The test split is aligned in both.
        augmentation (`float`, defaults to 0.0):
            Strength of the distortions of the training images in the aligned layout (see [`augment_images`]). They are
            drawn when a row is read, from `seed`, the epoch (see [`set_epoch`]) and the row number alone.
        seed (`int`, defaults to 0): seed of the distortions, and of sampled training images.
        binarization (`"rounded"` or `"sampled"`, defaults to `"rounded"`):
            `"rounded"`: scaled to 30×30 and rounded (see [`~mnist_text_gen.tokenizer.binarize_images`]), the text form
            of the specification. `"sampled"`: each pixel is drawn, and a border added (see [`sample_images`]), in the
            aligned layout only; training images anew in each epoch, test images once, whatever the seed.

    Returns:
        `datasets.DatasetDict`: `train` and `test`, rows of `text` (str, 152 characters), `input_ids`, `attention_mask`
        and `labels` (int64, 152 each; `labels` are the `input_ids`, `)` included, for the model shifts them itself),
        and `label` (int, the class; of a window, that of the text in which it begins).

    Raises:
        ValueError: for an unknown layout or binarization, more samples than the source holds, an augmentation below
            0 or in the sliding layout, sampled images there, and what [`load_images`] refuses.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; allowed are 'aligned' and 'sliding'")
    _check_augmentation(augmentation, layout)
    _check_binarization(binarization, layout)
    tokenizer = tokenizer or MnistTextTokenizer()
    splits = load_images(source)
    train = splits["train"].first(num_train_samples, "num_train_samples")
    test = splits["test"].first(num_eval_samples, "num_eval_samples")
    if layout == "sliding":
        rows = _lazy_rows(_SlidingWindows(train, tokenizer))
    elif augmentation or binarization == "sampled":
        rows = _lazy_rows(_TrainingTexts(_TrainingImages(train, augmentation, binarization, seed), tokenizer))
    else:
        rows = _aligned_rows(train, tokenizer)
    return datasets.DatasetDict(train=rows, test=_aligned_rows(_test_images(test, binarization), tokenizer))


def load_image_corpus(
    source: str = HUB_SOURCE,
    num_train_samples: int | None = None,
    num_eval_samples: int | None = None,
    augmentation: float = 0.0,
    seed: int = 0,
    binarization: Literal["rounded", "sampled"] = "rounded",
) -> datasets.DatasetDict:
    """Turn a source of MNIST-like images into binary images for the classifier.

    Args:
        source, num_train_samples, num_eval_samples, augmentation, seed, binarization:
            As in [`load_corpus`], but all training images by default.

    Returns:
        `datasets.DatasetDict`: `train` and `test`, rows of `pixel_values` (float32 `[1, 30, 30]`, values {0, 1}) and
        `labels` (int, the class).
    """
    _check_augmentation(augmentation)
    _check_binarization(binarization)
    splits = load_images(source)
    train = splits["train"].first(num_train_samples, "num_train_samples")
    test = splits["test"].first(num_eval_samples, "num_eval_samples")
    return datasets.DatasetDict(
        train=_lazy_rows(_BinaryImages(_TrainingImages(train, augmentation, binarization, seed))),
        test=_lazy_rows(_BinaryImages(_TrainingImages(_test_images(test, binarization)))),
    )


def set_epoch(rows: datasets.Dataset, epoch: int, augmentation: float | None = None) -> None:
    """Let the rows of an augmented data set be drawn anew; of another, do nothing.

    Args:
        rows (`datasets.Dataset`): the `train` split of [`load_corpus`] or [`load_image_corpus`].
        epoch (`int`): 0 or more, less than 2^32; 0 is what a new data set begins with.
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
            f"augmentation is {augmentation} in the {layout} layout; allowed is 0, and in the aligned layout more"
        )


def _check_binarization(binarization: str, layout: str = "aligned") -> None:
    if binarization not in BINARIZATIONS:
        raise ValueError(f"binarization is {binarization!r}; allowed are {' and '.join(map(repr, BINARIZATIONS))}")
    if binarization == "sampled" and layout != "aligned":
        raise ValueError(f"binarization is 'sampled' in the {layout} layout; allowed there is 'rounded'")


def _test_images(split: LabelledImages, binarization: str) -> LabelledImages:
    """The test images as every model sees them."""
    images = _TrainingImages(split, binarization=binarization)
    images.epoch = _TEST_EPOCH
    return images.read(np.arange(len(images)))


def _encode(tokenizer: MnistTextTokenizer, split: LabelledImages) -> tuple[list[str], np.ndarray]:
    """Texts, and their ids, int64 `[N, 152]`."""
    texts = tokenizer.encode_images(split.images, split.labels)
    return texts, tokenizer(texts, return_tensors="np")["input_ids"]


def _aligned_rows(split: LabelledImages, tokenizer: MnistTextTokenizer) -> datasets.Dataset:
    texts, input_ids = _encode(tokenizer, split)

    def column(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), type=pa.int64()), TEXT_LENGTH)

    # Dataset.from_dict would go through Python lists, thirty times as slow.
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
    """A data set that stores row numbers only; `make_rows` turns a batch of them into columns when they are read."""
    numbers = pa.table({"row": pa.array(np.arange(len(make_rows), dtype=np.int32))})
    return datasets.Dataset(numbers).with_transform(make_rows)


class _SlidingWindows:
    """Row i is the window that begins at token i of the concatenated texts."""

    def __init__(self, split: LabelledImages, tokenizer: MnistTextTokenizer):
        texts, input_ids = _encode(tokenizer, split)
        self.characters = "".join(texts)
        self.input_ids = input_ids.ravel()
        self.classes = split.labels

    def __len__(self) -> int:
        return len(self.input_ids) - TEXT_LENGTH + 1

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        starts = np.asarray(batch["row"])
        input_ids = self.input_ids[starts[:, None] + np.arange(TEXT_LENGTH)]
        texts = [self.characters[start : start + TEXT_LENGTH] for start in starts]
        return _text_columns(texts, input_ids, self.classes[starts // TEXT_LENGTH])


class _TrainingTexts:
    """Row i is image i of the epoch, as text."""

    def __init__(self, images: "_TrainingImages", tokenizer: MnistTextTokenizer):
        self.images, self.tokenizer = images, tokenizer

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        split = self.images.read(np.asarray(batch["row"]))
        texts, input_ids = _encode(self.tokenizer, split)
        return _text_columns(texts, input_ids, split.labels)


class _BinaryImages:
    """The same rows as `_TrainingTexts`, as pixels for the classifier."""

    def __init__(self, images: "_TrainingImages"):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list]:
        split = self.images.read(np.asarray(batch["row"]))
        pixel_values = binarize_images(split.images)[:, None].astype(np.float32)
        return {"pixel_values": list(pixel_values), "labels": split.labels.tolist()}


class _TrainingImages:
    """Images as an epoch sees them: distorted, drawn pixel by pixel, both, or as they are."""

    def __init__(self, split: LabelledImages, augmentation: float = 0.0, binarization: str = "rounded", seed: int = 0):
        self.split, self.augmentation, self.binarization, self.seed = split, augmentation, binarization, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.split.images)

    def read(self, rows: np.ndarray) -> LabelledImages:
        """Images `rows`, grey `[N, 28, 28]` or, where they are sampled, binary `[N, 30, 30]`."""
        images, labels = self.split.images[rows], self.split.labels[rows]
        keys = (np.uint64(self.epoch) << np.uint64(32)) + rows.astype(np.uint64)
        if self.augmentation:
            images = augment_images(images, keys, self.seed, self.augmentation)
        if self.binarization == "sampled":
            images = sample_images(images, keys, self.seed)
        return LabelledImages(images, labels)


def _text_columns(texts: list[str], input_ids: np.ndarray, classes: np.ndarray) -> dict[str, list]:
    return {
        "text": texts,
        "input_ids": list(input_ids),
        "attention_mask": list(np.ones_like(input_ids)),
        "labels": list(input_ids),
        "label": classes.tolist(),
    }
