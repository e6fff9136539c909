# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How weights were trained and what was measured of them: `run.json` and `quality.json` beside them.

Both hold the SHA-256 of those very weights: figures do not travel with other weights. A `run.json` can lie beside the
language model, and one in the classifier's folder.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HTTPError
from transformers.utils import logging

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT, SHIPPED_PICTURES
from mnist_text_gen.drawing import show_text
from mnist_text_gen.files import hash_file
from mnist_text_gen.modeling import CLASSIFIER_FOLDER


logger = logging.get_logger(__name__)

RUN_FILE = "run.json"
QUALITY_FILE = "quality.json"
PICTURES_FOLDER = "sample_img"
_RUN_KINDS = {"training": list, "results": dict}


def hash_weights(folder: Path) -> dict[str, str]:
    """SHA-256 of the safetensors files in `folder` and in its classifier's folder, by their relative paths."""
    paths = [*sorted(folder.glob("*.safetensors")), *sorted((folder / CLASSIFIER_FOLDER).glob("*.safetensors"))]
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` in `folder` says; nothing where it is missing, or is about other weights than those beside it.

    Returns:
        `dict`: `weights` (path to SHA-256), `training` (a `dict` a stage) and `results` (name to a `dict` with
        `value`), or an empty one.

    Raises:
        ValueError: for a file that is not such a record.
    """
    path = folder / RUN_FILE
    return _read_about(path, folder, _RUN_KINDS) if path.is_file() else {}


def write_run(folder: Path, weights: dict[str, str], training: Sequence[dict], results: dict[str, dict]) -> None:
    """Write `run.json`; the arguments are what [`read_run`] gives back."""
    _write_json(folder / RUN_FILE, {"weights": weights, "training": list(training), "results": results})


def _write_json(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=2)
    # the points of a curve on one line; in a string there is no line break as it is
    text = re.sub(r'\[\n[^\[\]{}"]*\]', lambda numbers: " ".join(numbers[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def read_quality(folder: Path) -> dict[str, Any]:
    """What `quality.json` in `folder` says of the drawn digits; nothing where it is missing or about other weights.

    Returns:
        `dict`: name of a section to what was measured, as `benchmarks/quality.py` describes it, or an empty one.

    Raises:
        ValueError: for a file that is not such a record.
    """
    path = folder / QUALITY_FILE
    return _read_about(path, folder, {"sections": dict}).get("sections", {}) if path.is_file() else {}


def write_quality(folder: Path, weights: dict[str, str], sections: dict[str, Any]) -> None:
    """Write `quality.json`; the sections are what [`read_quality`] gives back."""
    _write_json(folder / QUALITY_FILE, {"weights": weights, "sections": sections})


def copy_run(source: str, revision: str | None, target: Path, subfolder: str = "") -> None:
    """Copy records and pictures from where the weights in `target` came from, if they are still the same.

    Args:
        source (`str`): a folder, or an id on the Hub.
        revision (`str`, *optional*): the commit on the Hub.
        target (`Path`): the folder that the weights were saved to.
        subfolder (`str`, *optional*): where in the source they are.
    """
    if Path(source, subfolder).resolve() == target.resolve():
        return
    found = _find_file(source, revision, RUN_FILE, subfolder)
    if found is None or not _read_about(found, target, _RUN_KINDS):
        # what an earlier save left there is about other weights
        for name in (RUN_FILE, QUALITY_FILE):
            (target / name).unlink(missing_ok=True)
        return
    shutil.copyfile(found, target / RUN_FILE)
    quality = _find_file(source, revision, QUALITY_FILE, subfolder)
    if quality is not None:
        shutil.copyfile(quality, target / QUALITY_FILE)
    for label in range(10):
        name = f"{PICTURES_FOLDER}/{label}.png"
        # those of the shipped weights stand in the package, not beside them
        shipped = Path(source) == SHIPPED_CHECKPOINT and not subfolder
        picture = SHIPPED_PICTURES / f"{label}.png" if shipped else _find_file(source, revision, name, subfolder)
        if picture is not None:
            (target / PICTURES_FOLDER).mkdir(exist_ok=True)
            (target / name).write_bytes(picture.read_bytes())


def _read_about(path: Path, folder: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The record at `path`, or an empty one where it is about other weights than those in `folder`."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    kinds = {"weights": dict, **kinds}
    if not isinstance(run, dict) or not all(isinstance(run.get(name), kind) for name, kind in kinds.items()):
        raise ValueError(f"{path} is no record of these weights; needed are {', '.join(kinds)}")
    return run if run["weights"].items() <= hash_weights(folder).items() else {}


def _find_file(source: str, revision: str | None, name: str, subfolder: str = "") -> Path | None:
    if Path(source).is_dir():
        path = Path(source, subfolder, name)
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(source, name, subfolder=subfolder or None, revision=revision))
    except EntryNotFoundError:
        return None
    except (OSError, HTTPError) as error:
        # the weights are there; a record that can't be had now is no reason not to save them
        logger.warning(show_text(f"{name} of {source} is not copied: {error}"))
        return None
