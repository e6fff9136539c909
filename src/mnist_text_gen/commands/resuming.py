# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What decides what a training learns, so that a checkpoint is not gone on from with something else."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from mnist_text_gen.corpus import load_images

from .sources import SourceArguments


# Of the training arguments; the others say where, how fast and how talkative a run is.
_TRAINING_ARGUMENTS = (
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "average_tokens_across_devices",
    "bf16",
    "data_seed",
    "dataloader_drop_last",
    "fp16",
    "label_smoothing_factor",
    "learning_rate",
    "lr_scheduler_kwargs",
    "lr_scheduler_type",
    "max_grad_norm",
    "neftune_noise_alpha",
    "optim",
    "optim_args",
    "seed",
    "train_sampling_strategy",
    "warmup_steps",
    "weight_decay",
)
# Of the commands' own: kernels of one function go with the device, which may change. The data set and the weights to
# start from are known by what they hold, wherever they lie.
_FREE_ARGUMENTS = {
    "activation_function",
    "attn_implementation",
    "classifier_name_or_path",
    "dataset_name",
    "expected_num_processes",
    "model_name_or_path",
    "num_eval_samples",
}
_LENGTH_INDEPENDENT_SCHEDULES = ("constant", "constant_with_warmup")


def collect_recipe(
    arguments: Sequence[Any],
    data_args: SourceArguments,
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
        data_args (`SourceArguments`): the one among them that names the images.
        training_args (`TrainingArguments`): of the Trainer.
        model (`PreTrainedModel`): as training begins with it.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): the tokenizer of a language model.

    Returns:
        `dict[str, Any]`: names to values that JSON can hold; none where nothing is trained.
    """
    if not training_args.do_train:
        return {}
    recipe = {name: value for part in arguments for name, value in asdict(part).items() if name not in _FREE_ARGUMENTS}
    recipe |= {name: getattr(training_args, name) for name in _TRAINING_ARGUMENTS}
    recipe["rows in a step (per_device_train_batch_size × gradient_accumulation_steps × processes)"] = (
        training_args.train_batch_size * training_args.gradient_accumulation_steps * training_args.world_size
    )
    if training_args.lr_scheduler_type not in _LENGTH_INDEPENDENT_SCHEDULES:
        by_steps = training_args.max_steps > 0
        recipe["max_steps" if by_steps else "num_train_epochs"] = (
            training_args.max_steps if by_steps else training_args.num_train_epochs
        )
    if any(getattr(part, "model_name_or_path", None) is not None for part in arguments):
        recipe["weights of model_name_or_path (sha256)"] = _hash_model(model)
    recipe["training images and labels of dataset_name (sha256)"] = _hash_images(data_args)
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


def _hash_images(data_args: SourceArguments) -> str:
    train = load_images(data_args.dataset_name)["train"].first(data_args.num_train_samples, "num_train_samples")
    digest = hashlib.sha256(train.images.tobytes())
    digest.update(train.labels.tobytes())
    return digest.hexdigest()


def _hash_model(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
