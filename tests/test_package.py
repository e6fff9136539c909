# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The package as it is built, installed and imported."""

import json
import runpy
import shutil
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from processes import run_process
from transformers import AutoTokenizer, GPT2Config, GPT2Tokenizer

from mnist_text_gen.commands import (
    build_dataset,
    build_page,
    draw_dataset,
    export_onnx,
    sample_hf,
    train_classifier,
    train_hf,
)


ROOT = Path(__file__).parents[1]
COMMANDS = {
    "mnist-text-gen-sample": sample_hf,
    "mnist-text-gen-train": train_hf,
    "mnist-text-gen-train-classifier": train_classifier,
    "mnist-text-gen-dataset": build_dataset,
    "mnist-text-gen-draw-dataset": draw_dataset,
    "mnist-text-gen-export-onnx": export_onnx,
    "mnist-text-gen-page": build_page,
}
# what can be called from the checkout without an installation
SCRIPTS = {"sample_hf.py": sample_hf, "train_hf.py": train_hf, "train_classifier.py": train_classifier}
# folders of the checkout that lie in the package under the same name; the others are in src/
FOLDERS = ("metrics", "modeling", "sample_img", "tokenizer")


def run(*command, cwd):
    return run_process(*command, cwd=cwd).stdout


def checkout_files():
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    return sorted(name for name in listed if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, so that no build folder is left there."""
    folder = tmp_path_factory.mktemp("source")
    for name in checkout_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    # what Python leaves in a checkout that was used
    for name in ("metrics", "metrics/image_nats", "modeling", "src/mnist_text_gen/checkpoints"):
        (folder / name / "__pycache__").mkdir()
        (folder / name / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"left")
    return folder


@pytest.fixture(scope="module")
def expected_files():
    """The files of the wheel, and where they stand in the checkout: all of src/, and of the folders beside it."""
    folders = [(name, name.partition("/")[0]) for name in checkout_files()]
    expected = {name.removeprefix("src/"): name for name, first in folders if first == "src"}
    return expected | {f"mnist_text_gen/{name}": name for name, first in folders if first in FOLDERS}


# An editable wheel is what `pip install -e` unpacks.
BUILD = """
import sys
from setuptools import build_meta
for kind, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    getattr(build_meta, f"build_{kind}")(folder)
"""


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """The folder with `wheel/`, `sdist/` and `editable/`, each with one file."""
    folder = tmp_path_factory.mktemp("built")
    kinds = ("sdist", "editable", "wheel")
    run(sys.executable, "-c", BUILD, *(part for kind in kinds for part in (kind, folder / kind)), cwd=source)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = (built / "wheel").iterdir()
    return path


def read_wheel(path):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name) for name in names}


@pytest.mark.slow
def test_wheel_holds_every_module_and_data_file_and_nothing_else(wheel, expected_files):
    some = ("modeling/pipeline_mnist_text_generation.py", "py.typed", "metrics/class_agreement/requirements.txt")
    some += ("checkpoints/mnist-text-gen/classifier/config.json", "sample_img/0.png", "commands/draw_dataset.py")
    assert {f"mnist_text_gen/{name}" for name in some} <= set(expected_files)
    found = read_wheel(wheel)
    assert set(found) == set(expected_files)
    assert [name for name, content in found.items() if content != (ROOT / expected_files[name]).read_bytes()] == []


@pytest.mark.slow
def test_wheel_names_its_commands_and_license(wheel):
    with zipfile.ZipFile(wheel) as archive:
        read = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    expected = {f"{name} = {command.__name__}:main" for name, command in COMMANDS.items()}
    assert set(read["entry_points.txt"].splitlines()[1:]) == expected
    assert "License-Expression: Apache-2.0" in read["METADATA"].splitlines()
    assert read["LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.slow
def test_wheel_built_from_the_source_distribution_is_the_same(built, wheel, tmp_path):
    (archive,) = (built / "sdist").iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    run(sys.executable, "-c", BUILD, "wheel", tmp_path / "wheel", cwd=unpacked)
    (again,) = (tmp_path / "wheel").iterdir()
    assert read_wheel(again) == read_wheel(wheel)


# What an installation is imported as: each in a process forked from one that has imported the rest. Only training
# needs the blocked packages; accelerate stays, for transformers itself imports it wherever its metadata are found.
IMPORTS = """
import importlib, json, os, site, sys
import torch, transformers, transformers.pipelines
cases, modules, blocked = json.loads(sys.argv[1])
for kind, folder, cwd, draws in cases:
    if os.fork():
        assert os.wait()[1] == 0, kind
        continue
    os.chdir(cwd)  # sys.path[0] is "", wherever that is
    sys.modules.update(dict.fromkeys(blocked))
    sys.path.insert(1, folder)
    if kind == "editable":
        # in the place of the environment's own, whose finder has the same name
        for name in [name for name in sys.modules if name.startswith("__editable__")]:
            del sys.modules[name]
        site.addsitedir(folder)
        sys.meta_path.insert(0, sys.meta_path.pop())
    import mnist_text_gen
    files = [importlib.import_module(f"mnist_text_gen{name}").__file__ for name in modules]
    files += [str(mnist_text_gen.checkpoints.SHIPPED_CHECKPOINT / "config.json")]
    files += [str(mnist_text_gen.checkpoints.SHIPPED_PICTURES / "0.png")]
    files += [str(mnist_text_gen.metrics.METRICS_FOLDER / "image_nats" / "image_nats.py")]
    if draws:
        pipe = transformers.pipeline("mnist-text-gen")
        assert pipe("3", num_candidates=1, num_return_sequences=1, seed=0)[0]["label"] == "3"
    print(json.dumps([kind, cwd, files]), flush=True)
    os._exit(0)
"""
MODULES = ("", ".tokenizer", ".metrics", ".modeling", ".sample_img", ".checkpoints", ".commands.sample_hf")
BLOCKED = ("datasets", "evaluate", "matplotlib", "pytorch_optimizer", "mlxtend")


@pytest.mark.slow
def test_wheel_and_editable_installation_are_imported_outside_and_inside_the_checkout(
    built, wheel, source, tmp_path_factory
):
    site, editable = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("editable")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=site)
    (archive,) = (built / "editable").iterdir()
    zipfile.ZipFile(archive).extractall(editable)
    outside = tmp_path_factory.mktemp("outside")
    cases = [("wheel", site, outside, True), ("wheel", site, source, False)]
    cases += [("editable", editable, outside, False), ("editable", editable, source, False)]
    program = json.dumps([cases, MODULES, BLOCKED], default=str)
    found = [json.loads(line) for line in run(sys.executable, "-c", IMPORTS, program, cwd=outside).splitlines()]
    assert [(kind, cwd) for kind, cwd, _ in found] == [(kind, str(cwd)) for kind, _, cwd, _ in cases]
    for kind, _, files in found:
        place = site / "mnist_text_gen" if kind == "wheel" else source
        assert len(files) == len(MODULES) + 3
        assert [path for path in files if not Path(path).is_file() or not Path(path).is_relative_to(place)] == [], kind


@pytest.mark.parametrize("name", COMMANDS)
def test_console_command_is_the_function_and_says_its_name_in_its_help(name, capsys):
    entry_points = {point.name: point for point in distribution("mnist-text-gen").entry_points}
    assert entry_points[name].load() is COMMANDS[name].main
    with pytest.raises(SystemExit) as stop:
        COMMANDS[name].main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {COMMANDS[name].PROG} ") and "--output_dir" in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_the_same_function(script):
    assert runpy.run_path(str(ROOT / script), run_name="not_main")["main"] is SCRIPTS[script].main
    assert script == SCRIPTS[script].PROG


def test_tokenizer_of_another_gpt2_is_loaded_as_before(tmp_path):
    GPT2Config().save_pretrained(tmp_path)
    GPT2Tokenizer(vocab={"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, merges=[("a", "b")]).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is GPT2Tokenizer
    assert loaded("ab")["input_ids"] == [2]
