# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Each metric's folder is a Space as it stands: nothing from the package, and all that its requirements name."""

import ast
import doctest
import importlib
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import evaluate
import gradio as gr
import pytest
import yaml
from packaging.requirements import Requirement

from mnist_text_gen.metrics import METRICS_FOLDER


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings


ROOT = Path(__file__).parents[2]
NAMES = sorted(path.parent.name for path in METRICS_FOLDER.glob("*/app.py"))
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def imported_by(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "").partition(".")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_asks_for_what_it_imports_in_the_ranges_of_the_package(name):
    folder = METRICS_FOLDER / name
    imported = {module for path in folder.glob("*.py") for module in imported_by(path)} - sys.stdlib_module_names
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {Requirement(line).name for line in lines} == {DISTRIBUTIONS.get(module, module) for module in imported}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    assert set(lines) <= set(ranges)
    card = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (card["sdk"], card["app_file"]) == ("gradio", "app.py")
    assert {"evaluate", "metric"} <= set(card["tags"])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_page_and_example_run_from_a_copy_in_an_empty_folder(name, tmp_path, monkeypatch):
    ignored = shutil.ignore_patterns("__pycache__")
    folder = shutil.copytree(METRICS_FOLDER / name, tmp_path / "metrics" / name, ignore=ignored)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mnist_text_gen", None)  # as if it were not installed
    page = runpy.run_path(str(folder / "app.py"))
    module = importlib.import_module(type(page["metric"]).__module__)
    example = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, name, None, None)
    failed, tried = doctest.DocTestRunner().run(example)
    assert failed == 0 and tried >= 3
    # what stands in the fields at first, and what is wrong in them
    fields = [component.value for component in page["page"].input_components]
    described = re.search(r"Returns:\n    (\w+) ", module._KWARGS_DESCRIPTION)[1]
    assert described in page["compute"](*fields)
    with pytest.raises(gr.Error, match="list"):
        page["compute"]("[", *fields[1:])


TEXT = "5" + ":" * 150 + ")"
# the columns that come in batches, and what `compute` takes besides
BATCHES = {
    "class_agreement": ({"predictions": [1, 2, 5], "references": [1, 1, 5]}, {}),
    "diversity": (
        {"predictions": [[[0, 1]], [[1, 1]]], "labels": [3, 3]},
        {"train_images": [[[0, 0]]], "test_images": [[[1, 0]], [[1, 1]]], "test_labels": [3, 3]},
    ),
    "frechet_distance": ({"predictions": [[0.0], [2.0], [1.0]], "references": [[3.0], [5.0], [1.0]]}, {}),
    "image_nats": ({"token_losses": [[1.0, 2.0], [3.0, 0.0], [6.0, 3.0]]}, {}),
    "mnist_text_validity": ({"predictions": [TEXT, "5", TEXT], "references": [5, 5, 3]}, {}),
}


@pytest.mark.parametrize("name", NAMES)
def test_batches_add_up_to_the_whole_and_the_result_is_plain_json(name):
    metric = evaluate.load(str(METRICS_FOLDER / name), keep_in_memory=True)
    columns, others = BATCHES[name]
    for values in zip(*columns.values(), strict=True):
        metric.add_batch(**{column: [value] for column, value in zip(columns, values, strict=True)})
    result = metric.compute(**others)
    assert result == metric.compute(**columns, **others) == json.loads(json.dumps(result))
