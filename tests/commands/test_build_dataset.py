# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The text data set: what is written, what reads it, and what is refused."""

import numpy as np
import pytest
import yaml
from datasets import load_dataset
from image_files import write_idx_folder
from PIL import Image

from mnist_text_gen.commands import build_dataset
from mnist_text_gen.data import binarize, load_images
from mnist_text_gen.tokenizer import MnistTextTokenizer


FEW = ["--dataset_name", "mnist-5k", "--num_train_samples", "12", "--num_eval_samples", "5"]


@pytest.fixture(scope="module")
def few(mnist_5k, tmp_path_factory):
    """Few images, of all classes, as IDX files, which load a hundred times as fast."""
    train, test = mnist_5k["train"].first(40, "train"), mnist_5k["test"].first(5, "test")
    assert set(train.labels) == set(range(10))
    return str(write_idx_folder(tmp_path_factory.mktemp("few"), train, test))


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


def read_card(folder):
    card = (folder / "README.md").read_text()
    return yaml.safe_load(card.split("---\n")[1]), card


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ([], "scaled to 30×30 by bilinear interpolation, rounded to {0, 1}, and"),
        (
            ["--binarization", "otsu", "--image_size", "24"],
            "scaled to 24×24 by bilinear interpolation with smoothing, 1 "
            "where it is brighter than its threshold by Otsu's method, and",
        ),
        (["--binarization", "threshold", "--threshold", "0.3"], "1 where it is brighter than 0.3 of white, and"),
        (
            ["--binarization", "sampled"],
            "each pixel drawn as 1 with its grey value for probability and put into a blank border of 30×30, and",
        ),
    ],
)
def test_other_sizes_binarisations_and_names_are_written_and_said(tmp_path, few, mnist_5k, options, how):
    names = [f"nº|{label}" for label in range(10)]
    build_dataset.main(
        ["--output_dir", str(tmp_path / "out"), "--dataset_name", few, *options, "--class_names", *names]
    )
    given = dict(zip(options[::2], options[1::2], strict=True))
    size = int(given.get("--image_size", 30))
    rows = load_dataset(str(tmp_path / "out"))
    assert rows["train"].features["label"].names == names
    front_matter, card = read_card(tmp_path / "out")
    length = 2 + size**2 // 6
    assert f"a text of {length} characters: the class digit, {length - 2} symbols for {size}×{size} pixels of" in card
    assert how in card and r"0 nº\|0, 1 nº\|1" in card and "# Small images as text" in card
    assert front_matter["tags"] == ["mnist-text-gen"]
    way = given.get("--binarization", "rounded")
    threshold = 0.3 if way == "threshold" else None
    for name, count, epoch in (("train", 40, 0), ("test", 5, 2**32 - 1)):
        images, labels = mnist_5k[name].first(count, name)
        binary = binarize(images, size, way, threshold, keys=[epoch * 2**32 + row for row in range(count)])
        assert rows[name]["text"][:] == MnistTextTokenizer(size).encode_images(binary, labels)


def test_images_of_another_size_are_written_as_they_are(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(20, 24, 24), dtype=np.uint8)
    for index, image in enumerate(images):
        (tmp_path / "in" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / "ab"[index % 2] / f"{index}.png")
    broken = tmp_path / "in" / "a" / "x.png"
    broken.write_bytes(b"")
    build_dataset.main(
        [
            "--output_dir",
            str(tmp_path / "out"),
            "--dataset_name",
            str(tmp_path / "in"),
            "--image_size",
            "24",
            "--skip_broken_images",
            "true",
        ]
    )
    front_matter, card = read_card(tmp_path / "out")
    assert "PNG, 24×24, grey" in card and "the image, rounded to {0, 1}, and" in card and "0 a, 1 b |" in card
    assert "license" not in front_matter and str(tmp_path) not in card
    rows = load_dataset(str(tmp_path / "out"))
    written = {np.asarray(row["image"]).tobytes(): row["text"] for split in rows.values() for row in split}
    assert written.keys() == {image.tobytes() for image in images}
    text = written[images[1].tobytes()]
    assert text == MnistTextTokenizer(24).encode_images(images[1:2] >= 128, [1])[0]


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


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--image_size", "28"], ["image_size is 28; allowed are 6, 12"]),
        (["--threshold", "0.5"], ["threshold is 0.5 with binarization 'rounded'"]),
        (["--class_names", "a", "b"], ["class_names has 2 names; needed are 10"]),
        (["--binarization", "sampled", "--image_size", "24"], ["images of 28×28 are sampled for an image_size of 24"]),
    ],
)
def test_bad_sizes_binarisations_and_names_are_refused(refusal_of, tmp_path, few, options, found):
    line = refusal_of(build_dataset, "--output_dir", tmp_path / "out", "--dataset_name", few, *options)
    assert [part for part in found if part not in line] == [], line
    assert not list((tmp_path / "out").rglob("*.*"))


def test_folder_with_other_files_is_refused_and_left_as_it_is(refusal_of, tmp_path):
    (tmp_path / "other.parquet").write_bytes(b"other")
    assert "which has 'other.parquet'" in refusal_of(build_dataset, "--output_dir", tmp_path, *FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["other.parquet"]
