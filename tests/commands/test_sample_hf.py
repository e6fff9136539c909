# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The drawing command: what it writes, that it is reproducible, and what it refuses."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from transformers import GPT2Config, GPT2LMHeadModel, pipeline
from transformers.utils import logging

from mnist_text_gen import MnistTextGenerationPipeline
from mnist_text_gen.commands import sample_hf
from mnist_text_gen.drawing import draw_contact_sheet
from mnist_text_gen.tokenizer import check_text


SMALL = ("--num_candidates", "4", "--num_return_sequences", "2")


@pytest.fixture
def draw(tiny_checkpoint, tmp_path):
    """Run the command into a folder of its own; the folder is the result."""

    def run(*options, name="out"):
        output_dir = tmp_path / name
        sample_hf.main(
            ["--model_name_or_path", str(tiny_checkpoint), "--output_dir", str(output_dir), *SMALL, *map(str, options)]
        )
        return output_dir

    return run


@pytest.fixture
def error_of(capsys):
    """Run the command, which has to fail with status 2, and give the last line of stderr, the error."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()

    def run(*argv):
        with pytest.raises(SystemExit) as stop:
            sample_hf.main([str(argument) for argument in argv])
        assert stop.value.code == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert captured.out == ""
        errors = [line for line in captured.err.splitlines() if line.startswith("sample_hf.py: error: ")]
        assert errors == captured.err.splitlines()[-1:]
        return errors[0]

    yield run
    logging.set_verbosity(verbosity)


def names(folder):
    return {path.name for path in folder.iterdir()}


def read_jsonl(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def texts_of(folder, label):
    return [row["generated_text"] for row in read_jsonl(folder) if row["label"] == label]


def test_one_sheet_a_digit_and_nothing_else_is_written(draw):
    assert names(draw("--digits", 0, 7)) == {"0.png", "7.png"}


def test_all_ten_digits_by_default(draw):
    output_dir = draw("--num_candidates", 2, "--num_return_sequences", 1)
    assert names(output_dir) == {f"{digit}.png" for digit in range(10)}


def test_sheet_is_the_contact_sheet_of_the_best(draw, tiny_checkpoint):
    output_dir = draw("--digits", 3, "--seed", 5, "--num_candidates", 6, "--num_return_sequences", 3)
    best = pipeline(
        "mnist-text-gen", model=str(tiny_checkpoint), pipeline_class=MnistTextGenerationPipeline, device="cpu"
    )("3", seed=5, num_candidates=6, num_return_sequences=3)
    sheet = Image.open(output_dir / "3.png")
    assert (sheet.format, sheet.mode) == ("PNG", "L")
    assert sheet.tobytes() == draw_contact_sheet(best).tobytes()


@pytest.mark.parametrize(("returned", "size"), [(1, (140, 162)), (3, (400, 162)), (9, (1050, 314))])
def test_sheet_grows_with_the_images_eight_a_row(draw, returned, size):
    output_dir = draw("--digits", 1, "--num_candidates", 9, "--num_return_sequences", returned)
    assert Image.open(output_dir / "1.png").size == size


def test_results_are_those_of_the_pipeline(draw, tiny_checkpoint):
    options = ("--digits", 7, 2, 7, "--save_texts", "jsonl", "--seed", 11)
    rows = read_jsonl(draw(*options, "--temperature", 0.7, "--classifier_temperature", 1.5))
    called = pipeline(
        "mnist-text-gen", model=str(tiny_checkpoint), pipeline_class=MnistTextGenerationPipeline, device="cpu"
    )(
        ["7", "2", "7"],
        seed=11,
        num_candidates=4,
        num_return_sequences=2,
        temperature=0.7,
        classifier_temperature=1.5,
    )
    expected = [
        {name: result[name] for name in ("label", "generated_text", "score", "rank")}
        for best in called
        for result in best
    ]
    assert rows == expected


def test_same_seed_gives_the_same_bytes(draw):
    options = ("--digits", 4, 9, "--save_texts", "jsonl", "--save_images", "--seed", 3)
    first, second = draw(*options, name="first"), draw(*options, name="second")
    assert names(first) == names(second)
    assert [name for name in names(first) if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_another_seed_gives_other_texts(draw):
    options = ("--digits", 4, "--save_texts", "jsonl", "--seed")
    first, second = texts_of(draw(*options, 0, name="first"), "4"), texts_of(draw(*options, 1, name="second"), "4")
    assert not set(first) & set(second)


def test_seed_is_0_by_default(draw):
    options = ("--digits", 4, "--save_texts", "jsonl")
    default, zero = draw(*options, name="default"), draw(*options, "--seed", 0, name="zero")
    assert (default / "samples.jsonl").read_bytes() == (zero / "samples.jsonl").read_bytes()


def test_temperature_changes_the_texts(draw):
    options = ("--digits", 4, "--save_texts", "jsonl", "--temperature")
    cold, hot = draw(*options, 0.1, name="cold"), draw(*options, 3, name="hot")
    assert not set(texts_of(cold, "4")) & set(texts_of(hot, "4"))


def test_classifier_temperature_changes_the_scores_only(draw):
    options = ("--digits", 4, "--save_texts", "jsonl", "--num_return_sequences", 4, "--classifier_temperature")
    cold, hot = read_jsonl(draw(*options, 0.2, name="cold")), read_jsonl(draw(*options, 5, name="hot"))
    assert {row["generated_text"] for row in cold} == {row["generated_text"] for row in hot}
    assert not {row["score"] for row in cold} & {row["score"] for row in hot}


def test_digit_has_the_same_texts_alone_and_with_others(draw):
    together = draw("--digits", 1, 8, 5, "--save_texts", "jsonl", name="together")
    for label in "185":
        alone = draw("--digits", label, "--save_texts", "jsonl", name=f"alone-{label}")
        assert read_jsonl(alone) == [row for row in read_jsonl(together) if row["label"] == label]


def test_digit_given_twice_is_drawn_twice_with_different_texts(draw):
    output_dir = draw("--digits", 7, 7, "--save_texts", "jsonl", "--save_images")
    assert names(output_dir) == {
        *("7.png", "7_0.png", "7_1.png"),
        *("7-2.png", "7-2_0.png", "7-2_1.png"),
        "samples.jsonl",
    }
    texts = texts_of(output_dir, "7")
    assert len(set(texts)) == len(texts) == 4


def test_saved_images_are_the_images_of_the_texts(draw, tokenizer):
    output_dir = draw("--digits", 6, "--save_images", "--save_texts", "txt")
    texts = (output_dir / "samples.txt").read_text(encoding="utf-8").splitlines()
    for rank, image in enumerate(tokenizer.decode_images(texts)):
        saved = Image.open(output_dir / f"6_{rank}.png")
        assert (saved.format, saved.mode, saved.size) == ("PNG", "L", (30, 30))
        assert np.array_equal(np.asarray(saved), image * 255)


def test_saved_texts_are_texts_of_the_form(draw):
    lines = (draw("--digits", 6, 0, "--save_texts", "txt") / "samples.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        check_text(line)
    assert [line[0] for line in lines] == ["6", "6", "0", "0"]


def test_saved_scores_are_descending_probabilities(draw):
    options = ("--num_candidates", 6, "--num_return_sequences", 6)
    rows = read_jsonl(draw("--digits", 2, 5, "--save_texts", "jsonl", *options))
    assert [row["label"] for row in rows] == ["2"] * 6 + ["5"] * 6
    for label in "25":
        scores = [row["score"] for row in rows if row["label"] == label]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1
        assert all(0 <= score <= 1 for score in scores)
    for row in rows:
        assert set(row) == {"label", "generated_text", "score", "rank"}
        check_text(row["generated_text"])
        assert row["generated_text"][0] == row["label"]


def test_fewer_returned_are_the_best_of_the_same_candidates(draw):
    options = ("--digits", 2, "--save_texts", "jsonl", "--num_candidates", 6, "--num_return_sequences")
    all_rows, best = read_jsonl(draw(*options, 6, name="all")), read_jsonl(draw(*options, 2, name="best"))
    assert best == all_rows[:2]


def test_other_files_in_the_folder_stay_and_old_sheets_are_replaced(draw, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "3.png").write_bytes(b"old")
    output_dir = draw("--digits", 3)
    assert names(output_dir) == {"notes.txt", "3.png"}
    assert (output_dir / "notes.txt").read_text() == "mine"
    assert Image.open(output_dir / "3.png").format == "PNG"


def test_folders_above_the_output_are_made(draw):
    assert names(draw("--digits", 3, name="new/folder")) == {"3.png"}


def test_output_names_digit_candidates_and_folder(draw, capsys):
    output_dir = draw("--digits", 3, 3)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("3: 4 candidates in ") for line in lines)
    assert any(line.startswith("3-2: 4 candidates in ") for line in lines)
    assert lines[-1].startswith("8 candidates: ")
    assert str(output_dir) in lines[-1]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--digits", "10"), ["digit", "'10'", "'0' to '9'"]),
        (("--digits", "a"), ["digit", "'a'", "'0' to '9'"]),
        (("--digits", ""), ["digit", "''", "'0' to '9'"]),
        (("--digits", "-1"), ["digit", "'-1'", "'0' to '9'"]),
        (("--digits", "3", "x"), ["digit", "'x'", "'0' to '9'"]),
        (("--digits", "٣"), ["digit", "'٣'", "'0' to '9'"]),
        (("--digits",), ["--digits", "expected at least one"]),
        (("--num_candidates", "0"), ["num_candidates is 0", "1 or more"]),
        (("--num_candidates", "-1"), ["num_candidates is -1", "1 or more"]),
        (("--num_candidates", "2.5"), ["--num_candidates", "'2.5'"]),
        (("--num_return_sequences", "0"), ["num_return_sequences is 0", "1 or more"]),
        (("--num_return_sequences", "5"), ["num_return_sequences is 5", "1 to num_candidates, 4"]),
        (("--temperature", "0"), ["temperature is 0.0", "above 0"]),
        (("--temperature", "-1"), ["temperature is -1.0", "above 0"]),
        (("--temperature", "nan"), ["temperature is nan", "finite", "above 0"]),
        (("--temperature", "inf"), ["temperature is inf", "finite", "above 0"]),
        (("--classifier_temperature", "0"), ["classifier_temperature is 0.0", "above 0"]),
        (("--classifier_temperature", "nan"), ["classifier_temperature is nan", "finite"]),
        (("--seed", "-1"), ["seed is -1", "0 to 2**64 - 1"]),
        (("--seed", str(2**64)), [f"seed is {2**64}", "0 to 2**64 - 1"]),
        (("--save_texts", "csv"), ["--save_texts", "'csv'", "jsonl"]),
        (("--digit", "3"), ["--digit"]),
        (("--colour", "red"), ["--colour"]),
    ],
)
def test_bad_option_is_refused_by_name_before_anything_is_written(error_of, tiny_checkpoint, tmp_path, options, found):
    line = error_of("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out", *SMALL, *options)
    assert [part for part in found if part not in line] == []
    assert not (tmp_path / "out").exists()


def test_output_dir_that_is_a_file_is_refused_and_the_file_stays(error_of, tiny_checkpoint, tmp_path):
    (tmp_path / "out").write_text("mine")
    line = error_of("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out", "--digits", "3", *SMALL)
    assert f"output_dir is {str(tmp_path / 'out')!r}; allowed is a folder" in line
    assert (tmp_path / "out").read_text() == "mine"
    assert names(tmp_path) == {"checkpoint", "out"}


def test_output_dir_below_a_file_is_refused(error_of, tiny_checkpoint, tmp_path):
    (tmp_path / "file").write_text("mine")
    line = error_of("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "file" / "out", *SMALL)
    assert "output_dir is " in line
    assert names(tmp_path) == {"checkpoint", "file"}


def replace_language_model(checkpoint, **sizes):
    config = GPT2Config(**({"vocab_size": 75, "n_positions": 152, "n_embd": 8, "n_head": 1, "n_layer": 1} | sizes))
    GPT2LMHeadModel(config).save_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda folder: shutil.rmtree(folder / "classifier"), ["no classifier", "'classifier'"]),
        (lambda folder: replace_language_model(folder, vocab_size=80), ["vocabulary of 80", "allowed is 75"]),
        (lambda folder: replace_language_model(folder, n_positions=100), ["context of 100", "allowed is 152 or more"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["model.safetensors"]),
        (shutil.rmtree, []),
    ],
    ids=["no classifier", "wrong vocabulary", "wrong context", "no weights", "no folder"],
)
def test_checkpoint_that_does_not_fit_is_named_before_anything_is_written(
    error_of, tiny_checkpoint, tmp_path, spoil, found
):
    spoil(tiny_checkpoint)
    line = error_of("--model_name_or_path", tiny_checkpoint, "--output_dir", tmp_path / "out", "--digits", "3", *SMALL)
    assert [part for part in [str(tiny_checkpoint), *found] if part not in line] == []
    assert not (tmp_path / "out").exists()


def test_hub_id_that_does_not_exist_is_named(error_of, tmp_path):
    line = error_of("--model_name_or_path", "nobody/nothing", "--output_dir", tmp_path / "out", *SMALL)
    assert "nobody/nothing" in line
    assert not (tmp_path / "out").exists()


def test_file_in_place_of_a_checkpoint_is_named(error_of, tiny_checkpoint, tmp_path):
    path = tiny_checkpoint / "config.json"
    line = error_of("--model_name_or_path", path, "--output_dir", tmp_path / "out", *SMALL)
    assert f"model_name_or_path is {str(path)!r}; allowed is a folder" in line
    assert not (tmp_path / "out").exists()


def test_failure_while_drawing_leaves_no_half_written_file(draw, monkeypatch, tmp_path):
    def fail(*arguments):
        raise RuntimeError("out of paper")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(RuntimeError, match="out of paper"):
        draw("--digits", 3)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def draw_named(named_files, tmp_path):
    """The same with the three named classes."""

    def run(*options, name="out"):
        output_dir = tmp_path / name
        options = ["--model_name_or_path", named_files, "--output_dir", output_dir, *SMALL, *options]
        sample_hf.main([str(option) for option in options])
        return output_dir

    return run


def test_classes_are_drawn_by_name_into_files_of_their_numbers(draw_named, capsys):
    options = ("--save_texts", "jsonl", "--save_images")
    output_dir = draw_named("--digits", "Bag", "T-shirt/top", 2, *options)
    sheets = {"2.png", "0.png", "2-2.png"}
    images = {f"{sheet[:-4]}_{rank}.png" for sheet in sheets for rank in range(2)}
    assert names(output_dir) == {*sheets, *images, "samples.jsonl"}
    rows = read_jsonl(output_dir)
    assert [row["label"] for row in rows] == ["Bag", "Bag", "T-shirt/top", "T-shirt/top", "Bag", "Bag"]
    assert [row["generated_text"][0] for row in rows] == list("220022")
    assert Image.open(output_dir / "2_0.png").size == (12, 12)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "candidates in" in line]
    assert [line.split(": ")[0] for line in lines] == ["2 (Bag)", "0 (T-shirt/top)", "2-2 (Bag)"]
    assert all("of them for the class; best: " in line for line in lines)
    assert "for the wanted class. Contact sheets are in" in out


def test_all_classes_of_the_model_by_default(draw_named):
    assert names(draw_named()) == {"0.png", "1.png", "2.png"}


def test_unknown_class_is_refused_with_all_names_before_anything_is_written(error_of, named_files, tmp_path):
    output_dir = tmp_path / "out"
    line = error_of("--model_name_or_path", named_files, "--output_dir", output_dir, "--digits", "Bag", "Sneaker")
    assert "class is 'Sneaker'; allowed are 0 to 2 and the names 'T-shirt/top', 'Ankle boot', 'Bag'" in line
    assert not output_dir.exists()


@pytest.mark.parametrize(
    ("encoding", "stdout"), [("cp1252", "cat"), ("ascii", "cat"), ("utf-8", "head -c 1"), ("utf-8", "cat > /dev/full")]
)
def test_a_preview_that_cannot_be_shown_ends_no_work(tiny_files, tmp_path, encoding, stdout):
    command = (
        f"set -o pipefail; {shlex.quote(sys.executable)} -m mnist_text_gen.commands.sample_hf --digits 3 7 1 "
        f"--num_candidates 2 --num_return_sequences 1 --model_name_or_path {tiny_files} --output_dir {tmp_path}"
    )
    command += f" > {stdout.split()[-1]}" if ">" in stdout else f" | {stdout}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["1.png", "3.png", "7.png"]
    assert b"Traceback" not in done.stderr and b"BrokenPipe" not in done.stderr
    if stdout == "cat":
        assert b"2 candidates in" in done.stdout and b"\\u28" not in done.stdout
