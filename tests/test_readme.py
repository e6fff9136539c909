# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""README and model card say what is true."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mnist_text_gen import load_pipeline
from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.publishing import read_run
from mnist_text_gen.tokenizer import check_text


ROOT = Path(__file__).parent.parent
PATHS = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
README = PAGES["README.md"]
CARD = (ROOT / "model_card.md").read_text(encoding="utf-8")


def blocks(text, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for found, block in fenced if found == language]


def run_blocks(page):
    """One after the other, as a reader would."""
    names = {}
    for block in blocks(PAGES[page], "python"):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.slow
def test_python_block_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_blocks("README.md")
    assert Image.open("seven.png").size == (120, 120)
    assert [results[0]["label"] for results in (names["threes"], names["sevens"])] == ["3", "7"]
    assert (np.asarray(names["completed"]["image"])[:15] == np.asarray(names["best"][0]["image"])[:15]).all()
    assert len(names["texts"]) == 2 and names["images"].shape == (2, 30, 30)


@pytest.mark.slow
def test_python_blocks_of_the_docs_run(capsys):
    """Those of publishing.md are run by `test_publishing.py`."""
    names = run_blocks("docs/text_form.md")
    assert (names["ids"].shape, names["binary"].shape) == ((2, 152), (2, 30, 30))
    names = run_blocks("docs/usage.md")
    printed = capsys.readouterr().out
    assert "7 (64, 30, 30)" in printed
    for text in names["pipe"].tokenizer.batch_decode(names["ids"]):
        check_text(text)
    images, known = names["real"], names["known"]  # [3, 30, 30] in {0, 1}, and the left half
    assert (np.asarray(names["completed"]["image"])[:15] == images[0, :15] * 255).all()
    for result in names["more"]:
        assert (np.asarray(result["image"])[known] == images[0][known] * 255).all()
    assert names["posterior"].argmax(axis=1).tolist() == names["labels"].tolist()
    assert (names["log_p"] < 0).all() and 0 < names["nats"].sum() <= -names["log_p"][0] + 1e-6


@pytest.mark.parametrize("page", [*PAGES, "model_card.md"])
def test_files_that_are_named_exist(page):
    text = PAGES.get(page, CARD)
    links = {(ROOT / page).parent / name for name in re.findall(r"\]\(([^)#:]+)[^):]*\)", text)}
    commands = re.findall(r"(?:recipes|benchmarks|tests|modeling|metrics|examples)/[\w./]+\.(?:yaml|py)", text)
    missing = [str(path) for path in (*links, *map(ROOT.joinpath, commands)) if not path.exists()]
    assert not missing


def test_worked_example_is_right(tokenizer):
    page = PAGES["docs/text_form.md"]
    text = next(block.strip() for block in blocks(page, "") if block.startswith("5:"))
    check_text(text)
    rows = tokenizer.decode_images([text])[0]
    with_ink = [index for index, row in enumerate(rows) if row.any()]
    symbols, pixels = re.search(r"^(.{5})  →  ([01 ]+)$", page, flags=re.MULTILINE).groups()
    assert f"{symbols}  →  {pixels}\n" in README
    row = with_ink[2]
    assert text[1 + 5 * row : 6 + 5 * row] == symbols
    assert "".join(map(str, rows[row])) == pixels.replace(" ", "")


def test_options_in_commands_exist():
    from mnist_text_gen.commands import build_dataset, draw_dataset, export_onnx, sample_hf, train_classifier, train_hf

    options = {}
    for module in (sample_hf, train_hf, train_classifier, build_dataset, draw_dataset, export_onnx):
        classes = [value for key, value in vars(module).items() if key.endswith("Arguments")]
        options[module.PROG] = {field for cls in classes for field in cls.__dataclass_fields__}
    commands = "\n".join(block for page in PAGES.values() for block in blocks(page, "bash"))
    checked = 0
    for command in commands.replace("\\\n", " ").splitlines():
        for name, known in options.items():
            command = command.replace("-m mnist_text_gen.commands.draw_dataset", draw_dataset.PROG)
            _, script, behind = command.partition(f"{name} ")
            if script:  # what stands before it is for accelerate, see test_recipes.py
                used = set(re.findall(r"--(\w+)", behind))
                assert used <= known, command
                checked += 1
    assert checked > 20


def test_results_are_those_of_the_card_and_the_card_is_that_of_the_record(tmp_path):
    """No figure is typed twice: `benchmarks/record.py` writes `run.json`, and the card is written from it."""
    table = README.split("| | specification | here |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert len(table) >= 8
    assert set(table) <= set(CARD.splitlines())
    load_pipeline().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == CARD
    front_matter = yaml.safe_load(CARD.split("---\n")[1])
    assert front_matter["license"] == "apache-2.0" and front_matter["datasets"] == ["ylecun/mnist"]
    results = front_matter["model-index"][0]["results"]
    metrics = [(metric["type"], metric["value"]) for result in results for metric in result["metrics"]]
    assert sorted(name for name, _ in metrics) == [
        *("accuracy", "class_agreement", "class_agreement", "frechet_distance", "image_nats")
    ]
    for folder, name in ((SHIPPED_CHECKPOINT, "image_nats"), (SHIPPED_CHECKPOINT / "classifier", "accuracy")):
        assert (name, read_run(folder)["results"][name]["value"]) in metrics
