# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The record of a training: its entry in `run.json`, and the picture of its history."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mnist_text_gen.data import LabelledImages, identify_source
from mnist_text_gen.data.arguments import AugmentedSourceArguments
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import read_class_names
from mnist_text_gen.publishing import hash_weights, read_run, write_run
from mnist_text_gen.tokenizer import DIGITS, IMAGE_SIZE

from .history import HISTORY_FILE, describe_history, draw_history, read_history
from .processes import output_dir_of
from .trainer import MnistTrainer


PACKAGES = ("mnist-text-gen", "torch", "transformers", "datasets", "accelerate", "numpy")


def describe_stage(
    trainer: MnistTrainer, data_args: AugmentedSourceArguments, source_images: LabelledImages
) -> dict[str, Any]:
    """The part of a `run.json` entry that is the same for all trainings: steps, machine, images, and history.

    Args:
        trainer (`MnistTrainer`): the trainer, after training and evaluation.
        data_args (`AugmentedSourceArguments`): the images, and how they were processed.
        source_images (`LabelledImages`): all training images of the source.
    """
    args, state = trainer.args, trainer.state
    stage = {
        "num_steps": state.global_step,
        "num_epochs": round(state.epoch, 2),
        "batch_size": trainer.batch_size,
        "learning_rate": args.learning_rate,
        "train_seconds": trainer.train_seconds,
        "hardware": describe_device(args.device, args.world_size),
        "num_processes": args.world_size,
        "bf16": args.bf16,
        "seed": args.seed,
        "versions": {name: version(name) for name in PACKAGES},
        "dataset": identify_source(data_args.dataset_name, source_images),
        "num_train_samples": data_args.num_train_samples or len(trainer.train_dataset),
        "class_names": list(read_class_names(trainer.plain_model.config) or DIGITS),
        "image_size": data_args.image_size,
        "binarization": describe_binarization(data_args),
        "augmentation": data_args.augmentation,
        "num_plain_epochs": data_args.num_plain_epochs,
    }
    history = read_history(state.log_history, trainer.quantities, trainer.batch_size)
    if not len(history.steps):
        return stage
    return stage | describe_history(history, trainer.quantities, state.global_step * trainer.batch_size)


def write_training(
    trainer: MnistTrainer,
    stage: dict[str, Any],
    result_names: dict[str, str],
    metrics: dict[str, float],
    model_name_or_path: str | None,
) -> None:
    """Write `run.json`, the record of how the weights beside it were trained and evaluated, and draw the history.

    Args:
        trainer (`MnistTrainer`): its output folder has the weights.
        stage (`dict[str, Any]`): the entry of this training.
        result_names (`dict[str, str]`): maps names in `run.json` to those of the metrics.
        metrics (`dict[str, float]`): the result of the evaluation; empty if there was none.
        model_name_or_path (`str`, *optional*): the weights that the training started from.
    """
    output_dir = output_dir_of(trainer.args)
    about = {"num_samples": len(trainer.eval_dataset), "dataset": stage["dataset"]}
    results = {name: {"value": metrics[f"eval_{of}"], **about} for name, of in result_names.items() if metrics}
    # not the weights in subfolders, because a classifier may be trained there, before or after this model
    weights = {name: digest for name, digest in hash_weights(output_dir).items() if "/" not in name}
    history = read_history(trainer.state.log_history, trainer.quantities, trainer.batch_size)
    with staged_folder(output_dir) as folder:
        if len(history.steps):
            draw_history(history, trainer.quantities).savefig(folder / HISTORY_FILE)
        write_run(folder, weights, [*_earlier_stages(model_name_or_path), stage], results)


def _earlier_stages(model_name_or_path: str | None) -> list[dict[str, Any]]:
    """The entries of the weights that the training started from, or one that says that there is no record."""
    if model_name_or_path is None:
        return []
    unknown = {"description": "weights whose training is not recorded", "recipe": "unrecorded", "train_seconds": None}
    return read_run(Path(model_name_or_path)).get("training") or [unknown]


def describe_images(stage: dict[str, Any]) -> str:
    """The images in a phrase such as `"10,000 images, distorted anew in each of 30 epochs but the last 2"`."""
    images = f"{stage['num_train_samples']:,} images"
    if stage["class_names"] != list(DIGITS):
        images += f" of {len(stage['class_names'])} classes ({', '.join(stage['class_names'])})"
    if stage["image_size"] != IMAGE_SIZE:
        # sampled images get a border instead of being scaled
        how = "drawn in" if stage["binarization"] == "sampled" else "scaled to"
        images += f", {how} {stage['image_size']}×{stage['image_size']}"
    if stage["binarization"] != "rounded":
        images += f", binarization {stage['binarization']}"
    if not stage["augmentation"]:
        return images
    but_the_last = f" but the last {stage['num_plain_epochs']}" if stage["num_plain_epochs"] else ""
    return f"{images}, distorted anew in each of {stage['num_epochs']:g} epochs{but_the_last}"


def describe_binarization(args: AugmentedSourceArguments) -> str:
    return args.binarization if args.threshold is None else f"{args.binarization} {args.threshold:g}"


def describe_recipe(stage: dict[str, Any], optimizer: str) -> str:
    return f"{optimizer}, batch {stage['batch_size']}, {stage['num_steps']:,} steps"


def describe_device(device: torch.device, num_processes: int = 1) -> str:
    if device.type == "cpu":
        return f"{os.cpu_count()} CPU cores"
    return f"{num_processes} × {torch.get_device_module(device).get_device_name(device)}"
