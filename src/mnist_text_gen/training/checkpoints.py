# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Folders of checkpoints. Incomplete ones are skipped, and only a training with the same recipe resumes from one.

A checkpoint is written into a temporary folder, flushed to the disk, and renamed; old ones are removed after that. Its
`checkpoint.json` has the recipe, the seconds of training so far, and the SHA-256 of every file.
"""

import json
import logging
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import TrainingArguments

from mnist_text_gen.files import (
    STAGING_PREFIX,
    check_lock,
    hash_file,
    remove_entry,
    staged_folder,
    sync_entry,
    sync_folder,
)

from .processes import output_dir_of
from .recipe import check_recipe


CHECKPOINT_FILE = "checkpoint.json"
_NEEDED_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
_REPLACED_PREFIX = ".replaced-"

logger = logging.getLogger(__name__)


def choose_checkpoint(args: TrainingArguments, recipe: dict[str, Any]) -> str | None:
    """The checkpoint of `resume_from_checkpoint`, else the last complete one, or `None`. Cleans up after killed runs.

    Raises:
        ValueError: if the named checkpoint is not complete, or the checkpoint belongs to another training.
    """
    output_dir = output_dir_of(args)
    with args.main_process_first(local=False, desc="checkpoints"):
        if args.process_index == 0:
            _clean_up(output_dir)
        if args.resume_from_checkpoint is None:
            checkpoint = find_last_checkpoint(output_dir, logger if args.process_index == 0 else None)
        else:
            checkpoint = Path(args.resume_from_checkpoint)
            if fault := find_fault(checkpoint):
                raise ValueError(
                    f"`resume_from_checkpoint` must be a complete checkpoint, got {str(checkpoint)!r}: {fault}"
                )
    if checkpoint is None:
        return None
    check_recipe(read_checkpoint_file(checkpoint)["recipe"], recipe, checkpoint)
    if args.process_index == 0 and args.resume_from_checkpoint is None:
        # a run that was killed may have saved this checkpoint without removing an old one
        best = json.loads((checkpoint / "trainer_state.json").read_text("utf-8")).get("best_model_checkpoint")
        rotate_checkpoints(checkpoint, args.save_total_limit or 0, best and str(output_dir / Path(best).name))
    return str(checkpoint)


def find_last_checkpoint(output_dir: Path, log: logging.Logger | None = None) -> Path | None:
    """The complete checkpoint with the most steps in `output_dir`; a warning in `log` names those that are skipped."""
    for checkpoint in reversed(_list_checkpoints(output_dir)):
        fault = find_fault(checkpoint)
        if fault is None:
            return checkpoint
        if log is not None:
            log.warning("%s is skipped, because it is not a complete checkpoint: %s", checkpoint, fault)
    return None


def find_fault(checkpoint: Path) -> str | None:
    """Why a folder is not a complete checkpoint, or `None` if it is one."""
    try:
        content = read_checkpoint_file(checkpoint)
    except OSError as error:
        return f"{CHECKPOINT_FILE}, which is written last, cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return f"{CHECKPOINT_FILE} is damaged"
    kinds: dict[str, type | tuple[type, ...]] = {"recipe": dict, "files": dict, "train_seconds": (int, float)}
    if not isinstance(content, dict) or not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
        return f"{CHECKPOINT_FILE} is damaged"
    files = content["files"]
    for name in [*files, *_NEEDED_FILES]:
        if name not in files or not (checkpoint / name).is_file():
            return f"{name} is missing"
        if hash_file(checkpoint / name) != files[name]:
            return f"{name} differs from what was written"
    return None


def publish_checkpoint(written: Path, target: Path, content: dict[str, Any]) -> None:
    """Move a checkpoint to its place once all its files are on the disk.

    Args:
        written (`Path`): a folder in `target.parent`, or one level deeper, with all files except `checkpoint.json`.
        target (`Path`): its place; an older checkpoint there is replaced.
        content (`dict[str, Any]`): the content of `checkpoint.json`, without the SHA-256 of every file.
    """
    paths = [path for path in sorted(written.rglob("*")) if path.is_file()]
    files = {path.relative_to(written).as_posix(): hash_file(path) for path in paths}
    check_lock(target.parent)
    text = json.dumps(content | {"files": files}, indent=2, ensure_ascii=False)
    (written / CHECKPOINT_FILE).write_text(text + "\n", "utf-8")
    sync_folder(written)
    if os.path.lexists(target):
        replaced = target.rename(target.with_name(_REPLACED_PREFIX + target.name))
        written.rename(target)
        remove_entry(replaced)
    else:
        written.rename(target)
    if written.parent != target.parent:
        written.parent.rmdir()
    sync_entry(target.parent)


def rotate_checkpoints(target: Path, limit: int, best: str | None) -> None:
    """Remove the oldest checkpoints beside `target` until `limit` are left, but never `target` or the best one."""
    checkpoints, kept = _list_checkpoints(target.parent), {target, Path(best or target)}
    removable = [checkpoint for checkpoint in checkpoints if checkpoint not in kept]
    for checkpoint in removable[: max(0, len(checkpoints) - limit)] if limit > 0 else []:
        # renamed first, so that one that is half removed does not look like a checkpoint
        remove_entry(checkpoint.rename(checkpoint.with_name(STAGING_PREFIX + checkpoint.name)))


@contextmanager
def staged_model(output_dir: str | os.PathLike) -> Iterator[Path]:
    """Yield a folder for a trained model, whose files appear in `output_dir` at the end."""
    about = f"the model cannot be saved in {output_dir}"
    with explain_failed_write(about, output_dir), staged_folder(output_dir) as folder:
        yield folder


@contextmanager
def explain_failed_write(about: str, folder: str | os.PathLike) -> Iterator[None]:
    """Turn the errors of Python, safetensors and PyTorch for a disk that is full or not writable into `OSError`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OSError(f"{about}: {error}") from error
    except RuntimeError as error:
        # torch.save names the place in its own source or in C++'s streams, but not the error of the system
        if not any(sign in str(error) for sign in ("inline_container.cc", "iostream error")):
            raise
        free = shutil.disk_usage(folder).free
        raise OSError(f"{about}: PyTorch could not write all of a file; {free:,} bytes are free") from error


@contextmanager
def explain_refused_pickle(checkpoint: str | os.PathLike | None) -> Iterator[None]:
    """Turn PyTorch's error for a file that contains more than tensors into a `ValueError`."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(f"{checkpoint} must have only tensors in its files, got an error: {error}") from error


def read_checkpoint_file(checkpoint: str | os.PathLike) -> dict[str, Any]:
    return json.loads((Path(checkpoint) / CHECKPOINT_FILE).read_text("utf-8"))


def _list_checkpoints(output_dir: Path) -> list[Path]:
    """All folders with names of checkpoints, complete or not, in the order of their steps."""
    found = [(re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in output_dir.iterdir() if path.is_dir()]
    steps = {path: int(match[1]) for match, path in found if match}
    return sorted(steps, key=steps.__getitem__)


def _clean_up(output_dir: Path) -> None:
    """Clean up after killed runs: finish or undo the replacement of a checkpoint, and remove damaged results."""
    for replaced in output_dir.glob(f"{_REPLACED_PREFIX}*"):
        target = output_dir / replaced.name.removeprefix(_REPLACED_PREFIX)
        if os.path.lexists(target):
            remove_entry(replaced)
        else:
            replaced.rename(target)
    # the Trainer reads this file before it overwrites it
    results = output_dir / "all_results.json"
    try:
        json.loads(results.read_text("utf-8") if results.exists() else "{}")
    except ValueError:
        results.unlink()
