# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Tokens per second and memory of training: `python benchmarks/train_speed.py --source ../shared/mnist`.

Compares, in turn in one process, the stock `Trainer` on the specification's recipe (fp32, `gelu_new`, Adam, batch 128,
sliding windows) and `train_hf.py` on ours, each with the arguments, the batch size among them, of its file in
`recipes/`. A round of either is a training of a few steps after a first one that warms up; the rows are made in that
time too, for a step waits for them. Then come medians of several rounds, and the memory that training adds to a
process.

On a CPU the seconds are those of all threads together, divided by the number of threads, so that other work on the
machine does not count; on an accelerator they are the clock's. What the clock says stands beside them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from generation import fresh_process, peak_memory, show_table
from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator, set_seed
from transformers.utils import logging

from mnist_text_gen.commands import train_hf
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.tokenizer import TEXT_LENGTH, MnistTextTokenizer


PROG = "train_speed.py"
RECIPES = Path(__file__).parent.parent / "recipes"
STOCK = "stock Trainer, specification"
OURS = "ours"
# Nothing but training: no evaluation, no checkpoints, no reports.
QUIET = [
    *("--do_eval", "false", "--eval_strategy", "no", "--save_strategy", "no", "--report_to", "none"),
    *("--logging_strategy", "no", "--disable_tqdm", "true"),
]


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, measure, argv)


def measure(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="images; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--recipe", type=Path, default=RECIPES / "fast.yaml", help="ours")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round that count")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory_of", choices=[STOCK, OURS], help="only train once and print what memory it adds")
    add_options_argument(parser)
    args = parser.parse_args(argv)
    for name in ("steps", "rounds"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name} is {getattr(args, name)}; allowed is 1 or more")
    logging.set_verbosity_error()
    options = ["--dataset_name", args.source, *args.options]
    if args.memory_of:
        print(train(args.memory_of, args.recipe, args.steps, options).added_memory)
        return
    compare(args.recipe, args.steps, args.rounds, options)
    show_memory(args)


def add_options_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--options", nargs=argparse.REMAINDER, default=[], help="all behind it overrides the recipes of both sides"
    )


class Clock:
    """Seconds that count, and those of the wall, since it was made; both stand still while it is paused.

    On a CPU, processor seconds of this process divided by its threads; elsewhere those of the wall.
    """

    def __init__(self, device: torch.device):
        self.device, self.paused = device, False
        self.before = (0.0, 0.0)
        self.start = self._now()

    def read(self) -> tuple[float, float]:
        return self.before if self.paused else self._add()

    def pause(self) -> None:
        self.before, self.paused = self.read(), True

    def resume(self) -> None:
        if self.paused:
            self.start, self.paused = self._now(), False

    def _add(self) -> tuple[float, float]:
        return tuple(
            before + now - start for before, now, start in zip(self.before, self._now(), self.start, strict=True)
        )

    def _now(self) -> tuple[float, float]:
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
            return time.perf_counter(), time.perf_counter()
        return time.process_time() / torch.get_num_threads(), time.perf_counter()


def describe_clock(device: torch.device) -> str:
    if device.type == "cpu":
        number = torch.get_num_threads()
        return "processor seconds" if number == 1 else f"processor seconds of {number} threads / {number}"
    return f"seconds of the wall on {torch.get_device_module(device).get_device_name(device)}"


def check_workers(args: TrainingArguments) -> None:
    if args.device.type == "cpu" and args.dataloader_num_workers:
        raise ValueError(
            f"dataloader_num_workers is {args.dataloader_num_workers}; allowed is 0 on a CPU, where the seconds of "
            "other processes would not be counted"
        )


class StepTimes(TrainerCallback):
    """Stops a training after `1 + num_steps` steps, and keeps what all but the first took."""

    def __init__(self, num_steps: int):
        self.num_steps = num_steps
        self.readings = []

    def on_train_begin(self, args, state, control, **kwargs):
        check_workers(args)
        self.training_args, self.num_recipe_steps = args, state.max_steps
        reset_peak_memory(args.device)
        self.memory_before = peak_memory_of(args.device)
        self.clock = Clock(args.device)
        self.batch_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size

    def on_step_end(self, args, state, control, **kwargs):
        self.readings.append(self.clock.read())
        control.should_training_stop = len(self.readings) > self.num_steps

    def on_train_end(self, args, state, control, **kwargs):
        self.added_memory = peak_memory_of(args.device) - self.memory_before

    @property
    def step_seconds(self) -> tuple[float, float]:
        """Seconds of a step that count, and those of the wall."""
        first, last = self.readings[0], self.readings[-1]
        return tuple((end - start) / (len(self.readings) - 1) for start, end in zip(first, last, strict=True))


def reset_peak_memory(device: torch.device) -> None:
    """To what is taken now: reading the corpus may have taken more than training does."""
    if device.type == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    else:
        torch.get_device_module(device).reset_peak_memory_stats(device)


def peak_memory_of(device: torch.device) -> int:
    """MiB of the process on a CPU, of the device elsewhere."""
    if device.type == "cpu":
        return peak_memory()
    return torch.get_device_module(device).max_memory_allocated(device) // 2**20


def train(way: str, recipe: Path, num_steps: int, options: Sequence[str]) -> StepTimes:
    times = StepTimes(num_steps)
    with tempfile.TemporaryDirectory() as folder:
        options = [*QUIET, *options, "--output_dir", folder]
        if way == STOCK:
            stock_trainer([str(RECIPES / "specification.yaml"), *options], times).train()
        else:
            train_hf.train([str(recipe), *options], callbacks=[times])
    return times


def stock_trainer(argv: Sequence[str], callback: TrainerCallback) -> Trainer:
    """Transformers' own classes alone around a recipe's corpus, model and optimizer."""
    arguments = parse_arguments(train_hf.ARGUMENTS, argv, train_hf.PROG, "")
    model_args, data_args, optimizer_args, _, training_args = arguments
    set_seed(training_args.seed)
    training_args.remove_unused_columns = False  # the windows are cut when they are read
    tokenizer = MnistTextTokenizer()
    corpus = train_hf.build_corpus(data_args, data_args.load_images(), tokenizer, training_args.seed)
    model = train_hf.build_model(model_args, tokenizer)
    return Trainer(
        model=model,
        args=training_args,
        train_dataset=corpus["train"],
        data_collator=default_data_collator,
        optimizers=(train_hf.build_optimizer(model, optimizer_args, training_args), None),
        callbacks=[callback],
    )


def compare(recipe: Path, num_steps: int, rounds: int, options: Sequence[str]) -> None:
    found = {way: [] for way in (STOCK, OURS)}
    for _ in range(rounds):
        for way, results in found.items():
            results.append(train(way, recipe, num_steps, options))
    speeds = {way: [tokens_per_second(times) for times in results] for way, results in found.items()}
    medians = {
        way: [statistics.median(values) for values in zip(*pairs, strict=True)] for way, pairs in speeds.items()
    }
    rows = [
        [
            way,
            str(found[way][0].batch_size),
            f"{medians[way][0]:,.0f}",
            f"{min(counted for counted, _ in pairs):,.0f}",
            f"{max(counted for counted, _ in pairs):,.0f}",
            f"{medians[way][0] / medians[STOCK][0]:.2f}",
            f"{medians[way][1]:,.0f}",
        ]
        for way, pairs in speeds.items()
    ]
    device = found[OURS][0].training_args.device
    print(f"{rounds} rounds of {num_steps} steps; seconds: {describe_clock(device)}")
    head = ["training", "batch size", "median tokens/s", "min", "max", "times as fast as stock", "by the wall's clock"]
    show_table(head, rows)


def tokens_per_second(times: StepTimes) -> tuple[float, float]:
    return tuple(times.batch_size * TEXT_LENGTH / seconds for seconds in times.step_seconds)


def show_memory(args: argparse.Namespace) -> None:
    """Each in a process of its own."""
    choices = ["--source", args.source, "--recipe", str(args.recipe), "--steps", str(args.steps)]
    choices += ["--options", *args.options]
    rows = [[way, fresh_process(__file__, "--memory_of", way, *choices).split()[-1]] for way in (STOCK, OURS)]
    print("\nmemory that training adds to what model and corpus take, at its peak")
    show_table(["training", "MiB"], rows)


if __name__ == "__main__":
    main()
