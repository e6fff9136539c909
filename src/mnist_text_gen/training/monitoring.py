# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Progress bar, throughput, samples and trackers of a training."""

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
            raise ValueError(f"`report_to` must be trackers that are installed, got {name!r}; {how}") from error


def name_run(args: TrainingArguments, callbacks: Sequence[TrainerCallback]) -> None:
    """Name a run in trackers after its output folder, so that a resumed run continues the same record."""
    args.run_name = args.run_name or output_dir_of(args).resolve().name
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(output_dir_of(args) / TENSORBOARD_FOLDER)


def show_samples(image: Image.Image, output_dir: Path, step: int, callbacks: Sequence[TrainerCallback]) -> None:
    """Save a picture as `samples/step-NNNNNN.png` in the output folder, and add it to TensorBoard and trackio."""
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
    """Counts rows and seconds of training, without the time of evaluations, samples and checkpoints."""

    def __init__(self):
        self.num_rows, self.seconds, self.last = 0, 0.0, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.num_rows, self.seconds, self.last = 0, 0.0, None

    def on_step_begin(self, args, state, control, **kwargs):
        # time starts here, because a resumed run first skips the rows that it has already seen
        if self.last is None:
            self.restart()

    def on_step_end(self, args, state, control, **kwargs):
        self._count_seconds()
        self.num_rows += args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        # log at the end, so that even a short run has a figure, and the last one is about the last steps
        if state.global_step >= state.max_steps and args.logging_strategy != "no":
            control.should_log = True

    def on_save(self, args, state, control, **kwargs):
        self.restart()

    def restart(self) -> None:
        """Do not count the time since the last step."""
        self.last = time.perf_counter()

    def read(self) -> float:
        """Rows per second since the last reading. The loss is known by now, so a device has finished its work."""
        self._count_seconds()
        rows_per_second = self.num_rows / self.seconds
        self.num_rows, self.seconds = 0, 0.0
        return rows_per_second

    def _count_seconds(self) -> None:
        assert self.last is not None
        now = time.perf_counter()
        self.seconds += now - self.last
        self.last = now


class TrainingProgressCallback(ProgressCallback):
    """A progress bar with the latest figures, or one line per log if stderr is not a terminal.

    Args:
        formats (`dict[str, str]`): maps names in the logs to their formats, in the order of the bar.
    """

    def __init__(self, formats: dict[str, str]):
        super().__init__()
        self.formats = formats
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args, state, control, **kwargs):
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
    """Draw one raw sample per class at temperature 0.8, with the same noise each time, so that pictures compare.

    The global random state is neither read nor changed, so pictures do not influence the training.

    Raises:
        ValueError: if the model gives no finite scores.
    """
    class_names = read_class_names(model.config) or DIGITS
    prompts = torch.tensor(tokenizer.class_ids[: len(class_names)], device=model.device)[:, None]
    was_training = model.training
    model.eval()
    try:
        # annotated for another class, and for all kinds of results
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
