# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Sources of images, written as files: what tests of several folders read."""

import gzip
import io

import datasets
import numpy as np
from PIL import Image

from mnist_text_gen.data import LabelledImages


NAMES = ("bow", "cat", "dog")


IDX_NAMES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
INTEGER = datasets.Value("int64")


def to_idx(values: np.ndarray) -> bytes:
    header = np.array([0x0800 + values.ndim, *values.shape], dtype=">u4")
    return header.tobytes() + values.astype(np.uint8).tobytes()


def write_idx_folder(folder, train: LabelledImages, test: LabelledImages, compress: bool = False):
    files = {
        "train images": train.images,
        "train labels": train.labels,
        "test images": test.images,
        "test labels": test.labels,
    }
    for name, values in files.items():
        data = to_idx(values)
        path = folder / (IDX_NAMES[name] + ".gz" * compress)
        path.write_bytes(gzip.compress(data, compresslevel=1) if compress else data)
    return folder


def to_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def write_parquet(path, split: LabelledImages, label_type=INTEGER) -> None:
    rows = {"image": [{"bytes": to_png(image), "path": None} for image in split.images], "label": list(split.labels)}
    features = datasets.Features({"image": datasets.Image(), "label": label_type})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


def write_classes(folder, images, names=NAMES, ending="png"):
    """As many images per class, in its folder."""
    for name, of_class in zip(names, np.split(np.asarray(images), len(names)), strict=True):
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(of_class):
            Image.fromarray(image).save(folder / name / f"{index:02}.{ending}", quality=95)
    return folder


def assert_same(actual: LabelledImages, expected: LabelledImages) -> None:
    assert actual.images.dtype == np.uint8
    assert actual.labels.dtype == np.int64
    assert np.array_equal(actual.images, expected.images)
    assert np.array_equal(actual.labels, expected.labels)
