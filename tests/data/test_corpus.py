# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Rows of both layouts and of the classifier, read one by one, in batches and through the loader."""

import logging
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from image_files import write_idx_folder
from transformers import default_data_collator

from mnist_text_gen.data import augment_images, load_corpus, load_image_corpus, make_binary, sample_images, set_epoch
from mnist_text_gen.data.arguments import SourceArguments
from mnist_text_gen.tokenizer import MnistTextTokenizer, binarize_images


NUM_TRAIN, NUM_TEST, STRENGTH = 6, 5, 0.75
LAYOUTS = {
    "aligned": {},
    "augmented": {"augmentation": STRENGTH, "seed": 7},
    "sampled": {"binarization": "sampled", "seed": 7},
    "sliding": {"layout": "sliding"},
}


@pytest.fixture(scope="module")
def source(mnist_5k, tmp_path_factory):
    """20 and 10 real images as a folder of IDX files, which loads a hundred times as fast as mnist-5k."""
    train, test = mnist_5k["train"].first(20, "train"), mnist_5k["test"].first(10, "test")
    return str(write_idx_folder(tmp_path_factory.mktemp("idx"), train, test))


@pytest.fixture(scope="module")
def train(mnist_5k):
    return mnist_5k["train"].first(NUM_TRAIN, "train")


@pytest.fixture(scope="module")
def texts(train, tokenizer):
    return tokenizer.encode_images(train.images, train.labels)


@pytest.fixture(scope="module")
def load(source):
    """Corpora by the name of their layout, loaded once."""
    corpora = {}

    def load_once(name: str):
        if name not in corpora:
            options = {"num_train_samples": NUM_TRAIN, "num_eval_samples": NUM_TEST} | LAYOUTS[name]
            corpora[name] = load_corpus(source, **options)
        return corpora[name]

    return load_once


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_has_its_text_and_the_ids_of_it_for_the_default_collator(load, layout):
    for rows in load(layout).values():
        for row in rows:
            assert set(row) == {"text", "input_ids", "attention_mask", "labels", "label"}
            ids = [74 if symbol == ")" else ord(symbol) - 48 for symbol in row["text"]]
            assert list(row["input_ids"]) == list(row["labels"]) == ids and ids.count(74) == 1
        # the rows also have a `label`, which the collator would make the batch's `labels` were there no other
        batch = default_data_collator([rows[index] for index in (3, 0, 4)])
        assert set(batch) == {"input_ids", "attention_mask", "labels"}
        assert (batch["labels"].shape, batch["labels"].dtype) == ((3, 152), torch.int64)
        assert torch.equal(batch["labels"], batch["input_ids"]) and batch["attention_mask"].all()


def test_aligned_rows_are_the_texts_in_the_order_of_the_source(load, texts, train, mnist_5k, tokenizer):
    rows = load("aligned")["train"]
    assert list(rows["text"]) == texts
    assert list(rows["label"]) == train.labels.tolist()
    of_test = tokenizer.encode_images(*mnist_5k["test"].first(NUM_TEST, "test"))
    for layout in ("aligned", "augmented", "sliding"):
        assert list(load(layout)["test"]["text"]) == of_test


def test_sliding_rows_are_all_windows_of_the_concatenated_texts(load, texts, train):
    rows = load("sliding")["train"]
    concatenated = "".join(texts)
    assert len(rows) == NUM_TRAIN * 152 - 151
    for start, row in enumerate(rows):
        assert row["text"] == concatenated[start : start + 152]
        assert row["label"] == train.labels[start // 152]
    starts = [len(rows) - 1, 0, 151, 152, 153, 700]
    assert rows[starts]["text"] == [concatenated[start : start + 152] for start in starts]
    shuffled = rows.shuffle(seed=1)[:]["text"]
    assert shuffled != rows[:]["text"] and sorted(shuffled) == sorted(rows[:]["text"])


@pytest.fixture
def augmented(source):
    return load_corpus(source, num_train_samples=NUM_TRAIN, augmentation=STRENGTH, seed=7)["train"]


@pytest.mark.parametrize("epoch", [0, 2**32 - 1])
def test_augmented_row_is_its_image_distorted_with_seed_epoch_and_row_number(augmented, train, tokenizer, epoch):
    set_epoch(augmented, epoch)
    for index, row in enumerate(augmented):
        image = augment_images(train.images[index : index + 1], [epoch * 2**32 + index], 7, STRENGTH)
        assert row["text"] == tokenizer.encode_images(image, train.labels[index : index + 1])[0]
        assert row["label"] == train.labels[index]


def test_augmented_rows_are_the_same_alone_in_a_batch_and_in_another_order(augmented, load):
    set_epoch(augmented, 3)
    whole = augmented[:]["text"]
    order = np.random.default_rng(0).permutation(len(augmented)).tolist()
    assert [augmented[number]["text"] for number in range(len(augmented))] == whole
    assert augmented[order]["text"] == [whole[number] for number in order]
    assert augmented[[5, 3, 5]]["text"] == [whole[5], whole[3], whole[5]]
    again = load("augmented")["train"]
    set_epoch(again, 3)
    assert again[:]["text"] == whole


def test_sampled_row_is_drawn_with_seed_epoch_and_row_number(source, train, tokenizer):
    options = {"augmentation": STRENGTH, "binarization": "sampled", "seed": 7}
    rows = load_corpus(source, num_train_samples=NUM_TRAIN, **options)["train"]
    pixels = load_image_corpus(source, NUM_TRAIN, **options)["train"]
    for epoch in (0, 3, 0):
        set_epoch(rows, epoch)
        set_epoch(pixels, epoch)
        keys = [epoch * 2**32 + index for index in range(NUM_TRAIN)]
        wanted = sample_images(augment_images(train.images, keys, 7, STRENGTH), keys, 7)
        assert rows[:]["text"] == tokenizer.encode_images(wanted, train.labels)
        assert np.array_equal(np.concatenate(pixels[:]["pixel_values"]), wanted)


def test_sampled_test_images_are_the_same_for_every_seed_and_have_keys_of_their_own(source, mnist_5k, tokenizer):
    images, labels = mnist_5k["test"].first(NUM_TEST, "test")
    wanted = sample_images(images, [(2**32 - 1) * 2**32 + index for index in range(NUM_TEST)])
    for seed in (0, 7):
        options = {"num_eval_samples": NUM_TEST, "binarization": "sampled", "seed": seed}
        rows = load_corpus(source, num_train_samples=NUM_TRAIN, **options)["test"]
        assert rows["text"][:] == tokenizer.encode_images(wanted, labels)
        pixels = load_image_corpus(source, NUM_TRAIN, **options)["test"][:]["pixel_values"]
        assert np.array_equal(np.concatenate(pixels), wanted)


OF_BOTH = [
    ({"num_train_samples": 21}, "^`num_train_samples` must be from 1 to 20, the images .*, got 21$"),
    ({"num_eval_samples": 0}, "^`num_eval_samples` must be from 1 to 10, the images .*, got 0$"),
    ({"augmentation": -1}, "^`augmentation` must be 0 or more, .*, got -1 in the aligned layout$"),
    ({"augmentation": float("nan")}, "^`augmentation` must be 0 or more, .*, got nan in the aligned layout$"),
    ({"binarization": "grey"}, "^`binarization` must be 'rounded', 'threshold', 'otsu' or 'sampled', got 'grey'$"),
]
OF_TEXTS = [
    ({"layout": "diagonal"}, "^`layout` must be 'aligned' or 'sliding', got 'diagonal'$"),
    ({"augmentation": 1.0, "layout": "sliding"}, "^`augmentation` must be .* 0 in the sliding layout, got 1.0"),
    ({"binarization": "sampled", "layout": "sliding"}, "^`binarization` must not be 'sampled' in the sliding layout$"),
]


@pytest.mark.parametrize(
    ("load", "options", "message"),
    [*((load_corpus, *case) for case in OF_BOTH + OF_TEXTS), *((load_image_corpus, *case) for case in OF_BOTH)],
)
def test_wrong_arguments_are_refused_with_value_and_what_is_allowed(source, load, options, message):
    with pytest.raises(ValueError, match=message):
        load(source, **{"num_train_samples": 5, **options})


def test_all_images_are_taken_where_none_asks_for_fewer(source):
    for corpus in (load_corpus(source, num_train_samples=None), load_image_corpus(source)):
        assert (len(corpus["train"]), len(corpus["test"])) == (20, 10)


def test_classifier_rows_are_binary_images_and_classes(source, mnist_5k):
    for name, rows in load_image_corpus(source, NUM_TRAIN, NUM_TEST).items():
        images, labels = mnist_5k[name].first(len(rows), name)
        batch = default_data_collator([rows[index] for index in range(len(rows))])
        assert (batch["pixel_values"].dtype, batch["labels"].dtype) == (torch.float32, torch.int64)
        assert np.array_equal(batch["pixel_values"], binarize_images(images)[:, None])
        assert batch["labels"].tolist() == labels.tolist()


def with_values(mnist_5k, low, high):
    """Real digits of two grey values."""
    splits = {"train": mnist_5k["train"].first(30, "train"), "test": mnist_5k["test"].first(10, "test")}
    binary = {name: np.where(split.images > 127, high, low).astype(np.uint8) for name, split in splits.items()}
    return {name: replace(split, images=binary[name]) for name, split in splits.items()}


@pytest.mark.parametrize(
    ("load", "values"),
    [
        (load_corpus, (0, 1)),
        (load_corpus, (90, 90)),
        (load_image_corpus, (60, 120)),
        (lambda splits, num_train_samples, **options: make_binary(splits, **options), (150, 250)),
    ],
    ids=["texts", "texts of one grey", "pixels", "binary"],
)
def test_a_source_that_becomes_blank_is_refused_with_its_number_and_an_option(mnist_5k, load, values):
    splits = with_values(mnist_5k, *values)
    with pytest.raises(ValueError, match=r"^40 of 40 images are blank, .* 'rounded'; .* try --binarization otsu$"):
        load(splits, num_train_samples=30)
    if values[0] != values[1]:
        load(splits, num_train_samples=30, binarization="otsu")
    if values == (0, 1):
        with pytest.raises(ValueError, match=r"^40 of 40 images are blank"):
            load(splits, num_train_samples=30, binarization="sampled")


def test_some_blank_images_are_worth_a_warning(mnist_5k, caplog):
    splits = with_values(mnist_5k, 0, 255)
    splits["train"].images[:10] = 0
    with caplog.at_level(logging.WARNING):
        load_corpus(mnist_5k, num_train_samples=1000)
        assert not caplog.records
        load_corpus(splits, num_train_samples=30)
    assert caplog.records[0].getMessage().startswith("10 of 40 images are blank")


@pytest.mark.parametrize("binarization", ["rounded", "sampled"])
def test_more_ink_than_paper_names_invert_which_gives_the_texts_of_bright_ink(mnist_5k, caplog, binarization):
    bright, dark = with_values(mnist_5k, 0, 255), with_values(mnist_5k, 255, 0)
    options = {"num_train_samples": 30, "binarization": binarization}
    with caplog.at_level(logging.WARNING):
        load_corpus(dark, **options)
        load_image_corpus(dark, **options)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2 and all("--invert" in message for message in messages)
    assert all(message.startswith("40 of 40 images have more ink (bright pixels) than paper;") for message in messages)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        inverted = load_corpus(dark, **options, invert=True)
        pixels = load_image_corpus(dark, **options, invert=True)
    assert not caplog.records
    expected = load_corpus(bright, **options)
    for split in ("train", "test"):
        assert inverted[split][:]["text"] == expected[split][:]["text"]
        rows = pixels[split][:]
        images = np.stack([np.asarray(image)[0] for image in rows["pixel_values"]])
        assert MnistTextTokenizer().encode_images(images, rows["labels"]) == expected[split][:]["text"]


def test_invert_as_an_argument_of_commands_gives_the_same_images(mnist_5k):
    inverted = SourceArguments(dataset_name="mnist-5k", invert=True).load_images()
    np.testing.assert_array_equal(inverted["test"].images, 255 - mnist_5k["test"].images)


@pytest.mark.parametrize(
    "leave",
    [
        lambda rows: rows.to_parquet("x.parquet"),
        lambda rows: rows.map(lambda row: row),
        lambda rows: rows.with_format("torch"),
        lambda rows: rows.select(range(3)).save_to_disk("x"),
        lambda rows: datasets.DatasetDict(train=rows).map(lambda row: row),
    ],
)
def test_what_would_leave_only_row_numbers_of_lazy_rows_is_refused(mnist_5k, leave):
    rows = load_corpus(mnist_5k, num_train_samples=8, num_eval_samples=1, augmentation=1.0)["train"]
    with pytest.raises(ValueError, match=r"datasets\.Dataset\.from_dict\(rows\[:\]\)"):
        leave(rows)


def test_lazy_rows_are_stored_as_they_are_now(mnist_5k, tmp_path):
    rows = load_corpus(mnist_5k, num_train_samples=8, num_eval_samples=1, augmentation=1.0)["train"]
    datasets.Dataset.from_dict(rows[:]).to_parquet(tmp_path / "rows.parquet")
    stored = datasets.Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "cache"))
    assert stored["text"][:] == rows[:]["text"]
    few = rows.filter(lambda row: row["label"] == rows[0]["label"])
    assert few[0]["text"] == rows[0]["text"] and set(few[:]["label"]) == {rows[0]["label"]}
