# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Complete images of which some pixels are known: sequential Monte Carlo over texts.

Let A_t be the pixel symbols that agree with the known pixels at step t. What is wanted is

    p(s_1..s_150 | known pixels, y) ∝ Π_t p(s_t | s_<t, y) 1[s_t ∈ A_t]

where p is what the pipeline draws from: the model's probabilities over the 64 pixel symbols, at a temperature. A
sampler that only masks symbols draws s_t from p(s_t | s_<t, y) 1[s_t ∈ A_t] / Z_t, where Z_t = Σ_{s ∈ A_t} p(s |
s_<t, y): it does not know, where it paints, what must come later. Here many texts, the particles, are drawn in that
way, and each has the product of its Z_t for its weight. This is sequential importance sampling with resampling
(Doucet, de Freitas and Gordon, "An Introduction to Sequential Monte Carlo Methods", 2001, section 1.3), with the
proposal whose weights have the least variance (Doucet, Godsill and Andrieu, "On sequential Monte Carlo sampling
methods for Bayesian filtering", 2000, proposition 2); for language models see Lew et al., "Sequential Monte Carlo
Steering of Large Language Models using Probabilistic Programs" (2023, arXiv:2306.03081).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase, TemperatureLogitsWarper

from .cached_gpt2 import CachedGPT2, check_model, unwrap_model
from .candidates import row_callback
from .logits_process import (
    GumbelNoiseLogitsProcessor,
    KnownPixelsLogitsProcessor,
    MnistTextLogitsProcessor,
    check_images,
    gumbel_noise,
    uniform_noise,
)


def complete_images(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerBase,
    images: np.ndarray | torch.Tensor,
    known: np.ndarray | torch.Tensor | None,
    labels: Sequence[int | None],
    num_classes: int,
    seed: int,
    num_return_sequences: int = 1,
    num_particles: int = 64,
    temperature: float = 1.0,
    callback: Callable[[int, np.ndarray], None] | None = None,
) -> list[torch.Tensor]:
    """Complete images of which some pixels are known.

    Args:
        model (`GPT2LMHeadModel`), tokenizer (`MnistTextTokenizer`): the language model, and what names its ids.
        images (`np.ndarray` or `torch.Tensor`, `[N, 30, 30]` in {0, 1}): what is unknown may have either value.
        known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[N, 30, 30]`, *optional*):
            The pixels that are kept, one or more of each image. By default the upper half, rows 0 to 14.
        labels (`Sequence[int | None]`, length N): the class of each image; `None` where it may be of any.
        num_classes (`int`): how many classes there are.
        seed (`int`): the noise of an image depends on it, the known pixels, the mask, the label, and how often the
            same came before in this call.
        num_return_sequences (`int`, defaults to 1): R.
        num_particles (`int`, defaults to 64), temperature (`float`, defaults to 1.0): see [`sample_particles`].
        callback (`Callable[[int, np.ndarray], None]`, *optional*): see the pipeline's `complete`.

    Returns:
        `list[torch.LongTensor]`: `[R, 152]` for each image, ids of valid texts on the CPU, in no order.

    Raises:
        ValueError: for images and masks that do not fit, a mask with no known pixel, and as [`sample_particles`].
    """
    known_pixels = _read_known_pixels(tokenizer, images, known)  # all before the first is completed
    seen: Counter[bytes] = Counter()
    completed = []
    for index, (of_image, label) in enumerate(zip(known_pixels, labels, strict=True)):
        task = hashlib.sha256(repr(label).encode() + of_image.allowed.numpy().tobytes()).digest()
        seed_key = (seed, int.from_bytes(task[:8], "big"), seen[task])
        seen[task] += 1
        candidates = range(num_classes) if label is None else [label]
        show = None if callback is None else row_callback(tokenizer, index, callback)
        input_ids, log_weights = sample_particles(
            model, tokenizer, of_image, candidates, seed_key, num_particles, temperature, show
        )
        # the particles have the numbers from 1 on and 0 is that of their resampling
        ((uniform,),) = uniform_noise([(*seed_key, 1 + len(input_ids))], 1)
        completed.append(input_ids[torch.from_numpy(resample(log_weights, num_return_sequences, uniform))])
    return completed


def _read_known_pixels(tokenizer, images, known) -> list[KnownPixelsLogitsProcessor]:
    size = tokenizer.image_size
    if known is None:
        known = np.arange(size)[:, None].repeat(size, axis=1) < size // 2
    # all together, so that an error names the image
    KnownPixelsLogitsProcessor(tokenizer, images, known)
    masks = check_images(known, tokenizer, "known")
    for index, mask in enumerate(masks):
        if not mask.any():
            raise ValueError(
                f"`known` must have 1 pixel or more in each mask, got none in mask {index} (to draw without, call the "
                "pipeline)"
            )
    return [
        KnownPixelsLogitsProcessor(tokenizer, image, masks[index % len(masks)]) for index, image in enumerate(images)
    ]


@torch.no_grad()
def sample_particles(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerBase,
    known_pixels: KnownPixelsLogitsProcessor,
    labels: Sequence[int],
    seed_key: Sequence[int],
    num_particles: int = 64,
    temperature: float = 1.0,
    callback: Callable[[torch.Tensor], None] | None = None,
) -> tuple[torch.Tensor, np.ndarray]:
    """Draw weighted texts that agree with the known pixels of one image.

    Particles are drawn anew whenever the effective sample size falls below half their number: in proportion to their
    weights, and with several labels so that half of them are spread evenly over the labels. Symbols that are wholly
    known are not drawn: the model reads a run of them in one pass, and those in front of the first unknown one once a
    label.

    Args:
        model (`GPT2LMHeadModel`): the language model.
        tokenizer (`MnistTextTokenizer`): names the ids.
        known_pixels (`KnownPixelsLogitsProcessor`): of one image.
        labels (`Sequence[int]`, length C): the digits that it may be, each as likely as the others before it is seen.
        seed_key (`Sequence[int]`): what the noise depends on, besides the number of a particle.
        num_particles (`int`, defaults to 64): P, C or more.
        temperature (`float`, defaults to 1.0): divides the logits of the language model.
        callback (`Callable[[torch.LongTensor], None]`, *optional*): called with `[P, T]` ids, T growing.

    Returns:
        `torch.LongTensor` `[P, 152]` on the CPU, ids of valid texts that agree, and `np.ndarray` float64 `[P]`, the
        logarithms of their weights. The weights' sum estimates p(known pixels) without bias. Texts of weight 0, where
        the model leaves none of the symbols that agree, may be no valid ones.

    Raises:
        ValueError: for a model that is not GPT-2 or not on one device, fewer particles than labels, several images,
            where the model gives what is known the probability 0 behind all particles, and where its weights give NaN.
    """
    model = unwrap_model(model)
    check_model(model)
    if num_particles < len(labels):
        raise ValueError(f"`num_particles` must be {len(labels)} or more, one for each label, got {num_particles}")
    if len(known_pixels.allowed) != 1:
        raise ValueError(f"`known_pixels` must be of one image, got {len(known_pixels.allowed)}")
    particles = _Particles(tokenizer, known_pixels, labels, num_particles)
    grammar, temper = MnistTextLogitsProcessor(tokenizer), TemperatureLogitsWarper(temperature)
    noise = gumbel_noise(
        [(*seed_key, 1 + index) for index in range(num_particles)], tokenizer.num_pixel_symbols, len(grammar.pixel_ids)
    )
    propose = GumbelNoiseLogitsProcessor(noise, grammar.pixel_ids)
    (uniform,) = uniform_noise([(*seed_key, 0)], tokenizer.num_pixel_symbols)
    network = CachedGPT2(model, num_particles, tokenizer.num_pixel_symbols, None)
    for start, stop in particles.spans:
        rows, owners = particles.rows(start)
        positions = torch.arange(start, stop).expand(len(rows), -1)
        ids, at = (tensor.to(model.device) for tensor in (particles.ids[rows, start:stop], positions))
        logits = network(ids, at) if owners is None else network.read(ids, at, owners.to(model.device))
        logits = logits.float().cpu()  # [N, T, 75]
        readers = slice(None) if owners is None else owners
        scores = temper(None, grammar.at_positions(positions + 1, logits))
        agreeing = known_pixels.at_positions(positions + 1, scores)
        # log Z_t
        log_normalizers = agreeing.double().logsumexp(dim=-1) - scores.double().logsumexp(dim=-1)
        particles.weigh(log_normalizers[readers].sum(dim=1).numpy(), stop)
        if stop not in particles.free:
            continue
        agreeing = agreeing[readers, -1:]
        # Z_t does not depend on what is drawn at t, so that the draw can come after
        log_scores = particles.log_scores()
        if effective_sample_size(log_scores) < num_particles / 2:
            ancestors = torch.from_numpy(resample(log_scores, num_particles, uniform[stop - 1]))
            particles.replace(ancestors, log_scores)
            network.reorder(ancestors.to(model.device), stop)
            agreeing = agreeing[ancestors]
        positions = torch.full((num_particles, 1), stop)
        particles.ids[:, stop] = propose.at_positions(positions, agreeing)[:, 0].argmax(dim=-1)
        if callback is not None:
            callback(particles.ids[:, : stop + 1])
    return particles.ids, particles.log_weights


class _Particles:
    """Texts, of which what is known is already written, and the logarithms of their weights."""

    def __init__(self, tokenizer, known_pixels: KnownPixelsLogitsProcessor, labels: Sequence[int], num_particles: int):
        (allowed,) = known_pixels.allowed  # [150, 64]
        symbols = tokenizer.pixel_ids.start + allowed.long().argmax(dim=-1)
        self.ids = torch.empty(num_particles, tokenizer.model_max_length, dtype=torch.int64)
        # as many of each label as of the others, or one more, which the weights even out
        self.owners = torch.arange(num_particles) * len(labels) // num_particles
        self.ids[:, 0] = torch.tensor([tokenizer.class_ids[label] for label in labels])[self.owners]
        self.ids[:, 1:-1] = symbols
        self.ids[:, -1] = tokenizer.eos_token_id
        self.log_weights = -np.log(len(labels) * self.owners.bincount().numpy()[self.owners])
        self.free = (1 + (allowed.sum(dim=-1) > 1).nonzero()[:, 0]).tolist()
        # from the token that was drawn last, over what is known, to the one before the next that is drawn
        starts, stops = [0, *self.free], [*self.free, tokenizer.num_pixel_symbols]
        self.spans = [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]

    def rows(self, start: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Particles for the network to read, and which of these each particle is, if not itself."""
        if start:
            return torch.arange(len(self.ids)), None
        # so far only the labels tell them apart
        first = torch.searchsorted(self.owners, torch.arange(int(self.owners[-1]) + 1))
        return first, self.owners

    def weigh(self, increments: np.ndarray, stop: int) -> None:
        self.log_weights = self.log_weights + increments
        largest = self.log_weights.max()
        if not np.isfinite(largest):
            reason = "gives NaN" if np.isnan(largest) else "gives what is known up to there the probability 0"
            raise ValueError(
                f"the model {reason} behind all {len(self.ids)} particles at symbol {stop} of the text; the known "
                "pixels must be ones that it thinks possible (more particles may find a way)"
            )

    def log_scores(self) -> np.ndarray:
        """The logarithms of what particles are drawn anew by: half by their weights, half evenly over the labels.

        By weights alone, a label whose share is once small would be lost, and could not come back by what is seen
        later. Scores other than the weights are those of Liu, Chen and Logvinenko, "A Theoretical Framework for
        Sequential Importance Sampling with Resampling" (2001). With one label they are the weights, to sum to 1.
        """
        labels = self.ids[:, 0].unique(return_inverse=True)[1].numpy()
        of_labels = np.full(labels.max() + 1, -np.inf)
        np.logaddexp.at(of_labels, labels, self.log_weights)
        alive = of_labels > -np.inf
        with np.errstate(invalid="ignore"):
            shares = np.logaddexp(-np.logaddexp.reduce(of_labels), -np.log(alive.sum()) - of_labels) - np.log(2)
            return np.where(alive[labels], self.log_weights + shares[labels], -np.inf)

    def replace(self, ancestors: torch.Tensor, log_scores: np.ndarray) -> None:
        """Go on from particles that were drawn by their scores, which sum to 1."""
        self.ids = self.ids[ancestors]
        log_weights = self.log_weights[ancestors] - log_scores[ancestors]
        self.log_weights = log_weights - np.log(len(ancestors))


def effective_sample_size(log_weights: np.ndarray) -> float:
    """(Σ w)² / Σ w², 1 to P.

    It is P / (1 + cv²) of Kong, Liu and Wong, "Sequential Imputations and Bayesian Missing Data Problems" (1994).

    Args:
        log_weights (`np.ndarray`, float64 `[P]`): not all of them minus infinity.
    """
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def resample(log_weights: np.ndarray, num_samples: int, uniform: float) -> np.ndarray:
    """Systematic resampling, with points that go around, so that each of them alone is uniform.

    Douc, Cappé and Moulines, "Comparison of Resampling Schemes for Particle Filtering" (2005, arXiv:cs/0507025),
    section 2.4, where the same points are in ascending order.

    Args:
        log_weights (`np.ndarray`, float64 `[P]`): not all of them minus infinity.
        num_samples (`int`): R.
        uniform (`float`): in (0, 1).

    Returns:
        `np.ndarray`: int64 `[R]` in 0 to P - 1. Each entry is i with the probability w_i / Σ w, and i comes
        R w_i / Σ w times, rounded up or down.
    """
    cumulative = np.exp(log_weights - log_weights.max()).cumsum()
    points = (uniform + np.arange(num_samples) / num_samples) % 1
    # the first sum above the point: never a particle of weight 0
    return np.searchsorted(cumulative / cumulative[-1], points, side="right")
