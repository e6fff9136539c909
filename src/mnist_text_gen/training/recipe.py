# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The arguments that make a training what it is: for `run.json`, and for its checkpoints."""

from dataclasses import fields
from enum import Enum
from typing import Any

from transformers import TrainingArguments


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


def _to_json(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
