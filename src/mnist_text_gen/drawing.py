# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Contact sheets of results, images as dots for the terminal, and texts that are safe to print."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont


_SIDE = 120  # about the width of an image, in screen pixels
_MARGIN = 10
_CAPTION = 22
_COLUMNS = 8
# The bit of each dot of a braille character, by row and column: the Unicode Standard, chapter "Braille Patterns".
_BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE_BLANK = 0x2800
_NO_CHARACTER = "\uffff"  # a font draws its empty box for it


def show_text(text: str) -> str:
    """Make a text safe to print: characters that are not printable are escaped, as in `\\x1b`, `\\n` and `\\u202e`.

    File names, class names and values of configurations may contain sequences that a terminal would execute.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def draw_contact_sheet(results: Sequence[dict[str, Any]]) -> Image.Image:
    """Draw the images of a pipeline's results, eight per row, with the score under each.

    If all results have the same label and it is not a digit, the label is the title.

    Args:
        results (`Sequence[dict]`, 1 or more):
            With `image` (PIL, mode L), `score` (`float` in [0, 1]) and, optionally, `label` (`str`).

    Returns:
        `PIL.Image.Image`: mode L.
    """
    images, captions = zip(*((result["image"], format_score(result["score"])) for result in results), strict=True)
    labels = {result.get("label", "") for result in results}
    title = labels.pop() if len(labels) == 1 else ""
    return draw_grid(images, captions, title="" if is_digit(title) else title)


def draw_grid(
    images: Sequence[Image.Image], captions: Sequence[str], num_columns: int = _COLUMNS, title: str = ""
) -> Image.Image:
    """Draw images in rows, with a caption under each.

    A character that the font does not have is written as its number, such as `\\u732b`.

    Args:
        images (`Sequence[PIL.Image.Image]`, 1 or more): square images of the same size, mode L.
        captions (`Sequence[str]`): one per image; a caption that is wider than its column is cut.
        num_columns (`int`, defaults to 8): images per row, 1 or more.
        title (`str`, *optional*): a line above all images.

    Returns:
        `PIL.Image.Image`: mode L.
    """
    size = images[0].width * max(1, round(_SIDE / images[0].width))
    columns = min(len(images), num_columns)
    rows = -(-len(images) // columns)
    cell_width, cell_height = size + _MARGIN, size + _CAPTION + _MARGIN
    font = ImageFont.load_default(size=15)
    title, captions = _write(title, font), [_write(caption, font) for caption in captions]
    head = _CAPTION if title else 0
    width = max(columns * cell_width, math.ceil(font.getlength(title)) + _MARGIN) + _MARGIN
    sheet = Image.new("L", (width, head + rows * cell_height + _MARGIN), 255)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, fill=0, font=font)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = _MARGIN + index % columns * cell_width
        top = head + _MARGIN + index // columns * cell_height
        sheet.paste(image.resize((size, size), Image.Resampling.NEAREST), (left, top))
        caption = _fit(caption, font, cell_width)
        pen.text((left + size / 2, top + size + 4), caption, fill=0, font=font, anchor="ma")
    return sheet


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _write(text: str, font: _Font) -> str:
    """The text, with the number of each character that the font does not have in its place."""
    return "".join(char if _has(font, char) else _escape(char) for char in text)


def _has(font: _Font, char: str) -> bool:
    return char.isspace() or bytes(font.getmask(char)) != bytes(font.getmask(_NO_CHARACTER))


def _fit(text: str, font: _Font, width: int) -> str:
    """The beginning of a text that fits into `width` screen pixels, with dots if it is cut."""
    if font.getlength(text) <= width:
        return text
    fitting = [end for end in range(len(text)) if font.getlength(f"{text[:end]}...") <= width]
    return f"{text[: max(fitting, default=0)]}..."


def is_digit(name: str) -> bool:
    """Whether the name of a class is one of the ten digits."""
    return name in tuple("0123456789")


def format_score(score: float) -> str:
    """A probability as a percentage, rounded down: only a probability of 1 becomes 100 %.

    It has two decimals, and up to six if it is nearly 1, because the best candidates would all have 99.99 %.
    """
    missing = 1 - float(score)
    decimals = min(-math.floor(math.log10(missing)) - 1, 6) if 0 < missing < 1e-4 else 2
    units = 10**decimals
    shown = math.floor(float(score) * 100 * units + 1e-6)  # 0.57 * 1e4 is 5699.99…
    return f"{shown / units if score == 1 else min(shown, 100 * units - 1) / units:.{decimals}f} %"


def draw_dots(images: Sequence[Image.Image], width: int) -> str:
    """Draw images side by side in braille characters, as many as fit into `width` columns.

    Args:
        images (`Sequence[PIL.Image.Image]`, 1 or more): of the same size, mode L; a pixel of 128 or more is a dot.
        width (`int`): columns of the terminal; the first image is drawn even if it is wider.

    Returns:
        `str`: lines of braille characters, each for 2×4 pixels.
    """
    drawn = [_to_braille(np.asarray(image) >= 128) for image in images]
    fitting = max(1, (width + 1) // (drawn[0].shape[1] + 1))
    return "\n".join(" ".join("".join(map(chr, row)) for row in rows) for rows in zip(*drawn[:fitting], strict=True))


def _to_braille(dots: np.ndarray) -> np.ndarray:
    """Bool `[H, W]` to code points `[H / 4, W / 2]`, with both sizes rounded up."""
    height, width = dots.shape
    dots = np.pad(dots, ((0, -height % 4), (0, -width % 2)))
    cells = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2)
    return _BRAILLE_BLANK + np.einsum("hrwc,rc->hw", cells, _BRAILLE_BITS)
