# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What one sees of a training while it runs: a progress bar, samples, and what trackers get."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm
from transformers import GPT2LMHeadModel, LogitsProcessorList, ProgressCallback, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, get_reporting_integration_callbacks

from mnist_text_gen.drawing import draw_grid
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import MnistTextLogitsProcessor, build_generation_config, decode, read_class_names
from mnist_text_gen.tokenizer import DIGITS, MnistTextTokenizer

from .processes import output_dir_of


SAMPLES_FOLDER = "samples"
TENSORBOARD_FOLDER = "tensorboard"
_EXTRAS = ("tensorboard", "trackio")  # of this package


def check_trackers(report_to: Sequence[str]) -> None:
    """Raise a `ValueError` that says what to install for a tracker that Transformers does not know or cannot use."""
    for name, callback in zip(report_to, get_reporting_integration_callbacks(report_to), strict=True):
        try:
            callback()
        except (RuntimeError, ImportError) as error:
            how = f'pip install "mnist-text-gen[{name}]"' if name in _EXTRAS else error
            raise ValueError(f"report_to is {name!r}, which is not installed; {how}") from error


def name_run(args: TrainingArguments, callbacks: Sequence[TrainerCallback]) -> None:
    """Have trackers name a run after its output folder, so that one that goes on later goes on in the same place."""
    args.run_name = args.run_name or output_dir_of(args).resolve().name
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(output_dir_of(args) / TENSORBOARD_FOLDER)


def show_samples(image: Image.Image, output_dir: Path, step: int, callbacks: Sequence[TrainerCallback]) -> None:
    """Put a picture into `samples/step-NNNNNN.png` in the output folder, and into TensorBoard and trackio."""
    with staged_folder(output_dir) as folder:
        (folder / SAMPLES_FOLDER).mkdir()
        image.save(folder / SAMPLES_FOLDER / f"step-{step:06d}.png")
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback):
            callback.tb_writer.add_image("samples", np.asarray(image), step, dataformats="HW")
            callback.tb_writer.flush()
        elif isinstance(callback, TrackioCallback):
            import trackio

            trackio.log({"samples": trackio.Image(image), "train/global_step": step})


class ThroughputMeter(TrainerCallback):
    """Counts rows and seconds of training; evaluations, samples and saved checkpoints take none of its time."""

    def __init__(self):
        self.num_rows, self.seconds, self.last = 0, 0.0, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.num_rows, self.seconds, self.last = 0, 0.0, None

    def on_step_begin(self, args, state, control, **kwargs):
        # not from the beginning: a resumed run first passes over the rows that it has had
        if self.last is None:
            self.restart()

    def on_step_end(self, args, state, control, **kwargs):
        self._count_seconds()
        self.num_rows += args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        # so that the last figure is about the last steps, and there is one however short a run is
        if state.global_step >= state.max_steps and args.logging_strategy != "no":
            control.should_log = True

    def on_save(self, args, state, control, **kwargs):
        self.restart()

    def restart(self) -> None:
        """Leave out what has passed since the last step."""
        self.last = time.perf_counter()

    def read(self) -> float:
        """Rows a second since the last reading."""
        # the loss is known by now, so that a device has done what it was given
        self._count_seconds()
        rows_per_second = self.num_rows / self.seconds
        self.num_rows, self.seconds = 0, 0.0
        return rows_per_second

    def _count_seconds(self) -> None:
        assert self.last is not None  # a step has begun
        now = time.perf_counter()
        self.seconds += now - self.last
        self.last = now


class TrainingProgressCallback(ProgressCallback):
    """A bar with the last figures behind it; where stderr is no terminal, one line per log.

    Args:
        formats (`dict[str, str]`): names in the logs, to how they are shown, in order.
    """

    def __init__(self, formats: dict[str, str]):
        super().__init__()
        self.formats = formats
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        # a resumed run has its first steps behind it
        self.current_step = state.global_step
        if state.is_world_process_zero:
            self.training_bar = tqdm(
                total=state.max_steps, initial=state.global_step, dynamic_ncols=True, disable=not sys.stderr.isatty()
            )

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if sys.stderr.isatty():
            super().on_prediction_step(args, state, control, eval_dataloader, **kwargs)

    def on_log(self, args, state, control, logs=None, **kwargs):
        news = {name: text.format(logs[name]) for name, text in self.formats.items() if name in logs}
        if not news or self.training_bar is None:
            return
        self.shown |= news
        figures = ", ".join(self.shown[name] for name in self.formats if name in self.shown)
        if self.training_bar.disable:
            print(f"step {state.global_step:,} of {state.max_steps:,}: {figures}", flush=True)
        else:
            self.training_bar.set_postfix_str(figures)


def draw_digits(model: GPT2LMHeadModel, tokenizer: MnistTextTokenizer) -> Image.Image:
    """Draw one raw sample a class of the model at temperature 0.8, with the same noise each time, to be compared.

    The global random state is neither read nor changed: a run with pictures trains as one without.

    Raises:
        ValueError: where the weights give no finite scores.
    """
    class_names = read_class_names(model.config) or DIGITS
    prompts = torch.tensor(tokenizer.class_ids[: len(class_names)], device=model.device)[:, None]
    was_training = model.training
    model.eval()
    try:
        # annotated for a class that is there for checkers only, and for all kinds of results
        ids: torch.Tensor = model.generate(  # type: ignore[misc, assignment]
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=build_generation_config(tokenizer),
            logits_processor=LogitsProcessorList([MnistTextLogitsProcessor(tokenizer)]),
            custom_generate=decode,
            seeds=range(len(prompts)),
        )
    finally:
        model.train(was_training)
    images = tokenizer.decode_images(tokenizer.batch_decode(ids))
    return draw_grid([Image.fromarray(image * np.uint8(255)) for image in images], class_names, num_columns=5)
