# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the two training commands share: go on from a checkpoint, train, save, evaluate, write down what was done."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import get_last_checkpoint

from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import hash_weights, read_run, write_run


PACKAGES = ("mnist-text-gen", "torch", "transformers", "datasets", "accelerate", "numpy")


def run_trainer(
    trainer: Trainer,
    save: Callable[[PreTrainedModel, Path], None],
    describe: Callable[[dict[str, Any]], dict[str, Any]],
    name_results: Callable[[dict[str, float]], dict[str, dict]],
    model_name_or_path: str | None,
) -> None:
    """Train and evaluate as the trainer's arguments say; metrics go to `train_results.json` and `eval_results.json`.

    Beside trained weights, `run.json` says how they came about and what was measured of them.

    Args:
        trainer (`Trainer`): goes on from the checkpoint that was named, else from the last in its output folder.
        save (`Callable`): writes the trained model into a folder; what it wrote then appears in the output folder.
        describe (`Callable`): what only the command knows of the training, given what is known here.
        name_results (`Callable`): from the metrics of the evaluation to the results in `run.json`.
        model_name_or_path (`str`, *optional*): the weights that training began with.
    """
    args = trainer.args
    stage = None
    if args.do_train:
        checkpoint = args.resume_from_checkpoint or get_last_checkpoint(args.output_dir)
        result = trainer.train(resume_from_checkpoint=checkpoint)
        trainer.save_metrics("train", result.metrics)
        stage = _describe_stage(trainer, None if checkpoint else result.metrics["train_runtime"])
        if trainer.is_world_process_zero():
            with staged_folder(args.output_dir) as folder:
                save(trainer.accelerator.unwrap_model(trainer.model), folder)
    metrics = {}
    if args.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    if stage is not None and trainer.is_world_process_zero():
        before = read_run(Path(model_name_or_path)).get("training", []) if model_name_or_path else []
        _record(Path(args.output_dir), [*before, describe(stage)], name_results(metrics) if metrics else {})


def _describe_stage(trainer: Trainer, train_seconds: float | None) -> dict[str, Any]:
    """What any run can say of itself; without the seconds where it was cut off, for they are only of the last part."""
    args, state = trainer.args, trainer.state
    return {
        "num_steps": state.global_step,
        "batch_size": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "train_seconds": train_seconds,
        "hardware": describe_device(args.device, args.world_size),
        "num_processes": args.world_size,
        "bf16": args.bf16,
        "seed": args.seed,
        "versions": {name: version(name) for name in PACKAGES},
    }


def describe_device(device: torch.device, num_processes: int = 1) -> str:
    if device.type == "cpu":
        return f"{os.cpu_count()} CPU cores"
    return f"{num_processes} × {torch.get_device_module(device).get_device_name(device)}"


def _record(output_dir: Path, training: list[dict[str, Any]], results: dict[str, dict]) -> None:
    # not the weights in folders below: a classifier may be trained beside the language model, before or after it
    weights = {name: digest for name, digest in hash_weights(output_dir).items() if "/" not in name}
    with staged_folder(output_dir) as folder:
        write_run(folder, weights, training, results)
