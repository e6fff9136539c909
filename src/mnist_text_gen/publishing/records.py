# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Records beside weights: `run.json` of training and results, and `quality.json` of drawn images.

Both contain the SHA-256 of the weights, so that figures are never used for other weights. The language model and the
classifier in its folder can each have a `run.json`.
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
    """Read `run.json` in `folder`.

    Returns:
        `dict`: `weights` (maps paths to SHA-256), `training` (a list with one `dict` per training) and `results` (maps
        names to a `dict` with `value`). It is empty if the file is missing or is about other weights.

    Raises:
        ValueError: if the file is not such a record.
    """
    path = folder / RUN_FILE
    return _read_about(path, folder, _RUN_KINDS) if path.is_file() else {}


def write_run(folder: Path, weights: dict[str, str], training: Sequence[dict], results: dict[str, dict]) -> None:
    """Write `run.json`; [`read_run`] returns these arguments."""
    _write_json(folder / RUN_FILE, {"weights": weights, "training": list(training), "results": results})


def _write_json(path: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=2)
    # put lists of numbers on one line; strings have no literal line breaks
    text = re.sub(r'\[\n[^\[\]{}"]*\]', lambda numbers: " ".join(numbers[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def read_quality(folder: Path) -> dict[str, Any]:
    """Read `quality.json` in `folder`.

    Returns:
        `dict`: maps names of sections to results, see `benchmarks/quality.py`. It is empty if the file is missing or
        is about other weights.

    Raises:
        ValueError: if the file is not such a record.
    """
    path = folder / QUALITY_FILE
    return _read_about(path, folder, {"sections": dict}).get("sections", {}) if path.is_file() else {}


def write_quality(folder: Path, weights: dict[str, str], sections: dict[str, Any]) -> None:
    """Write `quality.json`; [`read_quality`] returns the sections."""
    _write_json(folder / QUALITY_FILE, {"weights": weights, "sections": sections})


def copy_run(source: str, revision: str | None, target: Path, subfolder: str = "") -> None:
    """Copy records and pictures from the source of the weights in `target`, if the weights are unchanged.

    Args:
        source (`str`): a folder, or an id on the Hub.
        revision (`str`, *optional*): the commit on the Hub.
        target (`Path`): the folder that the weights were saved to.
        subfolder (`str`, *optional*): the folder of the weights in the source.
    """
    if Path(source, subfolder).resolve() == target.resolve():
        return
    found = _find_file(source, revision, RUN_FILE, subfolder)
    if found is None or not _read_about(found, target, _RUN_KINDS):
        # records of an earlier save are about other weights
        for name in (RUN_FILE, QUALITY_FILE):
            (target / name).unlink(missing_ok=True)
        return
    shutil.copyfile(found, target / RUN_FILE)
    quality = _find_file(source, revision, QUALITY_FILE, subfolder)
    if quality is not None:
        shutil.copyfile(quality, target / QUALITY_FILE)
    for label in range(10):
        name = f"{PICTURES_FOLDER}/{label}.png"
        # pictures of the shipped weights are in the package, not beside the weights
        shipped = Path(source) == SHIPPED_CHECKPOINT and not subfolder
        picture = SHIPPED_PICTURES / f"{label}.png" if shipped else _find_file(source, revision, name, subfolder)
        if picture is not None:
            (target / PICTURES_FOLDER).mkdir(exist_ok=True)
            (target / name).write_bytes(picture.read_bytes())


def _read_about(path: Path, folder: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The record at `path`, or an empty one if it is about other weights than those in `folder`."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got an error: {error}") from error
    kinds = {"weights": dict, **kinds}
    if not isinstance(run, dict) or not all(isinstance(run.get(name), kind) for name, kind in kinds.items()):
        raise ValueError(f"{path} must be a record with {', '.join(kinds)}, got something else")
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
        # a record that cannot be read now is no reason not to save the weights
        logger.warning(show_text(f"{name} of {source} is not copied: {error}"))
        return None
