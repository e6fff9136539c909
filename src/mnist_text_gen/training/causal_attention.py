# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""`attn_implementation="causal"`: attention for training on whole texts. Importing this module registers it.

On a CPU with bfloat16 products, `sdpa` is slow in the backward pass, and `eager` in copies and in a float32 softmax.
Here everything stays in the dtype of the queries.
"""

from typing import Literal

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface


CAUSAL = "causal"
AttentionImplementation = Literal["sdpa", "eager", "causal"]


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
    """Attention of each position to itself and to those before it, without padding and without a cache.

    Args:
        module (`nn.Module`): the layer, which knows whether it is training.
        query, key, value (`torch.Tensor`, float `[B, H, T, D]`): heads of whole texts.
        attention_mask (`torch.Tensor`, *optional*): not used; the mask is always causal.
        scaling (`float`, *optional*): factor of the products, 1 / √D by default.
        dropout (`float`, defaults to 0.0): dropout of the attention weights, in [0, 1).

    Returns:
        `tuple`: the output, `[B, T, H, D]` in the dtype of the query, and `None` instead of the attention weights.

    Raises:
        ValueError: if there are more keys than queries, as with a cache.
    """
    if query.shape != key.shape:
        raise ValueError(
            f"{CAUSAL!r} attention is for training on whole texts: keys must have the shape of the queries, "
            f"{list(query.shape)}, got {list(key.shape)}"
        )
    num_positions, size = query.shape[-2:]
    mask = query.new_full((num_positions, num_positions), float("-inf")).triu_(1)
    # autocast would compute the softmax in float32
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = (heads.flatten(0, 1) for heads in (query, key, value))  # [B·H, T, D]
        scores = torch.baddbmm(mask, q, k.mT, alpha=size**-0.5 if scaling is None else scaling)  # [B·H, T, T]
        weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
        output = weights.bmm(v).view_as(query)
    return output.transpose(1, 2), None


AttentionInterface.register(CAUSAL, causal_attention)
# None, so that no mask is built
AttentionMaskInterface.register(CAUSAL, lambda *args, **kwargs: None)
