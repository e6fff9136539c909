# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The text data set: what is written, what reads it, and what is refused."""

import numpy as np
import pytest
import yaml
from datasets import load_dataset

from mnist_text_gen.commands import build_dataset
from mnist_text_gen.corpus import load_images


FEW = ["--dataset_name", "mnist-5k", "--num_train_samples", "12", "--num_eval_samples", "5"]


@pytest.fixture
def written(tmp_path):
    build_dataset.main(["--output_dir", str(tmp_path / "texts"), *FEW])
    return tmp_path / "texts"


def test_rows_are_images_of_the_source_with_their_classes_and_texts(written, mnist_5k, tokenizer):
    rows = load_dataset(str(written))
    for name, size in (("train", 12), ("test", 5)):
        images, labels = mnist_5k[name].first(size, name)
        assert rows[name]["label"][:] == labels.tolist()
        assert rows[name]["text"][:] == tokenizer.encode_images(images, labels)
        assert all((np.asarray(row["image"]) == image).all() for row, image in zip(rows[name], images, strict=True))


def test_data_set_is_itself_a_source_to_train_on(written, mnist_5k):
    splits = load_images(str(written))
    assert (splits["train"].images == mnist_5k["train"].images[:12]).all()
    assert (splits["test"].labels == mnist_5k["test"].labels[:5]).all()


def test_the_same_again_writes_the_same_bytes(written):
    before = {path: path.read_bytes() for path in written.rglob("*") if path.is_file()}
    build_dataset.main(["--output_dir", str(written), *FEW])
    assert {path: path.read_bytes() for path in written.rglob("*") if path.is_file()} == before


def test_card_says_how_many_and_where_from(written):
    card = (written / "README.md").read_text()
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert front_matter["size_categories"] == ["n<1K"] and front_matter["license"] == "cc-by-sa-3.0"
    assert "12 training and 5 test images of MNIST" in card


def test_folder_of_files_names_neither_mnist_nor_the_machine(written, tmp_path):
    build_dataset.main(["--output_dir", str(tmp_path / "own"), "--dataset_name", str(written)])
    card = (tmp_path / "own" / "README.md").read_text()
    assert str(tmp_path) not in card and "images of a collection of images" in card
    assert "license" not in yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--num_train_samples", "4001"], ["num_train_samples is 4001", "1 to 4000"]),
        (["--num_eval_samples", "0"], ["num_eval_samples is 0"]),
        (["--dataset_name", "./nothing"], ["the source is './nothing'"]),
        (["--push_to_hub_id", "a/b/c"], ["a/b/c"]),
        (["--push_to_hub_id", "you/texts"], ["offline"]),
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_nothing(refusal_of, tmp_path, options, found):
    line = refusal_of(build_dataset, "--output_dir", tmp_path / "out", *FEW, *options)
    assert [part for part in found if part not in line] == [], line
    assert not list((tmp_path / "out").rglob("*.*"))


def test_folder_with_other_files_is_refused_and_left_as_it_is(refusal_of, tmp_path):
    (tmp_path / "other.parquet").write_bytes(b"other")
    assert "which has 'other.parquet'" in refusal_of(build_dataset, "--output_dir", tmp_path, *FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["other.parquet"]
