# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The package as it is built, installed and imported."""

import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from transformers import AutoTokenizer, GPT2Config, GPT2Tokenizer
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING

from mnist_text_gen import MnistTextTokenizer
from mnist_text_gen.commands import build_dataset, export_onnx, sample_hf, train_classifier, train_hf


ROOT = Path(__file__).parents[1]
COMMANDS = {
    "sample_hf.py": ("mnist-text-gen-sample", sample_hf),
    "train_hf.py": ("mnist-text-gen-train", train_hf),
    "train_classifier.py": ("mnist-text-gen-train-classifier", train_classifier),
    "build_dataset.py": ("mnist-text-gen-dataset", build_dataset),
    "export_onnx.py": ("mnist-text-gen-export-onnx", export_onnx),
}
# Where the folders of the checkout lie in the package; README.md and the like beside the modules stay out.
ROOMS = ("corpus", "tokenizer", "metrics", "modeling", "checkpoints")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")


def run(*command, cwd, **environment):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def checkout_files():
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    return sorted(name for name in listed if name and (ROOT / name).is_file())


def names_in_wheel(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, so that no build folder is left there; with stand-ins where no weights are shipped."""
    folder = tmp_path_factory.mktemp("source")
    for name in checkout_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    weights = folder / "checkpoints" / "mnist-text-gen"
    if not weights.exists():
        (weights / "classifier").mkdir(parents=True)
        for name in ("config.json", "model.safetensors", "tokenization.py", "README.md", "classifier/config.json"):
            (weights / name).write_text("stand-in")
    # what Python leaves in a checkout that was used
    for name in ("metrics", "metrics/image_nats", "modeling", "checkpoints"):
        (folder / name / "__pycache__").mkdir()
        (folder / name / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"left")
    return folder


@pytest.fixture(scope="module")
def expected_names(source):
    """The files of the wheel by their places in the checkout: modules, and data of metrics and checkpoints."""
    package = source / "src"
    names = {path.relative_to(package).as_posix() for path in package.rglob("*.py")} | {"mnist_text_gen/py.typed"}
    for room in ROOMS:
        names |= {f"mnist_text_gen/{room}/{path.name}" for path in (source / room).glob("*.py")}
    metrics = [path.parent for path in source.glob("metrics/*/app.py")]
    for data in (*metrics, source / "checkpoints/mnist-text-gen"):
        files = [path for path in data.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        names |= {f"mnist_text_gen/{path.relative_to(source).as_posix()}" for path in files}
    return names


@pytest.fixture(scope="module")
def wheel(source, expected_names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", ".", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, cwd=source)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    run(*PIP, "install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=folder)
    return folder


@pytest.mark.slow
def test_wheel_holds_every_module_and_data_file_and_nothing_else(wheel, expected_names):
    assert {
        "mnist_text_gen/modeling/pipeline_mnist_text_generation.py",
        "mnist_text_gen/commands/sample_hf.py",
        "mnist_text_gen/metrics/image_nats/image_nats.py",
        "mnist_text_gen/metrics/class_agreement/class_agreement.py",
        "mnist_text_gen/metrics/mnist_text_validity/tokenization_mnist_text.py",
        "mnist_text_gen/checkpoints/mnist-text-gen/classifier/config.json",
    } <= expected_names
    assert names_in_wheel(wheel) == expected_names


@pytest.mark.slow
def test_files_in_the_wheel_are_those_of_the_checkout(wheel, source):
    with zipfile.ZipFile(wheel) as archive:
        for name in names_in_wheel(wheel):
            inside = Path(name).relative_to("mnist_text_gen")
            path = source / inside if inside.parts[0] in ROOMS else source / "src" / name
            assert archive.read(name) == path.read_bytes(), name


@pytest.mark.slow
def test_wheel_names_its_commands_and_license(wheel):
    with zipfile.ZipFile(wheel) as archive:
        read = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert {f"{name} = mnist_text_gen.commands.{path[:-3]}:main" for path, (name, _) in COMMANDS.items()} <= set(
        read["entry_points.txt"].splitlines()
    )
    assert "License-Expression: Apache-2.0" in read["METADATA"].splitlines()
    assert read["LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.slow
def test_wheel_built_from_the_source_distribution_is_the_same(source, expected_names, tmp_path):
    build = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", build, tmp_path / "sdist", cwd=source)
    (archive,) = (tmp_path / "sdist").iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel_options = ("--no-deps", "--no-index", "--no-build-isolation", "-w", tmp_path / "wheel")
    run(*PIP, "wheel", ".", *wheel_options, cwd=unpacked)
    (wheel,) = (tmp_path / "wheel").iterdir()
    assert names_in_wheel(wheel) == expected_names


@pytest.mark.slow
@pytest.mark.parametrize("place", ["outside", "inside"])
def test_installed_wheel_is_imported_outside_and_inside_the_checkout(site, tmp_path, place):
    program = """
import importlib
import mnist_text_gen
print(mnist_text_gen.__file__)
for room in ("corpus", "tokenizer", "metrics", "modeling", "checkpoints", "commands.sample_hf"):
    print(importlib.import_module("mnist_text_gen." + room).__file__)
print(mnist_text_gen.checkpoints.SHIPPED_CHECKPOINT / "config.json")
print(mnist_text_gen.metrics.METRICS_FOLDER / "image_nats" / "image_nats.py")
"""
    cwd = ROOT if place == "inside" else tmp_path
    paths = [Path(line) for line in run(sys.executable, "-c", program, cwd=cwd, PYTHONPATH=site).splitlines()]
    assert len(paths) == 9
    assert [path for path in paths if not path.is_relative_to(site / "mnist_text_gen")] == []
    assert [path for path in paths if not path.is_file()] == []


@pytest.mark.slow
def test_import_leaves_out_what_drawing_a_digit_does_not_need(tmp_path):
    program = """
import sys
import mnist_text_gen
print(*sorted({"datasets", "evaluate", "matplotlib"} & set(sys.modules)))
mnist_text_gen.load_images
print("datasets" in sys.modules)
"""
    assert run(sys.executable, "-c", program, cwd=tmp_path).splitlines() == ["", "True"]


@pytest.mark.slow
def test_drawing_works_without_what_only_training_needs(tmp_path):
    # accelerate stays: transformers itself imports it wherever its metadata are found
    for name in ("datasets", "evaluate", "matplotlib", "pytorch_optimizer", "mlxtend"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")
    program = """
from transformers import pipeline
import mnist_text_gen
tokenizer = mnist_text_gen.MnistTextTokenizer()
classifier = mnist_text_gen.MnistCnnForImageClassification(mnist_text_gen.MnistCnnConfig(hidden_sizes=[4]))
from transformers import GPT2LMHeadModel
from mnist_text_gen.modeling import build_language_model_config
model = GPT2LMHeadModel(build_language_model_config(tokenizer, n_embd=8, n_head=1, n_layer=1))
draw = pipeline("mnist-text-gen", model=model, tokenizer=tokenizer, classifier=classifier, device="cpu")
print(draw("3", num_candidates=1, num_return_sequences=1)[0]["label"])
"""
    assert run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=tmp_path).splitlines() == ["3"]


@pytest.mark.parametrize("script", COMMANDS)
def test_script_and_console_command_are_the_same_function(script):
    name, command = COMMANDS[script]
    entry_points = {point.name: point for point in distribution("mnist-text-gen").entry_points}
    assert runpy.run_path(str(ROOT / script), run_name="not_main")["main"] is command.main
    assert entry_points[name].load() is command.main


@pytest.mark.parametrize("script", COMMANDS)
def test_help_exits_with_0_and_names_the_script(script, capsys):
    with pytest.raises(SystemExit) as stop:
        COMMANDS[script][1].main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {script} ")
    assert "--output_dir" in text


@pytest.mark.slow
@pytest.mark.parametrize("script", COMMANDS)
def test_script_starts_from_another_folder(script, tmp_path):
    assert run(sys.executable, ROOT / script, "--help", cwd=tmp_path).startswith(f"usage: {script} ")


def test_tokenizer_is_not_registered_for_gpt2():
    assert TOKENIZER_MAPPING[GPT2Config] is GPT2Tokenizer


def test_tokenizer_of_another_gpt2_is_loaded_as_before(tmp_path):
    GPT2Config().save_pretrained(tmp_path)
    GPT2Tokenizer(vocab={"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, merges=[("a", "b")]).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is GPT2Tokenizer
    assert loaded("ab")["input_ids"] == [2]


def test_own_tokenizer_is_found_by_its_name(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    GPT2Config().save_pretrained(tmp_path)
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is MnistTextTokenizer
