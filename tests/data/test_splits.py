# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Which files belong to which split: folders as people have them, whole and ambiguous."""

import logging
import os
import socket

import datasets
import numpy as np
import pytest
from image_files import NAMES, write_classes, write_idx_folder, write_parquet

from mnist_text_gen.data import LabelledImages, load_images
from mnist_text_gen.data.folders import find_splits, list_files


@pytest.fixture(scope="module")
def digits(mnist_5k):
    return mnist_5k["train"].first(40, "train")


@pytest.fixture(scope="module")
def others(mnist_5k):
    return mnist_5k["test"].first(20, "test")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def splits_of(folder):
    splits = find_splits(folder, [path for path in list_files(folder) if path.suffix == ".parquet"])
    return {name: [path.relative_to(folder).as_posix() for path in paths] for name, paths in splits.items()}


TWO_SPLITS = [
    (["data/train-00000-of-00001.parquet"], ["data/test-00000-of-00001.parquet"]),
    (["train-00000-of-00002-ab12.parquet", "train-00001-of-00002-cd34.parquet"], ["test-00000-of-00001-ef56.parquet"]),
    (["mnist/train/0000.parquet", "mnist/train/0001.parquet"], ["mnist/test/0000.parquet"]),
    (["digits-latest-train.parquet"], ["digits-latest-test.parquet"]),
    (["contest_train.parquet"], ["contest_test.parquet"]),
    (["training/a.parquet", "training/b/c.parquet"], ["testing/d.parquet"]),
    (["my_training_1.parquet", "my_training_2.parquet"], ["my_eval.parquet"]),
]


@pytest.mark.parametrize("names", TWO_SPLITS, ids=lambda names: names[0][0])
def test_folders_have_the_splits_that_datasets_finds(tmp_path, names):
    touch(tmp_path, *names[0], *names[1], "README.md", "notes/train.txt")
    assert splits_of(tmp_path) == {"train": names[0], "test": names[1]}
    (tmp_path / "notes" / "train.txt").unlink()
    patterns = datasets.data_files.get_data_patterns(str(tmp_path))
    found = datasets.data_files.DataFilesDict.from_patterns(patterns, base_path=str(tmp_path))
    expected = {str(split): [os.path.relpath(file, tmp_path) for file in files] for split, files in found.items()}
    assert {split: sorted(files) for split, files in expected.items()} == {"train": names[0], "test": names[1]}


def test_hidden_copies_of_parquet_files_are_not_read(tmp_path):
    hidden = [".ipynb_checkpoints/train-checkpoint.parquet", "._train.parquet", "__MACOSX/data/._train.parquet"]
    hidden += ["data/__pycache__/train.parquet", "data/.~lock.test.parquet"]
    touch(tmp_path, "data/train.parquet", "data/test.parquet", *hidden)
    assert splits_of(tmp_path) == {"train": ["data/train.parquet"], "test": ["data/test.parquet"]}


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train.parquet", "train_extra.parquet", "test.parquet"], ["train_extra.parquet", "split 'train'"]),
        (["a/train.parquet", "a/test.parquet", "b/train.parquet", "b/test.parquet"], ["a/train", "b/train"]),
        (["a/train.parquet", "b/test.parquet"], ["a/train.parquet", "b/test.parquet", "must be of one data set"]),
        (["train/0.parquet", "training/0.parquet", "test/0.parquet"], ["train/0", "training/0", "'train'"]),
        (["train-test.parquet"], ["train-test.parquet must be in one split", "test, train"]),
        (["train.parquet", "validation.parquet"], ["validation.parquet", "got no 'test'"]),
        (["train-00001-of-00002.parquet", "test.parquet"], ["got no train-00000-of-00002.parquet"]),
        (["contest_a.parquet", "contest_b.parquet"], ["contest_a", "contest_b", "name the files by split"]),
    ],
    ids=lambda value: value[0] if value[0].endswith("parquet") else "",
)
def test_what_is_ambiguous_is_refused_by_name(tmp_path, names, parts):
    touch(tmp_path, *names)
    with pytest.raises(ValueError) as refusal:
        splits_of(tmp_path)
    assert [part for part in parts if part not in str(refusal.value)] == [], str(refusal.value)


@pytest.mark.parametrize("extra", ["data/train_extra-00000-of-00001.parquet", "data/validation.parquet", "a.parquet"])
def test_files_of_other_splits_are_left_out_with_a_warning(tmp_path, caplog, extra):
    names = ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"]
    touch(tmp_path, *names, extra)
    with caplog.at_level(logging.WARNING):
        assert splits_of(tmp_path) == {"train": names[:1], "test": names[1:]}
    (record,) = caplog.records
    assert extra in record.getMessage() and "left out" in record.getMessage()


@pytest.mark.parametrize(
    "name", ["data/train-00000-of-00001.parquet", "test.parquet", "contest_1.parquet", "validation/0.parquet"]
)
def test_a_folder_of_one_split_is_split_like_a_file(tmp_path, digits, name):
    (tmp_path / "a" / name).parent.mkdir(parents=True)
    write_parquet(tmp_path / "a" / name, digits)
    of_folder, of_file = load_images(tmp_path / "a"), load_images(tmp_path / "a" / name)
    assert list(of_folder) == ["train", "test"]
    for split in of_folder:
        np.testing.assert_array_equal(of_folder[split].images, of_file[split].images)


@pytest.mark.parametrize("name", ["a b[1]", "a::b", "~x"])
def test_folders_with_characters_of_patterns_are_read(tmp_path, digits, others, name):
    (tmp_path / name).mkdir()
    write_parquet(tmp_path / "train.parquet", digits)
    write_parquet(tmp_path / "test.parquet", others)
    for split in ("train", "test"):
        (tmp_path / f"{split}.parquet").rename(tmp_path / name / f"{split}-[0].parquet")
    np.testing.assert_array_equal(load_images(tmp_path / name)["train"].images, digits.images)


def test_a_replaced_parquet_file_of_the_same_time_gives_its_own_images(tmp_path, digits):
    path = tmp_path / "digits.parquet"
    images = []
    for split in (digits, LabelledImages(digits.images[::-1].copy(), digits.labels)):
        write_parquet(path, split)
        os.utime(path, (1e9, 1e9))
        images.append(load_images(str(path))["train"].images)
    assert not np.array_equal(*images)


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training", "testing"), ("train", "eval"), ("a/train", "a/test")]
)
def test_split_folders_of_class_folders_have_the_names_that_datasets_reads(tmp_path, digits, names):
    write_classes(tmp_path / names[0], digits.images[:30])
    write_classes(tmp_path / names[1], digits.images[30:36])
    splits = load_images(tmp_path)
    assert [len(split.images) for split in splits.values()] == [30, 6]
    assert splits["train"].class_names == NAMES


def test_class_folders_one_level_up_and_one_split_alone_are_read(tmp_path, digits):
    write_classes(tmp_path / "flags" / "train", digits.images[:30])
    assert [len(split.images) for split in load_images(tmp_path).values()] == [24, 6]


JUNK = [
    *("__MACOSX/train/cat/._00.png", "__pycache__/x.pyc", "Thumbs.db", "train/desktop.ini", "train/cat/Thumbs.db"),
    *("train/.ipynb_checkpoints/x.png", "train/@eaDir/x.png", "train/dog/Desktop.ini", ".git/config", "README.md"),
]


def test_what_systems_leave_in_class_folders_is_neither_class_nor_image(tmp_path, digits):
    write_classes(tmp_path / "train", digits.images[:30])
    write_classes(tmp_path / "test", digits.images[30:36])
    touch(tmp_path, *JUNK)
    splits = load_images(tmp_path)
    assert [len(split.images) for split in splits.values()] == [30, 6]
    assert splits["train"].class_names == NAMES


@pytest.mark.parametrize(("extra", "name"), [("train_set", "'train'"), ("testing", "'test'")])
def test_two_folders_of_one_split_are_refused(tmp_path, digits, extra, name):
    for folder in ("train", "test", extra):
        write_classes(tmp_path / folder, digits.images[:9])
    with pytest.raises(ValueError, match=f"must have one folder for the split {name}, got .*{extra}"):
        load_images(tmp_path)


@pytest.mark.parametrize("folder", ["MNIST/raw", "raw"])
def test_torchvisions_folder_of_idx_files_is_found_from_its_root(tmp_path, digits, others, folder):
    (tmp_path / folder).mkdir(parents=True)
    write_idx_folder(tmp_path / folder, digits, others)
    touch(tmp_path, f"{folder}/.DS_Store", "__MACOSX/train-images-idx3-ubyte", "Thumbs.db")
    np.testing.assert_array_equal(load_images(tmp_path)["test"].images, others.images)


def test_two_folders_of_idx_files_and_two_kinds_are_refused_by_name(tmp_path, digits, others):
    for folder in ("MNIST/raw", "FashionMNIST/raw"):
        (tmp_path / folder).mkdir(parents=True)
        write_idx_folder(tmp_path / folder, digits, others)
    with pytest.raises(ValueError, match=r"FashionMNIST/raw, .*/MNIST/raw; choose one"):
        load_images(tmp_path)
    touch(tmp_path, "MNIST/train.parquet")
    with pytest.raises(ValueError, match=r"must have one kind of file, got .*MNIST/train.parquet and .*ubyte"):
        load_images(tmp_path)


def test_a_class_that_has_no_test_image_is_named(tmp_path, digits, caplog):
    write_classes(tmp_path, digits.images[:15])
    for name, kept in zip(NAMES, (2, 1, 5), strict=True):
        for path in sorted((tmp_path / name).iterdir())[kept:]:
            path.unlink()
    with caplog.at_level(logging.WARNING):
        load_images(tmp_path)
    assert caplog.records[0].getMessage().endswith("bow (2), cat (1)")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "link to nothing"])
@pytest.mark.parametrize("place", ["train/cat/09.png", "train/0.parquet", "train-images-idx3-ubyte"])
def test_what_is_no_regular_file_is_refused_by_name(tmp_path, digits, others, kind, place, monkeypatch):
    if place.endswith("png"):
        write_classes(tmp_path / "train", digits.images[:9])
        write_classes(tmp_path / "test", digits.images[:9])
    elif place.endswith("ubyte"):
        write_idx_folder(tmp_path, digits, others)
        (tmp_path / place).unlink()
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(path.parent)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        make = {"fifo": os.mkfifo, "socket": listener.bind, "folder": os.mkdir}
        make.get(kind, lambda name: os.symlink("nothing", name))(path.name)
        with pytest.raises(ValueError, match=path.name if kind != "folder" else None):
            load_images(tmp_path)
