# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decoding rules: the grammar of a text, known pixels, and noise that turns greedy decoding into sampling."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase


class MnistTextLogitsProcessor(LogitsProcessor):
    """Allow only the tokens that the text form allows at a position: every text is a valid image, with any weights.

    Position 0 takes a class digit, 1 to 150 a pixel symbol, 151 and beyond the end token. The position is the number
    of tokens so far. End tokens at the beginning are padding and do not count.

    Args:
        tokenizer (`MnistTextTokenizer`): has the ids of the class digits, the pixel symbols and the end token.
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
        """The ids that are allowed at a position, 0 or more."""
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
            ValueError: if `scores` have another vocabulary than the tokenizer.
        """
        if scores.shape[-1] != self.vocab_size:
            raise ValueError(
                f"`scores` must be for the {self.vocab_size} tokens of the tokenizer, got {scores.shape[-1]}"
            )
        return self.at_positions(_count_tokens(input_ids, self.end_ids.start), scores)

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask `scores` `[..., 75]` of tokens at `positions` `[...]`, 0 or more; `decode` calls this method."""
        self.forbidden = self.forbidden.to(scores.device)
        return scores.masked_fill(self.forbidden[positions.clamp(max=self.end_position)], float("-inf"))


class KnownPixelsLogitsProcessor(LogitsProcessor):
    """Allow only pixel symbols that agree with the known pixels of an image.

    At positions 1 to 150 a pixel symbol is allowed if its known pixels are those of the image. At other positions
    [`MnistTextLogitsProcessor`] decides. The position is the number of tokens so far, without padding at the
    beginning. A sample under this rule alone does not follow the model's distribution given the known pixels, because
    each symbol is drawn without regard to known pixels that come later. [`sample_particles`] corrects this.

    Args:
        tokenizer (`MnistTextTokenizer`): turns images into symbols.
        images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[B, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
            One image for all texts, or one per text.
        known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[B, 30, 30]`):
            Which pixels are known: one mask for all images, or one per image.

    Attributes:
        allowed (`torch.BoolTensor`, `[1, 150, 64]` or `[B, 150, 64]`): which pixel symbols agree; at least one does.

    Raises:
        ValueError: if images or masks have a wrong shape, dtype or value, or the number of masks is neither 1 nor that
            of images.
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
        # a mask, encoded like an image, has a 1 at the known bits of a symbol
        differing = symbols ^ _encode_symbols(tokenizer, images)[..., None]
        self.allowed = differing & _encode_symbols(tokenizer, known)[..., None] == 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` `[B, 75]` as a new tensor, with `-inf` where a token does not agree."""
        positions = _count_tokens(input_ids, self.pixel_ids.stop)[:, None]
        return self.at_positions(positions, scores[:, None])[:, 0]

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask `scores` `[B, T, 75]` of tokens at `positions` `[B, T]`, 0 or more; `decode` calls this method."""
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

    This is the Gumbel-max trick: Maddison, Tarlow and Minka, "A* Sampling" (2014), section 2. `generate` itself takes
    its noise from one global state, so a text depends on what was drawn before it and beside it. Here each text has
    its own noise.

    Args:
        noise (`torch.FloatTensor`, `[B, 150, 64]`): see [`gumbel_noise`]; row t is added at position t + 1.
        pixel_ids (`range`): the ids that get the noise.
    """

    def __init__(self, noise: torch.Tensor, pixel_ids: range):
        # [B, 152, 64] by position, with zeros at the class digit and at the end token
        self.noise = torch.nn.functional.pad(noise, (0, 0, 1, 1))
        self.pixel_ids = pixel_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` `[B, 75]` plus the noise of the position as a new tensor."""
        positions = _count_tokens(input_ids, self.pixel_ids.stop)[:, None]
        return self.at_positions(positions, scores[:, None])[:, 0]

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Add the noise of `positions` `[B, T]` to `scores` `[B, T, 75]`; `decode` calls this method."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        noise = self.noise[rows, positions.clamp(max=self.noise.shape[1] - 1)]  # [B, T, 64]
        margins = (self.pixel_ids.start, scores.shape[-1] - self.pixel_ids.stop)
        return scores + torch.nn.functional.pad(noise, margins)


def _count_tokens(input_ids: torch.Tensor, pad_id: int) -> torch.Tensor:
    """The number of tokens `[B]` of texts `[B, T]`, without the padding on the left.

    The pad token is the end token, which no text begins with.
    """
    return (input_ids != pad_id).long().cumsum(dim=1).gt(0).sum(dim=1)


def gumbel_noise(seed_keys: Sequence[Sequence[int]], num_steps: int, num_tokens: int) -> torch.Tensor:
    """Standard Gumbel noise, with a seed per item.

    Args:
        seed_keys (`Sequence[Sequence[int]]`, length B): the seed of each item, as integers of 0 or more, e.g.
            `(seed, index)`.
        num_steps (`int`), num_tokens (`int`): T and V.

    Returns:
        `torch.FloatTensor`: `[B, T, V]` on the CPU; −log(−log u) with u uniform in (0, 1).
    """
    uniform = uniform_noise(seed_keys, num_steps * num_tokens)
    noise = -np.log(-np.log(uniform))
    return torch.from_numpy(noise.astype(np.float32)).view(len(seed_keys), num_steps, num_tokens)


def uniform_noise(seed_keys: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """Uniform noise with a seed per item, float64 `[B, size]` in (0, 1); see [`gumbel_noise`]."""
    # random_raw is the only stream that numpy promises never to change. 53 of its 64 bits plus half a step make a
    # double that is never 0. The largest one would round to 1, so it becomes the next double below 1.
    raw = np.stack([np.random.Philox(np.random.SeedSequence(seed_key)).random_raw(size) for seed_key in seed_keys])
    return np.minimum(((raw >> np.uint64(11)) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def check_images(images, tokenizer: PreTrainedTokenizerBase, name: str) -> np.ndarray | torch.Tensor:
    """One image, or N of 1 or more, as `[N, 30, 30]`; raises a `ValueError` for another shape.

    PIL images become grey values. Values of pixels are checked later, by `encode_images`.
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
    """The values of the pixel symbols, int64 `[N, 150]` from 0 to 63, of images `[N, 30, 30]`."""
    texts = tokenizer.encode_images(images, [0] * len(images))
    return tokenizer(texts, return_tensors="pt")["input_ids"][:, 1:-1] - tokenizer.pixel_ids.start
