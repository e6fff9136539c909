# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The drawing command: what it writes, and what it refuses."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from processes import run_process
from run_folders import names
from transformers import GPT2Config, GPT2LMHeadModel

from mnist_text_gen import load_pipeline
from mnist_text_gen.commands import sample_hf
from mnist_text_gen.drawing import draw_contact_sheet


SMALL = ("--num_candidates", "4", "--num_return_sequences", "2")


@pytest.fixture
def draw(tiny_files, tmp_path):
    """Run the command into a folder of its own; the folder is the result."""

    def run(*options, name="out"):
        options = ["--model_name_or_path", tiny_files, "--output_dir", tmp_path / name, *SMALL, *options]
        sample_hf.main([str(option) for option in options])
        return tmp_path / name

    return run


def read_jsonl(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_sheets_and_texts_are_those_of_the_pipeline_with_seed_0_by_default(draw, tiny_files):
    output_dir = draw("--digits", 7, 2, 7, "--save_texts", "jsonl", name="new/folder")
    assert names(output_dir) == {"7.png", "2.png", "7-2.png", "samples.jsonl"}
    pipe = load_pipeline(tiny_files, "cpu")
    called = pipe(["7", "2", "7"], seed=0, num_candidates=4, num_return_sequences=2)
    assert read_jsonl(output_dir) == [
        {name: result[name] for name in ("label", "generated_text", "score", "rank")}
        for best in called
        for result in best
    ]
    for name, best in zip(("7", "2", "7-2"), called, strict=True):
        sheet = Image.open(output_dir / f"{name}.png")
        assert (sheet.format, sheet.mode) == ("PNG", "L")
        assert sheet.tobytes() == draw_contact_sheet(best).tobytes()


def test_every_option_of_the_pipeline_is_passed_on(draw, tiny_files):
    how = {"seed": 5, "num_candidates": 6, "num_return_sequences": 3, "temperature": 0.7}
    how |= {"classifier_temperature": 1.5, "decoding": "generate"}
    options = [part for name, value in how.items() for part in (f"--{name}", value)]
    rows = read_jsonl(draw("--digits", 3, "--save_texts", "jsonl", *options))
    assert [(row["generated_text"], row["score"]) for row in rows] == [
        (result["generated_text"], result["score"]) for result in load_pipeline(tiny_files, "cpu")("3", **how)
    ]


def test_saved_images_are_the_images_of_the_texts(draw, tokenizer):
    output_dir = draw("--digits", 6, "--save_images", "--save_texts", "txt")
    texts = (output_dir / "samples.txt").read_text(encoding="utf-8").splitlines()
    assert [(text[0], len(text)) for text in texts] == [("6", 152)] * 2
    for rank, image in enumerate(tokenizer.decode_images(texts)):
        saved = Image.open(output_dir / f"6_{rank}.png")
        assert (saved.format, saved.mode, saved.size) == ("PNG", "L", (30, 30))
        assert np.array_equal(np.asarray(saved), image * 255)


def test_other_files_in_the_folder_stay_and_old_sheets_are_replaced(draw, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "3.png").write_bytes(b"old")
    output_dir = draw("--digits", 3)
    assert names(output_dir) == {"notes.txt", "3.png"}
    assert (output_dir / "notes.txt").read_text() == "mine"
    assert Image.open(output_dir / "3.png").format == "PNG"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--digits", "10"), ["digit", "'10'", "'0' to '9'"]),
        (("--digits",), ["--digits", "expected at least one"]),
        (("--num_candidates", "0"), ["`num_candidates` must be an integer of 1 or more, got 0"]),
        (("--num_return_sequences", "5"), ["`num_return_sequences` must be from 1 to `num_candidates`, 4, got 5"]),
        (("--classifier_temperature", "0"), ["`classifier_temperature` must be a finite number above 0, got 0.0"]),
        (("--seed", str(2**64)), [f"`seed` must be an integer from 0 to 2**64 - 1, or None, got {2**64}"]),
        (("--save_texts", "csv"), ["--save_texts", "'csv'", "jsonl"]),
        (("--num_images=5",), ["`num_images` must not be given", "mnist-text-gen-draw-dataset"]),
    ],
)
def test_bad_option_is_refused_by_name_before_anything_is_written(refusal_of, tiny_files, tmp_path, options, found):
    options = ("--model_name_or_path", tiny_files, "--output_dir", tmp_path / "out", *SMALL, *options)
    line = refusal_of(sample_hf, *options)
    assert [part for part in found if part not in line] == []
    assert not (tmp_path / "out").exists()


def replace_language_model(checkpoint, **sizes):
    config = GPT2Config(**({"vocab_size": 75, "n_positions": 152, "n_embd": 8, "n_head": 1, "n_layer": 1} | sizes))
    GPT2LMHeadModel(config).save_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda folder: shutil.rmtree(folder / "classifier"), ["must have a classifier", "'classifier'"]),
        (lambda folder: replace_language_model(folder, vocab_size=80), ["vocabulary of 75, got 80"]),
        (lambda folder: replace_language_model(folder, n_positions=100), ["context of 152 tokens (one text)"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["model.safetensors"]),
        (lambda folder: shutil.rmtree(folder) or folder.write_text("a file"), ["must be a folder or a Hub id "]),
        (shutil.rmtree, []),
    ],
    ids=["no classifier", "wrong vocabulary", "wrong context", "no weights", "file", "no folder"],
)
def test_checkpoint_that_does_not_fit_is_named_before_anything_is_written(
    refusal_of, tiny_checkpoint, tmp_path, spoil, found
):
    spoil(tiny_checkpoint)
    options = ("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out", "--digits", "3", *SMALL)
    line = refusal_of(sample_hf, *options)
    assert [part for part in [str(tiny_checkpoint), *found] if part not in line] == []
    assert not (tmp_path / "out").exists()


def test_classes_are_drawn_by_name_into_files_of_their_numbers(draw, named_files, capsys):
    options = ("--model_name_or_path", named_files, "--save_texts", "jsonl", "--save_images")
    output_dir = draw(*options, "--digits", "Bag", "T-shirt/top", 2)
    sheets = {"2.png", "0.png", "2-2.png"}
    images = {f"{sheet[:-4]}_{rank}.png" for sheet in sheets for rank in range(2)}
    assert names(output_dir) == {*sheets, *images, "samples.jsonl"}
    rows = read_jsonl(output_dir)
    assert [row["label"] for row in rows] == ["Bag", "Bag", "T-shirt/top", "T-shirt/top", "Bag", "Bag"]
    assert [row["generated_text"][0] for row in rows] == list("220022")
    assert Image.open(output_dir / "2_0.png").size == (12, 12)
    lines = [line for line in capsys.readouterr().out.splitlines() if "candidates" in line]
    assert [line.split(" in ")[0] for line in lines[:-1]] == [
        f"{title}: 4 candidates" for title in ("2 (Bag)", "0 (T-shirt/top)", "2-2 (Bag)")
    ]
    assert all("of them as the wanted class; best: " in line for line in lines[:-1])
    assert lines[-1].startswith("12 candidates: ") and lines[-1].endswith(f"Contact sheets are in {output_dir}.")


def test_all_classes_of_the_model_are_drawn_by_default_and_no_others(draw, named_files, refusal_of, tmp_path):
    options = ("--model_name_or_path", named_files)
    line = refusal_of(sample_hf, *options, "--output_dir", tmp_path / "none", "--digits", "Bag", "Sneaker")
    assert "class must be 0 to 2 or one of the names 'T-shirt/top', 'Ankle boot', 'Bag', got 'Sneaker'" in line
    assert not (tmp_path / "none").exists()
    assert names(draw(*options)) == {"0.png", "1.png", "2.png"}


# Each in a fork of one process, which ends as an interpreter does: it writes out what is left.
PREVIEWS = """
import io, os, subprocess, sys
from mnist_text_gen.commands import sample_hf
for encoding, reader in (("cp1252", "cat"), ("utf-8", "head -c 1 | wc"), ("utf-8", None)):
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0, reader
        continue
    target = subprocess.Popen(reader, shell=True, stdin=subprocess.PIPE).stdin if reader else open("/dev/full", "wb")
    os.dup2(target.fileno(), 1)
    target.close()
    sys.stdout = io.TextIOWrapper(open(1, "wb"), encoding=encoding)
    sample_hf.main([*sys.argv[1:], "--output_dir", f"for {reader}"])
    sys.exit()
"""


@pytest.mark.slow
def test_a_preview_that_cannot_be_shown_ends_no_work(tiny_files, tmp_path):
    options = ("--digits", 3, 7, 1, "--num_candidates", 2, "--num_return_sequences", 1)
    done = run_process(sys.executable, "-c", PREVIEWS, "--model_name_or_path", tiny_files, *options, cwd=tmp_path)
    assert [names(path) for path in tmp_path.iterdir()] == [{"1.png", "3.png", "7.png"}] * 3
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert "2 candidates in" in done.stdout and "\\u28" not in done.stdout
