# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The GPT-2 of the specification, how to sample from it, and the loss of its tokens."""

import torch
from transformers import GenerationConfig, GPT2Config, PreTrainedConfig, PreTrainedTokenizerBase


def build_language_model_config(tokenizer: PreTrainedTokenizerBase, **overrides) -> GPT2Config:
    """The specification's `GPT2Config` for `tokenizer` (6,376,704 parameters), with `overrides`.

    Raises:
        ValueError: for an override that makes the vocabulary or the context unfit for the tokenizer.
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
    config = GPT2Config(**(sizes | dropout | tokens | overrides))
    check_language_model_config(config, tokenizer, "the configuration")
    return config


def check_language_model_config(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Raise a `ValueError` unless `config` has the tokenizer's vocabulary, and a context that holds one text."""
    vocab_size, context = getattr(config, "vocab_size", None), getattr(config, "max_position_embeddings", None)
    if vocab_size != len(tokenizer):
        raise ValueError(f"{name} has a vocabulary of {vocab_size}; allowed is {len(tokenizer)}, the tokenizer's")
    if context is None or context < tokenizer.model_max_length:
        raise ValueError(
            f"{name} has a context of {context} tokens; allowed is {tokenizer.model_max_length} or more, a whole text"
        )


def build_generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Sampling as the specification says it: temperature 0.8, from all symbols, up to one text.

    `top_k=0` has to be said: `generate` falls back on 50 where it is left out.
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
        logits (`torch.Tensor`, `[N, 152, 75]`): position t predicts the token at t + 1.
        labels (`torch.Tensor`, int64 `[N, 152]`): the tokens.

    Returns:
        `torch.Tensor`: float32 `[N, 151]`, nats. By the chain rule, the sum of a row is the nats of its image.
    """
    return torch.nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), labels[:, 1:], reduction="none")
