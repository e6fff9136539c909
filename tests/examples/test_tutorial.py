# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The tutorial runs, what it shows is true, and it stays short.

After a change of a cell, its outputs are made anew by `pip install ipywidgets` (or tqdm warns) and, in a clean clone,
`jupyter execute --inplace examples/tutorial.ipynb`.
"""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from mnist_text_gen.tokenizer import check_text


ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"
NUM_CELLS = 12
# the test trains and draws with a smaller model
SIZES = '"n_embd": 128, "n_head": 4, "n_layer": 4'
SMALL_SIZES = '"n_embd": 64, "n_head": 2, "n_layer": 2'


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after a short training of a small model, and its folder; nothing of the user's own Jupyter."""
    folder = tmp_path_factory.mktemp("tutorial")
    work = folder / "work"
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST_TEXT_GEN_TUTORIAL_STEPS", "20")
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        for name in ("CONFIG", "DATA", "RUNTIME"):
            patch.setenv(f"JUPYTER_{name}_DIR", str(folder / name))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
            cell.source = cell.source.replace(SIZES, SMALL_SIZES)
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(work)}})
        client.execute()
    return notebook, work


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook, number):
    """The lines that cell 1 to 12 printed."""
    outputs = code_cells(notebook)[number - 1].outputs
    return "".join(out.text for out in outputs if out.output_type == "stream" and out.name == "stdout").splitlines()


def shown(notebook, number):
    """The images in the picture of a cell, grey `[N, 30, 30]`, by the layout of `draw_grid`."""
    outputs = code_cells(notebook)[number - 1].outputs
    (encoded,) = [out.data["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))
    assert sheet.shape[0] == 162  # one row
    return np.stack([sheet[10:130:4, left : left + 120 : 4] for left in range(10, sheet.shape[1] - 10, 130)])


def check_outputs(notebook, tokenizer, mnist_5k):
    """What holds however long the training is. Returns nats before and after, and the judge's accuracy."""
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, NUM_CELLS + 1))
    assert all(cell.outputs for cell in cells)

    # one image, and its text; the symbols that are shown are rows 13 to 15
    images, labels = mnist_5k["train"].images[:1], mnist_5k["train"].labels[:1]
    (text,) = tokenizer.encode_images(images, labels)
    (binary,) = tokenizer.decode_images([text])
    assert (shown(notebook, 1)[1] == binary * 255).all()
    *rows, length, last = printed(notebook, 2)
    assert (length, last) == ("152 characters:", text)
    bits = [line.partition(" = ")[2].replace(" ", "") for line in rows]
    assert bits == ["".join(map(str, row)) for row in binary[13:16]]
    assert [line.rsplit(": ")[-1].strip() for line in printed(notebook, 3)[2:4]] == ["True", "True"]
    assert printed(notebook, 4)[-1] == f"{labels[0]} True True"

    # the grammar makes texts of what is none
    _, without, _, with_grammar = printed(notebook, 6)
    check_text(with_grammar)
    with pytest.raises(ValueError, match=r"^text (must|stops)"):
        check_text(without)
    (untrained,) = tokenizer.decode_images([with_grammar])
    assert len(shown(notebook, 6)) == 10 and (shown(notebook, 6)[3] == untrained * 255).all()

    losses, valid = printed(notebook, 8)
    before, after = map(float, re.findall(r"[\d.]+(?= (?:before|after))", losses))
    assert f"{before:.1f} nats per image" in printed(notebook, 5)[0]
    assert re.match(r"without the grammar \d+ of 10 texts", valid) and len(shown(notebook, 8)) == 10
    accuracy = float(re.match(r"[\d.]+(?=% of 1000 images)", printed(notebook, 9)[-1])[0])

    # eight images, different ones, and the first is the text that is printed
    (best,) = printed(notebook, 10)
    label, _, text = best.split()
    check_text(text)
    assert (label, text[0]) == ("3", "3")
    eight = shown(notebook, 10)
    assert len(np.unique(eight, axis=0)) == len(eight) == 8 and set(np.unique(eight)) == {0, 255}
    assert (eight[0] == tokenizer.decode_images([text])[0] * 255).all()

    # image, its upper half, four completions of it, and the surprise, which is grey
    whole, upper, *completed, surprise = shown(notebook, 11)
    assert len(completed) == 4 and all((one[:15] == whole[:15]).all() for one in [upper, *completed])
    assert not upper[15:].any() and len(np.unique(surprise)) > 10

    assert printed(notebook, 12) == ["the same eight: True"]
    assert len(np.unique(shown(notebook, 12), axis=0)) == 10
    return before, after, accuracy


@pytest.mark.slow
def test_tutorial_runs(executed, tokenizer, mnist_5k):
    notebook, work = executed
    before, after, accuracy = check_outputs(notebook, tokenizer, mnist_5k)
    assert sum(SMALL_SIZES in cell.source for cell in code_cells(notebook)) == 1
    assert after < before / 2  # 20 steps
    assert accuracy > 40  # a guess is 10
    saved = work / "runs" / "tutorial"
    assert (saved / "model.safetensors").is_file() and (saved / "classifier" / "model.safetensors").is_file()


def test_stored_outputs_are_of_a_whole_run(stored, tokenizer, mnist_5k):
    before, after, accuracy = check_outputs(stored, tokenizer, mnist_5k)
    assert after < 75 < before and accuracy > 95
    assert NOTEBOOK.stat().st_size < 300_000
    for cell in code_cells(stored):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.id
            # a picture once, and no path of the machine that drew it
            texts = [output.get("text", "")] + [v for k, v in output.get("data", {}).items() if k != "image/png"]
            assert "image/jpeg" not in output.get("data", {}), cell.id
            assert not re.search(r"(?<![\w<.:])/\w+/|site-packages", "\n".join(texts)), cell.id


def test_cells_are_short_and_explained(stored):
    assert [cell.cell_type for cell in stored.cells] == ["markdown", "code"] * NUM_CELLS + ["markdown"]
    for cell in code_cells(stored):
        assert len([line for line in cell.source.splitlines() if line]) <= 14, cell.id
    prose = "".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    named = re.findall(r"(?:recipes|docs)/[\w.]+", prose)
    assert named and all((ROOT / name).exists() for name in named)
    assert not [cell.id for cell in code_cells(stored) if re.search(r"\b_[a-z]", cell.source)]  # public names alone
