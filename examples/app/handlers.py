# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the page does: from the values of its fields to HTML. What is not allowed is said in the status line."""

import functools
import queue
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from typing import Any

import gradio as gr
import numpy as np
from rendering import render_completions, render_growing, render_results, render_symbols, say, say_error
from transformers import Pipeline
from uploads import read_upper_half


ANY = "any"
MAX_CANDIDATES = 256
MAX_COMPLETIONS = 16
MAX_SEED = 2**53 - 1  # a browser's numbers are whole up to there
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 10
NUM_SHOWN = 8
BEST = "the best"
SELECTIONS = {BEST: "best", "those that differ most": "diverse"}  # what the pipeline calls them
MAX_SHOWN = 60  # characters of a wrong value that an error repeats
NUM_ROWS_A_MESSAGE = 5  # a screen reader says each


def says_errors(num_outputs: int) -> Callable:
    """Put a `ValueError` into the first output, the status line, and leave the others as they are.

    Any other error is no visitor's fault: the status line says that it stopped, and it goes on, to the server's log.
    """

    def decorate(handler: Callable[..., Iterator[tuple]]) -> Callable[..., Iterator[tuple]]:
        @functools.wraps(handler)
        def say_instead(*args) -> Iterator[tuple]:
            unchanged = [gr.skip()] * (num_outputs - 1)
            try:
                yield from handler(*args)
            except ValueError as error:
                yield say_error(error), *unchanged
            except Exception:
                yield say("Stopped by an error of the page's own, which its log says."), *unchanged
                raise

        return say_instead

    return decorate


class Handlers:
    """The functions behind the buttons. Nothing of a visitor is kept here.

    Args:
        pipe (`MnistTextGenerationPipeline`): draws, completes and scores.
    """

    def __init__(self, pipe: Pipeline):
        self.pipe = pipe
        # a class may be called anything
        self.any_class = ANY if ANY not in pipe.class_names else f"({ANY})"

    @staticmethod
    def wait() -> str:
        return say("Waiting for a turn: one picture is made at a time.")

    @says_errors(num_outputs=3)
    def draw(
        self, digit: str, temperature: float, num_candidates: float, seed: float, selection: str = BEST
    ) -> Iterator[tuple[str, Any, Any]]:
        """Draw candidates of a digit before the visitor's eyes, and show the best, or good ones that differ.

        Yields:
            `tuple`: the status line, the pictures, and at the end the results, those that are shown first.
        """
        label, seed, temperature = self._find_label(digit), check_seed(seed), check_temperature(temperature)
        num_candidates = check_count(num_candidates, "candidates", MAX_CANDIDATES)
        if selection not in SELECTIONS:
            raise ValueError(f"the selection must be {' or '.join(SELECTIONS)}, got {_name(selection)}")
        size, num_shown = self.pipe.tokenizer.image_size, min(NUM_SHOWN, num_candidates)
        images = np.zeros((num_candidates, size, size), dtype=np.uint8)

        def sample(callback: Callable) -> Any:
            return self.pipe.sample(label, num_candidates, temperature, seed=seed, callback=callback)

        def show(_, start: int, block: np.ndarray) -> tuple:
            num_rows = block.shape[1]
            images[start : start + len(block), :num_rows] = block[: num_candidates - start]
            stop = min(start + len(block), num_candidates)
            progress = f"Drawing candidates {start + 1} to {stop} of {num_candidates}: {num_rows} of {size} rows."
            status = say(progress) if num_rows % NUM_ROWS_A_MESSAGE == 0 else gr.skip()
            return status, render_growing(images, f"{num_candidates} candidates of {digit}. {progress}"), gr.skip()

        yield say(f"Drawing {num_candidates} candidates of {digit}."), "", []
        candidates = yield from follow(sample, show)
        shown = candidates.choose(label, self.pipe.class_names, num_shown, SELECTIONS[selection])
        ranked = candidates.choose(label, self.pipe.class_names, num_candidates)
        ranks = {result["rank"] for result in shown}
        results = [*shown, *(result for result in ranked if result["rank"] not in ranks)]
        num_taken = int((candidates.probabilities.argmax(axis=1) == label).sum())
        done = (
            f"Done: {num_candidates} candidates are drawn. The classifier takes {num_taken} of them for {digit}. "
            f"Shown are {num_shown}, {selection}."
        )
        yield say(done), render_results(results, num_shown, SELECTIONS[selection]), results

    @says_errors(num_outputs=2)
    def read_upload(self, path: str) -> Iterator[tuple[str, Any]]:
        """Take the upper half of a picture to the pad."""
        upper_half = read_upper_half(path, self.pipe.tokenizer)
        yield say("The upper half of the picture is on the pad."), "".join(map(str, upper_half.ravel()))

    @says_errors(num_outputs=2)
    def complete(self, pad: str, digit: str, num_completions: float, seed: float) -> Iterator[tuple[str, Any]]:
        """Complete what is on the pad, a string of 0 and 1, pixel by pixel from the top."""
        seed, image, known = check_seed(seed), *self._read_pad(pad)
        label = None if digit == self.any_class else self._find_label(digit)
        num_completions = check_count(num_completions, "completions", MAX_COMPLETIONS)
        yield say(f"Completing: {num_completions} pictures of {digit} {self.pipe.class_word}."), gr.skip()
        results = self.pipe.complete(image, label=label, known=known, seed=seed, num_return_sequences=num_completions)
        images = np.stack([np.asarray(result["image"]) for result in results]) // 255
        # by number: a name may be the number of another class
        nats = -self.pipe.log_likelihood(images, [int(result["generated_text"][0]) for result in results])
        yield say(f"Done: {len(results)} completions."), render_completions(results, nats, int(known[:, 0].sum()))

    def _find_label(self, name: str) -> int:
        names, word = self.pipe.class_names, self.pipe.class_word
        if name not in names:
            allowed = f"{names[0]} to {names[-1]}" if word == "digit" else f"one of {', '.join(names)}"
            raise ValueError(f"the {word} must be {allowed}, got {_name(name)}")
        return names.index(name)

    def _read_pad(self, pad: str) -> tuple[np.ndarray, np.ndarray]:
        """The image, uint8 `[30, 30]`, and which of its pixels are known, bool: the rows of the pad."""
        size = self.pipe.tokenizer.image_size
        num_rows = size // 2
        _check_text(pad, "pad", num_rows * size)
        if len(pad) != num_rows * size or not set(pad) <= {"0", "1"}:
            raise ValueError(f"the pad must be {num_rows * size} characters of 0 and 1, got {_name(pad)}")
        if "1" not in pad:
            raise ValueError("the pad must have 1 pixel of ink or more, got none: draw, or upload a picture")
        image = np.zeros((size, size), dtype=np.uint8)
        image[:num_rows] = np.array(list(pad), dtype=np.uint8).reshape(num_rows, size)
        return image, np.arange(size)[:, None].repeat(size, axis=1) < num_rows

    @says_errors(num_outputs=2)
    def explain(self, text: str) -> Iterator[tuple[str, Any]]:
        """Show a text symbol by symbol, beside its pixels."""
        # blanks and line breaks around it are forgiven
        _check_text(text, "text", 2 * self.pipe.tokenizer.model_max_length)
        yield self._explain(text.strip())

    @says_errors(num_outputs=3)
    def explain_drawn(self, drawn: list[dict[str, Any]], rank: float) -> Iterator[tuple[str, Any, Any]]:
        """The same of one of the digits that the visitor drew."""
        if not drawn:
            raise ValueError("nothing is drawn yet; draw a digit first, or type a text")
        rank = check_count(rank, "rank", len(drawn))
        text = next(result["generated_text"] for result in drawn if result["rank"] == rank)
        yield *self._explain(text), text

    def _explain(self, text: str) -> tuple[str, str]:
        (image,) = self.pipe.tokenizer.decode_images([text])
        label = int(text[0])
        nats = self.pipe.surprise(image, label)
        symbols = render_symbols(text, image, nats, self.pipe.class_names[label])
        return say("Shown. Choose a symbol to see its six pixels."), symbols


def follow(function: Callable, show: Callable) -> Generator[Any, None, Any]:
    """Call `function(callback)` in a thread; meanwhile yield `show(...)` of what it calls back with.

    Returns:
        What the function returns. An error in it is raised here.
    """
    updates = queue.SimpleQueue()
    with ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(function, lambda *update: updates.put(update))
        future.add_done_callback(lambda _: updates.put(None))
        while (update := updates.get()) is not None:
            yield show(*update)
    return future.result()


def check_count(value: float | None, name: str, most: int) -> int:
    return _check_whole_number(value, name, 1, most)


def check_seed(value: float | None) -> int:
    return _check_whole_number(value, "seed", 0, MAX_SEED)


def check_temperature(value: float | None) -> float:
    if not _is_number(value) or not MIN_TEMPERATURE <= value <= MAX_TEMPERATURE:
        raise ValueError(
            f"`temperature` must be a number from {MIN_TEMPERATURE} to {MAX_TEMPERATURE}, got {_name(value)}"
        )
    return float(value)


def _check_whole_number(value: float | None, name: str, least: int, most: int) -> int:
    if not _is_number(value) or not least <= value <= most or value != int(value):
        raise ValueError(f"`{name}` must be a whole number from {least:,} to {most:,}, got {_name(value)}")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_text(value: Any, name: str, most: int) -> None:
    """Before anything is done with it, for it may be as long as a visitor likes."""
    if not isinstance(value, str):
        raise ValueError(f"the {name} must be a text, got {_name(value)}")
    if len(value) > most:
        raise ValueError(f"the {name} must be at most {most} characters long, got {len(value):,}")


def _name(value: Any) -> str:
    name = "nothing" if value is None else f"{value:,}" if _is_number(value) else repr(value)
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
