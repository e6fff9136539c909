# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decoding rules: the grammar of a text, known pixels, and noise that makes greedy decoding a reproducible sample."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase


class MnistTextLogitsProcessor(LogitsProcessor):
    """Allow only what the text form allows at a position, so that every text is a valid image whatever the weights.

    Position 0 takes a class digit, 1 to 150 a pixel symbol, 151 and beyond the end token. The position is the number
    of tokens so far; end tokens at the beginning are padding, and do not count.

    Args:
        tokenizer (`MnistTextTokenizer`): names the ids of the class digits, the pixel symbols and the end token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.vocab_size = len(tokenizer)
        self.class_ids = tokenizer.class_ids
        self.pixel_ids = tokenizer.pixel_ids
        self.end_ids = range(tokenizer.eos_token_id, tokenizer.eos_token_id + 1)
        self.end_position = tokenizer.model_max_length - 1
        self.forbidden = torch.ones(tokenizer.model_max_length, self.vocab_size, dtype=torch.bool)
        for position, forbidden in enumerate(self.forbidden):
            allowed = self.allowed_ids(position)
            forbidden[allowed.start : allowed.stop] = False

    def allowed_ids(self, position: int) -> range:
        """The ids that may stand at a position, 0 to 151 and beyond."""
        if position == 0:
            return self.class_ids
        return self.pixel_ids if position < self.end_position else self.end_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask scores.

        Args:
            input_ids (`torch.LongTensor`, `[B, T]`): the texts so far.
            scores (`torch.FloatTensor`, `[B, 75]`): logits of the next token.

        Returns:
            `torch.FloatTensor`: `[B, 75]`, a new tensor, `-inf` where a token is not allowed.

        Raises:
            ValueError: where `scores` have another vocabulary than the tokenizer.
        """
        if scores.shape[-1] != self.vocab_size:
            raise ValueError(
                f"`scores` must be over the {self.vocab_size} tokens of the tokenizer, got {scores.shape[-1]}"
            )
        return self.at_positions(_count_tokens(input_ids, self.end_ids.start), scores)

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask `scores` `[..., 75]` of tokens at `positions` `[...]`, 0 and more; the form of `decode`."""
        self.forbidden = self.forbidden.to(scores.device)
        return scores.masked_fill(self.forbidden[positions.clamp(max=self.end_position)], float("-inf"))


class KnownPixelsLogitsProcessor(LogitsProcessor):
    """Allow only pixel symbols that agree with the known pixels of an image.

    At positions 1 to 150 a pixel symbol is allowed where all known ones of its six pixels are the image's. Other
    positions are left to [`MnistTextLogitsProcessor`]. The position is the number of tokens so far, without padding at
    the beginning. A sample under this rule alone does not follow the model's distribution given the known pixels: what
    was drawn never knew of what comes later. [`sample_particles`] makes up for it.

    Args:
        tokenizer (`MnistTextTokenizer`): goes from images to symbols.
        images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[B, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
            One for all texts, or one for each.
        known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[B, 30, 30]`):
            Which pixels are known, in all images or in each.

    Attributes:
        allowed (`torch.BoolTensor`, `[1, 150, 64]` or `[B, 150, 64]`): which pixel symbols agree; never none.

    Raises:
        ValueError: for images or masks of another shape, dtype or value, and another number of masks than of images.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, images: np.ndarray | torch.Tensor, known: np.ndarray | torch.Tensor
    ):
        images = check_images(images, tokenizer, "images")
        known = check_images(known, tokenizer, "known")
        if known.dtype not in (np.bool_, torch.bool):
            raise ValueError(f"`known` must have dtype bool, got {known.dtype}")
        if len(known) not in (1, len(images)):
            raise ValueError(f"`known` must have one mask or one per image ({len(images)}), got {len(known)}")
        self.pixel_ids = tokenizer.pixel_ids
        symbols = torch.arange(len(tokenizer.pixel_ids))
        # written as a symbol, a mask has a 1 where the symbol's bit is known
        differing = symbols ^ _encode_symbols(tokenizer, images)[..., None]
        self.allowed = differing & _encode_symbols(tokenizer, known)[..., None] == 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` `[B, 75]`, `-inf` where a token does not agree, as a new tensor."""
        positions = _count_tokens(input_ids, self.pixel_ids.stop)[:, None]
        return self.at_positions(positions, scores[:, None])[:, 0]

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask `scores` `[B, T, 75]` of tokens at `positions` `[B, T]`, 0 and more; the form of `decode`."""
        if len(self.allowed) not in (1, len(scores)):
            raise ValueError(f"`scores` must be of {len(self.allowed)} texts, one per image, got {len(scores)}")
        steps = positions - 1
        has_pixels = (steps >= 0) & (steps < self.allowed.shape[1])
        rows = torch.arange(len(steps), device=steps.device)[:, None] % len(self.allowed)
        allowed = self.allowed.to(scores.device)[rows, steps.clamp(0, self.allowed.shape[1] - 1)]
        margins = (self.pixel_ids.start, scores.shape[-1] - self.pixel_ids.stop)
        allowed = torch.nn.functional.pad(allowed, margins, value=False)
        return scores.masked_fill(~allowed & has_pixels[..., None], float("-inf"))


class GumbelNoiseLogitsProcessor(LogitsProcessor):
    """Add Gumbel noise, so that the greedy choice is a sample: argmax(logits / T + G) ~ softmax(logits / T).

    The Gumbel-max trick: Maddison, Tarlow and Minka, "A* Sampling" (2014), section 2. Sampling in `generate` takes its
    noise from one global state, so that a text depends on what was drawn before and beside it; here the noise of every
    text is given.

    Args:
        noise (`torch.FloatTensor`, `[B, 150, 64]`): see [`gumbel_noise`]; row t is added at position t + 1.
        pixel_ids (`range`): the ids that the noise belongs to; others get none.
    """

    def __init__(self, noise: torch.Tensor, pixel_ids: range):
        # [B, 152, 64], by position: none at that of the class and that of the end
        self.noise = torch.nn.functional.pad(noise, (0, 0, 1, 1))
        self.pixel_ids = pixel_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` `[B, 75]` with the noise of the position added, as a new tensor."""
        positions = _count_tokens(input_ids, self.pixel_ids.stop)[:, None]
        return self.at_positions(positions, scores[:, None])[:, 0]

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Add the noise of `positions` `[B, T]` to `scores` `[B, T, 75]`; the form of `decode`."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        noise = self.noise[rows, positions.clamp(max=self.noise.shape[1] - 1)]  # [B, T, 64]
        margins = (self.pixel_ids.start, scores.shape[-1] - self.pixel_ids.stop)
        return scores + torch.nn.functional.pad(noise, margins)


def _count_tokens(input_ids: torch.Tensor, pad_id: int) -> torch.Tensor:
    """How many tokens `[B]` texts `[B, T]` have without the padding on the left.

    Padding is the end token, which comes behind the pixel symbols in the vocabulary; no text begins with it.
    """
    return (input_ids != pad_id).long().cumsum(dim=1).gt(0).sum(dim=1)


def gumbel_noise(seed_keys: Sequence[Sequence[int]], num_steps: int, num_tokens: int) -> torch.Tensor:
    """Standard Gumbel noise, each item's from its own seed.

    Args:
        seed_keys (`Sequence[Sequence[int]]`, length B):
            What an item's noise depends on, e.g. `(seed, index)`; integers of 0 and more.
        num_steps (`int`), num_tokens (`int`): T and V.

    Returns:
        `torch.FloatTensor`: `[B, T, V]` on the CPU; −log(−log u) with u uniform in (0, 1).
    """
    uniform = uniform_noise(seed_keys, num_steps * num_tokens)
    noise = -np.log(-np.log(uniform))
    return torch.from_numpy(noise.astype(np.float32)).view(len(seed_keys), num_steps, num_tokens)


def uniform_noise(seed_keys: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """Uniform noise, each item's from its own seed, float64 `[B, size]` in (0, 1); see [`gumbel_noise`]."""
    # random_raw is the one stream that numpy promises never to change; 53 of its 64 bits and a half step make u a
    # double that is never 0, and the largest, which would round to 1, is the double below.
    raw = np.stack([np.random.Philox(np.random.SeedSequence(seed_key)).random_raw(size) for seed_key in seed_keys])
    return np.minimum(((raw >> np.uint64(11)) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def check_images(images, tokenizer: PreTrainedTokenizerBase, name: str) -> np.ndarray | torch.Tensor:
    """One image or N of them, 1 or more, as `[N, 30, 30]`; a `ValueError` for another shape.

    PIL images become grey values, and anything else is taken as it is: `encode_images` knows what pixels may be.
    """
    size = tokenizer.image_size
    images = tokenizer.read_pixels(images)
    images = images if isinstance(images, torch.Tensor) else np.asarray(images)
    if images.ndim not in (2, 3) or images.shape[-2:] != (size, size) or not len(images):
        raise ValueError(
            f"`{name}` must have shape [{size}, {size}] or [N, {size}, {size}] with N of 1 or more, got "
            f"{list(images.shape)}"
        )
    return images if images.ndim == 3 else images[None]


def _encode_symbols(tokenizer: PreTrainedTokenizerBase, images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """The values 0 to 63 of the pixel symbols, `[N, 150]`, of images `[N, 30, 30]`."""
    texts = tokenizer.encode_images(images, [0] * len(images))
    return tokenizer(texts, return_tensors="pt")["input_ids"][:, 1:-1] - tokenizer.pixel_ids.start
