# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page that draws without a server, in a real Chromium with a tiny model, opened as a file."""

import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_text_gen import load_pipeline
from mnist_text_gen.commands import build_page


pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def page_folder(named_files, tmp_path_factory):
    """The page of three classes, 12 pixels wide; not to be changed."""
    folder = tmp_path_factory.mktemp("page") / "page"
    build_page.main(["--model_name_or_path", str(named_files), "--output_dir", str(folder)])
    return folder


@pytest.fixture
def visit(new_visitor, page_folder):
    def open_page(link="", expected="Choose a class, and draw.", folder=page_folder, script=None, url=None, **options):
        url = url or Path(folder, "index.html").as_uri()
        page = new_visitor("about:blank", schemes=("file", "data", "blob", "about"), **options)
        if script:
            page.add_init_script(script)
        page.goto(url + link)
        wait_for(page, expected)
        return page

    return open_page


def wait_for(page, words, where="#status"):
    page.locator(where, has_text=words).wait_for()


def read_best(page):
    """What `Save texts` writes."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save texts").click()
    return Path(download.value.path()).read_text().splitlines()


# what a visitor sees whenever a picture is painted; without the frames that a hidden tab lacks
OBSERVE = """
  window.requestAnimationFrame = () => 0;
  window.seen = [];
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (picture, ...place) {
    const colors = Array.from({ length: picture.height }, (_, row) => picture.data[4 * row * picture.width + 2]);
    const fields = document.querySelector("#fields");
    window.seen.push([colors.indexOf(248), fields.disabled, document.querySelector("#progress").value]);
    return put.call(this, picture, ...place);
  };
"""


def test_link_draws_in_a_hidden_tab_what_python_draws(visit, page_folder, named_files, tmp_path):
    link = "#class=Ankle%20boot&seed=18446744073709551615&candidates=20&temperature=0.9&decoding=exact"
    page = visit(link, "Done: 20 candidates", script=OBSERVE)
    pipe = load_pipeline(named_files, "cpu")
    candidates = pipe.sample(1, num_candidates=20, temperature=0.9, seed=2**64 - 1)
    best = candidates.rank(1, 8)
    assert read_best(page) == [candidates.texts[index] for index in best]
    percent = [float(words.split()[0]) for words in page.locator("#best .figures button").all_inner_texts()]
    np.testing.assert_allclose(percent, np.floor(candidates.scores([1] * 20)[best] * 1e4) / 100, rtol=0, atol=0.011)
    is_right = candidates.probabilities.argmax(1) == 1
    assert f"takes {is_right.sum()} of them for Ankle boot" in page.locator("#status").inner_text()

    # a text is read in rows of pixels, and the others say why they were passed over
    assert page.locator("#reading pre").inner_text().split("\n") == re.findall("..", candidates.texts[best[0]][1:-1])
    words = page.locator("#others .figures button span").all_text_contents()
    assert len(words) == 12
    assert sum("taken for" in word for word in words) == np.delete(~is_right, best).sum()

    # pictures grew row by row; what must not change was locked, and is free again
    rows = [(row, progress) for row, is_locked, progress in page.evaluate("window.seen") if is_locked and row >= 0]
    assert {row for row, _ in rows} == set(range(12)) and len({progress for _, progress in rows}) > 6
    assert page.locator("#fields").is_enabled()

    # the link in the address bar is whole, and another selection shows others without drawing
    page.get_by_label("Show").select_option("diverse")
    assert "selection=diverse" in page.url and "seed=18446744073709551615&candidates=20&temperature=0.9" in page.url
    folder = Path(shutil.copytree(page_folder, tmp_path / "page"))
    index = folder / "index.html"  # tiny classifiers are sure of nothing
    index.write_text(index.read_text().replace('"minScore": 0.999', '"minScore": 0.3'))
    other = visit(page.url[page.url.index("#") :], "Done: 20 candidates", folder)
    diverse = candidates.select(1, 8, "diverse", 0.3)
    assert read_best(other) == [candidates.texts[index] for index in diverse] and set(diverse) != set(best)


def test_fast_draws_the_same_on_one_worker_as_on_four_and_a_random_seed_something_else(visit):
    cores = "Object.defineProperty(navigator, 'hardwareConcurrency', {{ value: {} }})".format
    link = "#class=2&candidates=100"
    texts = [read_best(visit(link, "Done: 100 candidates", script=cores(number))) for number in (1, 4)]
    assert texts[0] == texts[1]
    page = visit(link, "Done: 100 candidates")
    page.get_by_role("button", name="Draw with a random seed").click()
    page.wait_for_url(lambda url: "seed=0&" not in url)
    wait_for(page, "Done: 100 candidates")
    assert read_best(page) != texts[0]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    assert Image.open(download.value.path()).size == (4 * 104 + 8, 2 * 104 + 8)


STOP = """new MutationObserver(() => document.querySelector("#stop").click())
  .observe(document.querySelector("#stop"), { attributes: true })"""


def test_drawing_is_stopped_and_begins_anew(visit):
    page = visit()
    page.evaluate(STOP)
    page.get_by_label("Candidates").fill("256")
    page.get_by_role("button", name="Draw", exact=True).click()
    wait_for(page, "Stopped.")
    assert page.locator("#fields").is_enabled() and page.locator("#best").is_hidden()
    page.reload()
    wait_for(page, "Done: 256 candidates")


def test_mistakes_in_fields_and_links_are_said(visit):
    page = visit()
    for name, value, words in (
        ("Candidates", "257", "candidates must be a whole number from 1 to 256, got 257"),
        ("Seed", "18446744073709551616", "seed must be a whole number from 0 to 18446744073709551615, got 184"),
        ("Temperature", "0", "temperature must be a number above 0, up to 100, got 0"),
    ):
        field = page.get_by_label(name, exact=True)
        before = field.input_value()
        field.fill(value)
        page.get_by_role("button", name="Draw", exact=True).click()
        wait_for(page, words)
        field.fill(before)
    for link, words in (
        ("#class=7&seed=1", "class must be one of T-shirt/top, Ankle boot, Bag, got 7"),
        ("#class=1&seed=", "seed must be a whole number from 0 to 18446744073709551615, got nothing"),
        ("#class=1&decoding=slow", "decoding must be fast or exact, got slow"),
    ):
        wait_for(visit(link, f"The link cannot be followed: {words}"), words)


def change_text(path):
    text = path.read_text()
    path.write_text(text[:500] + ("$" if text[500] == "#" else "#") + text[501:])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "data/fast-00.js cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "data/fast-00.js is damaged"),
        (change_text, "data/fast-00.js is damaged"),
        (lambda path: path.write_text(re.sub('"[0-9a-f]{16}"', '"0"', path.read_text())), "belongs to another page"),
    ],
)
def test_data_file_that_is_missing_or_damaged_is_named(visit, page_folder, tmp_path, spoil, words):
    folder = Path(shutil.copytree(page_folder, tmp_path / "page"))
    spoil(folder / "data" / "fast-00.js")
    page = visit("", words, folder, errors=[])
    assert page.get_by_role("button", name="Draw", exact=True).is_disabled()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("WebAssembly.validate = () => false", "this browser has no WebAssembly with SIMD"),
        (
            """window.Worker = class {
              postMessage() { this.onmessage({ data: { type: "error", message: "there is not enough memory" } }); }
            }""",
            "there is not enough memory",
        ),
    ],
)
def test_browser_that_cannot_run_the_engine_is_told_so(visit, script, words):
    page = visit("", words, script=script)
    assert page.get_by_role("button", name="Draw", exact=True).is_disabled()


def test_upper_half_is_drawn_with_the_keyboard_or_read_from_a_picture_and_completed(visit, tmp_path):
    page = visit()
    page.locator("#pad").focus()
    for key in (" ", "ArrowLeft", "ArrowUp", " "):
        page.keyboard.press(key)
    page.get_by_role("combobox", name="Class").select_option("2")
    page.get_by_role("button", name="Complete").click()
    wait_for(page, "Done", "#pad-status")
    images = read_images(page)
    upper = np.zeros((6, 12))
    upper[3, 6] = upper[2, 5] = 1
    assert len(images) == 8 and (images[:, :6] == upper).all() and len(np.unique(images, axis=0)) > 1
    assert all(words.startswith("Bag, ") for words in page.locator("#completion .figures button").all_inner_texts())

    picture = np.full((24, 24), 250, np.uint8)  # ink is dark on bright paper
    picture[4:8, 10:20] = 10
    Image.fromarray(picture).save(tmp_path / "picture.png")
    page.locator("#upload").set_input_files(tmp_path / "picture.png")
    page.get_by_role("combobox", name="Class").select_option("any")
    page.get_by_role("button", name="Complete").click()
    wait_for(page, "Done", "#pad-status")
    assert (read_images(page)[:, :6] == (picture[:12:2, ::2] < 128)).all()
    (tmp_path / "text.png").write_text("none")
    page.locator("#upload").set_input_files(tmp_path / "text.png")
    wait_for(page, "text.png must be a picture", "#pad-status")


def read_images(page):
    script = """(canvases) => canvases.map((canvas) =>
      [...canvas.getContext("2d").getImageData(0, 0, 12, 12).data].filter((_, index) => index % 4 === 0))"""
    values = page.locator("#completion .figures canvas").evaluate_all(script)
    return np.array(values).reshape(-1, 12, 12) // 255


def test_served_by_a_static_host_it_draws_offline_with_the_keyboard_on_a_dark_phone(visit, page_folder):
    handler = partial(SimpleHTTPRequestHandler, directory=page_folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
        page = visit(url=f"http://127.0.0.1:{server.server_port}/", **options)
        server.shutdown()
    page.get_by_role("radio", name="T-shirt/top").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for(page, "Done: 64 candidates")
    assert "of them for Ankle boot" in page.locator("#status").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 50
