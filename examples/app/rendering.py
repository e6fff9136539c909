# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""HTML of the page. Pictures and downloads are data in it, so that no visitor's files lie on the server."""

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from drawing import draw_contact_sheet, draw_grid, format_score, is_digit
from PIL import Image


_PIXELS_A_SYMBOL = 6
_GAP = 2


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


def render_results(results: Sequence[dict[str, Any]], num_shown: int) -> str:
    """The best of the candidates, and, when it is opened, the list of all with those that were passed over.

    Args:
        results (`Sequence[dict]`): all candidates, as the pipeline gives them, best first.
        num_shown (`int`): how many of them are the best.
    """
    # files have the number of the class, for a name may have a slash
    shown, label = results[:num_shown], results[0]["generated_text"][0]
    best = [_figure(result, f"Rank {rank}", "shown") for rank, result in enumerate(shown, start=1)]
    everything = [
        _figure(result, f"Rank {rank}", "shown" if rank <= num_shown else "passed over")
        for rank, result in enumerate(results, start=1)
    ]
    return (
        f"{_group(f'The best {len(shown)}', best)}{_downloads(shown, draw_contact_sheet(shown), f'{label}-best')}"
        f"<details><summary>All {len(results)} candidates, {len(results) - len(shown)} of them passed over</summary>"
        f"{_group('All candidates', everything)}"
        f"{_downloads(results, draw_contact_sheet(results), f'{label}-all')}</details>"
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
    captions = [_caption(result["label"], format_score(result["score"])) for result in results]
    sheet = draw_grid([result["image"] for result in results], captions)
    return (
        f"{_group('Completions', figures)}<p>Above the line is what was given. The percentage is the classifier's "
        f"probability of the {_word(results[0]['label'])}; the fewer nats, the likelier is the whole image to the "
        "language model.</p>"
        f"{_downloads(results, sheet, 'completions')}"
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
    what, name = ("a ", "") if is_digit(label) else ("", f", {escape(label)}")
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
    score = format_score(result["score"])
    alternative = escape(f"{name}, {note}: the classifier gives {score} for {result['label']}")
    line = f'<i style="top: {num_known_rows / result["image"].height:.2%}"></i>' if num_known_rows else ""
    kind = "passed-over" if note == "passed over" else "shown"
    return (
        f'<figure class="{kind}"><div class="picture"><img alt="{alternative}" src="{_to_uri(result["image"])}">{line}'
        f"</div><figcaption>{escape(name)}<br>{score}<br>{note}</figcaption></figure>"
    )


def _word(label: str) -> str:
    return "digit" if is_digit(label) else "class"


def _article(label: str) -> str:
    return f"A {label}" if is_digit(label) else label


def _caption(label: str, score: str) -> str:
    # a long name is cut, and not the score
    return f"{label}: {score}" if is_digit(label) else f"{score} {label}"


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
