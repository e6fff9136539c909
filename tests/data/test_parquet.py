# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Parquet files, whole, damaged, of wrong types, and hostile."""

import os
import re

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import INTEGER, assert_same, to_png, write_parquet

from mnist_text_gen.data import LabelledImages, load_images


@pytest.mark.parametrize("label_type", [INTEGER, datasets.ClassLabel(num_classes=10)], ids=["int", "ClassLabel"])
def test_parquet_folder_gives_the_images_in_their_order(tmp_path, train, test, label_type):
    (tmp_path / "mnist").mkdir()
    write_parquet(tmp_path / "mnist" / "train-00000-of-00001.parquet", train, label_type)
    write_parquet(tmp_path / "mnist" / "test-00000-of-00001.parquet", test, label_type)
    splits = load_images(str(tmp_path))
    assert list(splits) == ["train", "test"]
    assert_same(splits["train"], train)
    assert_same(splits["test"], test)


def test_parquet_shards_are_read_in_the_order_of_their_names(tmp_path, train, test):
    write_parquet(tmp_path / "train-00001-of-00002.parquet", LabelledImages(train.images[12:], train.labels[12:]))
    write_parquet(tmp_path / "train-00000-of-00002.parquet", LabelledImages(train.images[:12], train.labels[:12]))
    write_parquet(tmp_path / "test.parquet", test)
    assert_same(load_images(str(tmp_path))["train"], train)


def test_parquet_file_is_split_with_every_class_alike(tmp_path, all_classes):
    write_parquet(tmp_path / "digits.parquet", all_classes)
    splits = load_images(str(tmp_path / "digits.parquet"))
    assert np.bincount(splits["train"].labels).tolist() == [8] * 10
    assert np.bincount(splits["test"].labels).tolist() == [2] * 10
    loaded = [(image.tobytes(), label) for split in splits.values() for image, label in zip(*split, strict=True)]
    assert sorted(loaded) == sorted((image.tobytes(), label) for image, label in zip(*all_classes, strict=True))


@pytest.mark.parametrize("type_", ["struct", pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_parquet_file_that_datasets_did_not_write_is_read(tmp_path, all_classes, type_):
    images = [to_png(image) for image in all_classes.images]
    images = [{"bytes": data, "path": None} for data in images] if type_ == "struct" else pa.array(images, type_)
    pq.write_table(pa.table({"image": images, "label": all_classes.labels.astype(np.uint8)}), tmp_path / "a.parquet")
    assert len(load_images(str(tmp_path / "a.parquet"))["train"].images) == 80


def refuse_table(path, columns, message, **options):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    with pytest.raises(ValueError) as refusal:
        load_images(str(path))
    assert str(path) in str(refusal.value) and message in str(refusal.value), str(refusal.value)


@pytest.fixture
def columns(train):
    return {"image": [to_png(image) for image in train.images], "label": train.labels.tolist()}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image", to_png(np.zeros((30, 28), np.uint8)), "row 4, of 30×28"),
        ("image", b"no image", "row 4, has no image that can be read"),
        ("image", None, "row 4"),
        ("label", None, "row 4"),
        ("label", 10, "must be from 0 to 9, got 10 for image"),
        ("label", -1, "must be from 0 to 9, got -1 for image"),
    ],
)
def test_row_that_cannot_be_used_is_named(tmp_path, columns, column, value, message):
    columns[column][4] = value
    refuse_table(tmp_path / "a.parquet", columns, message)


@pytest.mark.parametrize("column", ["image", "label"])
def test_parquet_without_a_column_is_refused(tmp_path, columns, column):
    del columns[column]
    refuse_table(tmp_path / "a.parquet", columns, f"must have the columns 'image' and 'label', got {list(columns)}")


@pytest.mark.parametrize("damage", ["empty", "cut", "another format", "missing"])
def test_damaged_parquet_file_is_named(tmp_path, columns, damage):
    path = tmp_path / "digits.parquet"
    pq.write_table(pa.table(columns), path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2]}.get(damage, b"<html>" * 50))
    if damage == "missing":
        path.unlink()
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_images(str(path))


@pytest.mark.parametrize("as_struct", [True, False], ids=["struct", "string"])
def test_file_that_a_row_names_is_not_read(tmp_path, train, as_struct):
    """Whoever wrote the rows would choose a file of this machine, which `--push_to_hub_id` would publish."""
    private = tmp_path / "scan.png"
    private.write_bytes(to_png(train.images[0]))
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)  # opened, it would wait for ever
    path = tmp_path / "digits.parquet"
    for file in (private, pipe):
        images = [{"bytes": None, "path": str(file)} if as_struct else str(file)] * len(train.labels)
        pq.write_table(pa.table({"image": images, "label": train.labels}), path)
        with pytest.raises(ValueError, match=f"row 0, must have the bytes .*, {re.escape(repr(str(file)))}"):
            load_images(str(path))


WRONG_IMAGES = {
    "integers": [7] * 4,
    "struct without bytes": [{"path": "a.png", "data": b"x"}] * 4,
    "struct of a struct": [{"bytes": {"bytes": b"x"}, "path": None}] * 4,
    "map": pa.array([[("bytes", b"x")]] * 4, pa.map_(pa.string(), pa.binary())),
    "nothing": pa.nulls(4),
}


@pytest.mark.parametrize("images", WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_parquet_images_of_a_wrong_type_are_refused(tmp_path, images):
    refuse_table(tmp_path / "a.parquet", {"image": images, "label": [0, 1, 2, 3]}, "the column 'image' of")


WRONG_LABELS = {
    "text": ["0", "1", "2", "3"],
    "floats": [0.0, 1.0, 2.0, 3.0],
    "nothing": pa.nulls(4),
    "decimals": pa.array([1, 2, 3, 4], pa.decimal128(5)),
}


@pytest.mark.parametrize("labels", WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_parquet_labels_of_a_wrong_type_are_refused(tmp_path, train, labels):
    images = [to_png(image) for image in train.images[:4]]
    refuse_table(tmp_path / "a.parquet", {"image": images, "label": labels}, "the column 'label' of")


def test_labels_beyond_64_bits_with_a_sign_are_named_as_they_are(tmp_path, train):
    columns = {"image": [to_png(train.images[0])] * 4, "label": pa.array([0, 1, 2**64 - 1, 2], pa.uint64())}
    refuse_table(tmp_path / "a.parquet", columns, f"row 2, must be from 0 to 9, got {2**64 - 1}")


@pytest.mark.parametrize(
    ("metadata", "message"), [(b"{", "metadata that `datasets` can read"), (b'{"info": {"features": 7}}', "metadata")]
)
def test_damaged_metadata_of_datasets_is_named(tmp_path, train, metadata, message):
    table = pa.table({"image": [to_png(train.images[0])] * 4, "label": [0, 1, 2, 3]})
    refuse_table(tmp_path / "a.parquet", table.replace_schema_metadata({b"huggingface": metadata}), message)


def test_two_columns_of_one_name_are_refused(tmp_path, train):
    png = to_png(train.images[0])
    table = pa.table([pa.array([png]), pa.array([0]), pa.array([1])], names=["image", "label", "label"])
    refuse_table(tmp_path / "a.parquet", table, "got ['image', 'label', 'label']")


@pytest.mark.parametrize("as_struct", [True, False], ids=["struct", "binary"])
def test_parquet_that_unpacks_to_much_is_refused_before(tmp_path, monkeypatch, as_struct):
    monkeypatch.setattr("mnist_text_gen.data.parquet._MAX_ROW_GROUP_BYTES", 2**22)
    zeros, before = bytes(2**19), pa.total_allocated_bytes()
    columns = {"image": pa.array([{"bytes": zeros, "path": None} if as_struct else zeros] * 10), "label": [0] * 10}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 2**14
    del columns
    with pytest.raises(ValueError, match="got 5,24.* in row group 0 of " + re.escape(str(path))):
        load_images(str(path))
    assert pa.total_allocated_bytes() <= before


def test_rows_that_share_their_bytes_are_unpacked_one_at_a_time(tmp_path):
    images = pa.array([bytes(2**26)] * 10)
    refuse_table(tmp_path / "a.parquet", {"image": images, "label": [0] * 10}, "row 0, has no image that can be read")
    assert (tmp_path / "a.parquet").stat().st_size < 2**23


def test_millions_of_equal_rows_are_refused_by_their_number(tmp_path, train, monkeypatch):
    png, num_rows = to_png(train.images[0]), 1_000_001
    images = pa.DictionaryArray.from_arrays(pa.array(np.zeros(num_rows, np.int32)), pa.array([png]))
    monkeypatch.setattr("mnist_text_gen.data.parquet.read_image", lambda *args: pytest.fail("decoded"))
    table = {"image": images, "label": np.zeros(num_rows, np.int64)}
    message = "a split must have at most 1,000,000 rows, got 1,000,001"
    refuse_table(tmp_path / "a.parquet", table, message, store_schema=False)


def test_shards_with_other_class_names_are_refused(tmp_path, train):
    for number, names in enumerate((["a", "b"], ["b", "a"])):
        split = LabelledImages(train.images[:4], np.array([0, 1, 0, 1]))
        write_parquet(tmp_path / f"train-{number:05}-of-00002.parquet", split, datasets.ClassLabel(names=names))
    with pytest.raises(ValueError, match=r"must have the class names of .*, \['a', 'b'\], got \['b', 'a'\]"):
        load_images(tmp_path)
