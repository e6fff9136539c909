# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Where a new language model may start: with what is known of the text form before a text was seen.

A symbol is six bits, a token has a row and a column, and what comes next looks like what is left of it and above it.
GPT-2's own initialisation knows none of this, and training spends its first hundreds of steps on finding it out.
Nothing here is fixed: these are starting values of ordinary weights, and training may change every one.
"""

import math

import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase


# How far back from the last token each head of the first layer looks. A row is 5 symbols, so 4 is the symbol above the
# next one, 3 and 5 are those beside it, and 8 and 9 stand a row higher; of other rows, a row higher is another number.
OFFSETS = (0, 3, 4, 5, 1, 9, 8, 2)
NUM_COLUMNS = 5
# Waves over the positions, and the shortest and the longest of their lengths.
NUM_WAVES = 12
WAVELENGTHS = (2.5, 80.0)
# Sizes of what is added; GPT-2's own numbers have a standard deviation of 0.02, and so much of them stays.
BIT_SCALE, WAVE_SCALE, COLUMN_SCALE, ATTENTION_SCALE = 0.128, 0.08, 0.3, 0.6
EMBEDDING_NOISE, ATTENTION_NOISE = 0.5, 0.3


@torch.no_grad()
def initialize_from_text_form(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> None:
    """Add to GPT-2's own random numbers, in place, what the text form says.

    - The embedding of a pixel symbol gets the sum of six directions, each with the sign of its bit. Embeddings are the
      output layer too, so a symbol's logit begins as a sum over its bits.
    - The embedding of a position gets waves over the positions, and a direction for the column.
    - Each head of the first layer looks at one offset. Its queries are waves that are turned by the offset, its keys
      waves that are not, so that their product is greatest where they agree: the rotation of Su et al. 2021
      (arXiv:2104.09864, equation 16), here in starting values and not in the model.

    Args:
        model (`GPT2LMHeadModel`): a new one.
        tokenizer (`MnistTextTokenizer`): names the ids of the pixel symbols.
        seed (`int`, defaults to 0): of the directions.

    Raises:
        ValueError: for a model that is too narrow for the directions, or whose heads are for the waves.
    """
    transformer, width = model.transformer, model.config.n_embd
    head_width = width // model.config.n_head
    num_bits = (len(tokenizer.pixel_ids) - 1).bit_length()
    num_columns = tokenizer.num_pixel_symbols // tokenizer.image_size
    sizes = [num_bits, 2 * NUM_WAVES, num_columns]
    if width < sum(sizes) or head_width < 2 * NUM_WAVES:
        raise ValueError(
            f"for initialization 'text_form' the model must be {sum(sizes)} wide or more and its heads "
            f"{2 * NUM_WAVES}, got {width} and {head_width}"
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
    """The bits of 0 to 2^num_bits - 1, most significant first, float `[2^num_bits, num_bits]`."""
    return (torch.arange(2**num_bits)[:, None] >> torch.arange(num_bits - 1, -1, -1) & 1).float()


def _frequencies() -> torch.Tensor:
    shortest, longest = WAVELENGTHS
    return 2 * math.pi / (shortest * (longest / shortest) ** torch.linspace(0, 1, NUM_WAVES))


def _waves(positions: torch.Tensor) -> torch.Tensor:
    """Cosines and sines, `[T, 2·W]`."""
    angles = positions[:, None] * _frequencies()
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _turn(offset: int) -> torch.Tensor:
    """`[2·W, 2·W]`: `_waves(p) @ _turn(offset)` are `_waves(p - offset)`."""
    angles = offset * _frequencies()
    cos, sin = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
