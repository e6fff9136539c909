# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Likelihood of images under the language model, at temperature 1 and without the grammar."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .language_model import token_losses


@torch.no_grad()
def symbol_nats(model: PreTrainedModel, input_ids: torch.Tensor, batch_size: int = 100) -> torch.Tensor:
    """Negative log-likelihood of every token after the class digit, which is given and not predicted.

    Logits have the precision of the model, or of `torch.autocast` where it is on. Losses are computed in float32.

    Args:
        model (`PreTrainedModel`): the language model. It runs in evaluation mode, without dropout.
        input_ids (`torch.Tensor`, int64 or int32 `[N, T]`, T from 2 to the context):
            Texts from their class digit on; N may be 0.
        batch_size (`int`, defaults to 100): texts per forward pass, 1 or more.

    Returns:
        `torch.Tensor`: float32 `[N, T - 1]` on the CPU, nats.

    Raises:
        ValueError: if the ids have a wrong shape or dtype or lie beyond the vocabulary, if the batch size is below 1,
            or if the model returns NaN.
    """
    _check_input_ids(input_ids, model.config)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be 1 or more, got {batch_size}")
    nats = torch.empty(len(input_ids), input_ids.shape[1] - 1)
    training = model.training
    model.eval()
    try:
        for start in range(0, len(input_ids), batch_size):
            batch = input_ids[start : start + batch_size].to(model.device, torch.int64)
            # a mask of ones changes nothing, but without it Transformers warns of `)`, which is also the pad token
            logits = model(batch, attention_mask=torch.ones_like(batch), use_cache=False).logits  # [B, T, V]
            nats[start : start + batch_size] = token_losses(logits, batch)
    finally:
        model.train(training)
    if nats.isnan().any():
        raise ValueError("the language model must return finite logits, got NaN; its weights may contain NaN")
    return nats


def log_likelihood(model: PreTrainedModel, input_ids: torch.Tensor, batch_size: int = 100) -> torch.Tensor:
    """log p(x | y) of texts: minus the sum of [`symbol_nats`], with the same arguments and errors.

    Returns:
        `torch.Tensor`: float64 `[N]` on the CPU, nats, 0 or less.
    """
    return -symbol_nats(model, input_ids, batch_size).sum(dim=1, dtype=torch.float64)


def pixel_nats(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, input_ids: torch.Tensor) -> torch.Tensor:
    """−log p of each pixel symbol, spread evenly over its six pixels.

    Args:
        model (`GPT2LMHeadModel`): the language model.
        tokenizer (`MnistTextTokenizer`): knows the size of the images.
        input_ids (`torch.LongTensor`, `[N, 152]`): ids of valid texts.

    Returns:
        `torch.Tensor`: float64 `[N, 900]` on the CPU, nats. Plus those of the end token, they sum to the text's nats.
    """
    nats = symbol_nats(model, input_ids)[:, :-1].double()  # [N, 150], without the end token
    pixels_per_symbol = tokenizer.image_size**2 // tokenizer.num_pixel_symbols
    return (nats / pixels_per_symbol).repeat_interleave(pixels_per_symbol, dim=1)


def class_log_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    images: np.ndarray | torch.Tensor,
    batch_size: int = 100,
    num_classes: int = 10,
) -> torch.Tensor:
    """log p(x | y) of images for each class y, by default the ten digits.

    Each class needs a forward pass of its own: it is the first token, to which all others attend.

    Args:
        model (`PreTrainedModel`): the language model.
        tokenizer (`MnistTextTokenizer`): writes images as texts.
        images (`np.ndarray` or `torch.Tensor`, `[N, 28, 28]` or `[N, 30, 30]`, N of 1 or more):
            Images as in [`~MnistTextTokenizer.encode_images`].
        batch_size (`int`, defaults to 100): texts per forward pass, 1 or more.
        num_classes (`int`, defaults to 10): C, for the classes 0 to C - 1.

    Returns:
        `torch.Tensor`: float64 `[N, C]` on the CPU, nats, 0 or less.

    Raises:
        ValueError: if there is no image, [`~MnistTextTokenizer.encode_images`] refuses one, or the batch size is
            below 1.
    """
    texts = tokenizer.encode_images(images, [0] * len(images))
    if not texts:
        raise ValueError("`images` must have 1 image or more, got none")
    input_ids = tokenizer(texts, return_tensors="pt")["input_ids"]
    columns = []
    for class_id in tokenizer.class_ids[:num_classes]:
        input_ids[:, 0] = class_id
        columns.append(log_likelihood(model, input_ids, batch_size))
    return torch.stack(columns, dim=1)


def marginal_log_likelihood(
    log_likelihoods: torch.Tensor, log_prior: torch.Tensor | Sequence[float] | None = None
) -> torch.Tensor:
    """log p(x) = log Σ_y p(x | y) p(y).

    Args:
        log_likelihoods (`torch.Tensor`, float `[N, C]`): log p(x | y), as returned by [`class_log_likelihoods`].
        log_prior (`torch.Tensor` or a sequence of floats, `[C]`, *optional*):
            log p(y); the probabilities sum to 1. Uniform by default.

    Returns:
        `torch.Tensor`: float64 `[N]`, nats.

    Raises:
        ValueError: if `log_likelihoods` has a wrong shape, or `log_prior` is not a distribution over C classes.
    """
    return _log_joint(log_likelihoods, log_prior).logsumexp(dim=1)


def class_posterior(
    log_likelihoods: torch.Tensor, log_prior: torch.Tensor | Sequence[float] | None = None
) -> torch.Tensor:
    """p(y | x) = p(x | y) p(y) / p(x), with the arguments and errors of [`marginal_log_likelihood`].

    Returns:
        `torch.Tensor`: float64 `[N, C]`, rows that sum to 1.
    """
    return _log_joint(log_likelihoods, log_prior).softmax(dim=1)


def _log_joint(log_likelihoods: torch.Tensor, log_prior: torch.Tensor | Sequence[float] | None) -> torch.Tensor:
    """log p(x, y), float64 `[N, C]`."""
    if log_likelihoods.ndim != 2 or not log_likelihoods.shape[1]:
        raise ValueError(f"`log_likelihoods` must have shape [N, classes], got {list(log_likelihoods.shape)}")
    num_classes = log_likelihoods.shape[1]
    if log_prior is None:
        log_prior = torch.full((num_classes,), 1 / num_classes, dtype=torch.float64).log()
    log_prior = torch.as_tensor(log_prior, dtype=torch.float64, device=log_likelihoods.device)
    total = float(log_prior.exp().sum())
    if log_prior.shape != (num_classes,) or not abs(total - 1) < 1e-6:
        raise ValueError(
            f"`log_prior` must be the logarithms of {num_classes} probabilities that sum to 1, got shape "
            f"{list(log_prior.shape)} and a sum of {total:g}"
        )
    return log_likelihoods.double() + log_prior


def _check_input_ids(input_ids: torch.Tensor, config) -> None:
    context, vocab_size = config.max_position_embeddings, config.vocab_size
    if input_ids.ndim != 2 or not 2 <= input_ids.shape[1] <= context:
        raise ValueError(f"`input_ids` must have shape [N, T] with T from 2 to {context}, got {list(input_ids.shape)}")
    if input_ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"`input_ids` must have dtype int64 or int32, got {input_ids.dtype}")
    wrong = ((input_ids < 0) | (input_ids >= vocab_size)).nonzero()
    if len(wrong):
        row, position = wrong[0].tolist()
        raise ValueError(
            f"`input_ids` must be from 0 to {vocab_size - 1}, got {int(input_ids[row, position])} in row {row} at "
            f"position {position}"
        )
