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


_PIXELS_PER_SYMBOL = 6
_GAP = 2
_GREYS = np.uint8([0, 255, 70])  # of blank, ink, and what is not yet drawn
_PLAIN, _TINT = np.uint8([255, 255, 255]), np.uint8([255, 150, 60])  # of pixels given, and drawn
_COLUMNS, _MARGIN, _CAPTION_HEIGHT = 8, 10, 22  # of a sheet


def say(message: str) -> str:
    return f"<p>{escape(message)}</p>"


def say_error(error: Exception, beginning: str = "Not possible:") -> str:
    return f'<p class="error"><strong>{beginning}</strong> {escape(str(error))}.</p>'


def render_growing(images: np.ndarray, alternative: str) -> str:
    """One picture of all candidates as far as they are drawn.

    Args:
        images (`np.ndarray`, uint8 `[N, 30, 30]` in {0, 1, 2}): the pixels; 2 for those that are not drawn yet.
        alternative (`str`): the alternative text of the picture.
    """
    num_images, size, _ = images.shape
    columns = min(num_images, max(8, math.isqrt(num_images)))
    rows = -(-num_images // columns)
    cells = np.full((rows * columns, size + _GAP, size + _GAP), 128, dtype=np.uint8)
    cells[:num_images, :size, :size] = _GREYS[images]
    sheet = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 2, 1, 3).reshape(rows * cells.shape[1], -1)
    return f'<img class="sheet" alt="{escape(alternative)}" src="{_to_uri(Image.fromarray(sheet))}">'


def render_results(shown: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], selection: str) -> str:
    """The candidates that are shown first, and a folded list of those that were passed over.

    Args:
        shown, others (`Sequence[dict]`): all candidates, as the pipeline gives them.
        selection (`str`): `"best"` or `"diverse"`, what the first are.
    """
    # files have the number of the class, for a name may have a slash
    results, label = [*shown, *others], shown[0]["generated_text"][0]
    figures = [
        _figure(result, f"Rank {result['rank']}", _shorten_score(result["score"]), result is shown[0])
        for result in results
    ]
    captions = list(map(_caption_of_drawn, results))
    title = "The best" if selection == "best" else "Good ones that differ"
    sheet, sheet_of_all = _draw_sheet(shown, captions[: len(shown)]), _draw_sheet(results, captions)
    small = _group("Passed over", figures[len(shown) :], "small")
    passed_over = (
        f"<details><summary>Passed over: {len(others)}</summary>{small}"
        f"{_downloads(results, sheet_of_all, f'{label}-all', ' of all')}</details>"
    )
    return (
        f"<h2>{title}</h2>{_group(title, figures[: len(shown)])}"
        f"{_downloads(shown, sheet, f'{label}-{selection}', copies_link=True)}{passed_over if others else ''}"
    )


def render_completions(results: Sequence[dict[str, Any]], nats: np.ndarray, known: np.ndarray) -> str:
    """Completions, each with its label, its score, and how likely the model finds it.

    Args:
        results (`Sequence[dict]`): as `complete` gives them.
        nats (`np.ndarray`, `[N]`): minus the log-likelihoods.
        known (`np.ndarray`, bool `[30, 30]`): the pixels that were given; the others are tinted.
    """
    tint = f'<img class="tint" alt="" src="{_to_uri(Image.fromarray(np.where(known[..., None], _PLAIN, _TINT)))}">'
    captions = [
        f"{result['label']}\n{_shorten_score(result['score'])}\n{surprise:.1f} nats"
        for result, surprise in zip(results, nats, strict=True)
    ]
    figures = [
        _figure(result, _article(result["label"]), caption, result is results[0], tint)
        for result, caption in zip(results, captions, strict=True)
    ]
    return (
        f"<h2>Completions</h2>{_group('Completions', figures)}<p>What the model drew is orange. The percentage is the "
        f"classifier's probability of the {_word(results[0]['label'])}; the fewer nats, the likelier is the whole "
        "image to the language model.</p>"
        f"{_downloads(results, _draw_sheet(results, list(map(_caption, results))), 'completions')}"
    )


def render_symbols(text: str, image: np.ndarray, nats: np.ndarray, label: str) -> str:
    """A text as rows of symbols to choose from, each beside its row of pixels.

    Args:
        text (`str`): 152 characters.
        image (`np.ndarray`, uint8 `[30, 30]` in {0, 1}): its pixels.
        nats (`np.ndarray`, `[30, 30]`): the surprise of the language model, a sixth of a symbol's in each pixel.
        label (`str`): the name of its class.
    """
    symbols_per_row = image.shape[1] // _PIXELS_PER_SYMBOL
    bits = image.reshape(-1, _PIXELS_PER_SYMBOL)
    surprises = nats.reshape(-1, _PIXELS_PER_SYMBOL).sum(axis=1)
    options = [
        _symbol(index, symbol, "".join(map(str, pixels)), surprise, *divmod(index, symbols_per_row))
        for index, (symbol, pixels, surprise) in enumerate(zip(text[1:-1], bits, surprises, strict=True))
    ]
    picture = Image.fromarray(image * 255)
    what, name = ("a ", "") if _is_digit(label) else ("", f", {escape(label)}")
    alternative = escape(f"The image of the text, {what}{label}")
    return (
        f'<div class="reading" style="--size: {image.shape[1]}; --columns: {symbols_per_row}"><h2>Its text</h2>'
        f"<p>{_word(label).capitalize()} <code>{text[0]}</code>{name}, {len(text) - 2} symbols, "
        "end <code>)</code>. The more orange, the less the model expected the symbol.</p>"
        f'<div class="rows"><div class="picture"><img alt="{alternative}" src="{_to_uri(picture)}">'
        '<div class="frame" hidden></div></div>'
        f'<div class="options" role="radiogroup" aria-label="Symbols">{"".join(options)}</div></div>'
        '<p class="detail" role="status">Choose a symbol to see its six pixels.</p>'
        f'<p><code class="whole">{escape(text)}</code></p>'
        f"{_downloads([{'generated_text': text}], picture, f'{text[0]}-image')}</div>"
    )


def _symbol(index: int, symbol: str, bits: str, surprise: float, row: int, group: int) -> str:
    left = group * _PIXELS_PER_SYMBOL
    detail = (
        f"Symbol {index + 1}, {symbol}: {ord(symbol)} − 58 = {int(bits, 2)} = {bits}. Row {row + 1}, columns "
        f"{left + 1} to {left + _PIXELS_PER_SYMBOL}. Surprise {surprise:.2f} nats."
    )
    shade = round(min(surprise / 6, 1) * 70)
    return (
        f'<label style="--shade: {shade}%"><input type="radio" name="symbol" aria-label="{escape(detail)}" '
        f'data-row="{row}" data-left="{left}"><code aria-hidden="true">{escape(symbol)}</code></label>'
    )


def _figure(result: dict[str, Any], name: str, caption: str, is_read: bool, over: str = "") -> str:
    """A button with a picture and its text. `is_read` says whether the text is shown; `over` is HTML above it."""
    about = escape(f"{name}: the classifier gives {_format_score(result['score'])} for {result['label']}")
    return (
        f'<button type="button" data-text="{escape(result["generated_text"])}" aria-pressed="{str(is_read).lower()}">'
        f'<span class="picture"><img alt="{about}" src="{_to_uri(result["image"])}">{over}</span>'
        f"<span>{escape(caption)}</span></button>"
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


def _shorten_score(score: float) -> str:
    """The percentage with two decimals, which fit below a small picture."""
    whole, _, decimals = _format_score(score).removesuffix(" %").partition(".")
    return f"{whole}.{decimals[:2]} %"


def _word(label: str) -> str:
    return "digit" if _is_digit(label) else "class"


def _article(label: str) -> str:
    return f"A {label}" if _is_digit(label) else label


def _caption(result: dict[str, Any]) -> str:
    # the score comes first, so that only a long name is cut
    label, score = result["label"], _format_score(result["score"])
    return f"{label}: {score}" if _is_digit(label) else f"{score} {label}"


def _caption_of_drawn(result: dict[str, Any]) -> str:
    # the picture of a digit needs no name
    return _format_score(result["score"]) if _is_digit(result["label"]) else _caption(result)


def _group(name: str, figures: Sequence[str], size: str = "") -> str:
    return f'<div class="figures {size}" role="group" aria-label="{name}">{"".join(figures)}</div>'


def _downloads(
    results: Sequence[dict[str, Any]], sheet: Image.Image, name: str, which: str = "", copies_link: bool = False
) -> str:
    text = "".join(f"{result['generated_text']}\n" for result in results)
    text_uri = f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"
    link = '<button type="button" class="link">Copy link</button><span role="status"></span>' if copies_link else ""
    return (
        f'<p class="downloads"><a download="{name}.png" href="{_to_uri(sheet)}">Save PNG{which}</a>'
        f'<a download="{name}.txt" href="{text_uri}">Save texts{which}</a>{link}</p>'
    )


def _to_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
