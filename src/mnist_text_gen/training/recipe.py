# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The recipe of a training: the arguments that `run.json` names, and what a checkpoint keeps to be compared."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from mnist_text_gen.data import LabelledImages


# Those that say where something is; `run.json` names the data set itself, and no folder of a machine.
_PLACES = ("model_name_or_path", "classifier_name_or_path", "dataset_name")
# The rest of `TrainingArguments` is about where to run, what to log and what to keep.
_OPTIMIZER_ARGUMENTS = ("optim", "optim_args")
_TRAINING_ARGUMENTS = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "label_smoothing_factor",
    "neftune_noise_alpha",
    "average_tokens_across_devices",
    "dataloader_drop_last",
    "train_sampling_strategy",
    "bf16",
    "fp16",
    "seed",
    "data_seed",
    "full_determinism",
)
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


def describe_arguments(training_args: TrainingArguments, *others: Any) -> dict[str, Any]:
    """What was trained how, as a recipe file would say it.

    Args:
        training_args (`TrainingArguments`): those that change the weights are taken.
        *others:
            The command's own dataclasses; all but names of folders and files are taken. With an `optimizer` among
            them, `optim` of `TrainingArguments` says nothing, and is left out.

    Returns:
        `dict`: argument to value, of types that JSON has.
    """
    names = [(args, field.name) for args in others for field in fields(args) if field.name not in _PLACES]
    own_optimizer = any(name == "optimizer" for _, name in names)
    names += [
        (training_args, name) for name in (*(() if own_optimizer else _OPTIMIZER_ARGUMENTS), *_TRAINING_ARGUMENTS)
    ]
    return {name: _to_json(getattr(args, name)) for args, name in names}


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


def _to_json(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
