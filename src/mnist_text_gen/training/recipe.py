# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The recipe of a training: its arguments in `run.json`, and the values that a checkpoint is compared by."""

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


# Arguments that may be paths of this machine. `run.json` has the public name of the data set instead.
_PLACES = ("model_name_or_path", "classifier_name_or_path", "dataset_name")
# The other `TrainingArguments` are about where to run, what to log and what to keep.
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
# Arguments that a resumed run may change: kernels depend on the device, and evaluation has no influence. Batch size,
# length and images are compared in their own way.
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
    """The arguments of a training, as in a recipe file.

    Args:
        training_args (`TrainingArguments`): only those that change the weights are used.
        *others:
            The command's own dataclasses; all their arguments are used, except paths. If `optimizer` is one of them,
            it replaces `optim` of `TrainingArguments`.

    Returns:
        `dict`: maps arguments to values of JSON types.
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
    """Collect everything that influences what a training learns. A checkpoint keeps it.

    It does not contain what a resumed run may change: folders, logging, evaluation, saving, workers, device, kernels,
    and the number of processes as long as the total batch stays the same. It contains `max_steps` or
    `num_train_epochs` only if the learning rate depends on them: with a constant rate, a longer run starts like a
    shorter one, but with any other schedule all its rates differ.

    Args:
        arguments (`Sequence`): instances of the command's dataclasses of arguments.
        train (`LabelledImages`): the training images, as they are in the source.
        training_args (`TrainingArguments`): the arguments of the Trainer.
        model (`PreTrainedModel`): the model before training.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): the tokenizer of a language model.

    Returns:
        `dict[str, Any]`: maps names to JSON values; empty if `do_train` is false.
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
    """Raise a `ValueError` that lists all differences if a checkpoint has another recipe."""
    names = sorted(name for name in saved.keys() | recipe.keys() if saved.get(name) != recipe.get(name))
    if names:
        differences = "; ".join(
            f"{name}: {saved.get(name, 'none')!r} in the checkpoint, {recipe.get(name, 'none')!r} now"
            for name in names
        )
        raise ValueError(
            f"{checkpoint} must be a checkpoint of the same training, got these differences: {differences}. Use the "
            "old values, or another `output_dir`"
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
