# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The text data set: what is written, what reads it, and what is refused."""

import shutil

import numpy as np
import pytest
import yaml
from datasets import load_dataset
from image_files import write_classes, write_idx_folder

from mnist_text_gen.commands import build_dataset
from mnist_text_gen.data import binarize, load_images
from mnist_text_gen.tokenizer import MnistTextTokenizer


SIZES = {"train": 40, "test": 5}


@pytest.fixture(scope="module")
def few(mnist_5k, tmp_path_factory):
    """Few images, of all classes, as IDX files, which load a hundred times as fast."""
    train, test = (mnist_5k[name].first(size, name) for name, size in SIZES.items())
    assert set(train.labels) == set(range(10))
    return write_idx_folder(tmp_path_factory.mktemp("few"), train, test)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """12 and 5 images of MNIST; not to be changed."""
    folder = tmp_path_factory.mktemp("written") / "texts"
    build(folder, "mnist-5k", "--num_train_samples", 12, "--num_eval_samples", 5)
    return folder


def build(output_dir, source, *options):
    build_dataset.main([str(part) for part in ("--output_dir", output_dir, "--dataset_name", source, *options)])


def read_card(folder):
    card = (folder / "README.md").read_text()
    return yaml.safe_load(card.split("---\n")[1]), card


def test_rows_are_images_of_the_source_with_their_classes_and_texts(written, mnist_5k, tokenizer):
    rows = load_dataset(str(written))
    for name, size in (("train", 12), ("test", 5)):
        images, labels = mnist_5k[name].first(size, name)
        assert rows[name]["label"][:] == labels.tolist()
        assert rows[name]["text"][:] == tokenizer.encode_images(images, labels)
        assert all((np.asarray(row["image"]) == image).all() for row, image in zip(rows[name], images, strict=True))
    front_matter, card = read_card(written)
    assert front_matter["size_categories"] == ["n<1K"] and front_matter["license"] == "cc-by-sa-3.0"
    assert "12 training and 5 test images of MNIST" in card


def test_data_set_is_itself_a_source_whose_card_names_neither_mnist_nor_the_machine(written, tmp_path, mnist_5k):
    assert (load_images(written)["train"].images == mnist_5k["train"].images[:12]).all()
    build(tmp_path / "own", written)
    front_matter, card = read_card(tmp_path / "own")
    assert str(written.parent) not in card and "images of a collection of images" in card
    assert "license" not in front_matter
    shutil.rmtree(tmp_path / "own" / ".sha256", ignore_errors=True)
    next((tmp_path / "own" / "data").glob("test-*")).unlink()
    assert sum(len(split.images) for split in load_images(tmp_path / "own").values()) == 12


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ([], "scaled to 30×30 by bilinear interpolation, rounded to {0, 1}, as text"),
        (
            ["--binarization", "otsu", "--image_size", "24"],
            "scaled to 24×24 by bilinear interpolation with smoothing, 1 "
            "where it is brighter than its threshold by Otsu's method, as text",
        ),
        (["--binarization", "threshold", "--threshold", "0.3"], "1 where it is brighter than 0.3 of white, as text"),
        (
            ["--binarization", "sampled"],
            "each pixel drawn as 1 with its grey value as probability and put into a blank border of 30×30, as text",
        ),
    ],
)
def test_other_sizes_binarisations_and_names_are_written_and_said(tmp_path, few, mnist_5k, options, how):
    names = [f"nº|{label}" for label in range(10)]
    build(tmp_path, few, *options, "--class_names", *names)
    given = dict(zip(options[::2], options[1::2], strict=True))
    size, way = int(given.get("--image_size", 30)), given.get("--binarization", "rounded")
    rows = load_dataset(str(tmp_path))
    assert rows["train"].features["label"].names == names
    front_matter, card = read_card(tmp_path)
    num_symbols = size**2 // 6
    assert f"a text of {2 + num_symbols} characters: the class digit, {num_symbols} symbols for {size}×{size}" in card
    assert how in card and r"0 nº\|0, 1 nº\|1" in card and "# Small images as text" in card
    assert front_matter["tags"] == ["mnist-text-gen"]
    threshold = 0.3 if way == "threshold" else None
    for name, epoch in (("train", 0), ("test", 2**32 - 1)):
        images, labels = mnist_5k[name].first(SIZES[name], name)
        keys = [epoch * 2**32 + row for row in range(SIZES[name])]
        binary = binarize(images, size, way, threshold, keys=keys)
        assert rows[name]["text"][:] == MnistTextTokenizer(size).encode_images(binary, labels)


def test_images_of_another_size_are_written_as_they_are(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(20, 24, 24), dtype=np.uint8)
    folder = write_classes(tmp_path / "in", images, names=("a", "b"))
    (folder / "a" / "x.png").write_bytes(b"")
    build(tmp_path / "out", folder, "--image_size", 24, "--skip_broken_images", "true")
    front_matter, card = read_card(tmp_path / "out")
    assert "PNG, 24×24, grey" in card and "the image, rounded to {0, 1}, as text" in card and "0 a, 1 b |" in card
    assert "license" not in front_matter and str(tmp_path) not in card
    rows = load_dataset(str(tmp_path / "out"))
    written = {np.asarray(row["image"]).tobytes(): row["text"] for split in rows.values() for row in split}
    assert written.keys() == {image.tobytes() for image in images}
    text = written[images[11].tobytes()]
    assert text == MnistTextTokenizer(24).encode_images(images[11:12] >= 128, [1])[0]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--num_train_samples", "41"], ["`num_train_samples` must be from 1 to 40, ", "got 41"]),
        (["--num_eval_samples", "0"], ["`num_eval_samples` must be from 1 to", "got 0"]),
        (["--dataset_name", "./nothing"], ["the source must be a Hub id, ", ", got './nothing'"]),
        (["--push_to_hub_id", "a/b/c"], ["a/b/c"]),
        (["--push_to_hub_id", "you/texts"], ["offline"]),
        (["--image_size", "28"], ["`image_size` must be one of 6, 12, 18, 24, 30, 36, 42, 48, got 28"]),
        (["--threshold", "0.5"], ["`threshold` must not be given with binarization 'rounded', got 0.5"]),
        (["--class_names", "a", "b"], ["`class_names` must be 10 names, "]),
        (["--binarization", "sampled", "--image_size", "24"], ["`image_size` must be a multiple of 6", "got 24"]),
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_nothing(refusal_of, tmp_path, few, options, found):
    line = refusal_of(build_dataset, "--output_dir", tmp_path / "out", "--dataset_name", few, *options)
    assert [part for part in found if part not in line] == [], line
    assert not list((tmp_path / "out").rglob("*.*"))


def test_folder_with_other_files_is_refused_and_left_as_it_is(refusal_of, tmp_path, few):
    (tmp_path / "other.parquet").write_bytes(b"other")
    line = refusal_of(build_dataset, "--output_dir", tmp_path, "--dataset_name", few)
    assert "which has 'other.parquet'" in line
    assert [path.name for path in tmp_path.iterdir()] == ["other.parquet"]
