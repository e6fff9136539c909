# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Test nats an image against seconds of training, the specification's recipe and ours:
`python benchmarks/time_to_nats.py --source ../shared/mnist --minutes 30 --output_dir docs/time_to_nats`.

Both are trained by `train_hf.py` with the arguments of their files in `recipes/`, and measured by it on the same first
test images, each in the precision in which it trains. The specification's recipe, whose rate is constant, is trained
once for `--minutes`, and measured at growing intervals. Ours cools its rate down to the end, so that what it gives
after t seconds is a training of its own: for each of `--shares` of the minutes one from the start, with as many steps
as fit, by a step that was timed, and with warm-up and decay shortened alike.

Seconds are those of training alone, with the making of its rows, and without measuring. On a CPU they are those of all
threads together, divided by the number of threads, so that other work on the machine does not count; on an accelerator
they are the clock's.

The folder gets a JSON file a training, written anew with each point, and the plot. Started again, trainings that are
whole there are not done again; `--only` does a part, also at the same time as another process does the other part.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from generation import show_table
from matplotlib.figure import Figure
from train_speed import OURS, QUIET, RECIPES, Clock, StepTimes, add_options_argument, check_workers, describe_clock
from train_speed import train as train_steps
from transformers import TrainerCallback
from transformers.utils import logging

from mnist_text_gen.commands import train_hf
from mnist_text_gen.commands.arguments import run_command
from mnist_text_gen.corpus import identify_source
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.tokenizer import TEXT_LENGTH


PROG = "time_to_nats.py"
SPECIFICATION = "specification"
FAST = "fast"
PLOT_FILE = "time_to_nats.png"
# Minutes of the specification's recipe at which it is measured, and at the end.
MARKS = (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 240)
MEASURED_STEPS = 8


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, measure, argv)


def measure(argv: Sequence[str]) -> None:
    args = parse(argv)
    logging.set_verbosity_error()
    check_output_folder(args.output_dir)
    for path in args.output_dir.glob("*.json"):
        check_settings(path, describe_test(args))
    if args.only != FAST:
        measure_specification(args)
    if args.only != SPECIFICATION:
        for share in sorted(args.shares):
            measure_fast(args, share)
    runs = read_runs(args.output_dir)
    show_points(runs)
    show_ratio(runs)
    plot(runs, args.output_dir, args.num_eval_samples)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="images; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--minutes", type=float, default=30, help="of training by the specification's recipe")
    parser.add_argument(
        "--shares", nargs="+", type=float, default=[1 / 40, 1 / 20, 1 / 10, 1 / 4], help="of them ours gets"
    )
    parser.add_argument("--marks", nargs="*", type=float, default=list(MARKS), help="minutes at which it is measured")
    parser.add_argument("--recipe", type=Path, default=RECIPES / "fast.yaml", help="ours")
    parser.add_argument("--num_eval_samples", type=int, default=1000, help="the first test images")
    parser.add_argument("--only", choices=[SPECIFICATION, FAST])
    parser.add_argument("--output_dir", type=Path, required=True)
    add_options_argument(parser)
    args = parser.parse_args(argv)
    for name in ("minutes", "shares", "marks"):
        value = getattr(args, name)
        if not all(0 < part < float("inf") for part in (value if isinstance(value, list) else [value])):
            raise ValueError(f"{name} is {value}; allowed is more than 0, and finite")
    return args


def measure_specification(args: argparse.Namespace) -> None:
    recipe, name = RECIPES / "specification.yaml", SPECIFICATION
    settings = describe_settings(args, recipe, 60 * args.minutes)
    if is_measured(args.output_dir, name, settings):
        return
    seconds = sorted({60 * mark for mark in args.marks if mark < args.minutes} | {60 * args.minutes})
    points = Points(lambda run: write_run(args.output_dir, name, settings | run), seconds)
    train(args, recipe, ["--do_eval", "false"], points)
    points.finish()


def measure_fast(args: argparse.Namespace, share: float) -> None:
    name, budget = f"{FAST}-{share:g}", 60 * args.minutes * share
    settings = describe_settings(args, args.recipe, budget)
    if is_measured(args.output_dir, name, settings):
        return
    # with the recipe's own number of steps, so that it tells what that is
    step = train_steps(OURS, args.recipe, MEASURED_STEPS, ["--dataset_name", args.source, *args.options])
    num_steps = max(1, int(budget / step.step_seconds[0]))
    points = Points(lambda run: write_run(args.output_dir, name, settings | run))
    train(args, args.recipe, ["--do_eval", "true", *fit_schedule(step, num_steps)], points)
    points.finish()


def train(args: argparse.Namespace, recipe: Path, options: Sequence[str], points: "Points") -> None:
    with tempfile.TemporaryDirectory() as folder:
        places = ["--dataset_name", args.source, "--num_eval_samples", str(args.num_eval_samples)]
        argv = [str(recipe), *QUIET, *places, *args.options, *options, "--output_dir", folder]
        train_hf.train(argv, callbacks=[points])


def fit_schedule(step: StepTimes, num_steps: int) -> list[str]:
    """Options that shorten a recipe to `num_steps`, its warm-up and its decay alike."""
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


class Points(TrainerCallback):
    """Measures a training at the given seconds, at whose last it is stopped, and at its end, if it is asked to.

    Args:
        write (`Callable`): gets all that is known, at each point.
        marks (`Sequence[float]`, *optional*): growing seconds of training.
    """

    def __init__(self, write, marks: Sequence[float] = ()):
        self.write, self.marks, self.run = write, list(marks), {"finished": False, "points": []}

    def on_train_begin(self, args, state, control, **kwargs):
        check_workers(args)
        self.clock = Clock(args.device)
        self.run |= {"clock": describe_clock(args.device), "num_steps": state.max_steps}
        self.batch_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size

    def on_step_begin(self, args, state, control, **kwargs):
        # not when it was measured: whatever else an evaluation sets off is no training either
        self.clock.resume()

    def on_step_end(self, args, state, control, **kwargs):
        if not self.marks or self.clock.read()[0] < self.marks[0]:
            return
        self.clock.pause()
        while self.marks and self.clock.read()[0] >= self.marks[0]:
            self.marks.pop(0)
        control.should_evaluate = True
        control.should_training_stop = not self.marks

    def on_train_end(self, args, state, control, **kwargs):
        self.clock.pause()

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        seconds, wall_seconds = self.clock.read()
        self.run["points"].append(
            {
                "seconds": seconds,
                "wall_seconds": wall_seconds,
                "steps": state.global_step,
                "tokens": state.global_step * self.batch_size * TEXT_LENGTH,
                "nats_per_image": metrics["eval_nats_per_image"],
            }
        )
        self.write(self.run)

    def finish(self) -> None:
        if self.marks or not self.run["points"]:
            raise ValueError(f"the recipe ended after {self.clock.read()[0]:.0f} s; allowed are --minutes within it")
        self.write(self.run | {"finished": True})


def describe_settings(args: argparse.Namespace, recipe: Path, budget: float) -> dict[str, Any]:
    """All that the points of a training depend on, for a later run to see whether they are its own."""
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return describe_test(args) | {"budget_seconds": budget, "options": args.options, "recipe": content}


def describe_test(args: argparse.Namespace) -> dict[str, Any]:
    """What all trainings of a folder have in common."""
    return {"dataset": identify_source(args.source), "num_eval_samples": args.num_eval_samples}


def is_measured(folder: Path, name: str, settings: dict[str, Any]) -> bool:
    path = folder / f"{name}.json"
    return path.exists() and check_settings(path, settings)["finished"]


def check_settings(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The training in `path`, which must be one of these settings."""
    run = json.loads(path.read_text(encoding="utf-8"))
    for name, value in settings.items():
        if run[name] != value:
            raise ValueError(
                f"{path} was measured with another {name}, {run[name]}; this is {value}: remove the file, or name "
                "another output_dir"
            )
    return run


def write_run(folder: Path, name: str, run: dict[str, Any]) -> None:
    with staged_folder(folder) as staging:
        (staging / f"{name}.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    if not run["finished"]:  # with each new point, and once more at the end
        point = run["points"][-1]
        print(f"{name}: {point['nats_per_image']:.2f} nats after {point['seconds']:.0f} s", flush=True)


def read_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """The specification's, if it is there, then ours by budget."""
    paths = [folder / f"{SPECIFICATION}.json", *folder.glob(f"{FAST}-*.json")]
    runs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()}
    return dict(sorted(runs.items(), key=lambda item: (item[0] != SPECIFICATION, item[1]["budget_seconds"])))


def show_points(runs: dict[str, dict[str, Any]]) -> None:
    rows = [
        [
            name,
            f"{point['seconds']:,.0f}",
            f"{point['wall_seconds']:,.0f}",
            f"{point['steps']:,}",
            f"{point['tokens']:,}",
            f"{point['nats_per_image']:.2f}",
        ]
        for name, run in runs.items()
        for point in run["points"]
    ]
    print("\nseconds: " + "; ".join(sorted({run["clock"] for run in runs.values()})))
    show_table(["training", "seconds", "by the wall's clock", "steps", "tokens", "nats an image"], rows)


def show_ratio(runs: dict[str, dict[str, Any]]) -> None:
    specification = runs.get(SPECIFICATION)
    if specification is None or not specification["finished"] or len(runs) == 1:
        return
    last = specification["points"][-1]
    ends = [run["points"][-1] for name, run in runs.items() if name != SPECIFICATION]
    reached = [point for point in ends if point["nats_per_image"] <= last["nats_per_image"]]
    print(f"\n{SPECIFICATION}: {last['nats_per_image']:.2f} nats an image after {last['seconds']:,.0f} s")
    if not reached:
        print("none of ours reaches it")
        return
    first = min(reached, key=lambda point: point["seconds"])
    share = first["seconds"] / last["seconds"]
    print(f"ours: {first['nats_per_image']:.2f} after {first['seconds']:,.0f} s, in 1/{1 / share:.1f} of the time")


def plot(runs: dict[str, dict[str, Any]], folder: Path, num_images: int) -> None:
    # told apart by line and marker, so that it can be read in grey
    ours = [run["points"][-1] for name, run in runs.items() if name != SPECIFICATION]
    lines = {
        "the specification's recipe": (runs.get(SPECIFICATION, {"points": []})["points"], "o-", "black"),
        "ours, a training each": (ours, "s--", "tab:blue"),
    }
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, (points, style, color) in lines.items():
        if points:
            seconds, nats = ([point[key] for point in points] for key in ("seconds", "nats_per_image"))
            axes.plot(seconds, nats, style, color=color, label=label)
    axes.set(xscale="log", xlabel="seconds of training", ylabel=f"nats an image, {num_images:,} test images")
    axes.grid(alpha=0.3)
    axes.legend()
    with staged_folder(folder) as staging:
        figure.savefig(staging / PLOT_FILE, dpi=150)


if __name__ == "__main__":
    main()
