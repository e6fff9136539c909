# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A page to play with: `python examples/app/app.py [--model FOLDER_OR_ID] [--port 7860]`.

Digits are drawn, completed, and shown as text. The folder is a Gradio Space as it stands: it imports only its own
files.
"""

import argparse
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
from handlers import BEST, MAX_CANDIDATES, MAX_COMPLETIONS, SELECTIONS, Handlers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from transformers import Pipeline, pipeline


PROG = "app.py"
FOLDER = Path(__file__).parent
# the first training image of MNIST
EXAMPLE = (
    "5::::::::::::::::::::::::::::=Z::IyZ:Ayy::AyZ::AwZ:::r::::j::::r::::R::::H::::AZ:::=j::::r::::v::::r:::Ar:::Yj::;y:::"
    "=v:::Yj::;yZ::;v::::::::::::::::::)"
)
MAX_REQUEST_BYTES = 10**6
# one at a time, whoever asks: several would take as long together, and more memory
ON_THE_MODEL = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}
AT_ONCE = {"queue": False, "show_progress": "hidden"}


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, and exits with status 2."""

    def error(self, message: str):
        # a name in it may hold what a terminal obeys
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(message.split()))
        self.exit(2, f"{self.prog}: error: {shown}\n")


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(PROG, description="Serve a page to play with.", allow_abbrev=False)
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL_ID"),
        help="Folder or Hub id of a language model with its classifier. By default what the variable MODEL_ID names, "
        "or the shipped weights.",
    )
    parser.add_argument("--port", type=int, help="By default the first free one from 7860 on.")
    args = parser.parse_args(argv)
    if args.port is not None and not 1 <= args.port <= 65535:
        parser.error(f"port must be from 1 to 65535, got {args.port}")
    try:
        launch(build_page(load_pipeline(args.model)), server_port=args.port)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def load_pipeline(model: str | None) -> Pipeline:
    """The pipeline, with the package's code where it is installed, and otherwise with the code beside the model.

    Raises:
        ValueError or OSError: for a model that is not there or does not fit.
    """
    if importlib.util.find_spec("mnist_text_gen"):
        import mnist_text_gen

        return mnist_text_gen.load_pipeline(model) if model else mnist_text_gen.load_pipeline()
    if not model:
        raise ValueError(
            "mnist_text_gen is not installed, so there must be a model: give a folder or a Hub id as --model or in "
            "the variable MODEL_ID"
        )
    return pipeline("mnist-text-gen", model=model, trust_remote_code=True)


class BodyLimit:
    """Refuses a request that is longer than any from the page before it is read; uploads have a limit of their own."""

    def __init__(self, app: Callable):
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        is_upload = scope.get("path", "").endswith("/upload")
        if scope["type"] == "http" and not is_upload and length.isdigit() and int(length) > MAX_REQUEST_BYTES:
            response = PlainTextResponse(f"at most {MAX_REQUEST_BYTES:,} bytes, got {int(length):,}", 413)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def launch(page: gr.Blocks, **options) -> tuple:
    """Serve the page from this machine alone: no tunnel, no fonts from elsewhere, no figures sent."""
    return page.launch(
        app_kwargs={"middleware": [Middleware(BodyLimit)]},
        share=False,
        ssr_mode=False,
        footer_links=[],
        max_file_size="20mb",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=FOLDER / "page.css",
        **options,
    )


def build_page(pipe: Pipeline) -> gr.Blocks:
    handlers, size = Handlers(pipe), pipe.tokenizer.image_size
    with gr.Blocks(title="mnist-text-gen", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(
            f"# {_plural(pipe.class_word).capitalize()}, drawn as text\nA small GPT-2 writes an image of "
            f"{size}×{size} pixels as {pipe.tokenizer.num_pixel_symbols} characters."
        )
        with gr.Tab("Draw"):
            drawn = add_drawing(handlers)
        with gr.Tab("Complete"):
            add_completion(handlers)
        with gr.Tab("Text"):
            add_text(handlers, drawn)
    return page.queue(max_size=32)


def add_status(elem_id: str) -> gr.HTML:
    """A line that a screen reader says when it changes."""
    return gr.HTML("", elem_id=elem_id, js_on_load="element.setAttribute('role', 'status')")


def add_drawing(handlers: Handlers) -> gr.State:
    names, word = handlers.pipe.class_names, handlers.pipe.class_word
    digit = gr.Radio(list(names), value="7" if "7" in names else names[0], label=word.capitalize(), elem_id="digit")
    with gr.Row():
        temperature = gr.Number(0.8, label="Temperature", step=0.1, min_width=100)
        num_candidates = gr.Number(64, label=f"Candidates, 1 to {MAX_CANDIDATES}", min_width=100)
        seed = gr.Number(0, label="Seed", info=f"The same seed draws the same {_plural(word)}.", min_width=100)
        selection = gr.Radio(list(SELECTIONS), value=BEST, label="Shown are", elem_id="selection")
    button = gr.Button("Draw", variant="primary", elem_id="draw")
    status = add_status("draw-status")
    pictures = gr.HTML("", elem_id="drawn")
    drawn = gr.State([])
    button.click(handlers.wait, None, status, **AT_ONCE).then(
        handlers.draw, [digit, temperature, num_candidates, seed, selection], [status, pictures, drawn], **ON_THE_MODEL
    )
    return drawn


def add_completion(handlers: Handlers) -> None:
    word, size = handlers.pipe.class_word, handlers.pipe.tokenizer.image_size
    num_rows, scale = size // 2, max(1, 600 // size)
    gr.Markdown(f"Draw the upper half of {'a digit' if word == 'digit' else 'an image'}, or upload a picture of one.")
    pad = gr.HTML(
        "0" * (num_rows * size),
        html_template=(FOLDER / "pad.html")
        .read_text(encoding="utf-8")
        .format(num_rows=num_rows, num_columns=size, width=scale * size, height=scale * num_rows),
        js_on_load=(FOLDER / "pad.js").read_text(encoding="utf-8"),
        elem_id="pad",
    )
    # any file, so that what is wrong with it is said here and not by the browser's silence
    upload = gr.UploadButton("Upload a picture", elem_id="upload")
    with gr.Row():
        any_class, names = handlers.any_class, handlers.pipe.class_names
        label = gr.Dropdown(
            [any_class, *names], value=any_class, label=word.capitalize(), filterable=False, min_width=100
        )
        num_completions = gr.Number(4, label=f"Completions, 1 to {MAX_COMPLETIONS}", min_width=100)
        seed = gr.Number(0, label="Seed", min_width=100)
    button = gr.Button("Complete", variant="primary", elem_id="complete")
    status = add_status("complete-status")
    pictures = gr.HTML("", elem_id="completed")
    upload.upload(handlers.read_upload, upload, [status, pad], show_progress="hidden")
    button.click(handlers.wait, None, status, **AT_ONCE).then(
        handlers.complete, [pad, label, num_completions, seed], [status, pictures], **ON_THE_MODEL
    )


def add_text(handlers: Handlers, drawn: gr.State) -> None:
    word, tokenizer = handlers.pipe.class_word, handlers.pipe.tokenizer
    is_mnist = (
        word == "digit" and EXAMPLE[0] in handlers.pipe.class_names and len(EXAMPLE) == tokenizer.model_max_length
    )
    text = gr.Textbox(
        EXAMPLE if is_mnist else "",
        label="Text",
        info=f"{tokenizer.model_max_length} characters: the {word}, {tokenizer.num_pixel_symbols} symbols of six "
        f"pixels each, and `)`.{' The first training image of MNIST.' if is_mnist else ''}",
        lines=4,
        elem_id="text",
    )
    with gr.Row():
        rank = gr.Number(1, label=f"Of the {_plural(word)} that you drew, rank", min_width=100)
        take = gr.Button("Take its text", elem_id="take")
    button = gr.Button("Show", variant="primary", elem_id="show")
    status = add_status("text-status")
    symbols = gr.HTML("", elem_id="symbols", js_on_load=(FOLDER / "symbols.js").read_text(encoding="utf-8"))
    take.click(handlers.wait, None, status, **AT_ONCE).then(
        handlers.explain_drawn, [drawn, rank], [status, symbols, text], **ON_THE_MODEL
    )
    button.click(handlers.wait, None, status, **AT_ONCE).then(
        handlers.explain, text, [status, symbols], **ON_THE_MODEL
    )


def _plural(class_word: str) -> str:
    return "digits" if class_word == "digit" else "images"


if __name__ == "__main__":
    main()
