# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""`attn_implementation="causal"`: attention for training on whole texts, once this module is imported.

On a CPU with bfloat16 products, `sdpa` loses its time in the backward pass, and `eager` in a softmax in float32 and in
copies. Here everything stays in the dtype of the queries.
"""

from typing import Literal

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface


CAUSAL = "causal"
AttentionImplementation = Literal["sdpa", "eager", "causal"]  # that a training takes


def causal_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attention of every position to itself and those before it, without padding and without a cache.

    Args:
        module (`nn.Module`): the layer; says whether it is training.
        query, key, value (`torch.Tensor`, floating `[B, H, T, D]`): heads of whole texts.
        attention_mask (`torch.Tensor`, *optional*): not used; the mask is the causal one.
        scaling (`float`, *optional*): of the products, 1 / √D by default.
        dropout (`float`, defaults to 0.0): of the attention weights, in [0, 1).

    Returns:
        `tuple`: `torch.Tensor` `[B, T, H, D]` in the dtype of the query; `None`, for the weights are not kept.

    Raises:
        ValueError: for another number of keys than queries, which a cache would give.
    """
    if query.shape != key.shape:
        raise ValueError(
            f"{CAUSAL!r} attention, which is for training on whole texts, needs as many keys as queries, got "
            f"{list(query.shape)} and {list(key.shape)}"
        )
    num_positions, size = query.shape[-2:]
    mask = query.new_full((num_positions, num_positions), float("-inf")).triu_(1)
    # autocast would make the softmax float32
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = (heads.flatten(0, 1) for heads in (query, key, value))  # [B·H, T, D]
        scores = torch.baddbmm(mask, q, k.mT, alpha=size**-0.5 if scaling is None else scaling)  # [B·H, T, T]
        weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
        output = weights.bmm(v).view_as(query)
    return output.transpose(1, 2), None


AttentionInterface.register(CAUSAL, causal_attention)
# None: no mask is built
AttentionMaskInterface.register(CAUSAL, lambda *args, **kwargs: None)
