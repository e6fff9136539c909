# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The Trainer: nothing of a training is lost, and its logs say more. All that depends on the inside of Transformers.

Only one private method of `Trainer` is overridden, and none is called but by it:

- `_save_checkpoint` writes a checkpoint file by file into its place. Here it writes into a folder beside that, which
  is then renamed ([`publish_checkpoint`]), so that a checkpoint is whole or not there. No callback can do this:
  `on_save` comes after it.

Public methods that its loop calls are overridden too:

- `get_batch_samples`: a run that was killed after its last checkpoint has no step left, and would take one more.
- `get_train_dataloader`: processes share each batch equally ([`share_batches`]).
- `train`: signals, the seconds of earlier parts, and files in a checkpoint that hold more than tensors.
- `log`: nats per image and throughput, in the state, and so in checkpoints, too; `on_log` comes after it.
- `evaluate`: samples, and a throughput that leaves the evaluation out.

[`check_transformers`] looks for all of them when this module is imported.
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

# Methods with the arguments that are given to them here, and what goes wrong where Transformers does not have or call
# them: with a result, or with what is only shown.
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
    """Compare the methods that are overridden or called here with those of the installed Transformers.

    Raises:
        ImportError: for one that is missing, or takes other arguments, where a result would be wrong. A warning tells
            what is lost where that is only something to look at.
    """
    for owner, name, arguments, loss in (*_OF_RESULTS, *_OF_COMFORT):
        method = getattr(owner, name, None)
        if method is not None and set(arguments) <= inspect.signature(method).parameters.keys():
            continue
        missing = f"transformers {transformers.__version__} has no {owner.__name__}.{name}({', '.join(arguments)})"
        if (owner, name, arguments, loss) in _OF_RESULTS:
            raise ImportError(f"{missing}: {loss}. Training needs another version of transformers")
        logger.warning("%s; lost is: %s", missing, loss)


check_transformers()


def check_training_arguments(args: TrainingArguments) -> None:
    """Refuse, before anything is read or computed, what a [`MnistTrainer`] cannot do, with a `ValueError`."""
    for name, reason in (
        ("enable_jit_checkpoint", "SIGTERM saves a checkpoint without it"),
        ("save_on_each_node", "all machines save into one output_dir, which they have to share"),
    ):
        if getattr(args, name):
            raise ValueError(f"`{name}` must be false: {reason}")
    if args.label_smoothing_factor:
        raise ValueError(
            f"`label_smoothing_factor` must be 0, got {args.label_smoothing_factor}: losses are reported as they are, "
            "without smoothing"
        )
    if args.fp16 and args.device.type == "cpu":
        raise ValueError("`fp16` must be false on a CPU, got true; `bf16` works on CPUs and on newer GPUs")
    check_trackers(args.report_to or [])


class ResumedRun(TrainerCallback):
    """What a checkpoint does not decide: when this run logs, evaluates and saves, and the noise of new processes."""

    def __init__(self):
        self.checkpoint: Path | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        state.compute_steps(args, state.max_steps)

    def on_step_begin(self, args, state, control, **kwargs):
        checkpoint, self.checkpoint = self.checkpoint, None
        name = "rng_state.pth" if args.world_size == 1 else f"rng_state_{args.process_index}.pth"
        if checkpoint is not None and not (checkpoint / name).is_file():
            # Written by another number of processes: new noise, not that of the first steps again.
            set_seed(args.seed + state.global_step * args.world_size + args.process_index)


class MnistTrainer(Trainer):
    """A Trainer that loses nothing, whose logs say more, and which draws samples at every evaluation.

    A checkpoint is whole or not there, and holds no pickle; what PyTorch stores is read with `weights_only=True`, as
    the `Trainer` does. SIGTERM and Ctrl-C save one. Logs have the loss and the throughput as `quantities` name them;
    the state, and so checkpoints, and trackers get them too. Samples go to `samples/step-NNNNNN.png` in the output
    folder, and to TensorBoard and trackio.

    Args:
        model (`PreTrainedModel`): what is trained.
        args (`TrainingArguments`): that [`check_training_arguments`] has passed.
        recipe (`dict[str, Any]`): what [`collect_recipe`] gave; only a checkpoint of the same is gone on from.
        quantities (`Quantities`): what the logs say.
        draw_samples (`Callable[[PreTrainedModel], PIL.Image.Image]`, *optional*): draws what the model can do by now.
        kwargs: of the `Trainer`.
    """

    # with a length: those of the commands are data sets of `datasets`
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
        # Rows that are made when they are read have columns of their own; they must not be dropped by name.
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
        """Seconds of training, those of the parts before the checkpoint too."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def batch_size(self) -> int:
        """Rows of a step, of all processes together."""
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    @property
    def plain_model(self) -> PreTrainedModel:
        """The model without what accelerate and the compiler put around it."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    def train_from_last_checkpoint(self) -> None:
        """Train, from the checkpoint that was named, else the last whole one, and write `train_results.json`.

        Raises:
            ValueError: for a checkpoint that isn't whole or is of another training.
            SystemExit: if a signal ended the training, with 128 + its number.
        """
        result = self.train(resume_from_checkpoint=choose_checkpoint(self.args, self.recipe))
        exit_if_stopped(self, self.stop_on_signal.stopped_by)
        self.save_metrics("train", result.metrics)

    def evaluate_and_save(self) -> dict[str, float]:
        """Evaluate; the metrics are printed, and go to `eval_results.json`."""
        metrics = self.evaluate()
        self.log_metrics("eval", metrics)
        self.save_metrics("eval", metrics)
        return metrics

    # only this argument is read here
    def train(self, resume_from_checkpoint: str | None = None, **kwargs):  # type: ignore[override]
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
        # of training, that is: an evaluation has "eval_loss"
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
        # without a best step nothing waits for the other processes, one of which may have failed
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
            # a pickle, which would have to be loaded as one
            (written / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            self.state.save_to_json(str(written / TRAINER_STATE_NAME))
            publish_checkpoint(written, target, {"recipe": self.recipe, "train_seconds": self.train_seconds})

    @contextmanager
    def _failing_together(self, target: Path) -> Iterator[None]:
        """An error of one process is one of all: none waits for a process that has given up."""
        error = None
        try:
            yield
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
