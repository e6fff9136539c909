# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""README and model card say what is true."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from mnist_text_gen.tokenizer import check_text


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = (ROOT / "model_card.md").read_text(encoding="utf-8")


def blocks(text, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for found, block in fenced if found == language]


@pytest.mark.slow
def test_python_blocks_run(tmp_path, monkeypatch, capsys):
    """One after the other, as a reader would; the last, which publishes, needs weights of one's own."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(README, "python")[:-1]:
        exec(compile(block, "README.md", "exec"), names)
    assert Image.open("seven.png").size == (120, 120)
    assert [results[0]["label"] for results in (names["threes"], names["sevens"])] == ["3", "7"]
    printed = capsys.readouterr().out
    assert "7 (64, 30, 30)" in printed
    assert [text[0] for text in names["tokenizer"].batch_decode(names["ids"])] == ["7", "3"]
    assert len(names["texts"]) == 2 and names["images"].shape == (2, 30, 30)


@pytest.mark.parametrize("text", [README, CARD], ids=["README.md", "model_card.md"])
def test_files_that_are_named_exist(text):
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    commands = re.findall(r"(?:recipes|benchmarks|tests|corpus|modeling)/[\w./]+\.(?:yaml|py)", text)
    assert links and commands
    missing = [name for name in links + commands if not (ROOT / name).exists()]
    assert not missing


def test_worked_example_is_right(tokenizer):
    text = next(block.strip() for block in blocks(README, "") if block.startswith("5:"))
    check_text(text)
    rows = tokenizer.decode_images([text])[0]
    with_ink = [index for index, row in enumerate(rows) if row.any()]
    symbols, pixels = re.search(r"^(.{5})  →  ([01 ]+)$", README, flags=re.MULTILINE).groups()
    row = with_ink[2]
    assert text[1 + 5 * row : 6 + 5 * row] == symbols
    assert "".join(map(str, rows[row])) == pixels.replace(" ", "")


def test_options_in_commands_exist():
    from mnist_text_gen.commands import sample_hf, train_classifier, train_hf

    options = {}
    for name, module in {"sample_hf": sample_hf, "train_hf": train_hf, "train_classifier": train_classifier}.items():
        classes = [
            value for key, value in vars(module).items() if key.endswith("Arguments") and isinstance(value, type)
        ]
        options[name] = {field for cls in classes for field in cls.__dataclass_fields__}
    commands = "\n".join(blocks(README, "bash")).replace("\\\n", " ").splitlines()
    checked = 0
    for command in commands:
        for name, known in options.items():
            if f"{name}.py" in command:
                used = set(re.findall(r"--(\w+)", command))
                assert used <= known, command
                checked += 1
    assert checked >= 6


def test_figures_agree_between_readme_and_card():
    def figures(text):
        table = {}
        for line in text.splitlines():
            cells = [cell.strip().replace("*", "") for cell in line.strip("|").split("|")]
            if len(cells) == 3:
                table[cells[0]] = re.findall(r"\d[\d.,]*(?: %)?", cells[2])
        return table

    readme, card = figures(README), figures(CARD)
    same = [
        ("test images", "nats an image, 10,000 test images"),
        ("64 generations, judged and reranked", "64 generations, judged and reranked"),
        *[(name, name) for name in ("raw candidates that the classifier takes for the wanted digit",)],
    ]
    for in_readme, in_card in same:
        assert card[in_card] and readme[in_readme][: len(card[in_card])] == card[in_card]


def test_front_matter_of_the_card_is_yaml():
    front_matter = yaml.safe_load(CARD.split("---\n")[1])
    assert front_matter["license"] == "apache-2.0"
    assert front_matter["library_name"] == "transformers"
    assert front_matter["datasets"] == ["ylecun/mnist"]


def test_every_contact_sheet_is_there():
    for digit in range(10):
        with Image.open(ROOT / "sample_img" / f"{digit}.png") as sheet:
            assert sheet.width > 8 * 120
