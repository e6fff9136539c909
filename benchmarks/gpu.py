# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Measure a GPU with one command: `python benchmarks/gpu.py --source MNIST --output_dir runs/gpu-figures`

It takes about eight minutes on an H100. Each part writes its figures to `gpu.json` when it ends, and is not repeated.
So the command can be interrupted and started again; the specification's run continues from its last checkpoint.

- `decoding`: seconds for 64 judged candidates per kind of decoding, and for ten digits in one call.
- `tests`: the result of `pytest -m gpu`.
- `training`: tokens per second of `recipes/gpu.yaml`, with batches of 32 and 256.
- `specification`: the specification's run to its end in bfloat16, 231 million tokens.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sampling import check_parts, load_digits, time_decodings, timed
from transformers.hf_argparser import HfArg

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands import train_hf
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.files import locked_folder, staged_folder
from mnist_text_gen.publishing import read_run
from mnist_text_gen.tokenizer import DIGITS
from mnist_text_gen.training.run import PACKAGES, describe_device


PROG = "gpu.py"
ROOT = Path(__file__).parent.parent
FIGURES_FILE = "gpu.json"
# Options of `train_hf.py` by batch size; the rates of the larger one are from docs/distributed.md.
BATCHES = {32: [], 256: ["--muon_learning_rate", "8e-3", "--learning_rate", "4e-3", "--warmup_steps", "20"]}
CONSTANT = ["--lr_scheduler_type", "constant_with_warmup", "--lr_scheduler_kwargs", "{}"]


@dataclass
class Arguments:
    """What is measured."""

    source: str = HfArg(help="MNIST; see mnist_text_gen.data.load_images.")
    output_dir: str = field(metadata={"help": "Folder of gpu.json and the trainings.", "path": True})
    model: str = HfArg(default=str(SHIPPED_CHECKPOINT), help="Folder of the model and its classifier.")
    parts: list[str] = field(default_factory=lambda: list(PARTS), metadata={"help": "Which parts; all by default."})
    rounds: int = HfArg(default=7, help="Rounds of decoding that are timed.")
    num_steps: int = HfArg(default=400, help="Steps of the short trainings.")
    train_options: list[str] = field(default_factory=list, metadata={"help": "Overrides of recipes, e.g. bf16=false."})


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([Arguments], argv, PROG, __doc__)
    check_parts(args.parts, PARTS)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    with locked_folder(args.output_dir) as folder:
        path = folder / FIGURES_FILE
        figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for part in args.parts:
            if part in figures:
                continue
            print(f"{part} …", flush=True)
            figures |= {"device": describe_device(device), "versions": {name: version(name) for name in PACKAGES}}
            figures[part] = PARTS[part](args)
            with staged_folder(folder) as staging:
                (staging / FIGURES_FILE).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


def measure_decoding(args: Arguments) -> dict[str, Any]:
    pipe = load_digits(args.model)
    seconds = {way: statistics.median(values) for way, values in time_decodings(pipe, "7", args.rounds).items()}
    ten = [timed(partial(pipe, list(DIGITS), seed=seed)) for seed in range(args.rounds + 1)]
    return {
        "seconds of 64 judged candidates": seconds,
        "seconds of ten digits in one call": statistics.median(ten[1:]),  # the first warms up
        "rounds": args.rounds,
    }


def run_tests(args: Arguments) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "\n".join([*failed, *result.stdout.splitlines()[-1:]] or [result.stderr])


def measure_training(args: Arguments) -> dict[str, Any]:
    figures = {}
    for batch, options in BATCHES.items():
        sizes = ("--per_device_train_batch_size", str(batch), "--max_steps", str(args.num_steps))
        options = [*sizes, "--do_eval", "false", "--save_strategy", "no", *CONSTANT, *options]
        figures[f"batch {batch}"] = train(args, "gpu.yaml", f"batch-{batch}", *options)
    return figures


def train(args: Arguments, recipe: str, name: str, *options: str) -> dict[str, Any]:
    folder = Path(args.output_dir, name)
    places = ["--dataset_name", args.source, "--output_dir", str(folder)]
    overrides = [part for option in args.train_options for part in f"--{option}".split("=", 1)]
    train_hf.train([str(ROOT / "recipes" / recipe), *places, *options, *overrides])
    record = read_run(folder)
    *_, stage = record["training"]  # earlier ones are those of weights that it began with
    figures = {key: stage[key] for key in ("num_steps", "num_tokens", "train_seconds", "tokens_per_second")}
    return figures | {key: value["value"] for key, value in record.get("results", {}).items()}


PARTS = {
    "decoding": measure_decoding,
    "tests": run_tests,
    "training": measure_training,
    "specification": lambda args: train(args, "specification.yaml", "specification", "--bf16", "true"),
}


if __name__ == "__main__":
    main()
