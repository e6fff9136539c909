# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the two training commands share: go on from a checkpoint, train, save, evaluate, write down what was done."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from mnist_text_gen.data import LabelledImages, identify_source
from mnist_text_gen.data.arguments import AugmentedSourceArguments
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import read_class_names
from mnist_text_gen.publishing import hash_weights, read_run, write_run
from mnist_text_gen.tokenizer import DIGITS, IMAGE_SIZE

from .checkpointing import explain_failed_write
from .curve import CURVE_FILE, describe_curve, draw_training_curve, read_curve
from .monitoring import MonitoredTrainer
from .stopping import exit_if_stopped


PACKAGES = ("mnist-text-gen", "torch", "transformers", "datasets", "accelerate", "numpy")


def load_weights(model_class: type[PreTrainedModel], name_or_path: str, **overrides: Any) -> PreTrainedModel:
    """Load what `--model_name_or_path` names; a `ValueError` for weights that cannot be read."""
    try:
        return model_class.from_pretrained(name_or_path, use_safetensors=True, **overrides)
    except SafetensorError as error:
        raise ValueError(f"model_name_or_path is {name_or_path!r}, whose weights cannot be read: {error}") from error


def run_trainer(
    trainer: MonitoredTrainer,
    save: Callable[[PreTrainedModel, Path], None],
    describe: Callable[[dict[str, Any]], dict[str, Any]],
    result_names: dict[str, str],
    data_args: AugmentedSourceArguments,
    source_images: LabelledImages,
    model_name_or_path: str | None,
) -> None:
    """Train and evaluate as the trainer's arguments say; metrics go to `train_results.json` and `eval_results.json`.

    Beside trained weights, `run.json` says how they came about and what was measured of them, and a picture shows the
    curve.

    Args:
        trainer (`MonitoredTrainer`):
            Goes on from the checkpoint that was named, else from the last whole one in its output folder.
        save (`Callable`): writes the trained model into a folder; what it wrote then appears in the output folder.
        describe (`Callable`): what only the command knows of the training, given what is known here.
        result_names (`dict[str, str]`): what metrics of the evaluation are called in `run.json`.
        data_args (`AugmentedSourceArguments`): which images, and what becomes of them.
        source_images (`LabelledImages`): all training images of the source.
        model_name_or_path (`str`, *optional*): the weights that training began with.
    """
    args = trainer.args
    stage = None
    if args.do_train:
        result = trainer.train(resume_from_checkpoint=trainer.choose_checkpoint())
        exit_if_stopped(trainer, trainer.stop_on_signal.stopped_by)
        stage = _describe_stage(trainer)
        trainer.save_metrics("train", result.metrics)
        if trainer.is_world_process_zero():
            with (
                explain_failed_write(f"the model cannot be saved in {args.output_dir}", args.output_dir),
                staged_folder(args.output_dir) as folder,
            ):
                save(trainer.accelerator.unwrap_model(trainer.model), folder)
    metrics = {}
    if args.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    if stage is not None and trainer.is_world_process_zero():
        dataset = identify_source(data_args.dataset_name, source_images)
        num_images = data_args.num_train_samples or len(trainer.train_dataset)
        stage |= {
            "dataset": dataset,
            "num_train_samples": num_images,
            "class_names": list(read_class_names(trainer.model.config) or DIGITS),
            "image_size": data_args.image_size,
            "binarization": describe_binarization(data_args),
            "augmentation": data_args.augmentation,
            "num_plain_epochs": data_args.num_plain_epochs,
        }
        stage |= _show_curve(trainer, stage)
        results = name_results(metrics, result_names, len(trainer.eval_dataset), dataset) if metrics else {}
        _record(Path(args.output_dir), [*_earlier_stages(model_name_or_path), describe(stage)], results)


def _describe_stage(trainer: MonitoredTrainer) -> dict[str, Any]:
    """What any run can say of itself."""
    args, state = trainer.args, trainer.state
    return {
        "num_steps": state.global_step,
        "num_epochs": round(state.epoch, 2),
        "batch_size": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "learning_rate": args.learning_rate,
        "train_seconds": trainer.train_seconds,
        "hardware": describe_device(args.device, args.world_size),
        "num_processes": args.world_size,
        "bf16": args.bf16,
        "seed": args.seed,
        "versions": {name: version(name) for name in PACKAGES},
    }


def _show_curve(trainer: MonitoredTrainer, stage: dict[str, Any]) -> dict[str, Any]:
    """Draw the curve into the output folder; what `run.json` says of it, which is nothing where nothing was logged."""
    curve = read_curve(trainer.state.log_history, trainer.quantities, stage["batch_size"])
    if not len(curve.steps):
        return {}
    with staged_folder(trainer.args.output_dir) as folder:
        draw_training_curve(curve, trainer.quantities).savefig(folder / CURVE_FILE)
    return describe_curve(curve, trainer.quantities, stage["num_steps"] * stage["batch_size"])


def _earlier_stages(model_name_or_path: str | None) -> list[dict[str, Any]]:
    """How the weights that training began with had been trained; where nobody wrote it down, that is said."""
    if model_name_or_path is None:
        return []
    unknown = {"description": "weights whose training is not recorded", "recipe": "unrecorded", "train_seconds": None}
    return read_run(Path(model_name_or_path)).get("training") or [unknown]


def describe_images(stage: dict[str, Any]) -> str:
    """Such as `"10,000 images, distorted anew in each of 30 epochs but the last 2"`."""
    images = f"{stage['num_train_samples']:,} images"
    if stage["class_names"] != list(DIGITS):
        images += f" of {len(stage['class_names'])} classes ({', '.join(stage['class_names'])})"
    if stage["image_size"] != IMAGE_SIZE:
        # those that are sampled get a border
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


def name_results(
    metrics: dict[str, float], names: dict[str, str], num_samples: int, dataset: str | None
) -> dict[str, dict[str, Any]]:
    """The results in `run.json` from the metrics of an evaluation."""
    about = {"num_samples": num_samples, "dataset": dataset}
    return {name: {"value": metrics[f"eval_{metric}"], **about} for name, metric in names.items()}


def describe_device(device: torch.device, num_processes: int = 1) -> str:
    if device.type == "cpu":
        return f"{os.cpu_count()} CPU cores"
    return f"{num_processes} × {torch.get_device_module(device).get_device_name(device)}"


def _record(output_dir: Path, training: list[dict[str, Any]], results: dict[str, dict]) -> None:
    # not the weights in folders below: a classifier may be trained beside the language model, before or after it
    weights = {name: digest for name, digest in hash_weights(output_dir).items() if "/" not in name}
    with staged_folder(output_dir) as folder:
        write_run(folder, weights, training, results)
