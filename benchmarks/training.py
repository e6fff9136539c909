# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How fast does training learn? `python benchmarks/training.py speed --source MNIST`

- `speed`: tokens per second and memory of the stock `Trainer` with `recipes/specification.yaml`, and of `train_hf.py`
  with our recipe. They take turns. Each round is a short training whose first step does not count.
- `nats`: nats per image of test images by seconds of training, for both recipes. The specification's recipe has a
  constant rate, so it is trained once for `--minutes` and measured at `--marks`. Ours lowers its rate towards the end,
  so each of the `--shares` of that time is a separate training, with warm-up and decay shortened in proportion.
  `--output_dir` gets one JSON file per training, rewritten at each point, and the plot. Those there stay.
- `search`: nats per image after a training on `--texts` texts, with one change to the recipe at a time. `--results`
  keeps the rows, and trials there are not repeated.

Seconds include training and making its rows, but not measuring. On a CPU they are processor seconds of all threads
divided by the number of threads, so that other work on the machine does not count; on an accelerator, wall-clock time.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure
from sampling import fresh_process, peak_memory, show_table
from transformers import Trainer, TrainerCallback, default_data_collator, set_seed
from transformers.utils import logging

from mnist_text_gen.commands import train_hf
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.data import identify_source
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.tokenizer import TEXT_LENGTH, MnistTextTokenizer
from mnist_text_gen.training.optimizer import build_optimizer


PROG = "training.py"
RECIPES = Path(__file__).parent.parent / "recipes"
SPECIFICATION_RECIPE = RECIPES / "specification.yaml"
STOCK, OURS = "stock Trainer, specification", "ours"
SPECIFICATION, FAST = "specification", "fast"
# Nothing but training: no evaluation, no checkpoints, no reports.
QUIET = [
    *("--do_eval", "false", "--eval_strategy", "no", "--save_strategy", "no", "--report_to", "none"),
    *("--logging_strategy", "no", "--disable_tqdm", "true"),
]
MEASURED_STEPS = 8  # to find out how many steps fit into a time
CONSTANT = {"lr_scheduler_type": "constant_with_warmup", "lr_scheduler_kwargs": "{}"}
ADAM = {"optimizer": "adam", "adam_beta2": 0.999}
# Options of `train_hf.py` by the name of the trial.
TRIALS = {
    "the recipe": {},
    "initialisation: GPT-2's": {"initialization": "gpt2"},
    "Adam, 1e-4, constant (the specification's)": ADAM | CONSTANT | {"learning_rate": 1e-4, "warmup_steps": 0},
    "Adam, 1e-3": ADAM | {"learning_rate": 1e-3},
    "Adam, 2e-3": ADAM | {"learning_rate": 2e-3},
    "Muon, half the rate": {"muon_learning_rate": 2e-3},
    "Muon, twice the rate": {"muon_learning_rate": 8e-3},
    "Adam for the rest, twice the rate": {"learning_rate": 4e-3},
    "no cooldown": CONSTANT,
    "batch 16": {"per_device_train_batch_size": 16},
    "batch 64": {"per_device_train_batch_size": 64},
    "dropout 0.1": {"dropout": 0.1},
    "label smoothing 0.01": {"label_smoothing_factor": 0.01},
    "no distortions": {"augmentation": 0},
}


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str] | None) -> None:
    args = parse(argv)
    logging.set_verbosity_error()
    args.measure(args)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--source", required=True, help="MNIST; see mnist_text_gen.data.load_images")
    common.add_argument("--recipe", type=Path, default=RECIPES / "fast.yaml", help="our recipe")
    common.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="all that follows overrides recipes")
    parser = argparse.ArgumentParser(PROG, None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    speed = commands.add_parser("speed", parents=[common], help="tokens per second and memory")
    speed.set_defaults(measure=measure_speed)
    speed.add_argument("--steps", type=int, default=4, help="steps of a round that count")
    speed.add_argument("--rounds", type=int, default=5, help="rounds; the table shows their median")
    speed.add_argument("--memory_of", choices=[STOCK, OURS], help="only train once and print the added memory in MiB")
    nats = commands.add_parser("nats", parents=[common], help="nats per image against seconds")
    nats.set_defaults(measure=measure_nats)
    nats.add_argument("--minutes", type=float, default=30, help="of training with the specification's recipe")
    shares = [1 / 40, 1 / 20, 1 / 10, 1 / 4]
    nats.add_argument("--shares", nargs="+", type=float, default=shares, help="shares of the minutes that ours gets")
    marks = [0.5, 1, 2, 4, 8, 15, 30, 60, 120, 240]
    nats.add_argument("--marks", nargs="*", type=float, default=marks, help="minutes at which it is measured")
    nats.add_argument("--num_eval_samples", type=int, default=1000, help="number of first test images")
    nats.add_argument("--output_dir", type=Path, required=True, help="folder of the points and the plot")
    search = commands.add_parser("search", parents=[common], help="one change to the recipe at a time")
    search.set_defaults(measure=measure_trials)
    search.add_argument("--texts", type=int, default=3_840, help="number of texts that a trial trains on")
    search.add_argument("--num_eval_samples", type=int, default=1000, help="number of first test images")
    search.add_argument("--trials", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="NAME", help="only these")
    search.add_argument("--results", type=Path, default="runs/recipe_search.jsonl", help="file that keeps the rows")
    args = parser.parse_args(argv)
    for name in ("steps", "rounds", "minutes", "shares", "marks"):
        value = getattr(args, name, 1)
        if not all(0 < part < float("inf") for part in (value if isinstance(value, list) else [value])):
            raise ValueError(f"`{name}` must be finite and more than 0, got {value}")
    return args


class Clock:
    """Counts seconds since it was created, except while it is paused."""

    def __init__(self, device: torch.device):
        self.device, self.before, self.paused = device, 0.0, False
        self.start = self._now()

    def read(self) -> float:
        return self.before if self.paused else self.before + self._now() - self.start

    def pause(self) -> None:
        self.before, self.paused = self.read(), True

    def resume(self) -> None:
        if self.paused:
            self.start, self.paused = self._now(), False

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time() / torch.get_num_threads()
        torch.get_device_module(self.device).synchronize()
        return time.perf_counter()


def describe_clock(device: torch.device) -> str:
    number = torch.get_num_threads()
    if device.type == "cpu":
        return "processor seconds" if number == 1 else f"processor seconds of {number} threads / {number}"
    return f"wall-clock seconds on {torch.get_device_module(device).get_device_name(device)}"


class TimedCallback(TrainerCallback):
    """A clock that runs while a training does."""

    def on_train_begin(self, args, state, control, **kwargs):
        if args.device.type == "cpu" and args.dataloader_num_workers:
            found = f"got {args.dataloader_num_workers}: the seconds of other processes would not be counted"
            raise ValueError(f"`dataloader_num_workers` must be 0 on a CPU, {found}")
        self.training_args, self.num_recipe_steps = args, state.max_steps
        self.batch_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.clock = Clock(args.device)

    def on_train_end(self, args, state, control, **kwargs):
        self.clock.pause()


class StepTimes(TimedCallback):
    """Stops a training after `1 + num_steps` steps, and measures the time of all steps but the first."""

    def __init__(self, num_steps: int):
        self.num_steps, self.readings = num_steps, []

    def on_train_begin(self, args, state, control, **kwargs):
        # reading the corpus may have taken more memory than training does
        if args.device.type == "cpu":
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
        else:
            torch.get_device_module(args.device).reset_peak_memory_stats(args.device)
        self.memory_before = peak_memory_of(args.device)
        super().on_train_begin(args, state, control)

    def on_step_end(self, args, state, control, **kwargs):
        self.readings.append(self.clock.read())
        control.should_training_stop = len(self.readings) > self.num_steps

    def on_train_end(self, args, state, control, **kwargs):
        self.added_memory = peak_memory_of(args.device) - self.memory_before

    @property
    def step_seconds(self) -> float:
        return (self.readings[-1] - self.readings[0]) / (len(self.readings) - 1)


def peak_memory_of(device: torch.device) -> int:
    """Peak memory in MiB, of the process on a CPU, and of the device elsewhere."""
    if device.type == "cpu":
        return peak_memory()
    return torch.get_device_module(device).max_memory_allocated(device) // 2**20


def measure_speed(args: argparse.Namespace) -> None:
    if args.memory_of:
        print(train_steps(args.memory_of, args, args.steps).added_memory)
        return
    found = {way: [] for way in (STOCK, OURS)}
    for _ in range(args.rounds):
        for way, results in found.items():
            results.append(train_steps(way, args, args.steps))
    speeds = {way: [t.batch_size * TEXT_LENGTH / t.step_seconds for t in times] for way, times in found.items()}
    rows = []
    for way, values in speeds.items():
        median, of_stock = statistics.median(values), statistics.median(speeds[STOCK])
        figures = [f"{value:,.0f}" for value in (median, min(values), max(values))]
        rows.append([way, str(found[way][0].batch_size), *figures, f"{median / of_stock:.2f}"])
    print(f"{args.rounds} rounds of {args.steps} steps; {describe_clock(found[OURS][0].training_args.device)}")
    show_table(["training", "batch size", "median tokens/s", "min", "max", "times as fast as stock"], rows)
    show_memory(args)


def train_steps(way: str, args: argparse.Namespace, num_steps: int) -> StepTimes:
    times = StepTimes(num_steps)
    with tempfile.TemporaryDirectory() as folder:
        options = [*QUIET, "--dataset_name", args.source, *args.options, "--output_dir", folder]
        if way == STOCK:
            build_stock_trainer([str(SPECIFICATION_RECIPE), *options], times).train()
        else:
            train_hf.train([str(args.recipe), *options], callbacks=[times])
    return times


def build_stock_trainer(argv: Sequence[str], callback: TrainerCallback) -> Trainer:
    """A `Trainer` of Transformers with a recipe's corpus, model and optimizer."""
    model_args, data_args, optimizer_args, _, training_args = parse_arguments(train_hf.ARGUMENTS, argv, PROG, "")
    set_seed(training_args.seed)
    training_args.remove_unused_columns = False  # the windows are cut when they are read
    tokenizer = MnistTextTokenizer()
    corpus = train_hf.build_corpus(data_args, data_args.load_images(), tokenizer, training_args.seed)
    model = train_hf.build_model(model_args, tokenizer)
    optimizers = (build_optimizer(model, optimizer_args, training_args), None)
    how = {"data_collator": default_data_collator, "callbacks": [callback], "optimizers": optimizers}
    return Trainer(model, training_args, train_dataset=corpus["train"], **how)


def show_memory(args: argparse.Namespace) -> None:
    choices = ["--source", args.source, "--recipe", str(args.recipe), "--steps", str(args.steps)]
    choices += ["--options", *args.options]
    rows = [[way, fresh_process(__file__, "speed", "--memory_of", way, *choices).split()[-1]] for way in (STOCK, OURS)]
    print("\nmemory that training adds to what model and corpus take, at its peak")
    show_table(["training", "MiB"], rows)


def measure_nats(args: argparse.Namespace) -> None:
    check_output_folder(args.output_dir)
    test = {"dataset": identify_source(args.source), "num_eval_samples": args.num_eval_samples}
    for path in args.output_dir.glob("*.json"):
        check_settings(path, test)
    budgets = {SPECIFICATION: 60 * args.minutes}
    budgets |= {f"{FAST}-{share:g}": 60 * args.minutes * share for share in sorted(args.shares)}
    for name, budget in budgets.items():
        recipe = SPECIFICATION_RECIPE if name == SPECIFICATION else args.recipe
        content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        settings = test | {"budget_seconds": budget, "options": args.options, "recipe": content}
        path = args.output_dir / f"{name}.json"
        if not path.exists() or not check_settings(path, settings)["finished"]:
            measure_run(args, name, recipe, settings)
    runs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in args.output_dir.glob("*.json")}
    # the specification's, then ours by budget
    runs = dict(sorted(runs.items(), key=lambda item: (item[0] != SPECIFICATION, item[1]["budget_seconds"])))
    show_points(runs)
    plot(runs, args.output_dir, args.num_eval_samples)


def measure_run(args: argparse.Namespace, name: str, recipe: Path, settings: dict[str, Any]) -> None:
    budget = settings["budget_seconds"]
    if name == SPECIFICATION:
        marks, options = sorted({60 * mark for mark in args.marks if 60 * mark < budget} | {budget}), []
    else:
        # timed with the recipe's own number of steps, which `num_recipe_steps` then has
        step = train_steps(OURS, args, MEASURED_STEPS)
        marks, options = [], ["--do_eval", "true", *fit_schedule(step, max(1, int(budget / step.step_seconds)))]
    points = Points(lambda found: write_run(args.output_dir, name, settings | found), marks)
    with tempfile.TemporaryDirectory() as folder:
        places = ["--dataset_name", args.source, "--num_eval_samples", str(args.num_eval_samples)]
        argv = [str(recipe), *QUIET, *places, *args.options, *options, "--output_dir", folder]
        train_hf.train(argv, callbacks=[points])
    points.finish()


def fit_schedule(step: StepTimes, num_steps: int) -> list[str]:
    """Options that shorten a recipe to `num_steps`, with warm-up and decay in proportion."""
    scale = num_steps / step.num_recipe_steps
    options = ["--max_steps", str(num_steps)]
    warmup = step.training_args.warmup_steps
    if warmup >= 1:  # below 1 it is a share of the steps already
        options += ["--warmup_steps", str(int(warmup * scale))]
    schedule = step.training_args.lr_scheduler_kwargs
    if schedule:
        fitted = {key: int(value * scale) if key.endswith("_steps") else value for key, value in schedule.items()}
        options += ["--lr_scheduler_kwargs", json.dumps(fitted)]
    return options


class Points(TimedCallback):
    """Measures a training at `marks`, seconds in ascending order, and stops it at the last of them. `write` is called
    with all results at each point."""

    def __init__(self, write: Callable[[dict[str, Any]], None], marks: Sequence[float]):
        self.write, self.marks, self.run = write, list(marks), {"finished": False, "points": []}

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control)
        self.run |= {"clock": describe_clock(args.device), "num_steps": state.max_steps}

    def on_step_begin(self, args, state, control, **kwargs):
        # here and not right after measuring, because an evaluation may trigger more work
        self.clock.resume()

    def on_step_end(self, args, state, control, **kwargs):
        if not self.marks or self.clock.read() < self.marks[0]:
            return
        self.clock.pause()
        while self.marks and self.clock.read() >= self.marks[0]:
            self.marks.pop(0)
        control.should_evaluate = True
        control.should_training_stop = not self.marks

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        tokens = state.global_step * self.batch_size * TEXT_LENGTH
        point = {"seconds": self.clock.read(), "steps": state.global_step, "tokens": tokens}
        self.run["points"].append(point | {"nats_per_image": metrics["eval_nats_per_image"]})
        self.write(self.run)

    def finish(self) -> None:
        if self.marks or not self.run["points"]:
            raise ValueError(f"`minutes` must be within the recipe, which ended after {self.clock.read():.0f} s")
        self.write(self.run | {"finished": True})


def check_settings(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The training in `path`, which must have these settings."""
    run = json.loads(path.read_text(encoding="utf-8"))
    for name, value in settings.items():
        if run[name] != value:
            found = f"`{name}` must be {run[name]}, as in {path}, got {value}"
            raise ValueError(f"{found}; remove the file, or choose another `output_dir`")
    return run


def write_run(folder: Path, name: str, run: dict[str, Any]) -> None:
    with staged_folder(folder) as staging:
        (staging / f"{name}.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    if not run["finished"]:  # with each new point, and once more at the end
        point = run["points"][-1]
        print(f"{name}: {point['nats_per_image']:.2f} nats after {point['seconds']:.0f} s", flush=True)


def show_points(runs: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, *(f"{point[key]:,.0f}" for key in ("seconds", "steps", "tokens")), f"{point['nats_per_image']:.2f}"]
        for name, run in runs.items()
        for point in run["points"]
    ]
    print("\n" + "; ".join(sorted({run["clock"] for run in runs.values()})))
    show_table(["training", "seconds", "steps", "tokens", "nats per image"], rows)


def plot(runs: dict[str, dict[str, Any]], folder: Path, num_images: int) -> None:
    specification, *ours = (run["points"] for run in runs.values())
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    # lines differ in style and marker, so that the plot can be read in grey
    for points, style, color, label in (
        (specification, "o-", "black", "the specification's recipe"),
        ([points[-1] for points in ours], "s--", "tab:blue", "ours, one training per point"),
    ):
        seconds, nats = ([point[key] for point in points] for key in ("seconds", "nats_per_image"))
        axes.plot(seconds, nats, style, color=color, label=label)
    axes.set(xscale="log", xlabel="seconds of training", ylabel=f"nats per image, {num_images:,} test images")
    axes.grid(alpha=0.3)
    axes.legend()
    with staged_folder(folder) as staging:
        figure.savefig(staging / "time_to_nats.png", dpi=150)


def measure_trials(args: argparse.Namespace) -> None:
    found = {}
    if args.results.exists():
        lines = args.results.read_text(encoding="utf-8").splitlines()
        found = {row.pop("name"): row for row in map(json.loads, lines)}
    for name in args.trials:
        if name not in found:
            found[name] = run_trial(args, TRIALS[name])
            args.results.parent.mkdir(parents=True, exist_ok=True)
            with args.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name} | found[name]) + "\n")
    rows = [[name, f"{r['nats']:.1f}", str(r["steps"]), f"{r['seconds']:.0f}"] for name, r in found.items()]
    print(f"\nnats per image after {args.texts:,} texts, on {args.num_eval_samples:,} test images")
    show_table(["changed", "nats", "steps", "seconds"], rows)


def run_trial(args: argparse.Namespace, trial: dict[str, Any]) -> dict[str, Any]:
    """Train and measure; seconds are those of the training without the evaluation."""
    num_steps = args.texts // trial.get("per_device_train_batch_size", 32)
    schedule = {"num_decay_steps": round(0.6 * num_steps), "decay_type": "linear", "min_lr_ratio": 0.0}
    options = {"max_steps": num_steps, "warmup_steps": round(0.05 * num_steps), "num_plain_epochs": 0}
    options |= {"lr_scheduler_kwargs": json.dumps(schedule), **trial}
    options |= {"dataset_name": args.source, "num_eval_samples": args.num_eval_samples, "do_eval": "true"}
    argv = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    timed = TimedCallback()
    with tempfile.TemporaryDirectory() as folder:
        argv = [str(args.recipe), *QUIET, *argv, *args.options, "--output_dir", folder]
        train_hf.train(argv, callbacks=[timed])
        found = json.loads(Path(folder, "eval_results.json").read_text())
    return {"nats": found["eval_nats_per_image"], "steps": num_steps, "seconds": timed.clock.read()}


if __name__ == "__main__":
    main()
