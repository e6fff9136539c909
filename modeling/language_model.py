# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The GPT-2 of the specification: its configuration, its generation configuration, and the loss per token."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, GPT2Config, PreTrainedConfig, PreTrainedTokenizerBase

from .class_names import label_maps, read_class_names


def build_language_model_config(
    tokenizer: PreTrainedTokenizerBase, class_names: Sequence[str] | None = None, **overrides
) -> GPT2Config:
    """The specification's `GPT2Config` for `tokenizer` (6,376,704 parameters), with `overrides`.

    Args:
        tokenizer (`MnistTextTokenizer`): has the vocabulary and the length of a text, which is the context.
        class_names (`Sequence[str]`, 2 to 10, *optional*):
            For `id2label` and `label2id`. By default the configuration names no classes, which means the ten digits.
        overrides: arguments of [`~transformers.GPT2Config`].

    Raises:
        ValueError: if an override gives a vocabulary or context that does not fit the tokenizer, or
            `tokenizer.check_class_names` refuses the names.
    """
    sizes = {
        "vocab_size": len(tokenizer),
        "n_positions": tokenizer.model_max_length,
        "n_embd": 256,
        "n_head": 8,
        "n_layer": 8,
    }
    dropout = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    tokens = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    names = {} if class_names is None else label_maps(tokenizer.check_class_names(class_names))
    options: dict[str, Any] = sizes | dropout | tokens | names | overrides
    config = GPT2Config(**options)
    check_language_model_config(config, tokenizer, "the configuration")
    return config


def check_language_model_config(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Raise a `ValueError` unless `config` has the tokenizer's vocabulary, a context of one text or more, and class
    names, if any, that [`read_class_names`] accepts. `name` is what the error calls the configuration."""
    vocab_size, context = getattr(config, "vocab_size", None), getattr(config, "max_position_embeddings", None)
    if vocab_size != len(tokenizer):
        raise ValueError(f"{name} must have the tokenizer's vocabulary of {len(tokenizer)}, got {vocab_size!r}")
    if not isinstance(context, int) or context < tokenizer.model_max_length:
        raise ValueError(
            f"{name} must have a context of {tokenizer.model_max_length} tokens (one text) or more, got {context!r}"
        )
    read_class_names(config, tokenizer)


def build_generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Sampling as in the specification: temperature 0.8, from all tokens, up to the length of one text.

    `top_k=0` must be explicit, because `generate` uses 50 where it is missing.
    """
    return GenerationConfig(
        do_sample=True,
        temperature=0.8,
        top_k=0,
        max_length=tokenizer.model_max_length,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of every predicted token.

    Args:
        logits (`torch.Tensor`, float `[N, 152, 75]`): position t predicts the token at t + 1.
        labels (`torch.Tensor`, int64 `[N, 152]`): the ids of the tokens.

    Returns:
        `torch.Tensor`: float32 `[N, 151]`, nats. By the chain rule, a row sums to the nats of its image.
    """
    return torch.nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), labels[:, 1:], reduction="none")
