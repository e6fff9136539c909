# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Starting weights of a language model that contain knowledge of the text form.

A symbol is six bits, a token has a row and a column, and a symbol resembles those to its left and above it. GPT-2's
own initialisation knows none of this, and training needs its first hundreds of steps to find it out. These are only
starting values of ordinary weights, which training may change.
"""

import math

import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase


# How far back from the last token each head of the first layer looks, if a row is 5 symbols. 4 is the symbol above the
# next one, 3 and 5 are its neighbours, and 8 and 9 are another row up. For rows of other lengths they are adapted.
OFFSETS = (0, 3, 4, 5, 1, 9, 8, 2)
NUM_COLUMNS = 5
# The number of waves over the positions, and the shortest and longest wavelength.
NUM_WAVES = 12
WAVELENGTHS = (2.5, 80.0)
# Scales of the terms that are added, and factors for GPT-2's own numbers, whose standard deviation is 0.02.
BIT_SCALE, WAVE_SCALE, COLUMN_SCALE, ATTENTION_SCALE = 0.128, 0.08, 0.3, 0.6
EMBEDDING_NOISE, ATTENTION_NOISE = 0.5, 0.3


@torch.no_grad()
def initialize_from_text_form(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> None:
    """Add knowledge of the text form to GPT-2's own random weights, in place.

    - The embedding of a pixel symbol gets the sum of six directions, each with the sign of its bit. Embeddings are
      also the output layer, so the logit of a symbol starts as a sum over its bits.
    - The embedding of a position gets waves over the positions, and a direction for its column.
    - Each head of the first layer looks at one offset. Its queries are waves that are turned by the offset, and its
      keys are waves that are not, so that their product is largest at that offset. This is the rotation of Su et al.
      2021 (arXiv:2104.09864, equation 16), but only in starting values.

    Args:
        model (`GPT2LMHeadModel`): a new model.
        tokenizer (`MnistTextTokenizer`): has the ids of the pixel symbols.
        seed (`int`, defaults to 0): seed of the directions.

    Raises:
        ValueError: if the model is too narrow for the directions, or its heads for the waves.
    """
    transformer, width = model.transformer, model.config.n_embd
    head_width = width // model.config.n_head
    num_bits = (len(tokenizer.pixel_ids) - 1).bit_length()
    num_columns = tokenizer.num_pixel_symbols // tokenizer.image_size
    sizes = [num_bits, 2 * NUM_WAVES, num_columns]
    if width < sum(sizes) or head_width < 2 * NUM_WAVES:
        raise ValueError(
            f"`n_embd` must be {sum(sizes)} or more, and {2 * NUM_WAVES} or more per head, for the initialization "
            f"'text_form', got {width} and {head_width}"
        )
    generator = torch.Generator().manual_seed(seed)
    orthogonal, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
    of_bits, of_waves, of_columns = orthogonal[: sum(sizes)].split(sizes)  # [6, C], [2·W, C], [5, C]

    symbols = transformer.wte.weight
    signs = 2 * _bits(num_bits) - 1
    symbols *= EMBEDDING_NOISE
    symbols[tokenizer.pixel_ids.start : tokenizer.pixel_ids.stop] += BIT_SCALE * signs @ of_bits

    positions = torch.arange(model.config.n_positions)
    columns = torch.nn.functional.one_hot(positions % num_columns).float()
    transformer.wpe.weight *= EMBEDDING_NOISE
    transformer.wpe.weight += WAVE_SCALE * _waves(positions) @ of_waves
    transformer.wpe.weight += COLUMN_SCALE * (columns - columns.mean(1, keepdim=True)) @ of_columns

    c_attn = transformer.get_parameter("h.0.attn.c_attn.weight")  # [C, 3·C]: queries, keys, values of all heads
    heads = c_attn.view(width, 3, model.config.n_head, head_width)
    heads[:, :2] *= ATTENTION_NOISE
    for head, offset in enumerate(OFFSETS[: model.config.n_head]):
        offset = max(offset + round(offset / NUM_COLUMNS) * (num_columns - NUM_COLUMNS), 0)
        heads[:, 0, head, : 2 * NUM_WAVES] += ATTENTION_SCALE * of_waves.T @ _turn(offset)
        heads[:, 1, head, : 2 * NUM_WAVES] += ATTENTION_SCALE * of_waves.T


def _bits(num_bits: int) -> torch.Tensor:
    """The bits of 0 to 2**num_bits - 1, most significant first, float32 `[2**num_bits, num_bits]`."""
    return (torch.arange(2**num_bits)[:, None] >> torch.arange(num_bits - 1, -1, -1) & 1).float()


def _frequencies() -> torch.Tensor:
    shortest, longest = WAVELENGTHS
    return 2 * math.pi / (shortest * (longest / shortest) ** torch.linspace(0, 1, NUM_WAVES))


def _waves(positions: torch.Tensor) -> torch.Tensor:
    """Cosines and sines, `[T, 2·W]`, at positions `[T]`."""
    angles = positions[:, None] * _frequencies()
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _turn(offset: int) -> torch.Tensor:
    """A matrix `[2·W, 2·W]` such that `_waves(p) @ _turn(offset)` is `_waves(p - offset)`."""
    angles = offset * _frequencies()
    cos, sin = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
