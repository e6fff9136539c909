# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Nats an image of test images: language models beside three simple baselines:
`python benchmarks/likelihood.py --source ../shared/mnist --others "the specification=runs/specification"`.

All but the plain counts are given the class, and say −log p(x | y) of the 150 symbols, which are the 900 pixels. The
baselines are fitted to the first training images as they are, with no distortion; α and the penalty are chosen on the
last tenth of them, never on test images. The end token is certain, and costs the baselines nothing; the language
models' figures have its nats in them. Intervals are those of the mean over test images, 1.96 standard errors to each
side.

Fitted baselines are kept in `--cache`, by a hash of the training images and of all settings, and not fitted twice.
Their seconds are those of the last fit; what choosing took comes on top.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from baselines import BASELINES, Baseline, Examples, baseline_nats, fit_baseline
from figures import CONFIDENCE, measure_mean
from generation import show_table
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import nn
from train_speed import describe_clock
from transformers import GPT2LMHeadModel
from transformers.utils import logging

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import run_command
from mnist_text_gen.commands.training import load_weights
from mnist_text_gen.corpus import LabelledImages, identify_source, load_images
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import check_language_model_config, read_run, symbol_nats
from mnist_text_gen.tokenizer import MnistTextTokenizer


PROG = "likelihood.py"
CACHE = Path("runs/quality")
THIS_MODEL = "this model"


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", required=True, help="images; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--model", type=Path, default=SHIPPED_CHECKPOINT, help="folder of the language model")
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FOLDER", help="more language models")
    parser.add_argument("--num_train_samples", type=int, default=10_000, help="the first training images")
    parser.add_argument("--num_eval_samples", type=int, help="the first test images; all by default")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the fitted baselines")
    args = parser.parse_args(argv)
    logging.set_verbosity_error()
    others = parse_others(args.others)
    found = measure(args.source, args.model, others, args.num_train_samples, args.num_eval_samples, args.cache)
    show(found)


def parse_others(options: Sequence[str]) -> dict[str, Path]:
    others = {}
    for option in options:
        name, _, folder = option.partition("=")
        if not name or not folder or name in others or name in {THIS_MODEL, *BASELINES}:
            raise ValueError(f"others has {option!r}; allowed is NAME=FOLDER, each name once and not another row's")
        others[name] = Path(folder)
    return others


def measure(
    source: str,
    model: str | Path = SHIPPED_CHECKPOINT,
    others: Mapping[str, str | Path] | None = None,
    num_train_samples: int | None = 10_000,
    num_eval_samples: int | None = None,
    cache: str | Path = CACHE,
    baselines: Mapping[str, Baseline] = BASELINES,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit the baselines, or take them from `cache`, and measure them and the language models on test images.

    Args:
        source (`str`): see [`load_images`].
        model (`str` or `Path`): folder of the language model.
        others (`Mapping[str, str | Path]`, *optional*): folders of more language models, by the names of their rows.
        num_train_samples (`int` or `None`, defaults to 10,000): the first training images, for the baselines.
        num_eval_samples (`int` or `None`, *optional*): the first test images; all by default.
        cache (`str` or `Path`, defaults to `"runs/quality"`): folder for the fitted baselines.
        baselines (`Mapping[str, Baseline]`, *optional*): other settings than the default ones.
        seed (`int`, defaults to 0): of starting weights and order of the images.

    Returns:
        `dict` of plain JSON types: `dataset`, `num_train_samples`, `num_samples` (test images), `confidence`, `clock`
        (what the baselines' seconds are), and `rows`, by name a `dict` with `nats_per_image`, `interval` (two floats),
        `bits_per_pixel`, `num_parameters` and `train_seconds`. A baseline's row also has `choice`, `held_out_nats` and
        `choosing_seconds`, see [`fit_baseline`]; a language model's has `num_steps`, `num_tokens` and `hardware`, and
        `None` for what its `run.json` doesn't say.

    Raises:
        ValueError: for what [`load_images`] refuses, more samples than it has, less than 10 images to train on, a
            folder that can't be written to, and a language model or a kept baseline that can't be read.
    """
    splits = load_images(source)
    train = splits["train"].first(num_train_samples, "num_train_samples")
    test = splits["test"].first(num_eval_samples, "num_eval_samples")
    if len(test.labels) < 2:
        raise ValueError("num_eval_samples is 1; allowed is 2 or more, for an interval")
    check_output_folder(cache, "cache")
    named_models = {THIS_MODEL: model, **(others or {})}
    for name, folder in named_models.items():
        if not Path(folder, "config.json").is_file():
            raise ValueError(f"the folder of {name!r} is {str(folder)!r}; allowed is one with a language model")
    rows = {}
    for name, baseline in baselines.items():
        fitted, record = fit_or_load(baseline, train, Path(cache), seed)
        nats = baseline_nats(fitted, Examples.from_images(test))
        rows[name] = summarise(nats) | {"num_parameters": fitted.num_parameters} | record
    for name, folder in named_models.items():
        rows[name] = measure_language_model(folder, test)
    return {
        "dataset": identify_source(source),
        "num_train_samples": len(train.labels),
        "num_samples": len(test.labels),
        "confidence": CONFIDENCE,
        "clock": describe_clock(PartialState().device),
        "rows": rows,
    }


def fit_or_load(baseline: Baseline, train: LabelledImages, cache: Path, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """The fitted model and its record, see [`fit_baseline`]; from `cache` where it is there, else put there."""
    settings = baseline.describe() | {"train_images": train.hash(), "seed": seed}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"baseline-{baseline.model.__name__.lower()}-{key}.safetensors"
    if path.is_file():
        return load_baseline(baseline, path)
    model, record = fit_baseline(baseline, Examples.from_images(train), seed)
    with staged_folder(cache) as staging:
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, staging / path.name, {"record": json.dumps(record), "settings": json.dumps(settings)})
    return model, record


def load_baseline(baseline: Baseline, path: Path) -> tuple[nn.Module, dict[str, Any]]:
    model = baseline.build(seed=0).eval()
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["record"])
        load_model(model, path)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is no baseline that was kept; remove it: {error}") from error
    return model, record


def measure_language_model(folder: str | Path, test: LabelledImages) -> dict[str, Any]:
    tokenizer = MnistTextTokenizer()
    model = load_weights(GPT2LMHeadModel, str(folder), dtype=torch.float32).to(PartialState().device).eval()
    check_language_model_config(model.config, tokenizer, str(folder))
    input_ids = tokenizer(tokenizer.encode_images(*test), return_tensors="pt")["input_ids"]
    stages = read_run(Path(folder)).get("training", [])
    return (
        summarise(symbol_nats(model, input_ids).numpy())
        | {"num_parameters": model.num_parameters()}
        | {name: total(stages, name) for name in ("train_seconds", "num_steps", "num_tokens")}
        | {"hardware": stages[-1].get("hardware") if stages else None}
    )


def total(stages: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [stage.get(name) for stage in stages]
    return sum(values) if values and None not in values else None


def summarise(losses: np.ndarray) -> dict[str, Any]:
    """Nats an image of losses `[N, T]`, their interval by the normal approximation, and bits a pixel."""
    found = load_metric("image_nats").compute(token_losses=losses)
    return found | {"interval": measure_mean(losses.sum(axis=1, dtype=np.float64))["interval"]}


def show(found: dict[str, Any]) -> None:
    rows = []
    for name, row in sorted(found["rows"].items(), key=lambda item: -item[1]["nats_per_image"]):
        low, high = row["interval"]
        seconds = row["train_seconds"]
        rows.append(
            [
                name,
                f"{row['nats_per_image']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{row['bits_per_pixel']:.4f}",
                f"{row['num_parameters']:,}",
                "?" if seconds is None else f"{seconds:,.0f}",
            ]
        )
    print(f"{found['num_samples']:,} test images; ", end="")
    print(f"baselines: {found['num_train_samples']:,} training images, {found['clock']}")
    head = ["model", "nats an image", "95 % interval", "bits a pixel", "parameters", "training seconds"]
    show_table(head, rows)


if __name__ == "__main__":
    main()
