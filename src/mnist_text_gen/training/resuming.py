# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What decides what a training learns, so that a checkpoint is not gone on from with something else."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from mnist_text_gen.data import LabelledImages

from .recipe import describe_arguments


# Kernels of one function go with the device, which may change; evaluation changes nothing; batch, length and
# images are compared in their own way.
_FREE_ARGUMENTS = {
    "activation_function",
    "attn_implementation",
    "gradient_accumulation_steps",
    "max_steps",
    "num_eval_samples",
    "num_train_epochs",
    "per_device_train_batch_size",
    "skip_broken_images",
}
_LENGTH_INDEPENDENT_SCHEDULES = ("constant", "constant_with_warmup")


def collect_recipe(
    arguments: Sequence[Any],
    train: LabelledImages,
    training_args: TrainingArguments,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> dict[str, Any]:
    """Collect what decides what a training learns; a checkpoint keeps it.

    Not in it is what may change from one part of a run to the next: folders, logging, evaluation, saving, workers,
    device and kernels, and the number of processes as long as they make the same batch together. `max_steps` and
    `num_train_epochs` are in it where the learning rate depends on them: with a constant rate a longer run begins
    like a shorter one, with any other schedule every step of it has another rate.

    Args:
        arguments (`Sequence`): instances of the command's dataclasses of arguments.
        train (`LabelledImages`): the images that are trained on, as they are in the source.
        training_args (`TrainingArguments`): of the Trainer.
        model (`PreTrainedModel`): as training begins with it.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): the tokenizer of a language model.

    Returns:
        `dict[str, Any]`: names to values that JSON can hold; none where nothing is trained.
    """
    if not training_args.do_train:
        return {}
    described = describe_arguments(training_args, *arguments)
    recipe = {name: value for name, value in described.items() if name not in _FREE_ARGUMENTS}
    recipe["rows in a step (per_device_train_batch_size × gradient_accumulation_steps × processes)"] = (
        training_args.train_batch_size * training_args.gradient_accumulation_steps * training_args.world_size
    )
    # epochs without distortions are counted from the end
    if training_args.lr_scheduler_type not in _LENGTH_INDEPENDENT_SCHEDULES or recipe["num_plain_epochs"]:
        by_steps = training_args.max_steps > 0
        recipe["max_steps" if by_steps else "num_train_epochs"] = (
            training_args.max_steps if by_steps else training_args.num_train_epochs
        )
    if any(getattr(part, "model_name_or_path", None) is not None for part in arguments):
        recipe["weights of model_name_or_path (sha256)"] = _hash_model(model)
    recipe["training images and labels of dataset_name (sha256)"] = train.hash()
    recipe["class_names"] = list(train.class_names)
    if tokenizer is not None:
        recipe["vocabulary of the tokenizer (sha256)"] = _hash_text(json.dumps(tokenizer.get_vocab(), sort_keys=True))
    return json.loads(json.dumps(recipe))


def check_recipe(saved: dict[str, Any], recipe: dict[str, Any], checkpoint: Path) -> None:
    """Refuse a checkpoint of another recipe with a `ValueError` that names every difference."""
    names = sorted(name for name in saved.keys() | recipe.keys() if saved.get(name) != recipe.get(name))
    if names:
        differences = "; ".join(
            f"{name}: {saved.get(name, 'none')!r} in the checkpoint, {recipe.get(name, 'none')!r} now"
            for name in names
        )
        raise ValueError(
            f"{checkpoint} is of another training and is not gone on from: {differences}. Give the old values, or "
            "another output_dir"
        )


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_model(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
