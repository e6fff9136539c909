# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page: its handlers, and the whole of it in a real Chromium, with a tiny model."""

import base64
import http.client
import io
import re
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image, ImageOps

from mnist_text_gen import MnistTextGenerationPipeline
from mnist_text_gen.drawing import draw_contact_sheet
from mnist_text_gen.modeling import symbol_nats


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings


ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "app"


@pytest.fixture(scope="module")
def modules():
    """The files of the Space, which import each other by their names alone. Gradio takes seconds to import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import app
        import handlers
        import rendering
        import turns
        import uploads

        yield SimpleNamespace(app=app, handlers=handlers, rendering=rendering, turns=turns, uploads=uploads)


@pytest.fixture(scope="module")
def pipe(modules, tiny_files):
    return modules.app.load_pipeline(str(tiny_files))


@pytest.fixture(scope="module")
def handlers(modules, pipe):
    return modules.handlers.Handlers(pipe)


class Elements(HTMLParser):
    """The start tags of some HTML with their attributes, and its words."""

    def __init__(self, html):
        super().__init__()
        self.found, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def pixels_of(uri):
    assert uri.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image)


def texts_of(uri):
    assert uri.startswith("data:text/plain;base64,")
    return base64.b64decode(uri.partition(",")[2]).decode().splitlines()


def words_of(html):
    return " ".join(Elements(html).words)


def texts_in(html):
    """The texts that the pictures take along, in their order."""
    return [button["data-text"] for button in Elements(html).all("button") if "data-text" in button]


def test_drawing_grows_and_ends_with_what_the_pipeline_selects(handlers, pipe):
    *growing, (status, pictures, reading, _) = handlers.draw("7", 0.9, 10, 3)
    expected = pipe("7", num_candidates=10, num_return_sequences=10, temperature=0.9, seed=3)
    assert texts_in(pictures) == [result["generated_text"] for result in expected]
    images = Elements(pictures).all("img")
    for shown, result in zip(images, expected, strict=True):
        np.testing.assert_array_equal(pixels_of(shown["src"]), np.asarray(result["image"]))
    assert images[0]["alt"].startswith("Rank 1: the classifier gives ") and "Passed over: 2" in words_of(pictures)
    assert pictures.count('aria-pressed="true"') == 1 and expected[0]["generated_text"] in words_of(reading)
    assert "Done: 10 candidates." in status and "8 are shown first: the best." in status
    *_, (status, diverse, _, _) = handlers.draw("7", 0.9, 10, 3, "diverse")
    shown = pipe("7", num_candidates=10, temperature=0.9, seed=3, selection="diverse")
    assert texts_in(diverse)[:8] == [result["generated_text"] for result in shown]
    assert "those that differ most" in status and "7-diverse.png" in diverse

    sheets = [Elements(html).all("img")[0] for _, html, _, _ in growing if isinstance(html, str) and html]
    cells = pixels_of(sheets[-1]["src"]).reshape(2, 32, 8, 32).transpose(0, 2, 1, 3).reshape(16, 32, 32)[:10, :30, :30]
    num_rows = int(re.search(r"(\d+) of 30 rows", sheets[-1]["alt"])[1])
    # candidates stand in the order of their numbers, results in that of their scores; grey is what is not yet drawn
    drawn = [np.asarray(result["image"])[:num_rows].tobytes() for result in expected]
    assert sorted(cell[:num_rows].tobytes() for cell in cells) == sorted(drawn)
    assert (cells[:, num_rows:] == 70).all()


def test_downloads_are_the_texts_and_a_sheet(handlers, pipe):
    *_, (_, pictures, _, _) = handlers.draw("3", 0.8, 9, 1)
    links = {attributes["download"]: attributes["href"] for attributes in Elements(pictures).all("a")}
    assert texts_of(links["3-best.txt"]) == texts_in(pictures)[:8]
    assert texts_of(links["3-all.txt"]) == texts_in(pictures)
    drawn = pipe("3", num_candidates=9, num_return_sequences=9, seed=1)
    # the Space has no package to import this from
    np.testing.assert_array_equal(pixels_of(links["3-best.png"]), np.asarray(draw_contact_sheet(drawn[:8])))
    np.testing.assert_array_equal(pixels_of(links["3-all.png"]), np.asarray(draw_contact_sheet(drawn)))


def test_two_at_once_draw_what_each_draws_alone_and_the_second_is_told_to_wait(handlers):
    tasks = [("1", 0.8, 3, 5), ("2", 1.0, 4, 6)]
    alone = [list(handlers.draw(*task))[-1] for task in tasks]
    with handlers.turns.take("somebody", "draw"):
        waiting = handlers.draw(*tasks[0])
        assert "1 before you" in next(waiting)[0]
    assert "Drawing 3 candidates of 1." in next(waiting)[0]
    waiting.close()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda task: list(handlers.draw(*task))[-1], tasks))
    assert together == alone


@pytest.mark.parametrize("stops", ["stop_drawing", "leave", "next", "close"])
def test_a_run_that_is_stopped_ends_at_its_next_row_and_gives_up_its_turn(modules, pipe, monkeypatch, stops):
    handlers, visitor = modules.handlers.Handlers(pipe), SimpleNamespace(session_hash="a")
    may_go_on, ended = threading.Event(), threading.Event()

    def sample(*args, callback, **kwargs):
        callback(7, 0, np.zeros((64, 5, 30), dtype=np.uint8))
        assert may_go_on.wait(60)
        try:
            callback(7, 0, np.zeros((64, 6, 30), dtype=np.uint8))
        finally:
            ended.set()
        raise AssertionError("not stopped")

    monkeypatch.setattr(pipe, "sample", sample)
    run = handlers.draw("7", 0.8, 2, 0, "best", visitor)
    assert next(run)[0] == "<p>Drawing 2 candidates of 7.</p>" and "5 of 30 rows" in next(run)[0]
    if stops == "next":
        next_run = handlers.draw("8", 0.8, 2, 0, "best", visitor)
        assert "1 before you" in next(next_run)[0]
    elif stops == "close":
        run.close()
    else:
        getattr(handlers, stops)(visitor)
    may_go_on.set()
    assert [step[0] for step in run] == (["<p>Stopped.</p>"] if stops in ("stop_drawing", "leave") else [])
    assert ended.wait(60)
    if stops == "next":
        assert next(next_run)[0] == "<p>Drawing 2 candidates of 8.</p>"
        next_run.close()
    assert "Nothing is being drawn" in handlers.stop_drawing(visitor)[0]


PAD = "0" * 200 + "1" * 5 + "0" * 245 + "2" * 450


@pytest.mark.parametrize(
    ("handler", "arguments", "message"),
    [
        ("draw", ("7", 0.8, 10_000, 0), "`candidates` must be a whole number from 1 to 256, got 10,000"),
        ("draw", ("7", 0.8, None, 0), "from 1 to 256, got nothing"),
        ("draw", ("7", 0.8, float("nan"), 0), "from 1 to 256, got nan"),
        ("draw", ("7", 0.8, 8, -1), "`seed` must be a whole number from 0 to 9,007,199,254,740,991, got -1"),
        ("draw", ("7", 0.8, 8, 0, "x"), "the selection must be best or diverse, got 'x'"),
        ("draw", ("7", 0, 8, 0), "`temperature` must be a number from 0.05 to 10, got 0"),
        ("draw", ("<b>", 0.8, 8, 0), "the digit must be 0 to 9, got '<b>'"),
        ("complete", ("0" * 450 + "3" * 450, "any", 4, 0), "what is known must have 1 pixel of ink or more, got none"),
        ("complete", ("3" * 900, "any", 4, 0), "the pad must have 1 known pixel or more, got none"),
        ("complete", ("1" * 900, "any", 4, 0), "the pad must have 1 unknown pixel or more, got none"),
        ("complete", ("4" * 900, "any", 4, 0), "the pad must be 900 characters from 0 to 3, got '444"),
        ("complete", (PAD, "any", 17, 0), "`completions` must be a whole number from 1 to 16, got 17"),
        ("explain", ("7:::",), "stops at position 4 of 152"),
        ("explain", (["7"],), "the text must be a text"),
        # refused before anything is done with it, and not repeated whole
        ("explain", (":" * 10**7,), "got 10,000,000"),
        ("complete", ("x" * 10**7, "any", 1, 0), "got 10,000,000"),
        ("draw", ("7" * 10**7, 0.8, 2, 0), "the digit must be 0 to 9, got '777"),
        ("read_chosen", (SimpleNamespace(text="7:::"),), "stops at position 4 of 152"),
        ("read_upload", (None, PAD), "there must be a picture (PNG, "),
    ],
)
def test_what_is_not_allowed_is_said_and_nothing_older_stays_below(handlers, handler, arguments, message):
    ((status, *others),) = getattr(handlers, handler)(*arguments)
    assert 'class="error"' in status and "<b>" not in status
    assert message in words_of(status) and len(status) < 400
    # but the pad, which is no answer
    assert others and others[1 if handler == "read_upload" else 0] == ""


HALF = np.arange(30)[:, None].repeat(30, axis=1) < 15


@pytest.mark.parametrize(
    ("digit", "known", "num_particles"),
    [("any", HALF, 16), ("4", HALF, 3), ("4", HALF.T, 64), ("any", ~HALF, 64)],
    ids=["any", "4", "left", "lower"],
)
def test_completions_are_those_of_the_pipeline(handlers, pipe, digit, known, num_particles):
    codes = np.where(known, 0, 2)
    codes[12:18, 12:18] += 1
    pad = "".join(map(str, codes.ravel()))
    *growing, (status, pictures, reading, _) = handlers.complete(pad, digit, 3, 2)
    image, label = codes & 1, None if digit == "any" else digit
    expected = pipe.complete(image, label, known, seed=2, num_return_sequences=3, num_particles=num_particles)
    assert texts_in(pictures) == [result["generated_text"] for result in expected]
    found = Elements(pictures)
    np.testing.assert_array_equal((pixels_of(found.all("img")[1]["src"]) == 255).all(axis=-1), known)
    for shown, result in zip(found.all("img")[::2], expected, strict=True):
        drawn = pixels_of(shown["src"])
        np.testing.assert_array_equal(drawn, np.asarray(result["image"]))
        np.testing.assert_array_equal(drawn[known], image[known] * 255)
        nats = -pipe.log_likelihood(drawn // 255, result["label"])[0]
        assert f"{nats:.1f} nats" in pictures
        assert shown["alt"].startswith(f"A {result['label']}: the classifier gives ")
    assert "Done: 3 completions" in status and expected[0]["generated_text"] in words_of(reading)
    assert f"{num_particles} attempts. Completing: " in growing[-1][1]


@pytest.mark.parametrize(
    ("link", "fields", "message"),
    [
        ({"class": "3", "candidates": "2"}, ("3", 0.8, 2, 0, "best"), "Done: 2 candidates"),
        ({"class": "12", "seed": "1"}, None, "The link cannot be followed:  the digit must be 0 to 9, got '12'"),
        ({"seed": "-1"}, None, "`seed` must be a whole number from 0 to 9,007,199,254,740,991, got -1"),
        ({"selection": "<b>"}, None, "the selection must be best or diverse, got '<b>'"),
    ],
)
def test_a_link_fills_the_form_and_draws(handlers, link, fields, message):
    steps = list(handlers.follow_link(SimpleNamespace(query_params=link, session_hash="a")))
    unchanged = ({"__type__": "update"},) * 5
    assert steps[0][:5] == (fields or unchanged) and message in words_of(steps[-1][5])
    assert all(step[:5] == unchanged for step in steps[1:]) and "<b>" not in steps[-1][5]
    assert list(handlers.follow_link(SimpleNamespace(query_params={"__theme": "dark"}))) == [
        ({"__type__": "update"},) * 9
    ]


def test_a_text_is_shown_symbol_by_symbol(modules, handlers, pipe):
    ((status, html),) = handlers.explain(f" {modules.app.EXAMPLE}\n")
    found = Elements(html)
    details = [attributes["aria-label"] for attributes in found.all("input")]
    assert len(details) == 150 and "Shown" in status
    # README's worked example: the third of the rows with ink, `:Ayy:`
    first = modules.app.EXAMPLE.index(":Ayy:") - 1
    assert first % 5 == 0
    for index, symbol, arithmetic in ((0, ":", "58 − 58 = 0 = 000000"), (1, "A", "65 − 58 = 7 = 000111")):
        where = f"Row {first // 5 + 1}, columns {6 * index + 1} to {6 * index + 6}."
        assert details[first + index].startswith(f"Symbol {first + index + 1}, {symbol}: {arithmetic}. {where}")
        chosen = found.all("input")[first + index]
        assert (chosen["data-row"], chosen["data-left"]) == (str(first // 5), str(6 * index))
    nats = symbol_nats(pipe.model, pipe.tokenizer([modules.app.EXAMPLE], return_tensors="pt")["input_ids"])[0, :-1]
    told = [float(re.search(r"Surprise (\S+) nats", detail)[1]) for detail in details]
    np.testing.assert_allclose(told, nats.numpy(), atol=0.006)
    assert [word for word in found.words if len(word) == 1][:2] == ["5", ")"]
    # and so is one that is clicked
    assert list(handlers.read_chosen(SimpleNamespace(text=modules.app.EXAMPLE))) == [({"__type__": "update"}, html)]


def test_an_error_of_the_page_itself_is_said_and_raised(modules, pipe, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of paint")

    monkeypatch.setattr(pipe, "sample", fail)
    steps = modules.handlers.Handlers(pipe).draw("7", 0.8, 2, 0)
    said = []
    with pytest.raises(RuntimeError, match="out of paint"):
        said.extend(steps)
    assert "Stopped by an error" in said[-1][0] and len(said[-1]) == 4


@pytest.fixture
def read(modules, tokenizer, tmp_path):
    def read_picture(image, name="picture.png", **options):
        image.save(tmp_path / name, **options)
        return modules.uploads.read_picture(str(tmp_path / name), tokenizer)

    return read_picture


def test_uploads_become_pixels(read, tokenizer, mnist_5k):
    grey = np.array(mnist_5k["train"].images[:1])
    binary = tokenizer.decode_images(tokenizer.encode_images(grey, [0]))[0]
    small = Image.fromarray(grey[0])
    np.testing.assert_array_equal(read(small), binary)
    np.testing.assert_array_equal(read(ImageOps.invert(small), "inverted.gif"), binary)
    exact = Image.fromarray(binary * 255)
    np.testing.assert_array_equal(read(exact), binary)
    large = exact.resize((600, 600), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(read(large.convert("RGB"), "large.jpg"), binary)
    upper = np.where(HALF, binary, 0)
    np.testing.assert_array_equal(read(large.crop((0, 0, 600, 300)), "half.bmp"), upper)
    ink = Image.new("RGBA", large.size, "black")
    ink.putalpha(large)
    np.testing.assert_array_equal(read(ink, "transparent.png"), binary)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    np.testing.assert_array_equal(read(large.rotate(90), "turned.jpg", exif=exif), binary)


def png_header(width, height):
    """A PNG that says its size and breaks off where its pixels begin."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = struct.pack(">I", 1000) + b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + pixels


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "got one that cannot be read"),
        (b"", "got one that cannot be read"),
        (png_header(10_000, 10_000), "got one of 100 megapixels"),
        (png_header(60_000, 60_000), "got one of far too many pixels"),
        (png_header(30, 30), "got a damaged one ("),
    ],
    ids=["text", "empty", "100 megapixels", "3,600 megapixels", "cut off"],
)
def test_uploads_that_are_no_picture_or_too_large_are_refused(handlers, tmp_path, content, message):
    file = tmp_path / "upload"
    file.write_bytes(content)
    ((status, pad, *completed),) = handlers.read_upload(str(file), PAD)
    assert message in words_of(status)
    assert "must be a picture (PNG, JPEG, GIF, WEBP, BMP, TIFF, PPM) of at most 25 megapixels" in words_of(status)
    assert pad == {"__type__": "update"} and completed == ["", ""]


def test_a_missing_model_and_a_wrong_port_end_with_one_line(modules, refusal_of, tmp_path, monkeypatch):
    assert "must be a folder or a Hub id" in refusal_of(modules.app, "--model", tmp_path / "nothing")
    assert "port must be from 1 to 65535, got 70000" in refusal_of(modules.app, "--port", 70000)
    monkeypatch.setenv("MODEL_ID", str(tmp_path / "elsewhere"))
    assert "elsewhere" in refusal_of(modules.app)


def test_the_page_links_to_the_code_where_its_address_is_known(modules):
    assert modules.app._link_to_code("https://example.org/me/it") == " [Source code](https://example.org/me/it)"
    assert modules.app._link_to_code("") == modules.app._link_to_code("javascript:alert(1)") == ""


def test_a_space_asks_for_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert set(lines[1:]) == set(project["dependencies"])
    front_matter = yaml.safe_load((FOLDER / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front_matter["sdk"] == "gradio" and front_matter["license"] == "apache-2.0"
    (gradio,) = map(Requirement, project["optional-dependencies"]["app"])
    assert gradio.name == "gradio" and front_matter["sdk_version"] in gradio.specifier
    assert (FOLDER / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60


SPACE = """
import sys
sys.modules["mnist_text_gen"] = None  # as if it were not installed
import importlib.util, runpy
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "mnist_text_gen" else find(name, *rest)
sys.path.insert(0, "space")
import app
try:
    app.main([])
except SystemExit as stop:
    assert stop.code == 2
pipe = app.load_pipeline("model")
assert "transformers_modules" in type(pipe).__module__
*_, (status, *_) = app.Handlers(pipe).draw("7", 0.8, 2, 0)
*_, (completed, *_) = app.Handlers(pipe).complete("1" * 450 + "2" * 450, "any", 2, 0)
app.build_page(pipe)
print(status, completed)
"""


@pytest.mark.slow
def test_the_folder_runs_as_a_space_without_the_package(tmp_path, tiny_model, tiny_classifier, tokenizer):
    MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier).save_pretrained(tmp_path / "model")
    shutil.copytree(FOLDER, tmp_path / "space", ignore=shutil.ignore_patterns("__pycache__"))
    assert not any(path.is_symlink() for path in FOLDER.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", SPACE], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "app.py: error: mnist_text_gen is not installed, so there must be a model" in done.stderr
    assert "Done: 2 candidates" in done.stdout and "Done: 2 completions" in done.stdout
    assert "warn" not in done.stderr.lower() and "deprecat" not in done.stderr.lower()


@pytest.fixture(scope="module")
def named(modules, named_files):
    return modules.handlers.Handlers(modules.app.load_pipeline(str(named_files)))


def test_named_classes_are_drawn_by_name(named):
    # in two blocks
    *_, (status, pictures, _, _) = named.draw("T-shirt/top", 0.8, 70, 0)
    drawn = named.pipe("T-shirt/top", num_candidates=70, num_return_sequences=70, seed=0)
    assert texts_in(pictures) == [result["generated_text"] for result in drawn]
    assert "of them for T-shirt/top." in status
    found = Elements(pictures)
    # a slash is none of a file
    assert {link["download"] for link in found.all("a")} == {"0-best.png", "0-best.txt", "0-all.png", "0-all.txt"}
    assert found.all("img")[0]["alt"].endswith("for T-shirt/top")
    assert pixels_of(found.all("img")[0]["src"]).shape == (12, 12)


def test_text_of_a_named_class_is_shown_with_its_name_and_its_own_columns(named):
    text = named.pipe("Bag", num_candidates=1, num_return_sequences=1, seed=0)[0]["generated_text"]
    ((_, symbols),) = named.explain(text)
    assert "Class 2 , Bag, 24 symbols, end )" in words_of(symbols).replace("  ", " ")
    found = Elements(symbols)
    assert found.all("div")[0]["style"] == "--size: 12; --columns: 2"
    assert found.all("img")[0]["alt"] == "The image of the text, Bag"
    places = [(label["data-row"], label["data-left"]) for label in found.all("input")]
    assert places[:3] == [("0", "0"), ("0", "6"), ("1", "0")]


def test_names_are_text_and_no_html(modules, named_files, tmp_path):
    folder = shutil.copytree(named_files, tmp_path / "named")
    for path in (folder / "config.json", folder / "classifier/config.json"):
        path.write_text(path.read_text().replace("T-shirt/top", "<b>any").replace("Ankle boot", "any"))
    handlers = modules.handlers.Handlers(modules.app.load_pipeline(str(folder)))
    *_, (status, pictures, _, _) = handlers.draw("<b>any", 0.8, 2, 0)
    assert not Elements(status + pictures).all("b")
    assert handlers.any_class == "(any)"
    *_, (status, pictures, _, _) = handlers.complete("1" * 72 + "2" * 72, "(any)", 2, 0)
    assert "Done" in status and not Elements(pictures).all("b")
    ((_, symbols),) = handlers.explain("0" + ":" * 24 + ")")
    assert not Elements(symbols).all("b")


# From here on in a real browser.


def marked(test):
    for mark in (
        pytest.mark.browser,
        pytest.mark.slow,
        pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium: apt-get install chromium"),
    ):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def url(modules, pipe):
    page = modules.app.build_page(pipe)
    _, url, _ = modules.app.launch(page, prevent_thread_lock=True, quiet=True)
    yield url
    page.close()


@pytest.fixture
def visit(new_visitor, url):
    def open_page(**options):
        page = new_visitor(url, **options)
        page.get_by_role("button", name="Draw", exact=True).wait_for()
        return page

    return open_page


def tab_to(page, selector):
    """Press Tab until the focus is there."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {selector}")


def right_edge(page):
    """How far to the right anything that is shown reaches, cut off or not."""
    return page.evaluate(
        "Math.max(document.scrollingElement.scrollWidth, ...Array.from(document.querySelectorAll('gradio-app *'))"
        ".filter(element => element.checkVisibility()).map(element => element.getBoundingClientRect().right))"
    )


def wait_for_status(page, name, words):
    page.locator(f"#{name}-status [role=status]", has_text=words).wait_for()


@marked
def test_drawing_with_the_keyboard_alone(visit, pipe):
    page = visit()
    # one tab stop, and arrow keys
    tab_to(page, "#digit input")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Seed"
    tab_to(page, "input[aria-label^=Candidates]")
    page.keyboard.press("Control+A")
    page.keyboard.type("10")
    tab_to(page, "#draw")
    page.keyboard.press("Enter")
    wait_for_status(page, "draw", "Done: 10 candidates")
    best = page.get_by_role("group", name="The best").get_by_role("img")
    assert best.count() == 8
    expected = pipe("8", seed=0, num_candidates=10, num_return_sequences=10)
    for index in range(8):
        image = pixels_of(best.nth(index).get_attribute("src"))
        np.testing.assert_array_equal(image, np.asarray(expected[index]["image"]))
    passed_over = page.get_by_role("group", name="Passed over")
    assert not passed_over.is_visible()
    tab_to(page, "#drawn button[aria-pressed=false]")
    page.keyboard.press("Enter")
    page.locator("#drawn-text").get_by_text(expected[1]["generated_text"]).wait_for()
    assert page.locator("#drawn button[aria-pressed=true]").get_attribute("data-text") == expected[1]["generated_text"]
    tab_to(page, "#drawn a[download$='.txt']")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "8-best.txt"
    texts = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert texts == [result["generated_text"] for result in expected[:8]]
    tab_to(page, "#drawn summary")
    page.keyboard.press("Enter")
    assert passed_over.is_visible() and passed_over.get_by_role("button").count() == 2


@marked
def test_stop_link_and_random_seed(visit, pipe, url, new_visitor):
    is_free = threading.Event()
    sample = pipe.sample

    def sample_slowly(*args, callback, **kwargs):
        def show(*update):
            callback(*update)
            is_free.wait(60)

        return sample(*args, callback=show, **kwargs)

    page, other = visit(), visit()
    pipe.sample = sample_slowly
    try:
        page.get_by_role("button", name="Draw", exact=True).click()
        page.locator("#drawn img.sheet").wait_for()
        other.get_by_role("button", name="Random seed").click()
        wait_for_status(other, "draw", "Waiting for a turn: 1 before you")
        page.get_by_role("button", name="Stop").click()
        wait_for_status(page, "draw", "Stopping.")
    finally:
        is_free.set()
        del pipe.sample
    wait_for_status(page, "draw", "Stopped.")
    wait_for_status(other, "draw", "Done: 64 candidates")
    seed = other.get_by_label("Seed").first.input_value()
    assert f"seed={seed}&" in other.url and int(seed) > 0
    same = new_visitor(other.url)
    wait_for_status(same, "draw", "Done: 64 candidates")
    assert texts_in(same.locator("#drawn").inner_html()) == texts_in(other.locator("#drawn").inner_html())


@marked
def test_completing_and_reading_errors(visit, tmp_path):
    page = visit()
    page.get_by_role("tab", name="Complete").click()
    complete = page.get_by_role("button", name="Complete", exact=True)
    complete.click()
    wait_for_status(page, "complete", "what is known must have 1 pixel of ink or more")
    page.locator("#pad canvas").scroll_into_view_if_needed()
    box = page.locator("#pad canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 2 / 3, box["y"] + box["height"] / 4, steps=4)
    page.mouse.up()
    page.locator("#pad canvas").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "Space"):
        page.keyboard.press(key)
    page.get_by_text("Row 5, column 16: ink").wait_for()
    complete.click()
    wait_for_status(page, "complete", "Done: 4 completions")
    completions = page.get_by_role("group", name="Completions").locator("img:not(.tint)")
    images = [pixels_of(completions.nth(index).get_attribute("src")) // 255 for index in range(4)]
    for image in images:
        assert image[4, 15] == 1 and image[:4].sum() == 0 and image[7, 11:19].all()
        np.testing.assert_array_equal(image[:15], images[0][:15])
    seven = np.zeros((30, 30), dtype=np.uint8)
    seven[6:8, 8:20] = seven[8:22, 16:18] = 255
    Image.fromarray(seven).save(tmp_path / "seven.png")
    page.locator("input[type=file]").set_input_files(tmp_path / "seven.png")
    wait_for_status(page, "complete", "The picture is on the pad")
    assert completions.count() == 0
    # any mask: the right half, but for a place that is made unknown
    page.get_by_role("button", name="the right half").click()
    page.get_by_label("Unknown").check()
    page.locator("#pad canvas").click(position={"x": box["width"] * 0.8, "y": box["height"] * 0.2})
    complete.click()
    wait_for_status(page, "complete", "Done: 4 completions")
    known = (pixels_of(page.locator("#completed .tint").first.get_attribute("src")) == 255).all(axis=-1)
    assert not known[:, :15].any() and (~known[:, 15:]).sum() == 16 and not known[4:8, 22:26].any()
    np.testing.assert_array_equal(pixels_of(completions.first.get_attribute("src"))[known], seven[known])


@marked
def test_text_and_a_dark_phone(visit):
    page = visit(viewport={"width": 360, "height": 640}, color_scheme="dark", has_touch=True, is_mobile=True)
    colors = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    background, ink = (sum(map(float, re.findall(r"[\d.]+", color)[:3])) for color in colors)
    assert background < 150 < 500 < ink
    page.get_by_label("Candidates").fill("9")
    page.get_by_role("button", name="Draw", exact=True).tap()
    wait_for_status(page, "draw", "Done: 9 candidates")
    page.locator("#drawn summary").tap()
    assert right_edge(page) <= 360
    page.get_by_role("tab", name="Complete").tap()
    page.locator("#pad canvas").tap()
    assert right_edge(page) <= 360
    page.get_by_role("tab", name="Text").tap()
    page.get_by_role("button", name="Show", exact=True).tap()
    wait_for_status(page, "text", "Shown")
    assert right_edge(page) <= 360
    symbols = page.locator("#symbols").get_by_role("radio")
    symbols.first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Row 1, columns 7 to 12.").wait_for()
    page.locator("#text textarea").fill(f"3{'y' * 150})")
    page.get_by_role("button", name="Show", exact=True).tap()
    page.get_by_text("Symbol 2, y: 121 − 58 = 63 = 111111.").wait_for()


def test_a_request_longer_than_any_of_the_page_is_not_read(url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.putrequest("POST", "/gradio_api/queue/join")
    connection.putheader("Content-Length", "1000001")
    connection.endheaders()  # the body never comes
    assert connection.getresponse().status == 413
