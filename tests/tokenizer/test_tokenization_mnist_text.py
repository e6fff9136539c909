# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The text form and its tokenizer, against texts written down elsewhere and a slow second implementation."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

from mnist_text_gen import MnistTextTokenizer
from mnist_text_gen.data import load_images
from mnist_text_gen.tokenizer import binarize_images, check_text
from mnist_text_gen.tokenizer import tokenization_mnist_text as tokenization


# The first three training images of MNIST, as the specification gives them.
GOLDEN_TEXTS = [
    "5::::::::::::::::::::::::::::=Z::IyZ:Ayy::AyZ::AwZ:::r::::j::::r::::R::::H::::AZ:::=j::::r::::v::::r:::Ar:::Yj"
    "::;y:::=v:::Yj::;yZ::;v::::::::::::::::::)",
    "0:::::::::::::::::::::::j:::=r:::Ar:::Iv:::Yx:::yp::;w`::;rA::=jA::A:A::H:A::H:A::V:A::V:@::V:H::R:R::R;j::V=j"
    "::Yy:::Yv:::Ir:::=Z::::::::::::::::::::::)",
    "4:::::::::::::::::::::::::::::::::=::::=:;::<:=::@:=::@:=::H:=::H:=::F:=::v:=:Yv:=yvR:;x:R::::R::::r::::r::::r"
    "::::r::::r::::r::::R::::R::::::::::::::::)",
]
LEGAL_SYMBOLS = "".join(map(chr, range(48, 122))) + ")"
BLANK_TEXT = "5" + ":" * 150 + ")"


def encode_slowly(image: np.ndarray, label: int) -> str:
    """The specification's words for one grey uint8 image, a pixel at a time."""
    grey = torch.tensor(image.tolist(), dtype=torch.float32) / 255
    scaled = torch.nn.functional.interpolate(grey[None, None], (30, 30), mode="bilinear", align_corners=False)
    bits = [int(pixel) for row in torch.round(scaled[0, 0]).tolist() for pixel in row]
    symbols = []
    for start in range(0, 900, 6):
        value = 0
        for bit in bits[start : start + 6]:
            value = value * 2 + bit
        symbols.append(chr(ord(":") + value))
    return chr(ord("0") + int(label)) + "".join(symbols) + ")"


@pytest.mark.skipif("MNIST_DIR" not in os.environ, reason="MNIST_DIR names no folder with MNIST's IDX files")
def test_first_three_training_images_give_the_golden_texts(tokenizer):
    images, labels = load_images(os.environ["MNIST_DIR"])["train"].first(3, "images")
    assert tokenizer.encode_images(images, labels) == GOLDEN_TEXTS


def test_first_golden_text_draws_the_top_stroke_of_its_five(tokenizer):
    # by hand: symbols 28 and 29 are "=" (000011) and "Z" (100000), pixels 168 to 179, which is row 5 from column 18
    (image,) = tokenizer.decode_images(GOLDEN_TEXTS[:1])
    assert not image[:5].any()
    assert np.flatnonzero(image[5]).tolist() == [22, 23, 24]


@pytest.mark.parametrize("text", GOLDEN_TEXTS)
def test_golden_text_survives_images_and_ids(tokenizer, text):
    image = tokenizer.decode_images([text])
    assert (image.shape, image.dtype) == ((1, 30, 30), np.uint8) and 50 < image.sum() < 250
    assert tokenizer.encode_images(image, [int(text[0])]) == [text]
    encoded = tokenizer(text)
    assert encoded["input_ids"] == [ord(symbol) - 48 for symbol in text[:-1]] + [74]
    assert encoded["attention_mask"] == [1] * len(text) == [1] * 152
    assert tokenizer.decode(encoded["input_ids"]) == text


def test_vocabulary_is_10_classes_64_pixel_symbols_and_the_end_which_alone_is_special(tokenizer):
    symbols = [*map(chr, range(48, 122)), ")"]
    assert tokenizer.get_vocab() == {symbol: index for index, symbol in enumerate(symbols)}
    assert len(tokenizer) == tokenizer.vocab_size == 75
    assert (tokenizer.class_ids, tokenizer.pixel_ids) == (range(10), range(10, 74))
    assert tokenizer.all_special_tokens == [")"] and tokenizer.eos_token_id == tokenizer.pad_token_id == 74
    assert tokenizer.bos_token is None and tokenizer.unk_token is None and tokenizer.model_max_length == 152
    assert tokenizer("5", add_special_tokens=True)["input_ids"] == [5]


@given(st.text(alphabet=LEGAL_SYMBOLS, min_size=1, max_size=200))
@settings(deadline=None, max_examples=100)
@example("))5)")
@example("?@[\\]^_`")
def test_ids_of_legal_symbols_are_ascii_less_48(tokenizer, text):
    expected = [74 if symbol == ")" else ord(symbol) - 48 for symbol in text]
    assert tokenizer(text)["input_ids"] == expected
    assert tokenizer.convert_tokens_to_ids(list(text)) == expected
    assert tokenizer.decode(expected) == text


def test_encode_images_agrees_with_the_slow_implementation(tokenizer, mnist_5k):
    images, labels = mnist_5k["train"].images[:2100], mnist_5k["train"].labels[:2100]
    texts = tokenizer.encode_images(images, labels)
    assert len(texts) == 2100
    # and at the seams of the blocks that are scaled together
    for index in (*range(100), 1023, 1024, 1025, 2047, 2048, 2099):
        assert texts[index] == encode_slowly(images[index], labels[index])


FORMS = {
    "int64": lambda images: images.astype(np.int64),
    "float32": lambda images: images.astype(np.float32) / np.float32(255),
    "torch-uint8": lambda images: torch.tensor(images),
    "torch-with-gradient": lambda images: (torch.tensor(images).float() / 255).requires_grad_(),
    "other-memory-order": lambda images: np.asfortranarray(images),
    "binary": binarize_images,
    "binary-torch-bool": lambda images: torch.tensor(binarize_images(images)).bool(),
    "binary-torch-bfloat16": lambda images: torch.tensor(binarize_images(images)).bfloat16(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_gives_the_same_texts_and_is_left_as_it_was(tokenizer, mnist_5k, form):
    images, labels = mnist_5k["test"].images[:30], mnist_5k["test"].labels[:30]
    given, before = (FORMS[form](images.copy()) for _ in range(2))
    assert tokenizer.encode_images(given, labels) == tokenizer.encode_images(images, labels)
    assert (given == before).all()


@pytest.mark.parametrize(("grey", "symbol"), [(0, ":"), (127, ":"), (128, "y"), (255, "y")])
def test_uniform_images_round_at_half_brightness(tokenizer, grey, symbol):
    image = np.full((1, 28, 28), grey, dtype=np.uint8)
    assert tokenizer.encode_images(image, [0]) == ["0" + symbol * 150 + ")"]


def test_exactly_half_rounds_to_even_as_torch_round_does():
    assert not binarize_images(np.full((1, 28, 28), 0.5, dtype=np.float32)).any()


def one_value(value, dtype, size: int = 28) -> np.ndarray:
    """Two blank images, but for one pixel of the second."""
    images = np.zeros((2, size, size), dtype=dtype)
    images[1, 3, 7] = value
    return images


# Every size that is a multiple of six up to 48, and the length of its text, 2 + size² / 6, worked out by hand.
TEXT_LENGTHS = {6: 8, 12: 26, 18: 56, 24: 98, 30: 152, 36: 218, 42: 296, 48: 386}


@pytest.fixture(scope="module")
def tokenizers():
    return {size: MnistTextTokenizer(image_size=size) for size in TEXT_LENGTHS}


@pytest.mark.parametrize(("size", "length"), TEXT_LENGTHS.items())
def test_a_text_is_as_long_as_its_image_is_large(tokenizers, size, length):
    tokenizer = tokenizers[size]
    sizes = (tokenizer.image_size, tokenizer.num_pixel_symbols, tokenizer.model_max_length)
    assert sizes == (size, length - 2, length)
    (text,) = tokenizer.encode_images(np.ones((1, size, size)), [4])
    assert text == "4" + "y" * (length - 2) + ")"
    assert tokenizer.decode_images([]).shape == (0, size, size)
    assert tokenizer.encode_images(np.zeros((0, size, size)), []) == []


@st.composite
def labelled_images(draw) -> tuple[np.ndarray, list[int]]:
    size, num_images = draw(st.sampled_from(list(TEXT_LENGTHS))), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    images = np.random.default_rng(seed).integers(0, 2, (num_images, size, size))
    return images, draw(st.lists(st.integers(0, 9), min_size=num_images, max_size=num_images))


@given(labelled_images())
@settings(deadline=None, max_examples=60)
def test_images_of_every_size_survive_texts_and_ids(tokenizers, labelled):
    images, labels = labelled
    size = images.shape[1]
    tokenizer = tokenizers[size]
    texts = tokenizer.encode_images(images, labels)
    for text, image, label in zip(texts, images, labels, strict=True):
        assert (text[0], text[-1], len(text)) == (str(label), ")", TEXT_LENGTHS[size])
        assert "".join(format(ord(symbol) - 58, "06b") for symbol in text[1:-1]) == "".join(map(str, image.ravel()))
        check_text(text, image_size=size)
    assert (tokenizer.decode_images(tokenizer.batch_decode(tokenizer(texts)["input_ids"])) == images).all()
    # without its end and its last symbol a text is the image without its last six pixels
    images[:, -1, -6:] = 0
    assert (tokenizer.decode_images([text[:-2] for text in texts], partial=True) == images).all()


@pytest.mark.parametrize("size", [0, -6, 28, 54, 30.0, True, "30", None, np.nan])
def test_a_size_that_the_text_form_can_not_hold_is_refused(size):
    message = f"`image_size` must be one of 6, 12, 18, 24, 30, 36, 42, 48, got {size!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MnistTextTokenizer(image_size=size)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        binarize_images(np.zeros((1, 28, 28)), image_size=size)


def test_what_is_wrong_for_another_size_is_refused(tokenizers):
    with pytest.raises(ValueError, match=r"^images must have shape \[N, 24, 24\], got \[2, 28, 28\]"):
        tokenizers[24].encode_images(np.zeros((2, 28, 28)), [0, 0])
    with pytest.raises(ValueError, match=r"^a 24×24 image must have .*, got 2 in image 1 at row 3, column 7"):
        tokenizers[24].encode_images(one_value(2, np.uint8, size=24), [0, 0])
    for text, message in (
        ("5:::::)", "text 0 must have one of the 64 pixel symbols ':' to 'y' at position 6, got ')'"),
        ("5::::::", "text 0 stops at position 7 of 8, where it must have the end token ')'"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            tokenizers[6].decode_images([text])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text must have a class digit, '0' to '9', at position 0, got ''"),
        ("5:z:", "text must have one of the 64 pixel symbols ':' to 'y' at position 2, got 'z'"),
        (BLANK_TEXT[1:], "text must have a class digit, '0' to '9', at position 0, got ':'"),
        ("55" + BLANK_TEXT[1:], "text must have one of the 64 pixel symbols ':' to 'y' at position 1, got '5'"),
        ("5" + BLANK_TEXT[2:], "text must have one of the 64 pixel symbols ':' to 'y' at position 150, got ')'"),
        (BLANK_TEXT[:-1], "text stops at position 151 of 152, where it must have the end token ')'"),
        (BLANK_TEXT[:-1] + ":", "text must have the end token ')' at position 151, got ':'"),
        (BLANK_TEXT + "\n", "text must have nothing at position 152, got '\\n'"),
        (BLANK_TEXT.encode(), f"text must be a str, got {BLANK_TEXT.encode()!r}"),
    ],
)
def test_check_text_says_what_is_wrong_and_what_is_allowed(tokenizer, text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(message.replace('text ', 'text 1 ', 1))}$"):
        tokenizer.decode_images([BLANK_TEXT, text])
    with pytest.raises(ValueError, match="`texts` must be a list of str, got one str"):
        tokenizer.decode_images(BLANK_TEXT)


@st.composite
def almost_texts(draw) -> str:
    # a short run over and over: a long one from hypothesis takes most of the test's time
    pixels = (draw(st.text(alphabet=":;=PZxy", min_size=1, max_size=8)) * 151)[
        : draw(st.sampled_from([150, 150, 150, 149, 151]))
    ]
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(pixels)))
        pixels = pixels[:place] + draw(st.sampled_from("/9z) \n٣")) + pixels[place + draw(st.integers(0, 1)) :]
    pixels = pixels[: draw(st.sampled_from([None] * 6 + [0, 1, 75]))]
    head = draw(st.sampled_from([*"0123456789" * 2, "", "00", ":", ")", "٣", "/"]))
    return head + pixels + draw(st.sampled_from([")"] * 6 + ["", "))", ")\n", "\n", ":)"]))


@given(text=almost_texts(), partial=st.booleans())
@settings(deadline=None, max_examples=200)
@example("٣" + BLANK_TEXT[1:], False)
@example("5", True)
@example("5:))", True)
def test_check_text_accepts_what_the_simple_pattern_accepts(text, partial):
    # a part of a text stops or ends anywhere
    pattern = r"[0-9][:-y]{0,150}\)?" if partial else r"[0-9][:-y]{150}\)"
    if re.fullmatch(pattern, text):
        check_text(text, partial)
    else:
        with pytest.raises(ValueError, match=r"^text "):
            check_text(text, partial)


def test_partial_decoding_takes_texts_of_several_lengths(tokenizer):
    images = tokenizer.decode_images(["7", "7y", GOLDEN_TEXTS[0]], partial=True)
    assert images.sum(axis=(1, 2)).tolist() == [0, 6, tokenizer.decode_images(GOLDEN_TEXTS[:1]).sum()]


PLACE = " in image 1 at row 3, column 7"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28), dtype=np.uint8), "images must have shape [N, 28, 28] or [N, 30, 30], got [28, 28]"),
        (np.zeros((2, 28, 28), dtype=complex), "images must be integers, floats or bool, got complex128"),
        (np.ones((2, 28, 28), dtype=bool), "images of 28×28 must be integers in [0, 255] or floats in"),
        (one_value(np.nan, np.float32), f"a float 28×28 image must have values in [0, 1], got nan{PLACE}"),
        (torch.tensor(one_value(1.5, np.float32)).bfloat16(), "a float 28×28 image must have values in [0, 1]"),
        (one_value(256, np.int64), f"an integer 28×28 image must have values in [0, 255], got 256{PLACE}"),
        (one_value(2, np.uint8, size=30), f"a 30×30 image must have values 0 and 1, or 0 and 255, got 2{PLACE}"),
    ],
)
def test_wrong_images_are_refused_with_value_and_what_is_allowed(tokenizer, images, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        tokenizer.encode_images(images, [0, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3, 10], "label 1 must be from 0 to 9, got 10"),
        ([3], "`labels` must have shape [2], one per image, got [1]"),
        ([3.0, 3.0], "`labels` must be integers from 0 to 9, got float64"),
        ([True, False], "`labels` must be integers from 0 to 9, got bool"),
    ],
)
def test_wrong_labels_are_refused_with_value_and_what_is_allowed(tokenizer, labels, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tokenizer.encode_images(np.zeros((2, 28, 28), dtype=np.uint8), labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5:z", "text must have only the symbols '0' to 'y' and ')', got 'z' at position 2"),
        ("\n5", "text must have only the symbols '0' to 'y' and ')', got '\\n' at position 0"),
        (["5", "5:", "5:😀"], "text 2 must have only the symbols '0' to 'y' and ')', got '😀' at position 2"),
    ],
)
def test_foreign_character_is_refused_by_position(tokenizer, text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        tokenizer(text)
    if isinstance(text, str):
        for method in (tokenizer.encode, tokenizer.tokenize):
            with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
                method(text)


def test_unknown_token_is_refused_by_position(tokenizer):
    with pytest.raises(ValueError, match=r"^token '<unk>' at position 2 is not one of the 75"):
        tokenizer.convert_tokens_to_ids(["5", ":", "<unk>"])


@pytest.mark.parametrize(("method", "max_length"), [("__call__", 1), ("encode", 151)])
def test_a_text_is_never_cut(tokenizer, method, max_length):
    message = f"cut, got {max_length} tokens of text 0 and {152 - max_length} that would be dropped"
    with pytest.raises(ValueError, match=message):
        getattr(tokenizer, method)(GOLDEN_TEXTS[0], truncation=True, max_length=max_length)
    # the refused call leaves no truncation behind
    assert len(tokenizer(GOLDEN_TEXTS[0])["input_ids"]) == 152
    with pytest.raises(ValueError, match="got 152 tokens of text 1 and 152 that would be dropped"):
        tokenizer([GOLDEN_TEXTS[0], GOLDEN_TEXTS[0] * 2], truncation=True)
    encoded = tokenizer(GOLDEN_TEXTS, truncation=True, max_length=152)
    assert [len(ids) for ids in encoded["input_ids"]] == [152] * 3


def test_transformers_without_the_method_that_refuses_truncation_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    monkeypatch.setattr(tokenization, "PreTrainedTokenizerFast", object)
    tokenization._check_transformers()
    assert "has no PreTrainedTokenizerFast._encode_plus, so `truncation=True` may cut a text" in caplog.text


@pytest.fixture(scope="module")
def saved_tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_tokenizer")
    # a new one: a tokenizer also saves the padding and truncation of its last call
    MnistTextTokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("auto_class", [MnistTextTokenizer, AutoTokenizer])
def test_saved_tokenizer_loads_as_its_own_class(saved_tokenizer, tokenizer, auto_class):
    loaded = auto_class.from_pretrained(saved_tokenizer)
    assert type(loaded) is MnistTextTokenizer
    assert (loaded.get_vocab(), loaded.special_tokens_map) == (tokenizer.get_vocab(), tokenizer.special_tokens_map)
    assert (loaded.padding_side, loaded.model_max_length) == ("left", 152)
    assert loaded(GOLDEN_TEXTS)["input_ids"] == tokenizer(GOLDEN_TEXTS)["input_ids"]
    assert (loaded.decode_images(GOLDEN_TEXTS) == tokenizer.decode_images(GOLDEN_TEXTS)).all()


def test_saved_tokenizer_loads_as_a_plain_fast_tokenizer(saved_tokenizer, tokenizer):
    loaded = PreTrainedTokenizerFast.from_pretrained(saved_tokenizer)
    assert type(loaded) is PreTrainedTokenizerFast
    assert loaded(GOLDEN_TEXTS)["input_ids"] == tokenizer(GOLDEN_TEXTS)["input_ids"]
    assert loaded.batch_decode(loaded(GOLDEN_TEXTS)["input_ids"]) == GOLDEN_TEXTS
    assert loaded.pad_token_id == loaded.eos_token_id == 74


@pytest.mark.parametrize("auto_class", [MnistTextTokenizer, AutoTokenizer])
def test_another_image_size_is_saved_and_loaded(tokenizers, tmp_path, auto_class):
    tokenizers[24].save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["image_size"] == 24
    loaded = auto_class.from_pretrained(tmp_path)
    assert (loaded.image_size, loaded.num_pixel_symbols, loaded.model_max_length) == (24, 96, 98)
    assert loaded.decode_images(["0" + "y" * 96 + ")"]).all()
    with pytest.raises(ValueError, match=r"`model_max_length` must be 152, .* image size of 30, got 98"):
        auto_class.from_pretrained(tmp_path, image_size=30)


def test_a_tokenizer_that_was_saved_without_a_size_has_images_of_30(saved_tokenizer, tmp_path):
    shutil.copytree(saved_tokenizer, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    assert config.pop("image_size") == 30
    path.write_text(json.dumps(config))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.image_size, loaded.num_pixel_symbols, loaded.model_max_length) == (30, 150, 152)


@pytest.mark.parametrize("change", ["one symbol fewer", "two ids swapped"])
def test_saved_tokenizer_with_another_vocabulary_is_refused(tokenizer, tmp_path, change):
    tokenizer.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    if change == "one symbol fewer":
        del vocab["y"]
    else:
        vocab["0"], vocab["1"] = vocab["1"], vocab["0"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    message = f"of a MnistTextTokenizer must be its 75 symbols, .* got one of {len(vocab)} symbols"
    with pytest.raises(ValueError, match=message):
        AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "add",
    [
        lambda tokenizer: tokenizer.add_tokens(["7", "<digit>"]),
        lambda tokenizer: tokenizer.add_special_tokens({"cls_token": "[CLS]"}),
        lambda tokenizer: tokenizer.add_special_tokens({"extra_special_tokens": ["<a>"]}),
    ],
)
def test_no_token_is_added_to_the_75(tokenizer, add):
    with pytest.raises(ValueError, match="a token must be one of the 75"):
        add(tokenizer)
    assert len(tokenizer) == 75


def test_28x28_integers_of_0_and_1_are_refused_and_not_blank(tokenizer):
    for dtype in (np.uint8, np.int64):
        images = np.zeros((2, 28, 28), dtype)
        assert len(tokenizer.encode_images(images, [0, 1])) == 2
        images[0, 5] = 1
        with pytest.raises(ValueError, match="got integers of at most 1, which would be blank"):
            tokenizer.encode_images(images, [0, 1])
    as_floats, blank = (tokenizer.encode_images(each, [0, 1]) for each in (images.astype(np.float32), images * 0))
    assert as_floats[0] != blank[0]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
@pytest.mark.parametrize("size", [28, 30])
def test_pil_images_and_0_and_255_are_what_0_and_1_are(tokenizer, mode, size):
    binary = np.random.default_rng(0).integers(0, 2, (3, size, size), dtype=np.uint8)
    binary[1] = 0
    pictures = [Image.fromarray(image * 255).convert(mode) for image in binary]
    expected = tokenizer.encode_images(binary.astype(np.float32), [1, 2, 3])
    assert tokenizer.encode_images(pictures, (1, 2, 3)) == expected
    assert tokenizer.encode_images(pictures[2], torch.tensor([3])) == expected[2:]
    for images in (binary * 255, binary.astype(np.int64) * 255, torch.from_numpy(binary * 255)):
        assert tokenizer.encode_images(images, [1, 2, 3]) == expected


def test_pictures_that_are_none_of_the_text_form_are_refused(tokenizer):
    good = Image.new("L", (30, 30))
    assert len(tokenizer.encode_images([good, Image.new("L", (30, 30), 1)], [0, 0])) == 2
    for bad, message in (
        (Image.new("RGBA", (30, 30)), "image 1 must be a PIL image of mode 1, L, P or RGB, got mode RGBA"),
        (Image.new("L", (28, 28)), r"images must have the same size, got \(28, 28\) for image 1"),
        (np.zeros((30, 30)), "image 1 must be a PIL image of mode 1, L, P or RGB, got a ndarray"),
        (Image.new("L", (30, 30), 7), "got 7 in image 1 at row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenizer.encode_images([good, bad], [0, 0])
