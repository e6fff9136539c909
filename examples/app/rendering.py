# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""HTML of the page. Pictures and downloads are data in it, so that no visitor's files lie on the server."""

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps


_PIXELS_A_SYMBOL = 6
_GAP = 2
_COLUMNS, _MARGIN, _CAPTION_HEIGHT = 8, 10, 22  # of a sheet


def say(message: str) -> str:
    return f"<p>{escape(message)}</p>"


def say_error(error: Exception) -> str:
    return f'<p class="error"><strong>Not possible:</strong> {escape(str(error))}.</p>'


def render_growing(images: np.ndarray, alternative: str) -> str:
    """All candidates as they are by now, in one picture.

    Args:
        images (`np.ndarray`, uint8 `[N, 30, 30]` in {0, 1}): what is drawn; 0 below.
        alternative (`str`): says it in words.
    """
    num_images, size, _ = images.shape
    columns = max(8, math.isqrt(num_images))
    rows = -(-num_images // columns)
    cells = np.full((rows * columns, size + _GAP, size + _GAP), 128, dtype=np.uint8)
    cells[:num_images, :size, :size] = images * 255
    sheet = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 2, 1, 3).reshape(rows * cells.shape[1], -1)
    return f'<img class="sheet" alt="{escape(alternative)}" src="{_to_uri(Image.fromarray(sheet))}">'


def render_results(results: Sequence[dict[str, Any]], num_shown: int, selection: str) -> str:
    """The candidates that are shown, and, when it is opened, the list of all with those that were passed over.

    Args:
        results (`Sequence[dict]`): all candidates, as the pipeline gives them.
        num_shown (`int`): how many of the first of them are shown.
        selection (`str`): `"best"` or `"diverse"`, what these are.
    """
    # files have the number of the class, for a name may have a slash
    shown, label = results[:num_shown], results[0]["generated_text"][0]
    best = [_figure(result, f"Rank {result['rank']}", "shown") for result in shown]
    passed_over = [_figure(result, f"Rank {result['rank']}", "passed over") for result in results[num_shown:]]
    captions = list(map(_caption_of_drawn, results))
    title = f"The best {num_shown}" if selection == "best" else f"{num_shown} that differ"
    best_sheet, sheet = _draw_sheet(shown, captions[:num_shown]), _draw_sheet(results, captions)
    return (
        f"{_group(title, best)}{_downloads(shown, best_sheet, f'{label}-{selection}')}"
        f"<details><summary>All {len(results)} candidates, {len(results) - len(shown)} of them passed over</summary>"
        f"{_group('All candidates', best + passed_over)}"
        f"{_downloads(results, sheet, f'{label}-all')}</details>"
    )


def render_completions(results: Sequence[dict[str, Any]], nats: np.ndarray, num_known_rows: int) -> str:
    """Completions, each with its label, its score, and how likely the model finds it.

    Args:
        results (`Sequence[dict]`): as `complete` gives them.
        nats (`np.ndarray`, `[N]`): minus the log-likelihoods.
        num_known_rows (`int`): rows from the top that were given; a line is drawn under them.
    """
    figures = [
        _figure(result, _article(result["label"]), f"{surprise:.1f} nats", num_known_rows)
        for result, surprise in zip(results, nats, strict=True)
    ]
    return (
        f"{_group('Completions', figures)}<p>Above the line is what was given. The percentage is the classifier's "
        f"probability of the {_word(results[0]['label'])}; the fewer nats, the likelier is the whole image to the "
        "language model.</p>"
        f"{_downloads(results, _draw_sheet(results, list(map(_caption, results))), 'completions')}"
    )


def render_symbols(text: str, image: np.ndarray, nats: np.ndarray, label: str) -> str:
    """A text as a table of symbols to choose from, beside the image.

    Args:
        text (`str`): 152 characters.
        image (`np.ndarray`, uint8 `[30, 30]` in {0, 1}): its pixels.
        nats (`np.ndarray`, `[30, 30]`): the surprise of the language model, a sixth of a symbol's in each pixel.
        label (`str`): the name of its class.
    """
    symbols_a_row = image.shape[1] // _PIXELS_A_SYMBOL
    bits = image.reshape(-1, _PIXELS_A_SYMBOL)
    surprises = nats.reshape(-1, _PIXELS_A_SYMBOL).sum(axis=1)
    options = [
        _symbol(index, symbol, "".join(map(str, pixels)), surprise, *divmod(index, symbols_a_row))
        for index, (symbol, pixels, surprise) in enumerate(zip(text[1:-1], bits, surprises, strict=True))
    ]
    picture = Image.fromarray(image * 255)
    what, name = ("a ", "") if _is_digit(label) else ("", f", {escape(label)}")
    alternative = escape(f"The image of the text, {what}{label}")
    return (
        f'<div class="symbols" style="--size: {image.shape[1]}; --columns: {symbols_a_row}"><div>'
        f"<p>{_word(label).capitalize()} <code>{text[0]}</code>{name}, {len(text) - 2} symbols, "
        "end <code>)</code>. The more "
        "orange, the less the model expected the symbol.</p>"
        f'<div class="options" role="radiogroup" aria-label="Symbols">{"".join(options)}</div></div>'
        f'<div class="chosen"><div class="picture"><img alt="{alternative}" src="{_to_uri(picture)}">'
        '<div class="frame" hidden></div></div><p class="detail" role="status"></p>'
        f"{_downloads([{'generated_text': text}], picture, f'{text[0]}-image')}</div></div>"
    )


def _symbol(index: int, symbol: str, bits: str, surprise: float, row: int, group: int) -> str:
    left = group * _PIXELS_A_SYMBOL
    detail = (
        f"Symbol {index + 1}, {symbol}: {ord(symbol)} − 58 = {int(bits, 2)} = {bits}. Row {row + 1}, columns "
        f"{left + 1} to {left + _PIXELS_A_SYMBOL}. Surprise {surprise:.2f} nats."
    )
    shade = round(min(surprise / 6, 1) * 70)
    return (
        f'<label style="--shade: {shade}%"><input type="radio" name="symbol" aria-label="{escape(detail)}" '
        f'data-row="{row}" data-left="{left}"><code aria-hidden="true">{escape(symbol)}</code></label>'
    )


def _figure(result: dict[str, Any], name: str, note: str, num_known_rows: int = 0) -> str:
    score = _format_score(result["score"])
    alternative = escape(f"{name}, {note}: the classifier gives {score} for {result['label']}")
    line = f'<i style="top: {num_known_rows / result["image"].height:.2%}"></i>' if num_known_rows else ""
    kind = "passed-over" if note == "passed over" else "shown"
    return (
        f'<figure class="{kind}"><div class="picture"><img alt="{alternative}" src="{_to_uri(result["image"])}">{line}'
        f"</div><figcaption>{escape(name)}<br>{score}<br>{note}</figcaption></figure>"
    )


def _draw_sheet(results: Sequence[dict[str, Any]], captions: Sequence[str]) -> Image.Image:
    """A picture of results to keep, eight in a row, each over its caption."""
    scale = max(1, round(120 / results[0]["image"].width))
    size = scale * results[0]["image"].width
    columns, rows = min(len(results), _COLUMNS), -(-len(results) // _COLUMNS)
    width, height = size + _MARGIN, size + _CAPTION_HEIGHT + _MARGIN
    sheet = Image.new("L", (columns * width + _MARGIN, rows * height + _MARGIN), 255)
    font = ImageFont.load_default(size=15)
    for index, (result, caption) in enumerate(zip(results, captions, strict=True)):
        caption = "".join(char if _has(font, char) else ascii(char)[1:-1] for char in caption)
        cell = Image.new("L", (width, height), 255)
        cell.paste(ImageOps.scale(result["image"], scale, Image.Resampling.NEAREST))
        # in the middle, and what is too wide for its cell from the left on, cut
        left, anchor = (size / 2, "ma") if font.getlength(caption) <= width else (0, "la")
        ImageDraw.Draw(cell).text((left, size + 4), caption, fill=0, font=font, anchor=anchor)
        sheet.paste(cell, (_MARGIN + index % columns * width, _MARGIN + index // columns * height))
    return sheet


def _has(font: ImageFont.FreeTypeFont, char: str) -> bool:
    """Whether it is drawn: for a character that a font lacks, it has one empty box, which tells no classes apart."""
    return char.isspace() or bytes(font.getmask(char)) != bytes(font.getmask("\uffff"))


def _is_digit(label: str) -> bool:
    return label in tuple("0123456789")


def _format_score(score: float) -> str:
    """A probability as a percentage, rounded down, so that it says 100 only where it is 1.

    One that is nearly 1 has up to six decimals, enough to tell it from the next: the best are all 99.99 %.
    """
    missing = 1 - float(score)
    decimals = min(-math.floor(math.log10(missing)) - 1, 6) if 0 < missing < 1e-4 else 2
    units = 10**decimals
    shown = math.floor(float(score) * 100 * units + 1e-6)  # 0.57 * 1e4 is 5699.99…
    return f"{shown / units if score == 1 else min(shown, 100 * units - 1) / units:.{decimals}f} %"


def _word(label: str) -> str:
    return "digit" if _is_digit(label) else "class"


def _article(label: str) -> str:
    return f"A {label}" if _is_digit(label) else label


def _caption(result: dict[str, Any]) -> str:
    # where a long name is cut, the score is not
    label, score = result["label"], _format_score(result["score"])
    return f"{label}: {score}" if _is_digit(label) else f"{score} {label}"


def _caption_of_drawn(result: dict[str, Any]) -> str:
    # who sees a 7 need not read that it is one
    return _format_score(result["score"]) if _is_digit(result["label"]) else _caption(result)


def _group(name: str, figures: Sequence[str]) -> str:
    return f'<div class="figures" role="group" aria-label="{name}">{"".join(figures)}</div>'


def _downloads(results: Sequence[dict[str, Any]], sheet: Image.Image, name: str) -> str:
    text = "".join(f"{result['generated_text']}\n" for result in results)
    text_uri = f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"
    return (
        f'<p class="downloads"><a download="{name}.png" href="{_to_uri(sheet)}">Download as PNG</a> '
        f'<a download="{name}.txt" href="{text_uri}">Download as text</a></p>'
    )


def _to_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
