# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A page to play with: `python examples/app/app.py [--model FOLDER_OR_ID] [--port 7860]`.

Digits are drawn, completed, and shown as text. The folder is a Gradio Space as it stands: it imports only its own
files.
"""

import argparse
import importlib.util
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
from handlers import SELECTIONS, UNKNOWN, Handlers
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
# the address of the source code; the page links to it if it is set
REPOSITORY_URL = os.environ.get("REPOSITORY_URL", "")
# `turns.py` lets one run at a time use the model, and tells only those who have to wait. A waiting run holds a thread.
IN_TURN = {"concurrency_id": "model", "concurrency_limit": 16, "show_progress": "hidden"}
AT_ONCE = {"queue": False, "show_progress": "hidden"}
# runs in the browser, before the server answers
SAY_BEGIN = "() => '<p>One moment.</p>'"
# puts the fields into the address, under the names that `follow_link` reads
WRITE_LINK = """(...fields) => {
  const link = new URLSearchParams(location.search);
  NAMES.forEach((name, index) => link.set(name, fields[index]));
  history.replaceState(null, "", `?${link}`);
  return fields;
}"""


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
    with gr.Blocks(
        title="mnist-text-gen", analytics_enabled=False, delete_cache=(3600, 3600), fill_width=True
    ) as page:
        gr.Markdown(
            f"# {_plural(pipe.class_word).capitalize()}, drawn as text\nA small GPT-2 writes an image of "
            f"{size}×{size} pixels as {pipe.tokenizer.num_pixel_symbols} characters.{_link_to_code(REPOSITORY_URL)}"
        )
        with gr.Tab("Draw"):
            add_drawing(page, handlers)
        with gr.Tab("Complete"):
            add_completion(handlers)
        with gr.Tab("Text"):
            add_text(handlers)
        page.load(None, None, None, js=_read("page.js"))
        page.unload(handlers.leave)
    return page.queue(max_size=32)


def add_drawing(page: gr.Blocks, handlers: Handlers) -> None:
    names, word, defaults = handlers.pipe.class_names, handlers.pipe.class_word, handlers.defaults
    digit = gr.Radio(list(names), value=defaults["class"], label=word.capitalize(), elem_id="digit")
    with gr.Row():
        seed = gr.Number(defaults["seed"], label="Seed", min_width=80)
        num_candidates = gr.Number(defaults["candidates"], label="Candidates", min_width=80)
        temperature = gr.Number(defaults["temperature"], label="Temperature", step=0.1, min_width=80)
    choices = [(shown, name) for name, shown in SELECTIONS.items()]
    selection = gr.Radio(choices, value=defaults["selection"], label="Show", elem_id="selection")
    with gr.Row():
        button = gr.Button("Draw", variant="primary", elem_id="draw", min_width=80)
        random = gr.Button("Random seed", elem_id="random", min_width=80)
        stop = add_stop()
    status = add_status("draw-status")
    pictures, reading = add_results(handlers, status, "drawn")
    fields, outputs = [digit, temperature, num_candidates, seed, selection], [status, pictures, reading, stop]
    button.click(None, None, status, js=SAY_BEGIN, show_progress="hidden")
    random.click(None, None, status, js=SAY_BEGIN, show_progress="hidden")
    write_link = WRITE_LINK.replace("NAMES", json.dumps(list(defaults)))
    for begin in (button.click, random.click(handlers.draw_seed, None, seed, **AT_ONCE).then):
        begin(handlers.draw, fields, outputs, js=write_link, **IN_TURN)
    page.load(handlers.follow_link, None, [*fields, *outputs], **IN_TURN)
    stop.click(handlers.stop_drawing, None, [status, stop], **AT_ONCE)


def add_completion(handlers: Handlers) -> None:
    word, size = handlers.pipe.class_word, handlers.pipe.tokenizer.image_size
    image = "a digit" if word == "digit" else "an image"
    gr.Markdown(f"Draw what is known of {image}, or upload a picture: the model draws the rest.")
    pad = gr.HTML(
        "0" * (size // 2 * size) + str(UNKNOWN) * (size // 2 * size),
        html_template=_read("pad.html").format(size=size, side=size * max(1, 600 // size)),
        js_on_load=_read("pad.js"),
        elem_id="pad",
    )
    # any file, so that what is wrong with it is said here and not by the browser's silence
    upload = gr.UploadButton("Upload a picture", elem_id="upload")
    with gr.Row():
        any_class, names = handlers.any_class, handlers.pipe.class_names
        label = gr.Dropdown(
            [any_class, *names], value=any_class, label=word.capitalize(), filterable=False, min_width=100
        )
        num_completions = gr.Number(4, label="Completions", min_width=80)
        seed = gr.Number(0, label="Seed", min_width=80)
    with gr.Row():
        button = gr.Button("Complete", variant="primary", elem_id="complete", min_width=80)
        stop = add_stop()
    status = add_status("complete-status")
    pictures, reading = add_results(handlers, status, "completed")
    outputs = [status, pictures, reading, stop]
    upload.upload(handlers.read_upload, [upload, pad], [status, pad, pictures, reading], **AT_ONCE)
    button.click(None, None, status, js=SAY_BEGIN, show_progress="hidden")
    button.click(handlers.complete, [pad, label, num_completions, seed], outputs, **IN_TURN)
    stop.click(handlers.stop_completing, None, [status, stop], **AT_ONCE)


def add_text(handlers: Handlers) -> None:
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
    button = gr.Button("Show", variant="primary", elem_id="show")
    status = add_status("text-status")
    button.click(handlers.explain, text, [status, add_reading("symbols")], show_progress="hidden")


def add_status(elem_id: str) -> gr.HTML:
    """A line that a screen reader reads out when it changes."""
    return gr.HTML("", elem_id=elem_id, js_on_load="element.setAttribute('role', 'status')")


def add_stop() -> gr.Button:
    return gr.Button("Stop", variant="stop", interactive=False, min_width=80)


def add_results(handlers: Handlers, status: gr.HTML, elem_id: str) -> tuple[gr.HTML, gr.HTML]:
    """The pictures, and below them the text of the picture that was clicked last."""
    pictures = gr.HTML("", elem_id=elem_id, js_on_load=_read("figures.js"))
    reading = add_reading(f"{elem_id}-text")
    pictures.choose(handlers.read_chosen, None, [status, reading], show_progress="hidden")
    return pictures, reading


def add_reading(elem_id: str) -> gr.HTML:
    # each text has its own form, so that its radio buttons are a separate group
    return gr.HTML(
        "",
        html_template="<form onsubmit='return false'>${value}</form>",
        elem_id=elem_id,
        js_on_load=_read("symbols.js"),
    )


def _link_to_code(url: str) -> str:
    is_link = re.fullmatch(r"https?://[\w.:/~-]+", url)
    return f" [Source code]({url})" if is_link else ""


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _plural(class_word: str) -> str:
    return "digits" if class_word == "digit" else "images"


if __name__ == "__main__":
    main()
