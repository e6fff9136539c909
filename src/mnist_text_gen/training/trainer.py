# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The Trainer of both training commands, with durable checkpoints and more in its logs.

All code that depends on the internals of Transformers' `Trainer` is in this file. One private method is overridden,
and no other one is called:

- `_save_checkpoint` writes a checkpoint file by file into its place. Here it writes into another folder, which is then
  renamed ([`publish_checkpoint`]), so that a checkpoint is complete or does not exist. A callback cannot do this,
  because `on_save` comes after it.

These public methods, which the training loop calls, are overridden too:

- `get_batch_samples`: a run that was killed after its last checkpoint has no step left, but would do one more.
- `get_train_dataloader`: processes share each batch equally ([`share_batches`]).
- `train`: signals, the seconds of training before a checkpoint, and errors for files with more than tensors.
- `log`: adds nats per image and throughput to the state, and so to checkpoints; `on_log` would be too late.
- `evaluate`: draws samples, and keeps the time of the evaluation out of the throughput.

[`check_transformers`] checks that all of them exist when this module is imported.
"""

import inspect
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from PIL import Image
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME

from .checkpoints import (
    choose_checkpoint,
    explain_failed_write,
    explain_refused_pickle,
    find_last_checkpoint,
    publish_checkpoint,
    read_checkpoint_file,
    rotate_checkpoints,
)
from .history import Quantities
from .monitoring import ThroughputMeter, TrainingProgressCallback, check_trackers, name_run, show_samples
from .processes import agree_on_largest, output_dir_of, share_batches
from .stopping import StopOnSignal, exit_if_stopped


logger = logging.getLogger(__name__)

# Methods of Transformers, the arguments that are passed to them here, and what goes wrong without them: a result, or
# only something that is shown.
_OF_RESULTS = (
    (Trainer, "_save_checkpoint", ("model", "trial"), "a killed run would leave half a checkpoint"),
    (Trainer, "get_batch_samples", ("epoch_iterator", "num_batches", "device"), "a finished run would train on"),
    (Trainer, "get_train_dataloader", (), "processes would not learn from the batches of one"),
    (Trainer, "train", ("resume_from_checkpoint",), "signals would lose what was trained"),
    (TrainerState, "compute_steps", ("args", "max_steps"), "a resumed run would save at the steps of its checkpoint"),
)
_OF_COMFORT = (
    (Trainer, "log", ("logs",), "nats per image and throughput in the logs"),
    (Trainer, "evaluate", (), "samples at every evaluation"),
    (ProgressCallback, "on_prediction_step", ("args", "state", "control"), "the progress bar of evaluations"),
)


def check_transformers() -> None:
    """Check that the installed Transformers has the methods that are overridden or called here.

    Logs a warning if only something that is shown is lost.

    Raises:
        ImportError: if a method is missing or has other arguments, and a result would be wrong.
    """
    for owner, name, arguments, loss in (*_OF_RESULTS, *_OF_COMFORT):
        method = getattr(owner, name, None)
        if method is not None and set(arguments) <= inspect.signature(method).parameters.keys():
            continue
        missing = f"transformers {transformers.__version__} has no {owner.__name__}.{name}({', '.join(arguments)})"
        if (owner, name, arguments, loss) in _OF_RESULTS:
            raise ImportError(f"{missing}: {loss}. Training needs another version of transformers")
        logger.warning("%s; this is lost: %s", missing, loss)


check_transformers()


def check_training_arguments(args: TrainingArguments) -> None:
    """Raise a `ValueError` for arguments that a [`MnistTrainer`] does not support, before anything is computed."""
    for name, reason in (
        ("enable_jit_checkpoint", "SIGTERM saves a checkpoint without it"),
        ("save_on_each_node", "all machines save into one `output_dir`, which they must share"),
    ):
        if getattr(args, name):
            raise ValueError(f"`{name}` must be false, got true: {reason}")
    if args.label_smoothing_factor:
        raise ValueError(
            f"`label_smoothing_factor` must be 0, got {args.label_smoothing_factor}: losses are reported without "
            "smoothing"
        )
    if args.fp16 and args.device.type == "cpu":
        raise ValueError("`fp16` must be false on a CPU, got true; `bf16` works on CPUs and on newer GPUs")
    check_trackers(args.report_to or [])


class ResumedRun(TrainerCallback):
    """Sets what a resumed run does not take from a checkpoint: when it logs and saves, and noise of new processes."""

    def __init__(self):
        self.checkpoint: Path | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        state.compute_steps(args, state.max_steps)

    def on_step_begin(self, args, state, control, **kwargs):
        checkpoint, self.checkpoint = self.checkpoint, None
        name = "rng_state.pth" if args.world_size == 1 else f"rng_state_{args.process_index}.pth"
        if checkpoint is not None and not (checkpoint / name).is_file():
            # the checkpoint is from another number of processes: use new noise, not that of the first steps again
            set_seed(args.seed + state.global_step * args.world_size + args.process_index)


class MnistTrainer(Trainer):
    """A Trainer with durable checkpoints, loss and throughput in its logs, and samples at every evaluation.

    A checkpoint is complete or does not exist, and has no pickle of its own; PyTorch's files are read with
    `weights_only=True`, as in the `Trainer`. SIGTERM and Ctrl-C save a checkpoint. The loss and the throughput are in
    the logs, checkpoints and trackers, with the names of `quantities`. Samples are in `samples/step-NNNNNN.png` in the
    output folder, and in TensorBoard and trackio.

    Args:
        model (`PreTrainedModel`): the model.
        args (`TrainingArguments`): arguments that [`check_training_arguments`] has accepted.
        recipe (`dict[str, Any]`): from [`collect_recipe`]; only a checkpoint with the same recipe is resumed.
        quantities (`Quantities`): the names of loss and throughput.
        draw_samples (`Callable[[PreTrainedModel], PIL.Image.Image]`, *optional*): draws a picture of samples.
        kwargs: further arguments of the `Trainer`.
    """

    # the data sets of the commands have a length
    train_dataset: Any
    eval_dataset: Any

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        recipe: dict[str, Any],
        quantities: Quantities,
        draw_samples: Callable[[PreTrainedModel], Image.Image] | None = None,
        **kwargs,
    ):
        # rows that are made when they are read have other columns than the data set knows, so none may be dropped
        args.remove_unused_columns = False
        super().__init__(model, args, **kwargs)
        self.recipe, self.quantities, self.draw_samples = recipe, quantities, draw_samples
        self._seconds_before = 0.0
        self._started: float | None = None
        self.stop_on_signal, self.meter, self.resumed_run = StopOnSignal(), ThroughputMeter(), ResumedRun()
        for callback in (self.resumed_run, self.stop_on_signal, self.meter):
            self.add_callback(callback)
        if self.pop_callback(ProgressCallback):
            self.add_callback(TrainingProgressCallback(quantities.formats))
        name_run(args, self.callback_handler.callbacks)

    @property
    def train_seconds(self) -> float:
        """Seconds of training, including those before the checkpoint."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def batch_size(self) -> int:
        """Rows per step, of all processes together."""
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    @property
    def plain_model(self) -> PreTrainedModel:
        """The model without the wrappers of accelerate and the compiler."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    def train_from_last_checkpoint(self) -> None:
        """Train from the checkpoint that [`choose_checkpoint`] finds, if any, and write `train_results.json`.

        Raises:
            ValueError: if the checkpoint is not complete or belongs to another training.
            SystemExit: with status 128 + its number, if a signal ended the training.
        """
        result = self.train(resume_from_checkpoint=choose_checkpoint(self.args, self.recipe))
        exit_if_stopped(self, self.stop_on_signal.stopped_by)
        self.save_metrics("train", result.metrics)

    def evaluate_and_save(self) -> dict[str, float]:
        """Evaluate, print the metrics, and write them to `eval_results.json`."""
        metrics = self.evaluate()
        self.log_metrics("eval", metrics)
        self.save_metrics("eval", metrics)
        return metrics

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):  # type: ignore[override]  # passes the rest
        self._seconds_before, self._started = 0.0, time.monotonic()
        if resume_from_checkpoint is not None:
            self._seconds_before = read_checkpoint_file(resume_from_checkpoint)["train_seconds"]
            self.resumed_run.checkpoint = Path(resume_from_checkpoint)
        with self.stop_on_signal.watching(), explain_refused_pickle(resume_from_checkpoint):
            result = super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        self._seconds_before, self._started = self.train_seconds, None
        return result

    def get_train_dataloader(self) -> DataLoader:
        return share_batches(super().get_train_dataloader(), self.args)

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device) -> tuple[list, Any]:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return [], None
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        # only in logs of training; an evaluation has "eval_loss"
        if "loss" in logs:
            logs[self.quantities.loss] = logs["loss"] * self.quantities.loss_scale
            logs[self.quantities.throughput] = round(self.meter.read() * self.quantities.items_per_row, 1)
        super().log(logs, *args, **kwargs)

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        metrics = super().evaluate(*args, **kwargs)
        if self.draw_samples is not None and self.is_world_process_zero():
            image = self.draw_samples(self.plain_model)
            show_samples(image, output_dir_of(self.args), self.state.global_step, self.callback_handler.callbacks)
        self.meter.restart()
        return metrics

    def _save_checkpoint(self, model, trial) -> None:
        target = output_dir_of(self.args) / f"checkpoint-{self.state.global_step}"
        staging = target.with_name(f".staging-{target.name}")
        written = staging / target.name
        try:
            with self._failing_together(target), self._saving_into(staging):
                super()._save_checkpoint(model, trial)
            with self._failing_together(target):
                self._publish(written, target)
        except BaseException:
            if self.is_world_process_zero():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        if self.is_world_process_zero():
            rotate_checkpoints(target, self.args.save_total_limit or 0, self.state.best_model_checkpoint)

    @contextmanager
    def _saving_into(self, folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        before = self.args.output_dir, self.state.best_global_step
        # with a best step, processes would wait for each other here, although one of them may have failed
        self.args.output_dir, self.state.best_global_step = str(folder), None
        try:
            yield
        finally:
            self.args.output_dir, self.state.best_global_step = before

    def _publish(self, written: Path, target: Path) -> None:
        if self.state.best_global_step:
            best = target.with_name(f"checkpoint-{self.state.best_global_step}")
            if best == target or best.is_dir():
                self.state.best_model_checkpoint = str(best)
        if self.is_world_process_zero():
            # this file is a pickle
            (written / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            self.state.save_to_json(str(written / TRAINER_STATE_NAME))
            publish_checkpoint(written, target, {"recipe": self.recipe, "train_seconds": self.train_seconds})

    @contextmanager
    def _failing_together(self, target: Path) -> Iterator[None]:
        """Raise an error in all processes if one has failed, so that none waits for a process that has given up."""
        error = None
        try:
            yield
        except Exception as caught:
            error = caught
        if not agree_on_largest(int(error is not None), self.args):
            return
        last = find_last_checkpoint(target.parent)
        about = (
            f"{target.name} cannot be saved in {target.parent}; the last complete one is "
            f"{last.name if last else 'none'}"
        )
        with explain_failed_write(about, target.parent):
            raise error or OSError("another process failed")
