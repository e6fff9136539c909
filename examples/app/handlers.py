# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The handlers of the page: they turn the values of its fields into HTML, and report errors in the status line."""

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

import gradio as gr
import numpy as np
from rendering import render_completions, render_growing, render_results, render_symbols, say, say_error
from transformers import Pipeline
from turns import Stopped, Turn, Turns
from uploads import read_picture


ANY = "any"
MAX_CANDIDATES = 256
MAX_COMPLETIONS = 16
NUM_PARTICLES = 64
MAX_SEED = 2**53 - 1  # a browser's numbers are whole up to there
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 10
NUM_SHOWN = 8
UNKNOWN = 2  # the value of a pixel that is not known, or not drawn yet
SELECTIONS = {"best": "the best", "diverse": "those that differ most"}  # names in the pipeline and on the page
MAX_SHOWN = 60  # characters of a wrong value that an error repeats
NUM_ROWS_PER_MESSAGE = 5  # fewer would be too many messages for a screen reader
RUNNING, RESTING = gr.update(interactive=True), gr.update(interactive=False)  # the Stop button


def says_errors(*blank: Any) -> Callable:
    """Put a `ValueError` into the first output, the status line, and `blank` into the others.

    So nothing older stays below it as if it were the answer. A run that is stopped leaves what it has drawn. Any other
    error is no visitor's fault: the status line says that it stopped, and it goes on, to the server's log.
    """

    def decorate(handler: Callable[..., Iterator[tuple]]) -> Callable[..., Iterator[tuple]]:
        @functools.wraps(handler)
        def say_instead(*args, **kwargs) -> Iterator[tuple]:
            try:
                yield from handler(*args, **kwargs)
            except Stopped as stopped:
                if not stopped.by_next:
                    yield say("Stopped."), *[gr.skip()] * (len(blank) - 1), RESTING
            except ValueError as error:
                yield say_error(error), *blank
            except Exception:
                yield say("Stopped by an error of the page's own, which its log says."), *blank
                raise

        return say_instead

    return decorate


class Handlers:
    """The functions behind the buttons. They keep nothing of a visitor except a turn at the model.

    Args:
        pipe (`MnistTextGenerationPipeline`): draws, completes and scores.
    """

    def __init__(self, pipe: Pipeline):
        self.pipe, self.turns = pipe, Turns()
        names = pipe.class_names
        # a class may be called "any"
        self.any_class = ANY if ANY not in names else f"({ANY})"
        # the arguments of `draw`, in its order, by their names in a link
        self.defaults = {
            "class": "7" if "7" in names else names[0],
            "temperature": 0.8,
            "candidates": 64,
            "seed": 0,
            "selection": "best",
        }

    @says_errors("", "", RESTING)
    def draw(
        self,
        digit: str,
        temperature: float,
        num_candidates: float,
        seed: float,
        selection: str = "best",
        request: gr.Request | None = None,
    ) -> Iterator[tuple]:
        """Draw candidates of a digit before the visitor's eyes, and show the best, or good ones that differ.

        Yields:
            `tuple`: the status line, the pictures, the text of the first, and whether there is something to stop.
        """
        digit, temperature, num_candidates, seed, _ = self._check(digit, temperature, num_candidates, seed, selection)
        label, size = self.pipe.class_names.index(digit), self.pipe.tokenizer.image_size
        images = np.full((num_candidates, size, size), UNKNOWN, dtype=np.uint8)

        def sample(report: Callable) -> Any:
            def keep(_, start: int, block: np.ndarray) -> None:
                images[start : start + len(block), : block.shape[1]] = block[: num_candidates - start]
                report(start + 1, min(start + len(block), num_candidates), block.shape[1])

            return self.pipe.sample(label, num_candidates, temperature, seed=seed, callback=keep)

        def show(first: int, last: int, num_rows: int) -> tuple:
            progress = f"Drawing candidates {first} to {last} of {num_candidates}: {num_rows} of {size} rows."
            return _show_growing(images, f"{num_candidates} candidates of {digit}", progress, num_rows)

        with self.turns.take(_session_of(request), "draw") as turn:
            yield from self._wait(turn, f"Drawing {num_candidates} candidates of {digit}.")
            candidates = yield from turn.follow(sample, show)
            yield self._show_drawn(candidates, label, selection)

    def _check(self, digit: str, temperature: float, num_candidates: float, seed: float, selection: str) -> tuple:
        self._find_label(digit)
        seed, temperature = check_seed(seed), check_temperature(temperature)
        num_candidates = check_count(num_candidates, "candidates", MAX_CANDIDATES)
        if not isinstance(selection, str) or selection not in SELECTIONS:
            raise ValueError(f"the selection must be {' or '.join(SELECTIONS)}, got {_name(selection)}")
        return digit, temperature, num_candidates, seed, selection

    def _show_drawn(self, candidates: Any, label: int, selection: str) -> tuple:
        num_candidates, names = len(candidates.texts), self.pipe.class_names
        shown = candidates.choose(label, names, min(NUM_SHOWN, num_candidates), selection)
        ranks = {result["rank"] for result in shown}
        others = [
            result for result in candidates.choose(label, names, num_candidates, "best") if result["rank"] not in ranks
        ]
        num_taken = int((candidates.probabilities.argmax(axis=1) == label).sum())
        done = (
            f"Done: {num_candidates} candidates. The classifier takes {num_taken} of them for {names[label]}. "
            f"{len(shown)} are shown first: {SELECTIONS[selection]}."
        )
        return say(done), render_results(shown, others, selection), self._read(shown[0]["generated_text"]), RESTING

    def _wait(self, turn: Turn, begin: str) -> Iterator[tuple]:
        """Wait for a turn, and clear the results of an earlier run."""
        for num_before in self.turns.wait(turn):
            yield say(f"Waiting for a turn: {num_before} before you, one picture at a time."), "", "", RUNNING
        yield say(begin), "", "", RUNNING

    def follow_link(self, request: gr.Request) -> Iterator[tuple]:
        """Fill the form with the fields of the address, `?class=7&seed=0&...`, and draw.

        Yields:
            `tuple`: the five fields of `draw`, and its four outputs.
        """
        unchanged, link = [gr.skip()] * len(self.defaults), dict(request.query_params)
        if not link.keys() & self.defaults.keys():
            yield *unchanged, *[gr.skip()] * 4
            return
        try:
            fields = self._check(*self._read_link(link).values())
        except ValueError as error:
            yield *unchanged, say_error(error, "The link cannot be followed:"), "", "", RESTING
            return
        for index, shown in enumerate(self.draw(*fields, request)):
            yield *(unchanged if index else fields), *shown

    def _read_link(self, link: Mapping[str, str]) -> dict[str, Any]:
        fields = {name: link.get(name, default) for name, default in self.defaults.items()}
        for name in ("temperature", "candidates", "seed"):
            with contextlib.suppress(ValueError):  # `_check` refuses what is no number
                value = float(fields[name])
                fields[name] = int(value) if value.is_integer() else value
        names, number = self.pipe.class_names, fields["class"]
        # a link may have the number of a class instead of its name
        if number not in names and number in map(str, range(len(names))):
            fields["class"] = names[int(number)]
        return fields

    @staticmethod
    def draw_seed() -> int:
        return random.randrange(2**32)

    def stop_drawing(self, request: gr.Request) -> tuple:
        return self._stop("draw", request)

    def stop_completing(self, request: gr.Request) -> tuple:
        return self._stop("complete", request)

    def _stop(self, place: str, request: gr.Request) -> tuple:
        is_running = self.turns.stop(_session_of(request), place)
        return say("Stopping." if is_running else "Nothing is being drawn."), RESTING

    def leave(self, request: gr.Request) -> None:
        """Stop the runs of a visitor who has left."""
        self.turns.stop(_session_of(request))

    @says_errors(gr.skip(), "", "")
    def read_upload(self, path: str, pad: str) -> Iterator[tuple]:
        """Put a picture on the pad. It does not change which pixels are known."""
        codes = self._read_codes(pad)
        pixels = read_picture(path, self.pipe.tokenizer)
        yield say("The picture is on the pad."), "".join(map(str, (codes & UNKNOWN | pixels).ravel())), "", ""

    @says_errors("", "", RESTING)
    def complete(
        self, pad: str, digit: str, num_completions: float, seed: float, request: gr.Request | None = None
    ) -> Iterator[tuple]:
        """Complete the image on the pad, see `_read_pad`. It yields the same outputs as `draw`."""
        seed, (image, known) = check_seed(seed), self._read_pad(pad)
        label = None if digit == self.any_class else self._find_label(digit)
        num_completions = check_count(num_completions, "completions", MAX_COMPLETIONS)
        num_particles = choose_num_particles(known, label, num_completions)
        size = self.pipe.tokenizer.image_size

        def run(report: Callable) -> Any:
            return self.pipe.complete(
                image, label, known, seed, num_completions, num_particles, callback=lambda _, block: report(block)
            )

        def show(block: np.ndarray) -> tuple:
            num_rows = block.shape[1]
            images = np.pad(block, ((0, 0), (0, size - num_rows), (0, 0)), constant_values=UNKNOWN)
            progress = f"Completing: {num_rows} of {size} rows."
            return _show_growing(images, f"{num_particles} attempts", progress, num_rows)

        with self.turns.take(_session_of(request), "complete") as turn:
            yield from self._wait(turn, f"Completing: {num_completions} pictures of {digit} {self.pipe.class_word}.")
            results = yield from turn.follow(run, show)
            images = np.stack([np.asarray(result["image"]) for result in results]) // 255
            # labels are numbers, because a name may be the number of another class
            nats = -self.pipe.log_likelihood(images, [int(result["generated_text"][0]) for result in results])
            pictures, symbols = render_completions(results, nats, known), self._read(results[0]["generated_text"])
            yield say(f"Done: {len(results)} completions."), pictures, symbols, RESTING

    def _find_label(self, name: str) -> int:
        names, word = self.pipe.class_names, self.pipe.class_word
        if name not in names:
            allowed = f"{names[0]} to {names[-1]}" if word == "digit" else f"one of {', '.join(names)}"
            raise ValueError(f"the {word} must be {allowed}, got {_name(name)}")
        return names.index(name)

    def _read_codes(self, pad: str) -> np.ndarray:
        """The pixels of the pad, uint8 `[30, 30]` in {0, 1, 2, 3}: 1 for ink, plus 2 if the pixel is not known."""
        size = self.pipe.tokenizer.image_size
        _check_text(pad, "pad", size * size)
        if len(pad) != size * size or not set(pad) <= set("0123"):
            raise ValueError(f"the pad must be {size * size} characters from 0 to 3, got {_name(pad)}")
        return np.array(list(pad), dtype=np.uint8).reshape(size, size)

    def _read_pad(self, pad: str) -> tuple[np.ndarray, np.ndarray]:
        """The image, uint8 `[30, 30]` in {0, 1}, and which of its pixels are known, bool."""
        codes = self._read_codes(pad)
        image, known = codes & 1, codes < UNKNOWN
        if known.all():
            raise ValueError("the pad must have 1 unknown pixel or more, got none: nothing is left to complete")
        if not known.any():
            raise ValueError("the pad must have 1 known pixel or more, got none: choose what is known")
        if not image[known].any():
            raise ValueError("what is known must have 1 pixel of ink or more, got none: draw, or upload a picture")
        return image, known

    @says_errors("")
    def explain(self, text: str) -> Iterator[tuple[str, str]]:
        """Show a text symbol by symbol, beside its pixels."""
        yield say("Shown."), self._read(text)

    @says_errors("")
    def read_chosen(self, event: gr.EventData) -> Iterator[tuple[Any, str]]:
        """Show the text of a picture that was clicked. The status line of the drawing stays."""
        yield gr.skip(), self._read(event.text)

    def _read(self, text: str) -> str:
        _check_text(text, "text", 2 * self.pipe.tokenizer.model_max_length)
        text = text.strip()  # a pasted text may have blanks and line breaks around it
        (image,) = self.pipe.tokenizer.decode_images([text])
        label = int(text[0])
        return render_symbols(text, image, self.pipe.surprise(image, label), self.pipe.class_names[label])


def choose_num_particles(known: np.ndarray, label: int | None, num_completions: int) -> int:
    """The number of particles for `complete`: few if all known pixels come first, which saves most of the time.

    There all texts of a label agree with it equally well. So each is a draw by itself, and a given label needs no more
    than are shown. Of several labels each keeps some, so that there are four times as many, and none is shown twice.
    """
    if known.ravel()[known.sum() :].any():
        return NUM_PARTICLES
    return num_completions if label is not None else max(4 * num_completions, 16)


def _session_of(request: gr.Request | None) -> str | None:
    return None if request is None else request.session_hash


def _show_growing(images: np.ndarray, what: str, progress: str, num_rows: int) -> tuple:
    status = say(progress) if num_rows % NUM_ROWS_PER_MESSAGE == 0 else gr.skip()
    return status, render_growing(images, f"{what}. {progress}"), gr.skip(), gr.skip()


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
    """Check the length before any other use, because a visitor may send a text of any length."""
    if not isinstance(value, str):
        raise ValueError(f"the {name} must be a text, got {_name(value)}")
    if len(value) > most:
        raise ValueError(f"the {name} must be at most {most} characters long, got {len(value):,}")


def _name(value: Any) -> str:
    name = "nothing" if value is None else f"{value:,}" if _is_number(value) else repr(value)
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
