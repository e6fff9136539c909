# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Folders of class folders with images, whole and with each fault that people's folders have; and names of classes."""

import logging
import unicodedata
from dataclasses import replace

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from image_files import NAMES, to_png, write_classes, write_idx_folder, write_parquet
from PIL import Image

from mnist_text_gen.data import LabelledImages, load_images


@pytest.fixture(scope="module")
def digits(mnist_5k):
    """Ten images each of the classes 0, 1 and 2, in this order."""
    images, labels = mnist_5k["train"]
    rows = np.concatenate([np.flatnonzero(labels == label)[:10] for label in range(3)])
    return LabelledImages(images[rows], labels[rows])


@pytest.fixture
def folder(tmp_path, digits):
    """20 images of three classes for training, and ten for testing."""
    rows = np.arange(30).reshape(3, 10)
    write_classes(tmp_path / "train", digits.images[rows[:, :7].ravel()])
    write_classes(tmp_path / "test", digits.images[rows[:, 7:].ravel()])
    return tmp_path


def refuse(folder, *parts, **options):
    with pytest.raises(ValueError) as refusal:
        load_images(str(folder), **options)
    message = str(refusal.value)
    assert [str(part) for part in parts if str(part) not in message] == [], message
    return message


def contents(split):
    return sorted((image.tobytes(), split.class_names[label]) for image, label in zip(*split, strict=True))


def test_train_and_test_folder_give_every_image_with_the_name_of_its_folder(folder, digits):
    splits = load_images(str(folder))
    assert list(splits) == ["train", "test"]
    for name, rows in (("train", range(7)), ("test", range(7, 10))):
        split = splits[name]
        assert (split.images.dtype, split.labels.dtype, split.class_names) == (np.uint8, np.int64, NAMES)
        wanted = [(digits.images[10 * label + row].tobytes(), NAMES[label]) for label in range(3) for row in rows]
        assert contents(split) == sorted(wanted)


def test_the_first_images_are_of_all_classes_and_the_same_every_time(folder):
    train = load_images(folder)["train"]
    assert set(train.labels[:10]) == {0, 1, 2}
    again = load_images(folder)["train"]
    assert np.array_equal(train.images, again.images) and np.array_equal(train.labels, again.labels)


def test_class_folders_alone_are_split_with_every_class_alike(tmp_path, digits):
    splits = load_images(write_classes(tmp_path, digits.images))
    assert np.bincount(splits["train"].labels).tolist() == [8] * 3
    assert np.bincount(splits["test"].labels).tolist() == [2] * 3
    assert splits["train"].class_names == splits["test"].class_names == NAMES
    everything = contents(splits["train"]) + contents(splits["test"])
    assert sorted(everything) == contents(replace(digits, class_names=NAMES))


@pytest.mark.parametrize(("ending", "margin"), [("png", 0), ("jpg", 40), ("WEBP", 60), ("gif", 0), ("TIFF", 0)])
def test_every_format_is_read(tmp_path, digits, ending, margin):
    train = load_images(write_classes(tmp_path, digits.images, ending=ending))["train"]
    originals = digits.images[digits.labels == train.labels[0]].astype(int)
    assert abs(train.images[0] - originals).max(axis=(1, 2)).min() <= margin


@pytest.mark.parametrize("names", [["only"], [f"class {index:02}" for index in range(11)]], ids=["one", "eleven"])
def test_fewer_than_two_and_more_than_ten_classes_are_refused(tmp_path, digits, names):
    write_classes(tmp_path, digits.images[: len(names)], names=names)
    refuse(tmp_path, tmp_path, names[-1], "2 to 10")


@pytest.mark.parametrize("left", ["nothing", "broken images", "broken images, skipped"])
def test_a_class_without_an_image_is_refused_by_name(folder, left):
    for path in (folder / "train" / "cat").iterdir():
        path.unlink() if left == "nothing" else path.write_bytes(b"no image")
    refuse(folder, folder / "train" / "cat", skip_broken_images="skipped" in left)


def test_broken_files_are_skipped_on_request_and_named(folder, digits, caplog):
    paths = [folder / "train" / "cat" / "03.png", folder / "train" / "dog" / "notes.txt"]
    for path in paths:
        path.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        splits = load_images(str(folder), skip_broken_images=True)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"2 of 22 files in {folder / 'train'} are left out: {paths[0]} has no image")
    assert f"{paths[1]} has no image that can be read" in record.getMessage()
    assert np.bincount(splits["train"].labels).tolist() == [7, 6, 7]
    assert digits.images[13].tobytes() not in {image.tobytes() for image in splits["train"].images}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@example(data=None)
def test_any_damage_to_a_file_is_an_image_or_a_refusal_that_names_it(folder, digits, data):
    whole = to_png(digits.images[13])
    damaged = bytearray(whole)
    if data is not None:
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
            damaged[place] = data.draw(st.integers(0, 255))
        damaged = damaged[: data.draw(st.integers(0, len(whole)))]
    path = folder / "train" / "cat" / "03.png"
    path.write_bytes(damaged)
    try:
        images = load_images(str(folder))["train"].images
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert images.shape == (21, 28, 28)


def test_images_of_two_sizes_are_refused_with_a_file_of_each(folder):
    path = folder / "train" / "dog" / "02.png"
    Image.new("L", (20, 24)).save(path)
    refuse(folder, f"images must have the same size, got {folder}/train/bow/00.png of 28×28 and {path} of 24×20")


@pytest.mark.parametrize(
    ("pattern", "size", "found"),
    [
        ("test/*/*", (32, 32), "28×28 in 'train' and 32×32 in 'test'"),
        ("*/*/*", (28, 20), "must have square images, got 20×28"),
    ],
)
def test_splits_of_two_sizes_or_not_square_are_refused(folder, pattern, size, found):
    for path in folder.glob(pattern):
        Image.new("L", size).save(path)
    refuse(folder, folder, found)


def test_splits_that_do_not_belong_together_are_refused(folder):
    (folder / "test" / "dog").rename(folder / "test" / "wolf")
    refuse(folder, folder, "bow, cat, dog in 'train'", "bow, cat, wolf in 'test'")
    (folder / "test").rename(folder / "validation")
    refuse(folder, folder, "'train': 'train'", "'validation': 'validation'", "got no 'test'")


@pytest.mark.parametrize("name", ["train/metadata.jsonl", "labels.csv"])
def test_labels_beside_the_class_folders_are_refused(folder, name):
    (folder / name).write_text("file_name,label\n")
    refuse(folder, folder / name, "beside class folders")


def test_names_beside_class_folders_are_refused_unless_they_are_the_same(folder):
    assert load_images(folder, class_names=list(NAMES))["train"].class_names == NAMES
    refuse(folder, "bow, cat, wolf", "bow, cat, dog", "must not be given", class_names=["bow", "cat", "wolf"])
    refuse(folder, "dog, cat, bow", "must not be given", class_names=NAMES[::-1])


@pytest.fixture
def idx_folder(tmp_path, digits):
    return write_idx_folder(tmp_path, digits, digits)


def test_idx_files_have_the_digits_for_names_unless_others_are_given(idx_folder):
    assert load_images(idx_folder)["test"].class_names == tuple("0123456789")
    splits = load_images(idx_folder, class_names=["zero", "one", "two"])
    assert splits["train"].class_names == splits["test"].class_names == ("zero", "one", "two")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["zero", "one"], ["`class_names` must be 3 names", "0 to 2", "got 2"]),
        ([f"name {index}" for index in range(11)], ["class_names", "11", "2 to 10"]),
        (["zero", "one", "zero"], ["'zero'", "0", "2"]),
    ],
)
def test_names_that_do_not_fit_are_refused(idx_folder, names, parts):
    refuse(idx_folder, *parts, class_names=names)


def test_parquet_takes_the_names_of_its_feature_or_those_that_are_given(tmp_path, digits):
    paths = [tmp_path / f"{split}.parquet" for split in ("train", "test")]
    for path in paths:
        write_parquet(path, digits)
    assert load_images(tmp_path, class_names=NAMES)["train"].class_names == NAMES
    for path in paths:
        write_parquet(path, digits, datasets.ClassLabel(names=list(NAMES)))
    assert load_images(tmp_path)["test"].class_names == NAMES
    refuse(tmp_path, "must not be given", class_names=["a", "b", "c"])
    table = pq.read_table(paths[1])
    labels = pa.array([0, 1, 2, 3, *[0] * 26], type=pa.int64())
    field = table.schema.field("label")
    pq.write_table(table.set_column(table.column_names.index("label"), field, labels), paths[1])
    refuse(tmp_path, "the labels of split 'test'", "must be from 0 to 2, got 3 for image 3")
    write_parquet(paths[1], digits, datasets.ClassLabel(names=["bow", "dog", "cat"]))
    refuse(tmp_path, "bow, cat, dog in 'train'", "bow, dog, cat in 'test'")
    for path in paths:
        write_parquet(path, digits, datasets.ClassLabel(num_classes=11))
    refuse(tmp_path, "11", "2 to 10")


def test_class_folders_are_the_same_composed_and_decomposed(tmp_path):
    # decomposed, "Zöë" comes before "Zt"
    for split, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("Zebra", "Zt", "Zöë"):
            folder = tmp_path / split / unicodedata.normalize(form, name)
            folder.mkdir(parents=True)
            ink = np.full((28, 28), {"Zebra": 60, "Zt": 120, "Zöë": 180}[name], np.uint8)
            Image.fromarray(ink).save(folder / "0.png")
    splits = load_images(str(tmp_path))
    for split in splits.values():
        assert split.class_names == ("Zebra", "Zt", unicodedata.normalize("NFC", "Zöë"))
        brightness = dict(zip(split.labels.tolist(), split.images[:, 0, 0].tolist(), strict=True))
        assert brightness == {0: 60, 1: 120, 2: 180}


def test_a_file_name_forges_no_line_of_the_log(tmp_path, caplog, mnist_5k):
    write_classes(tmp_path, mnist_5k["train"].images[: 4 * len(NAMES)])
    (tmp_path / NAMES[0] / "x\x1b[2J\nWARNING: forged.png").write_bytes(b"no image")
    load_images(str(tmp_path), skip_broken_images=True)
    (line,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert line.isprintable() and "x\\x1b[2J\\nWARNING: forged.png" in line
