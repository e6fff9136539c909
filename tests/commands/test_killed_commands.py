# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Commands that are killed at every file-system event, and second runs in one folder."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from image_files import write_idx_folder
from processes import run_process
from run_folders import read_bytes
from transformers import GPT2LMHeadModel

from mnist_text_gen.commands import build_dataset, draw_dataset, export_onnx, sample_hf
from mnist_text_gen.files import locked_folder


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_files):
    """A checkpoint, and beside it an older one with other weights."""
    folder = shutil.copytree(tiny_files, tmp_path_factory.mktemp("models") / "model")
    older = shutil.copytree(folder, folder.with_name("model-old"))
    weights = GPT2LMHeadModel.from_pretrained(older)
    weights.transformer.ln_f.bias.data += 1
    weights.save_pretrained(older)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory, mnist_5k):
    train, test = mnist_5k["train"].first(12, "train"), mnist_5k["test"].first(5, "test")
    return write_idx_folder(tmp_path_factory.mktemp("images"), train, test)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["build_dataset", "draw_dataset", "export_onnx", "sample_hf", "train_classifier", "train_hf"]
)
def test_command_killed_at_any_event_and_started_again_leaves_what_one_never_stopped_does(
    tmp_path, model, images, name
):
    result = run_process(sys.executable, ROOT / "tests" / "forked_commands.py", tmp_path, name, model, images)
    num_events, faults = json.loads(result.stdout.splitlines()[-1])
    assert num_events > 20
    assert faults == []


@pytest.mark.parametrize("command", [build_dataset, draw_dataset, export_onnx, sample_hf])
def test_second_run_in_an_output_folder_is_told_so(refusal_of, tmp_path, model, images, command):
    options = {build_dataset: ["--dataset_name", images], draw_dataset: ["--num_images", 2]}.get(command, [])
    options += [] if command is build_dataset else ["--model_name_or_path", model]
    with locked_folder(tmp_path / "out"):
        line = refusal_of(command, "--output_dir", tmp_path / "out", *options)
        assert f"got {str(tmp_path / 'out')!r}, which another run" in line
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["a::b", "a b[1]", "a%20b", "~", "*?"])
@pytest.mark.parametrize("command", [build_dataset, draw_dataset, sample_hf])
def test_names_with_signs_that_libraries_interpret_are_names(tmp_path, monkeypatch, model, images, command, name):
    monkeypatch.chdir(tmp_path)
    options = {
        build_dataset: ["--dataset_name", images],
        draw_dataset: ["--num_images", 2, "--model_name_or_path", model],
        sample_hf: ["--digits", 3, "--num_candidates", 1, "--num_return_sequences", 1, "--model_name_or_path", model],
    }[command]
    for output_dir in ("plain", f"./{name}"):
        command.main([str(option) for option in ("--output_dir", output_dir, *options)])
    assert read_bytes(Path(f"./{name}")) == read_bytes(Path("plain"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "plain"])
