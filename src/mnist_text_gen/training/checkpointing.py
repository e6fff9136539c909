# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A Trainer whose checkpoints appear whole or not at all, and that goes on only from one of the same recipe."""

import hashlib
import json
import logging
import os
import pickle
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers import Trainer, set_seed
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_callback import ExportableState

from mnist_text_gen.files import remove_staging_folders, sync_entry, sync_folder

from .processes import agree_on_largest, share_batches
from .resuming import check_recipe
from .stopping import StopOnSignal


CHECKPOINT_FILE = "checkpoint.json"
_NEEDED_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
_REPLACED_PREFIX = ".replaced-"

logger = logging.getLogger(__name__)


class CheckpointingTrainer(Trainer):
    """Adds to the `Trainer` that nothing is lost.

    A checkpoint is written beside its place, synced, and renamed; old ones are removed after that. Its
    `checkpoint.json` holds the recipe, the seconds of training so far, and the SHA-256 of every file. No pickle is
    written; what PyTorch stores is read with `weights_only=True`, as the `Trainer` does.

    Args:
        recipe (`dict[str, Any]`): what [`collect_recipe`] gave; only a checkpoint of the same is gone on from.
        args, kwargs: of the `Trainer`.

    Raises:
        ValueError: for training arguments that ask for another way of saving.
    """

    def __init__(self, *args, recipe: dict[str, Any], **kwargs):
        super().__init__(*args, **kwargs)
        self.recipe = recipe
        self.stop_on_signal = StopOnSignal()
        self.add_callback(self.stop_on_signal)
        self._seconds_before, self._started = 0.0, time.monotonic()
        for name, reason in (
            ("enable_jit_checkpoint", "SIGTERM saves a checkpoint without it"),
            ("save_on_each_node", "all machines save into one output_dir, which they have to share"),
        ):
            if getattr(self.args, name):
                raise ValueError(f"{name} is true; allowed is false: {reason}")

    @property
    def train_seconds(self) -> float:
        """Seconds of training, those of the parts before the checkpoint too."""
        return self._seconds_before + time.monotonic() - self._started

    def choose_checkpoint(self) -> str | None:
        """The checkpoint that was named, else the last whole one; what killed processes left is removed.

        Raises:
            ValueError: where the one that was named isn't whole, and where it is of another training.
        """
        args, output_dir = self.args, Path(self.args.output_dir)
        with args.main_process_first(local=False, desc="checkpoints"):
            if args.process_index == 0:
                _clean_up(output_dir)
            if args.resume_from_checkpoint is None:
                checkpoint = find_last_checkpoint(output_dir, logger if args.process_index == 0 else None)
            else:
                checkpoint = Path(args.resume_from_checkpoint)
                if fault := find_fault(checkpoint):
                    raise ValueError(
                        f"resume_from_checkpoint is {str(checkpoint)!r}; allowed is a whole checkpoint: {fault}"
                    )
        if checkpoint is None:
            return None
        check_recipe(_read_checkpoint_file(checkpoint)["recipe"], self.recipe, checkpoint)
        return str(checkpoint)

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):
        self._started = time.monotonic()
        if resume_from_checkpoint is not None:
            self._seconds_before = _read_checkpoint_file(Path(resume_from_checkpoint))["train_seconds"]
        with self.stop_on_signal.watching():
            return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        return share_batches(super().get_train_dataloader(), self.args)

    def _run_epoch(self, *args, **kwargs):
        # Killed after its last checkpoint, a run would take one step more than it has.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model, trial) -> None:
        self.store_flos()
        target = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        staging = target.parent / f".staging-{target.name}"
        try:
            for write in (self._write_checkpoint, self._publish_checkpoint):
                self._do_together(write, staging, target)
        except BaseException:
            if self.is_world_process_zero():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        if self.is_world_process_zero():
            self._rotate_checkpoints(target)

    def _do_together(self, write, staging: Path, target: Path) -> None:
        """An error of one process is one of all: none waits for a process that has given up."""
        error = None
        try:
            write(staging, target)
        except Exception as caught:
            error = caught
        if not agree_on_largest(int(error is not None), self.args):
            return
        last = find_last_checkpoint(target.parent)
        about = (
            f"{target.name} cannot be saved in {target.parent}; the last whole one is {last.name if last else 'none'}"
        )
        with explain_failed_write(about, target.parent):
            raise error or OSError("another process failed")

    def _write_checkpoint(self, staging: Path, target: Path) -> None:
        staging.mkdir(parents=True, exist_ok=True)
        self.save_model(str(staging), _internal_call=True)
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(str(staging))
            self._save_scaler(str(staging))
            self._save_rng_state(str(staging))
        if self.state.best_global_step:
            best = target.with_name(f"checkpoint-{self.state.best_global_step}")
            if best == target or best.is_dir():
                self.state.best_model_checkpoint = str(best)
        if not self.is_world_process_zero():
            return
        parts = [*self.callback_handler.callbacks, self.control]
        self.state.stateful_callbacks |= {
            type(part).__name__: part.state() for part in parts if isinstance(part, ExportableState)
        }
        self.state.save_to_json(str(staging / "trainer_state.json"))

    def _publish_checkpoint(self, staging: Path, target: Path) -> None:
        if not self.is_world_process_zero():
            return
        files = {str(path.relative_to(staging)): _hash(path) for path in sorted(staging.rglob("*")) if path.is_file()}
        content = {"recipe": self.recipe, "train_seconds": self.train_seconds, "files": files}
        (staging / CHECKPOINT_FILE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        sync_folder(staging)
        if target.exists():
            replaced = target.rename(target.with_name(_REPLACED_PREFIX + target.name))
            staging.rename(target)
            shutil.rmtree(replaced)
        else:
            staging.rename(target)
        sync_entry(target.parent)

    def _rotate_checkpoints(self, target: Path) -> None:
        limit, checkpoints = self.args.save_total_limit or 0, _list_checkpoints(target.parent)
        kept = {target, Path(self.state.best_model_checkpoint or target)}
        removable = [checkpoint for checkpoint in checkpoints if checkpoint not in kept]
        for checkpoint in removable[: max(0, len(checkpoints) - limit)] if limit > 0 else []:
            # renamed first, so that one which is half removed isn't taken for one that is half written
            shutil.rmtree(checkpoint.rename(checkpoint.with_name(f".staging-{checkpoint.name}")))

    def _save(self, output_dir=None, state_dict=None) -> None:
        super()._save(output_dir, state_dict)
        # a pickle, which would have to be loaded as one
        (Path(output_dir or self.args.output_dir) / TRAINING_ARGS_NAME).unlink(missing_ok=True)

    def _init_training_state(self, max_steps, *args):
        trained = super()._init_training_state(max_steps, *args)
        # how often to log, evaluate and save is this run's to say, not the checkpoint's
        self.state.compute_steps(self.args, max_steps)
        return trained

    def _load_optimizer_and_scheduler(self, checkpoint) -> None:
        with _reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint) -> None:
        with _reading(checkpoint):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint) -> None:
        name = "rng_state.pth" if self.args.world_size == 1 else f"rng_state_{self.args.process_index}.pth"
        if not (Path(checkpoint) / name).is_file():
            # Written by another number of processes: new noise, not that of the first steps again.
            set_seed(self.args.seed + self.state.global_step * self.args.world_size + self.args.process_index)
            return
        with _reading(checkpoint):
            super()._load_rng_state(checkpoint)


def find_last_checkpoint(output_dir: Path, log: logging.Logger | None = None) -> Path | None:
    """The whole checkpoint with the most steps in `output_dir`; a warning in `log` names what is passed over."""
    for checkpoint in reversed(_list_checkpoints(output_dir)):
        fault = find_fault(checkpoint)
        if fault is None:
            return checkpoint
        if log is not None:
            log.warning("%s is passed over, for it is no whole checkpoint: %s", checkpoint, fault)
    return None


def find_fault(checkpoint: Path) -> str | None:
    """Why a folder is no whole checkpoint; `None` for one that is."""
    try:
        files = dict(_read_checkpoint_file(checkpoint)["files"])
    except OSError as error:
        return f"{CHECKPOINT_FILE}, which is written last, cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError):
        return f"{CHECKPOINT_FILE} is damaged"
    for name in [*files, *_NEEDED_FILES]:
        if name not in files or not (checkpoint / name).is_file():
            return f"{name} is missing"
        if _hash(checkpoint / name) != files[name]:
            return f"{name} is not what was written"
    return None


@contextmanager
def explain_failed_write(about: str, folder: str | os.PathLike) -> Iterator[None]:
    """Make one `OSError` of what Python, safetensors and PyTorch raise when a disk is full or can't be written to."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OSError(f"{about}: {error}") from error
    except RuntimeError as error:
        # torch.save says where it noticed, in its own source, and not what the system answered
        if "inline_container.cc" not in str(error):
            raise
        free = shutil.disk_usage(folder).free
        raise OSError(f"{about}: PyTorch could not write all of a file; {free:,} bytes are free") from error


def _list_checkpoints(output_dir: Path) -> list[Path]:
    """Folders named like checkpoints, whole or not; the one with the most steps is the last."""
    steps = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in output_dir.iterdir() if path.is_dir()}
    return sorted((path for path, match in steps.items() if match), key=lambda path: int(steps[path][1]))


def _clean_up(output_dir: Path) -> None:
    """Remove what killed processes left; a checkpoint that was about to be replaced comes back."""
    for replaced in output_dir.glob(f"{_REPLACED_PREFIX}*"):
        target = output_dir / replaced.name.removeprefix(_REPLACED_PREFIX)
        if target.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(target)
    remove_staging_folders(output_dir)


def _read_checkpoint_file(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / CHECKPOINT_FILE).read_text("utf-8"))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _reading(checkpoint: str | os.PathLike | None) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(f"{checkpoint} has a file with more than tensors, which is not loaded: {error}") from error
