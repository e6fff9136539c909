# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Complete images of which some pixels are known: sequential Monte Carlo over texts.

Let A_t be the pixel symbols that agree with the known pixels at step t. What is wanted is

    p(s_1..s_150 | known pixels, y) ∝ Π_t p(s_t | s_<t, y) 1[s_t ∈ A_t]

where y is the class and p is what the pipeline draws from: the model's probabilities over the 64 pixel symbols, at a
temperature. A sampler that only masks symbols draws s_t from p(s_t | s_<t, y) 1[s_t ∈ A_t] / Z_t, where
Z_t = Σ_{s ∈ A_t} p(s | s_<t, y). It ignores the known pixels that come later. Here many texts, the particles, are
drawn in this way, and the weight of each is the product of its Z_t. This is sequential importance sampling with
resampling (Doucet, de Freitas and Gordon, "An Introduction to Sequential Monte Carlo Methods", 2001, section 1.3),
with the proposal whose weights have the least variance (Doucet, Godsill and Andrieu, "On sequential Monte Carlo
sampling methods for Bayesian filtering", 2000, proposition 2). For language models see Lew et al., "Sequential Monte
Carlo Steering of Large Language Models using Probabilistic Programs" (2023, arXiv:2306.03081).
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
        model (`GPT2LMHeadModel`), tokenizer (`MnistTextTokenizer`): the language model and its tokenizer.
        images (`np.ndarray` or `torch.Tensor`, `[N, 30, 30]` in {0, 1}): unknown pixels may have either value.
        known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[N, 30, 30]`, *optional*):
            The pixels that are kept, one or more of each image. By default the upper half, rows 0 to 14.
        labels (`Sequence[int | None]`, length N): the class of each image; `None` if it is unknown.
        num_classes (`int`): how many classes there are.
        seed (`int`): the noise of an image depends on it, the known pixels, the mask, the label, and how often the
            same combination came before in this call.
        num_return_sequences (`int`, defaults to 1): R, the number of results per image.
        num_particles (`int`, defaults to 64), temperature (`float`, defaults to 1.0): see [`sample_particles`].
        callback (`Callable[[int, np.ndarray], None]`, *optional*): see the pipeline's `complete`.

    Returns:
        `list[torch.LongTensor]`: `[R, 152]` per image, ids of valid texts on the CPU, in no particular order.

    Raises:
        ValueError: if images and masks do not fit, a mask has no known pixel, or [`sample_particles`] raises one.
    """
    known_pixels = _read_known_pixels(tokenizer, images, known)  # checks all images before completing the first
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
        # 0 is the seed of the resampling, 1 to P are those of the particles, and P + 1 that of the choice of results
        ((uniform,),) = uniform_noise([(*seed_key, 1 + len(input_ids))], 1)
        completed.append(input_ids[torch.from_numpy(resample(log_weights, num_return_sequences, uniform))])
    return completed


def _read_known_pixels(tokenizer, images, known) -> list[KnownPixelsLogitsProcessor]:
    size = tokenizer.image_size
    if known is None:
        known = np.arange(size)[:, None].repeat(size, axis=1) < size // 2
    KnownPixelsLogitsProcessor(tokenizer, images, known)  # all together, so that an error names the image
    masks = check_images(known, tokenizer, "known")
    for index, mask in enumerate(masks):
        if not mask.any():
            raise ValueError(
                f"`known` must have 1 pixel or more in each mask, got none in mask {index}; call the pipeline to draw "
                "an image without known pixels"
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

    Particles are resampled whenever the effective sample size falls below half their number: in proportion to their
    weights, and with several labels so that half of them are spread evenly over the labels. Symbols whose six pixels
    are all known are not drawn: the model reads a run of them in one pass, and those before the first unknown symbol
    once per label.

    Args:
        model (`GPT2LMHeadModel`): the language model.
        tokenizer (`MnistTextTokenizer`): the tokenizer of the model.
        known_pixels (`KnownPixelsLogitsProcessor`): the known pixels of one image.
        labels (`Sequence[int]`, length C): the classes that the image may have, all equally likely a priori.
        seed_key (`Sequence[int]`): integers that the noise depends on, besides the number of a particle.
        num_particles (`int`, defaults to 64): P, C or more.
        temperature (`float`, defaults to 1.0): divides the logits of the language model.
        callback (`Callable[[torch.LongTensor], None]`, *optional*): called with `[P, T]` ids, T growing.

    Returns:
        `torch.LongTensor` `[P, 152]` on the CPU, ids of valid texts that agree with the known pixels, and `np.ndarray`
        float64 `[P]`, the logarithms of their weights. The sum of the weights is an unbiased estimate of p(known
        pixels). A text of weight 0 may be invalid: the model gave all symbols that agree the probability 0.

    Raises:
        ValueError: if the model is not GPT-2 or not on one device, if there are fewer particles than labels or several
            images, or if the model gives NaN or, after all particles, the known pixels the probability 0.
    """
    model = unwrap_model(model)
    check_model(model)
    if num_particles < len(labels):
        raise ValueError(f"`num_particles` must be {len(labels)} or more, one per label, got {num_particles}")
    if len(known_pixels.allowed) != 1:
        raise ValueError(f"`known_pixels` must be of one image, got {len(known_pixels.allowed)}")
    particles = _Particles(tokenizer, known_pixels, labels, num_particles)
    grammar, temper = MnistTextLogitsProcessor(tokenizer), TemperatureLogitsWarper(temperature)
    keys = [(*seed_key, 1 + index) for index in range(num_particles)]
    noise = gumbel_noise(keys, tokenizer.num_pixel_symbols, len(grammar.pixel_ids))
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
        # Z_t does not depend on the symbol drawn at t, so resampling can come before the draw
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
    """Texts in which the known symbols are already written, and the logarithms of their weights."""

    def __init__(self, tokenizer, known_pixels: KnownPixelsLogitsProcessor, labels: Sequence[int], num_particles: int):
        (allowed,) = known_pixels.allowed  # [150, 64]
        symbols = tokenizer.pixel_ids.start + allowed.long().argmax(dim=-1)
        self.ids = torch.empty(num_particles, tokenizer.model_max_length, dtype=torch.int64)
        # the numbers of texts per label differ by at most one, and the weights make up for that
        self.owners = torch.arange(num_particles) * len(labels) // num_particles
        self.ids[:, 0] = torch.tensor([tokenizer.class_ids[label] for label in labels])[self.owners]
        self.ids[:, 1:-1] = symbols
        self.ids[:, -1] = tokenizer.eos_token_id
        self.log_weights = -np.log(len(labels) * self.owners.bincount().numpy()[self.owners])
        self.free = (1 + (allowed.sum(dim=-1) > 1).nonzero()[:, 0]).tolist()
        # a span goes from the token drawn last, over known ones, to the one before the next that is drawn
        starts, stops = [0, *self.free], [*self.free, tokenizer.num_pixel_symbols]
        self.spans = [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]

    def rows(self, start: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Indices `[N]` of particles that the network reads and, if not all are, which of the N each one equals."""
        if start:
            return torch.arange(len(self.ids)), None
        # at the start particles of one label are equal
        first = torch.searchsorted(self.owners, torch.arange(int(self.owners[-1]) + 1))
        return first, self.owners

    def weigh(self, increments: np.ndarray, stop: int) -> None:
        self.log_weights = self.log_weights + increments
        largest = self.log_weights.max()
        if not np.isfinite(largest):
            found = "NaN" if np.isnan(largest) else "the probability 0"
            raise ValueError(
                f"the model must give the known pixels a probability above 0, got {found} after all {len(self.ids)} "
                f"particles at symbol {stop} of the text; more particles may help"
            )

    def log_scores(self) -> np.ndarray:
        """The logarithms of the resampling scores: half by the weights, half evenly over the labels; they sum to 1.

        With the weights alone, a label with a small share would be lost, even if later pixels speak for it. For scores
        other than the weights see Liu, Chen and Logvinenko, "A Theoretical Framework for Sequential Importance
        Sampling with Resampling" (2001). With one label they are the normalized weights.
        """
        labels = self.ids[:, 0].unique(return_inverse=True)[1].numpy()
        of_labels = np.full(labels.max() + 1, -np.inf)
        np.logaddexp.at(of_labels, labels, self.log_weights)
        alive = of_labels > -np.inf
        with np.errstate(invalid="ignore"):
            shares = np.logaddexp(-np.logaddexp.reduce(of_labels), -np.log(alive.sum()) - of_labels) - np.log(2)
            return np.where(alive[labels], self.log_weights + shares[labels], -np.inf)

    def replace(self, ancestors: torch.Tensor, log_scores: np.ndarray) -> None:
        """Continue with the particles `ancestors`, `[P]`, which were drawn by these scores."""
        self.ids = self.ids[ancestors]
        log_weights = self.log_weights[ancestors] - log_scores[ancestors]
        self.log_weights = log_weights - np.log(len(ancestors))


def effective_sample_size(log_weights: np.ndarray) -> float:
    """(Σ w)² / Σ w², from 1 to P.

    This is P / (1 + cv²) of Kong, Liu and Wong, "Sequential Imputations and Bayesian Missing Data Problems" (1994).

    Args:
        log_weights (`np.ndarray`, float64 `[P]`): logarithms of weights, not all minus infinity.
    """
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def resample(log_weights: np.ndarray, num_samples: int, uniform: float) -> np.ndarray:
    """Systematic resampling, with points that wrap around, so that each point is uniform in [0, 1).

    See Douc, Cappé and Moulines, "Comparison of Resampling Schemes for Particle Filtering" (2005, arXiv:cs/0507025),
    section 2.4, where the same points are in ascending order.

    Args:
        log_weights (`np.ndarray`, float64 `[P]`): logarithms of weights, not all minus infinity.
        num_samples (`int`): R, the number of samples.
        uniform (`float`): a uniform number in (0, 1).

    Returns:
        `np.ndarray`: int64 `[R]` in 0 to P - 1. Each entry is i with the probability w_i / Σ w, and i comes
        R w_i / Σ w times, rounded up or down.
    """
    cumulative = np.exp(log_weights - log_weights.max()).cumsum()
    points = (uniform + np.arange(num_samples) / num_samples) % 1
    # the first sum above the point, which is never that of a particle of weight 0
    return np.searchsorted(cumulative / cumulative[-1], points, side="right")
