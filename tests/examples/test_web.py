# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page that draws without a server, in a real Chromium with a tiny model; and transformers.js in node."""

import importlib.util
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from mnist_text_gen import load_pipeline
from mnist_text_gen.modeling import judge_images
from mnist_text_gen.tokenizer import check_text


ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "web"
NAMES = ["shirt", "trousers", "coat & hat", "<b>dress</b>", "4", "5", "6", "7", "8", "ankle boot"]


def needs_package(name):
    place = FOLDER / "node_modules" / name
    return pytest.mark.skipif(not place.is_dir(), reason=f"there is no {name}: npm ci --prefix examples/web")


def marked(test):
    """For a test in a browser, of the page as it is built."""
    for mark in (
        pytest.mark.browser,
        pytest.mark.slow,
        needs_package("onnxruntime-web"),
        pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium: apt-get install chromium"),
    ):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_page", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def named_onnx(tiny_onnx, tmp_path_factory):
    """The tiny export, its classes with names."""
    folder = Path(shutil.copytree(tiny_onnx, tmp_path_factory.mktemp("web") / "onnx"))
    path = folder / "classifier" / "config.json"
    config = json.loads(path.read_text())
    config["id2label"] = {str(label): name for label, name in enumerate(NAMES)}
    config["label2id"] = {name: label for label, name in enumerate(NAMES)}
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def dist(build, named_onnx):
    folder = named_onnx.parent / "dist"
    build.main(["--onnx_dir", str(named_onnx), "--output_dir", str(folder)])
    return folder


def test_page_is_told_of_the_text_form_the_model_and_the_classes(build, named_onnx):
    assert build.read_settings(named_onnx) == {
        "symbols": [chr(code) for code in range(48, 122)] + [")"],
        "endSymbol": ")",
        "firstPixelId": 10,
        "endPixelId": 74,
        "numPixelSymbols": 150,
        "imageSize": 30,
        "classNames": NAMES,
        "numHeads": 2,
        "headSize": 8,
    }


@pytest.mark.parametrize("missing", ["", "onnx/model.onnx", "classifier/onnx/model.onnx"])
def test_folder_that_is_no_export_is_refused(build, refusal_of, tiny_onnx, tmp_path, missing):
    folder = tmp_path / "onnx"
    if missing:
        shutil.copytree(tiny_onnx, folder)
        (folder / missing).unlink()
    line = refusal_of(build, "--onnx_dir", folder, "--output_dir", tmp_path / "dist")
    assert f"{str(folder)!r}, which has no {missing or 'onnx/model.onnx'}; allowed is a folder that" in line
    assert not (tmp_path / "dist").exists()


def test_missing_runtime_is_refused_with_the_command_that_brings_it(
    build, refusal_of, tiny_onnx, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "RUNTIME", tmp_path / "nothing")
    line = refusal_of(build, "--onnx_dir", tiny_onnx, "--output_dir", tmp_path / "dist")
    assert f"there is no {tmp_path / 'nothing'}; `npm ci --prefix examples/web` brings it" in line
    assert not (tmp_path / "dist").exists()


@needs_package("onnxruntime-web")
def test_the_same_export_gives_the_same_page(build, dist, named_onnx, tmp_path, capsys):
    build.main(["--onnx_dir", str(named_onnx), "--output_dir", str(tmp_path / "again")])
    files = {path.relative_to(dist): path.read_bytes() for path in dist.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path for path in tmp_path.rglob("again/**/*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in again.items()} == files
    size = round(sum(len(content) for content in files.values()) / 1e6)
    assert f"{tmp_path / 'again' / 'index.html'}, {size} MB" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node: apt-get install nodejs npm")
@needs_package("@huggingface/transformers")
def test_transformers_js_generates_the_ids_of_torch(tiny_onnx, tiny_files, tokenizer):
    digits = list("0123456789")
    done = subprocess.run(
        ["node", FOLDER / "generate.mjs", tiny_onnx, *digits], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    model = GPT2LMHeadModel.from_pretrained(tiny_files).eval()
    inputs = tokenizer(digits, return_tensors="pt")
    expected = [up_to_end(ids) for ids in model.generate(**inputs, do_sample=False).tolist()]
    assert len({tuple(ids) for ids in expected}) == 10 and max(map(len, expected)) > 50
    assert [result["ids"] for result in found] == expected
    assert [result["text"] for result in found] == tokenizer.batch_decode(expected)


def up_to_end(ids):
    return ids[: ids.index(74) + 1] if 74 in ids else ids


# From here on in a real browser.


@pytest.fixture
def visit(new_visitor, dist):
    def open_page(url=None, expected="Choose a class, and draw.", **options):
        page = new_visitor(url or (dist / "index.html").as_uri(), schemes=("file", "data", "blob"), **options)
        wait_for_status(page, expected)
        return page

    return open_page


def wait_for_status(page, words):
    page.locator("[role=status]", has_text=words).wait_for()


def draw(page, name, num_candidates, seed, size=30):
    page.get_by_role("radio", name=name, exact=True).check()
    page.get_by_label("Candidates", exact=True).fill(str(num_candidates))
    page.get_by_label("Seed").fill(str(seed))
    page.get_by_role("button", name="Draw", exact=True).click()
    wait_for_status(page, f"Done: {num_candidates} candidates")
    return read_best(page, size)


def read_best(page, size=30):
    """Index, image, shown score and text of the best candidates, as they stand on the page."""
    best = page.get_by_role("region", name="The best")
    images = read_images(best, size)
    texts = best.locator("li").all_inner_texts()
    labels = [picture.get_attribute("aria-label") for picture in best.get_by_role("img").all()]
    found = []
    for rank, (label, image, text) in enumerate(zip(labels, images, texts, strict=True)):
        words = re.fullmatch(rf"Rank {rank + 1}, candidate (\d+): the classifier gives ([\d.]+) %", label).groups()
        found.append((int(words[0]) - 1, image, float(words[1]) / 100, text))
    return found


READ_PIXELS = """(canvases) => canvases.map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, index) => index % 4 === 0);
})"""


def read_images(section, size):
    return np.array(section.locator("canvas").evaluate_all(READ_PIXELS), dtype=np.uint8).reshape(-1, size, size)


def sfc32(words):
    """Raw numbers of Doty-Humphrey's generator, straight from PractRand's `sfc.cpp`, in Python's long integers."""
    mask = 0xFFFFFFFF
    a, b, c = words
    counter, num_drawn = 1, 0
    while True:
        output = (a + b + counter) & mask
        counter = (counter + 1) & mask
        a, b = b ^ (b >> 9), (c + (c << 3)) & mask
        c = (((c << 21) | (c >> 11)) + output) & mask
        num_drawn += 1
        if num_drawn > 15:
            yield output


def gumbel_of(seed, label, index):
    numbers = sfc32((seed, label, index))
    uniform = (np.array([next(numbers) for _ in range(150 * 64)]) + 0.5) / 2**32
    return torch.from_numpy(-np.log(-np.log(uniform))).view(150, 64)


@pytest.fixture(scope="module")
def pipe(tiny_files):
    return load_pipeline(tiny_files, "cpu")


@marked
def test_opened_as_a_file_it_draws_what_python_would_with_its_noise(visit, pipe):
    page = visit()
    assert page.locator("#classes label").all_inner_texts() == NAMES
    found = draw(page, "<b>dress</b>", 12, 5)
    assert len(found) == 8 and page.get_by_role("region", name="All candidates").get_by_role("img").count() == 12
    texts = [text for *_, text in found]
    for text in texts:
        check_text(text)
        assert text[0] == "3"
    input_ids = pipe.tokenizer(texts, return_tensors="pt")["input_ids"]
    images = np.stack([image for _, image, *_ in found])
    np.testing.assert_array_equal(images, pipe.tokenizer.decode_images(texts) * 255)

    # the classifier's probability, rounded down to hundredths of a per cent
    scores = [score for _, _, score, _ in found]
    expected = judge_images(pipe.classifier, images // 255, 0.8)[:, 3]
    np.testing.assert_allclose(scores, expected - 0.5e-4, rtol=0, atol=0.51e-4)
    assert scores == sorted(scores, reverse=True)

    # every symbol is the best that the grammar allows, of the logits at temperature 0.8 with its own noise
    with torch.no_grad():
        logits = pipe.model(input_ids).logits[:, :150, 10:74].double()
    noise = torch.stack([gumbel_of(5, 3, index) for index, *_ in found])
    chosen = (input_ids[:, 1:151] - 10)[..., None]
    noisy = logits / 0.8 + noise
    assert (noisy.gather(2, chosen)[..., 0] > noisy.amax(dim=2) - 1e-3).all()
    assert (noisy.argmax(dim=2) != logits.argmax(dim=2)).any()


@marked
def test_the_same_seed_draws_the_same_and_a_candidate_does_not_depend_on_others(visit):
    page = visit()
    first = draw(page, "5", 8, 4294967295)
    assert texts_of(draw(page, "5", 8, 0)) != texts_of(first)
    assert texts_of(draw(page, "5", 8, 4294967295)) == texts_of(first)
    few = texts_of(draw(page, "5", 3, 4294967295))
    assert len(few) == 3 and few == {index: text for index, text in texts_of(first).items() if index < 3}
    assert texts_of(draw(visit(), "5", 8, 4294967295)) == texts_of(first)


def texts_of(found):
    return {index: text for index, *_, text in found}


OBSERVE = """() => {
  window.seen = [];
  const line = document.querySelector("[role=status]");
  new MutationObserver(() => {
    const canvas = document.querySelector("#all canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, 30, 30).data;
    const last = pixels.findLastIndex((value, index) => index % 4 === 0 && value === 255);
    window.seen.push([line.textContent, Math.floor(last / 120)]);
  }).observe(line, { childList: true });
}"""


@marked
def test_images_grow_row_by_row(visit):
    page = visit()
    page.evaluate(OBSERVE)
    draw(page, "shirt", 2, 0)
    seen = page.evaluate("window.seen")
    assert [words for words, _ in seen][:-1] == [f"Row {row} of 30." for row in range(0, 31, 6)]
    # the last row with ink is above the row that is said; the tiny model leaves none blank for long
    assert seen[0][1] == -1
    assert all(row - 4 <= last < row for row, (_, last) in zip(range(6, 31, 6), seen[1:], strict=False))


@marked
def test_mistakes_are_said_and_the_page_goes_on(visit):
    page = visit()
    for label, value, words in (
        ("Candidates", "65", "candidates is 65; allowed is a whole number from 1 to 64."),
        ("Candidates", "0", "candidates is 0; allowed is"),
        ("Candidates", "1.5", "candidates is 1.5; allowed is"),
        ("Candidates", "", "candidates is empty or no number; allowed is"),
        ("Seed", "4294967296", "seed is 4294967296; allowed is a whole number from 0 to 4294967295."),
        ("Seed", "-1", "seed is -1; allowed is"),
    ):
        page.get_by_label("Candidates", exact=True).fill("2")
        page.get_by_label("Seed").fill("0")
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Draw", exact=True).click()
        wait_for_status(page, words)
    assert page.locator("#status").get_attribute("class") == "error"
    assert len(draw(page, "7", 2, 0)) == 2
    assert page.locator("#status").get_attribute("class") == ""


@marked
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "classifier.js cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "classifier.js is damaged"),
        (lambda path: path.write_text(path.read_text().replace("A", "B")), "That did not work"),
    ],
)
def test_file_that_is_missing_or_damaged_is_said(visit, dist, tmp_path, spoil, words):
    folder = Path(shutil.copytree(dist, tmp_path / "dist"))
    spoil(folder / "data" / "classifier.js")
    page = visit((folder / "index.html").as_uri(), expected=words, errors=[])
    assert page.get_by_role("button", name="Draw", exact=True).is_disabled()


@marked
def test_served_by_a_static_host_it_draws_the_same_with_the_keyboard_on_a_dark_phone(visit, dist):
    expected = draw(visit(), "7", 4, 0)
    handler = partial(QuietHandler, directory=dist)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
        page = visit(f"http://127.0.0.1:{server.server_port}/", **options)
        server.shutdown()
    page.keyboard.press("Tab")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    wait_for_status(page, "Done: 4 candidates")
    assert "of them for 7." in page.get_by_role("status").inner_text()
    assert texts_of(read_best(page)) == texts_of(expected)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 50


@marked
def test_three_classes_of_12_pixels_are_drawn_as_python_reads_them(visit, build, named_files, tmp_path):
    from mnist_text_gen.commands import export_onnx

    export_onnx.main(["--model_name_or_path", str(named_files), "--output_dir", str(tmp_path / "onnx")])
    build.main(["--onnx_dir", str(tmp_path / "onnx"), "--output_dir", str(tmp_path / "dist")])
    page = visit((tmp_path / "dist" / "index.html").as_uri())
    assert page.locator("#classes label").all_inner_texts() == ["T-shirt/top", "Ankle boot", "Bag"]
    found = draw(page, "Ankle boot", 4, 0, size=12)
    pipe = load_pipeline(named_files, "cpu")
    texts = [text for *_, text in found]
    assert {text[0] for text in texts} == {"1"}
    images = np.stack([image for _, image, *_ in found])
    np.testing.assert_array_equal(images, pipe.tokenizer.decode_images(texts) * 255)
    expected = judge_images(pipe.classifier, images // 255, 0.8)[:, 1]
    np.testing.assert_allclose([score for *_, score, _ in found], expected - 0.5e-4, rtol=0, atol=0.51e-4)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
