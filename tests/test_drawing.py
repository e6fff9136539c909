# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Pictures of results, down to the pixel and the dot."""

import math

import numpy as np
import pytest
from PIL import Image

from mnist_text_gen import drawing
from mnist_text_gen.drawing import draw_contact_sheet, draw_dots, format_score


def make_image(*rows: str) -> Image.Image:
    return Image.fromarray(np.array([[255 * (symbol == "#") for symbol in row] for row in rows], dtype=np.uint8))


def make_results(images: np.ndarray, scores: list[float]) -> list[dict]:
    return [
        {"image": Image.fromarray(image * np.uint8(255)), "score": score}
        for image, score in zip(images, scores, strict=True)
    ]


@pytest.fixture
def random_images():
    return np.random.default_rng(0).integers(0, 2, (9, 30, 30), dtype=np.uint8)


@pytest.mark.parametrize(
    ("rows", "dots"),
    [
        (("#.", "..", ".#", ".."), "⠡"),
        ((".#", "..", "..", "#."), "⡈"),
        (("####", "#..#", "#..#", "####"), "⣏⣹"),
        # three columns and five rows: the missing dots are off
        (("###", "###", "###", "###", "###"), "⣿⡇\n⠉⠁"),
    ],
)
def test_small_image_is_its_braille_pattern(rows, dots):
    assert draw_dots([make_image(*rows)], width=80) == dots


@pytest.mark.parametrize(("width", "num_images"), [(0, 1), (30, 1), (31, 2), (46, 2), (47, 3), (1000, 3)])
def test_as_many_images_as_fit_the_width_are_drawn_side_by_side(width, num_images):
    images = [Image.new("L", (30, 30), grey) for grey in (255, 128, 127)]  # a dot from 128 on
    lines = draw_dots(images, width).split("\n")
    assert len(lines) == 8
    assert lines[0] == " ".join([symbol * 15 for symbol in "⣿⣿⠀"][:num_images])


@pytest.mark.parametrize(("num_images", "size"), [(1, (140, 162)), (8, (1050, 162)), (9, (1050, 314))])
def test_contact_sheet_has_eight_images_per_row_four_times_as_large_over_their_scores(random_images, num_images, size):
    sheet = draw_contact_sheet(make_results(random_images[:num_images], [0.25, *[0.75] * 8][:num_images]))
    assert (sheet.mode, sheet.size) == ("L", size)
    pixels, captions = np.asarray(sheet), []
    for beside in (pixels[:10], pixels[:, :10], pixels[:, 130:140], pixels[162:, 140:]):
        assert (beside == 255).all()
    for index, image in enumerate(random_images[:num_images]):
        left, top = 10 + 130 * (index % 8), 10 + 152 * (index // 8)
        drawn = pixels[top : top + 120, left : left + 120]
        assert (drawn == np.kron(image, np.ones((4, 4), dtype=np.uint8)) * 255).all()
        captions.append(pixels[top + 120 : top + 142, left : left + 120])
        assert (captions[-1] < 128).any() and (captions[0] == captions[-1]).all() == (index == 0)


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.00009, "0.00 %"),
        (0.07, "7.00 %"),
        (0.57, "57.00 %"),
        (0.99994, "99.9940 %"),
        (0.9999987, "99.99987 %"),
        (math.nextafter(1, 0), "99.999999 %"),
        (np.nextafter(np.float32(1), np.float32(0)), "99.999994 %"),
        (1.0, "100.00 %"),
    ],
)
def test_score_is_a_percentage_that_is_100_only_at_1(score, text):
    assert format_score(score) == text


def named(results, label):
    return [{**result, "label": label} for result in results]


def test_a_sheet_of_one_class_has_its_name_above_and_one_of_a_digit_has_not(random_images):
    results = make_results(random_images, [0.5] * 9)
    plain = np.asarray(draw_contact_sheet(results))
    assert np.array_equal(np.asarray(draw_contact_sheet(named(results, "7"))), plain)
    mixed = named(results[:1], "Bag") + named(results[1:], "Ankle boot")
    assert np.array_equal(np.asarray(draw_contact_sheet(mixed)), plain)
    sheet = np.asarray(draw_contact_sheet(named(results, "Ankle boot")))
    assert sheet.shape == (plain.shape[0] + 22, plain.shape[1])
    # ink of the name in the head, and below it the sheet as it was
    assert (sheet[10:32] < 128).sum() > 50
    assert np.array_equal(sheet[32:], plain[10:])


def test_names_that_the_font_lacks_are_told_apart(random_images):
    def title(name):
        (result,) = make_results(random_images[:1], [0.5])
        return np.asarray(draw_contact_sheet([result | {"label": name}]))[: drawing._MARGIN + 20]

    assert title("猫").tolist() != title("犬").tolist()
    assert title("🐟").tolist() != title("🐠").tolist()
    assert title("猫").tolist() == title("\\u732b").tolist()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb\u2028c", "a\\nb\\u2028c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
        ("Zöë 猫 🐟 \\", "Zöë 猫 🐟 \\"),
    ],
)
def test_what_is_not_printable_is_shown_escaped(text, shown):
    assert drawing.show_text(text) == shown
