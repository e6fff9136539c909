# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Rows of both layouts and of the classifier, read one by one, in batches and through the loader."""

import logging
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from transformers import default_data_collator

from mnist_text_gen.data import augment_images, load_corpus, load_image_corpus, make_binary, sample_images, set_epoch
from mnist_text_gen.data.arguments import SourceArguments
from mnist_text_gen.tokenizer import MnistTextTokenizer, binarize_images


NUM_TRAIN, NUM_TEST, STRENGTH = 12, 5, 0.75
LAYOUTS = {
    "aligned": {},
    "augmented": {"augmentation": STRENGTH, "seed": 7},
    "sampled": {"binarization": "sampled", "seed": 7},
    "sliding": {"layout": "sliding"},
}
NUM_ROWS = {"aligned": NUM_TRAIN, "augmented": NUM_TRAIN, "sampled": NUM_TRAIN, "sliding": NUM_TRAIN * 152 - 151}


@pytest.fixture(scope="module")
def source(mnist_5k, tmp_path_factory):
    """20 and 10 real images as a folder of IDX files, which loads a hundred times as fast as mnist-5k."""
    folder = tmp_path_factory.mktemp("idx")
    for split, prefix, count in (("train", "train", 20), ("test", "t10k", 10)):
        images, labels = mnist_5k[split].first(count, split)
        header = np.array([0x0803, count, 28, 28], dtype=">u4").tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = np.array([0x0801, count], dtype=">u4").tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())
    return str(folder)


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


def to_ids(text: str) -> list[int]:
    return [74 if symbol == ")" else ord(symbol) - 48 for symbol in text]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_has_its_columns_dtypes_and_lengths(load, layout, split):
    rows = load(layout)[split]
    assert len(rows) == (NUM_ROWS[layout] if split == "train" else NUM_TEST)
    for row in rows:
        assert set(row) == {"text", "input_ids", "attention_mask", "labels", "label"}
        assert len(row["text"]) == 152
        assert type(row["label"]) is int
        for name in ("input_ids", "attention_mask", "labels"):
            column = np.asarray(row[name])
            assert column.shape == (152,)
            assert column.dtype == np.int64
        assert np.asarray(row["attention_mask"]).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_are_the_ids_of_the_text_with_the_end_token(load, layout):
    for row in load(layout)["train"]:
        expected = to_ids(row["text"])
        assert list(row["input_ids"]) == expected
        assert list(row["labels"]) == expected
        assert list(row["labels"]).count(74) == 1


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("layout", ["aligned", "augmented"])
def test_aligned_rows_start_with_their_class_and_end_with_the_end_token(load, layout, split):
    for row in load(layout)[split]:
        assert row["labels"][0] == row["label"]
        assert row["labels"][-1] == 74


def test_aligned_rows_are_the_texts_in_the_order_of_the_source(load, texts, train):
    rows = load("aligned")["train"]
    assert list(rows["text"]) == texts
    assert list(rows["label"]) == train.labels.tolist()


def test_aligned_columns_are_int64_of_fixed_length(load):
    features = load("aligned")["train"].features
    for name in ("input_ids", "attention_mask", "labels"):
        assert features[name].feature.dtype == "int64"
        assert features[name].length == 152
    assert features["label"].dtype == "int64"


@pytest.mark.parametrize("layout", ["aligned", "augmented", "sliding"])
def test_test_split_is_the_plain_aligned_texts_unless_sampled(load, mnist_5k, tokenizer, layout):
    images, labels = mnist_5k["test"].first(NUM_TEST, "test")
    assert list(load(layout)["test"]["text"]) == tokenizer.encode_images(images, labels)


def test_sliding_rows_are_all_windows_of_the_concatenated_texts(load, texts, train):
    rows = load("sliding")["train"]
    concatenated = "".join(texts)
    assert len(rows) == NUM_TRAIN * 152 - 151
    for start, row in enumerate(rows):
        assert row["text"] == concatenated[start : start + 152]
        assert row["label"] == train.labels[start // 152]


def test_sliding_rows_are_the_same_alone_in_a_batch_and_in_another_order(load, texts):
    rows = load("sliding")["train"]
    concatenated = "".join(texts)
    starts = [len(rows) - 1, 0, 151, 152, 153, 700]
    assert rows[starts]["text"] == [concatenated[start : start + 152] for start in starts]
    assert [rows[start]["text"] for start in starts] == rows[starts]["text"]
    shuffled = rows.shuffle(seed=1)
    assert shuffled[:]["text"] != rows[:]["text"]
    assert sorted(shuffled[:]["text"]) == sorted(rows[:]["text"])


@pytest.mark.parametrize("layout", ["augmented", "sliding"])
def test_rows_made_when_read_are_stored_as_numbers_only(load, layout):
    rows = load(layout)["train"]
    assert rows.column_names == ["row"]
    assert rows.data.nbytes <= 8 * len(rows)


@pytest.fixture
def augmented(source):
    return load_corpus(source, num_train_samples=NUM_TRAIN, augmentation=STRENGTH, seed=7)["train"]


@pytest.mark.parametrize("epoch", [0, 1, 2**32 - 1])
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
    assert augmented[[10, 3, 10]]["text"] == [whole[10], whole[3], whole[10]]
    again = load("augmented")["train"]
    set_epoch(again, 3)
    assert again[:]["text"] == whole


def test_every_epoch_distorts_anew_and_the_same_epoch_alike(augmented, texts):
    seen = []
    for epoch in (0, 1, 2, 1):
        set_epoch(augmented, epoch)
        seen.append(augmented[:]["text"])
    assert seen[1] == seen[3]
    for index in range(NUM_TRAIN):
        assert len({texts[index], seen[0][index], seen[1][index], seen[2][index]}) == 4


def test_strength_can_change_and_zero_gives_the_images_as_they_are(augmented, texts):
    distorted = augmented[:]["text"]
    set_epoch(augmented, 0, augmentation=0.0)
    assert augmented[:]["text"] == texts
    set_epoch(augmented, 0, augmentation=STRENGTH)
    assert augmented[:]["text"] == distorted


def test_setting_the_epoch_of_rows_without_augmentation_changes_nothing(source, texts):
    for layout in ("aligned", "sliding"):
        rows = load_corpus(source, num_train_samples=NUM_TRAIN, layout=layout)["train"]
        before = rows[:]["text"]
        set_epoch(rows, 5)
        assert rows[:]["text"] == before


def test_setting_a_negative_strength_is_refused(augmented):
    with pytest.raises(ValueError, match=r"^augmentation is -1 in the aligned layout; allowed is 0"):
        set_epoch(augmented, 0, -1)


def test_another_seed_distorts_every_image_in_another_way(augmented, source):
    other = load_corpus(source, num_train_samples=NUM_TRAIN, augmentation=STRENGTH, seed=8)["train"]
    assert all(first != second for first, second in zip(other[:]["text"], augmented[:]["text"], strict=True))


@pytest.mark.parametrize("augmentation", [0.0, STRENGTH])
def test_sampled_row_is_drawn_with_seed_epoch_and_row_number(source, train, tokenizer, augmentation):
    options = {"augmentation": augmentation, "binarization": "sampled", "seed": 7}
    rows = load_corpus(source, num_train_samples=NUM_TRAIN, **options)["train"]
    pixels = load_image_corpus(source, NUM_TRAIN, **options)["train"]
    for epoch in (0, 3, 0):
        set_epoch(rows, epoch)
        set_epoch(pixels, epoch)
        keys = [epoch * 2**32 + index for index in range(NUM_TRAIN)]
        images = augment_images(train.images, keys, 7, augmentation) if augmentation else train.images
        wanted = sample_images(images, keys, 7)
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_default_collator_gives_token_labels_and_not_classes(load, layout):
    # the rows also have a `label`, which the collator would make the batch's `labels` were there no other
    rows = load(layout)["train"]
    batch = default_data_collator([rows[index] for index in (3, 0, 8)])
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert batch["labels"].shape == (3, 152)
    assert batch["labels"].dtype == torch.int64
    assert torch.equal(batch["labels"], batch["input_ids"])
    assert batch["input_ids"].tolist() == [to_ids(rows[index]["text"]) for index in (3, 0, 8)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loader_reads_every_row_once(load, layout):
    rows = load(layout)["train"]
    loader = torch.utils.data.DataLoader(rows, batch_size=500, collate_fn=default_data_collator)
    labels = torch.cat([batch["labels"] for batch in loader])
    assert labels.tolist() == [to_ids(text) for text in rows[:]["text"]]


def test_all_images_are_taken_where_none_asks_for_fewer(source):
    corpus = load_corpus(source, num_train_samples=None)
    assert (len(corpus["train"]), len(corpus["test"])) == (20, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "diagonal"}, "^layout is 'diagonal'; allowed are 'aligned' and 'sliding'$"),
        ({}, "^num_train_samples is 10000; allowed is 1 to 20, what the source holds$"),
        ({"num_train_samples": 21}, "^num_train_samples is 21; allowed is 1 to 20, what the source holds$"),
        ({"num_train_samples": 0}, "^num_train_samples is 0; allowed is 1 to 20, what the source holds$"),
        ({"num_train_samples": -3}, "^num_train_samples is -3; allowed is 1 to 20, what the source holds$"),
        (
            {"num_train_samples": 5, "num_eval_samples": 11},
            "^num_eval_samples is 11; allowed is 1 to 10, what the source holds$",
        ),
        ({"num_train_samples": 5, "num_eval_samples": 0}, "^num_eval_samples is 0; allowed is 1 to 10, what the"),
        ({"augmentation": -1}, "^augmentation is -1 in the aligned layout; allowed is 0, and in the"),
        ({"augmentation": float("nan")}, "^augmentation is nan in the aligned layout; allowed is 0, and in the"),
        (
            {"augmentation": 1.0, "layout": "sliding"},
            "^augmentation is 1.0 in the sliding layout; allowed is 0, and in the aligned layout more$",
        ),
        (
            {"binarization": "grey"},
            "^binarization is 'grey'; allowed are 'rounded', 'threshold', 'otsu' and 'sampled'$",
        ),
        (
            {"binarization": "sampled", "layout": "sliding"},
            "^binarization is 'sampled' in the sliding layout; allowed there are the others$",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_value_and_what_is_allowed(source, options, message):
    with pytest.raises(ValueError, match=message):
        load_corpus(source, **options)


@pytest.mark.parametrize("augmentation", [0.0, STRENGTH])
def test_classifier_rows_are_binary_images_and_classes(source, train, augmentation):
    corpus = load_image_corpus(source, NUM_TRAIN, NUM_TEST, augmentation=augmentation, seed=7)
    assert (len(corpus["train"]), len(corpus["test"])) == (NUM_TRAIN, NUM_TEST)
    for row in corpus["train"]:
        assert set(row) == {"pixel_values", "labels"}
        assert row["pixel_values"].shape == (1, 30, 30)
        assert row["pixel_values"].dtype == np.float32
        assert set(np.unique(row["pixel_values"])) == {0.0, 1.0}
        assert type(row["labels"]) is int
    rows = corpus["train"][:]
    is_plain = np.array_equal(np.concatenate(rows["pixel_values"]), binarize_images(train.images))
    assert is_plain == (augmentation == 0)
    assert rows["labels"] == train.labels.tolist()


def test_classifier_test_rows_are_the_plain_images(source, mnist_5k):
    images, labels = mnist_5k["test"].first(NUM_TEST, "test")
    rows = load_image_corpus(source, NUM_TRAIN, NUM_TEST, augmentation=STRENGTH)["test"][:]
    assert np.array_equal(np.concatenate(rows["pixel_values"]), binarize_images(images))
    assert rows["labels"] == labels.tolist()


@pytest.mark.parametrize("epoch", [0, 4])
def test_classifier_sees_the_same_images_as_the_language_model(augmented, source, tokenizer, epoch):
    images = load_image_corpus(source, NUM_TRAIN, augmentation=STRENGTH, seed=7)["train"]
    for rows in (augmented, images):
        set_epoch(rows, epoch)
    texts, images = augmented[:], images[:]
    assert np.array_equal(np.concatenate(images["pixel_values"]), tokenizer.decode_images(texts["text"]))
    assert images["labels"] == texts["label"]


def test_classifier_takes_all_images_by_default(source):
    corpus = load_image_corpus(source)
    assert (len(corpus["train"]), len(corpus["test"])) == (20, 10)


def test_default_collator_stacks_classifier_rows(source, train):
    rows = load_image_corpus(source, NUM_TRAIN)["train"]
    batch = default_data_collator([rows[index] for index in range(4)])
    assert batch["pixel_values"].shape == (4, 1, 30, 30)
    assert batch["pixel_values"].dtype == torch.float32
    assert batch["labels"].tolist() == train.labels[:4].tolist()
    assert batch["labels"].dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": -1}, "^augmentation is -1 in"),
        (
            {"binarization": "grey"},
            "^binarization is 'grey'; allowed are 'rounded', 'threshold', 'otsu' and 'sampled'$",
        ),
        ({"num_train_samples": 21}, "^num_train_samples is 21; allowed is 1 to 20, what the source holds$"),
        ({"num_eval_samples": 0}, "^num_eval_samples is 0; allowed is 1 to 10, what the source holds$"),
    ],
)
def test_wrong_arguments_for_classifier_rows_are_refused(source, options, message):
    with pytest.raises(ValueError, match=message):
        load_image_corpus(source, **options)


LOADERS = [load_corpus, load_image_corpus, lambda splits, **options: make_binary(splits, **options)]


def with_values(mnist_5k, low, high):
    """Real digits of two grey values."""
    splits = {name: mnist_5k[name].first(count, name) for name, count in (("train", 30), ("test", 10))}
    return {
        name: replace(split, images=np.where(split.images > 127, high, low).astype(np.uint8))
        for name, split in splits.items()
    }


@pytest.mark.parametrize("load", LOADERS, ids=["texts", "pixels", "binary"])
@pytest.mark.parametrize("values", [(0, 1), (60, 120), (150, 250), (90, 90)])
def test_a_source_that_becomes_blank_is_refused_with_its_number_and_an_option(mnist_5k, load, values):
    splits = with_values(mnist_5k, *values)
    options = {"num_train_samples": 30} if load is load_corpus else {}
    with pytest.raises(ValueError, match=r"^40 of 40 images are blank, .* 'rounded'; .* see --binarization otsu$"):
        load(splits, **options)
    if values[0] != values[1]:
        load(splits, binarization="otsu", **options)


def test_sampled_images_of_hardly_any_ink_are_refused(mnist_5k):
    with pytest.raises(ValueError, match=r"^40 of 40 images are blank"):
        load_corpus(with_values(mnist_5k, 0, 1), num_train_samples=30, binarization="sampled")


def test_some_blank_images_are_worth_a_warning(mnist_5k, caplog):
    splits = with_values(mnist_5k, 0, 255)
    splits["train"].images[:10] = 0
    with caplog.at_level(logging.WARNING):
        load_corpus(splits, num_train_samples=30)
    assert caplog.records[0].getMessage().startswith("10 of 40 images are blank")


@pytest.mark.parametrize("binarization", ["rounded", "otsu", "sampled"])
def test_more_ink_than_paper_names_invert_which_gives_the_texts_of_bright_ink(mnist_5k, caplog, binarization):
    bright, dark = with_values(mnist_5k, 0, 255), with_values(mnist_5k, 255, 0)
    options = {"num_train_samples": 30, "binarization": binarization}
    with caplog.at_level(logging.WARNING):
        load_corpus(dark, **options)
        load_image_corpus(dark, **options)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "40 of 40 images have more ink than paper"
    ] * 2
    assert all("--invert" in record.getMessage() for record in caplog.records)
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


def test_real_digits_give_no_warning(mnist_5k, caplog):
    with caplog.at_level(logging.WARNING):
        load_corpus(mnist_5k, num_train_samples=1000)
    assert not caplog.records


@pytest.mark.parametrize(
    "leave",
    [
        lambda rows: rows.to_parquet("x.parquet"),
        lambda rows: rows.map(lambda row: row),
        lambda rows: rows.with_format("torch"),
        lambda rows: rows.select(range(3)).save_to_disk("x"),
        lambda rows: rows.shuffle(seed=0).sort("label"),
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
