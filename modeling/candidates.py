# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Candidates: texts that are generated at the same time, decoded into images, and judged by the classifier."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
)
from transformers.utils import logging

from .cached_gpt2 import multiplies_bfloat16, unwrap_model
from .class_names import DIGITS, find_class
from .logits_process import GumbelNoiseLogitsProcessor, MnistTextLogitsProcessor, gumbel_noise
from .modeling_mnist_cnn import MnistCnnForImageClassification
from .predictive_sampling import UnknownArgumentError, decode
from .sampling_arguments import DEFAULTS, check_sampling_arguments
from .selection import select_best, select_diverse


logger = logging.get_logger(__name__)

# Candidates are decoded in whole blocks of this size, even if fewer are wanted. The last bits of a matrix product
# depend on its shape, and now and then a token depends on them. So candidate 3 is the same among 8, 64 and 128.
BLOCK_SIZE = 64
# How many blocks run at the same time. One block fills a CPU, but only a quarter of a GPU.
BLOCKS_TOGETHER = {"cuda": 10}
# Measured with benchmarks/sampling.py: more drafts per step, or a longer blank beginning, gain nothing.
NUM_DRAFT_TOKENS = 5
BLANK_SHARE = 4 / 15  # 40 of 150 symbols


@dataclass(frozen=True)
class Candidates:
    """Texts that were drawn, their images, and the classifier's probabilities.

    Attributes:
        texts (`list[str]`, length N): valid texts of 152 characters.
        images (`np.ndarray`, uint8 `[N, 30, 30]` in {0, 1}): the images that the texts describe.
        probabilities (`np.ndarray`, float32 `[N, 10]`): of the digits, from the classifier; `[N, C]` for C classes.
        seconds (`dict[str, float]`): how long it took to `"generate"` and to `"judge"` them.
    """

    texts: list[str]
    images: np.ndarray
    probabilities: np.ndarray
    seconds: dict[str, float]

    def take(self, kept: slice) -> "Candidates":
        """The candidates in a slice."""
        return Candidates(self.texts[kept], self.images[kept], self.probabilities[kept], self.seconds)

    def rank(self, label: int, num_return_sequences: int | None = None) -> np.ndarray:
        """Indices `[num_return_sequences]` of the candidates with the highest probability of a class, highest first.

        Equal probabilities keep the order of the candidates.
        """
        return select_best(self.probabilities[:, label], num_return_sequences)

    def passed(self, label: int, min_score: float) -> np.ndarray:
        """Bool `[N]`: which candidates the classifier assigns to a class, with at least this score.

        A blank image never passes.
        """
        has_ink = self.images.any(axis=(1, 2))
        return has_ink & (self.probabilities.argmax(axis=1) == label) & (self.probabilities[:, label] >= min_score)

    def select(self, label: int, num_return_sequences: int, selection: str, min_score: float) -> np.ndarray:
        """Indices `[num_return_sequences]` of the candidates that the pipeline's `__call__` returns."""
        if selection == "best":
            return self.rank(label, num_return_sequences)
        passed = self.passed(label, min_score)
        return select_diverse(self.probabilities[:, label], self.images, passed, num_return_sequences)

    def choose(
        self,
        label: str | int,
        class_names: Sequence[str],
        num_return_sequences: int = DEFAULTS["num_return_sequences"],
        selection: str = DEFAULTS["selection"],
        min_score: float = DEFAULTS["min_score"],
    ) -> list[dict[str, Any]]:
        """The results that the pipeline's `__call__` returns for one class. Warns where too few candidates passed.

        Args:
            label (`str` or `int`), class_names (`Sequence[str]`):
                The class by its name or number, and the names of all classes.
            num_return_sequences, selection, min_score: see the pipeline's `__call__`.

        Raises:
            ValueError: if a label or an argument is not allowed; the error names its value.
        """
        label = find_class(label, class_names)
        how: dict[str, Any] = {
            "num_return_sequences": num_return_sequences,
            "selection": selection,
            "min_score": min_score,
        }
        check_sampling_arguments(num_candidates=len(self.texts), **how)
        chosen = self.select(label, num_return_sequences, selection, min_score)
        passed = self.passed(label, min_score)
        if selection != "best" and not passed[chosen].all():
            logger.warning(
                f"{passed.sum()} of {len(passed)} candidates of class {class_names[label]!r} pass with a `min_score` "
                f"of {min_score:g}; the highest scores among the others fill the rest of the {len(chosen)} places"
            )
        ranks = np.argsort(self.rank(label)) + 1  # [N]
        return [
            {**result, "rank": int(ranks[index]), "passed": bool(passed[index])}
            for index, result in zip(chosen, self.results(chosen, [label] * len(chosen), class_names), strict=True)
        ]

    def results(
        self, chosen: Sequence[int] | np.ndarray, labels: Sequence[int], class_names: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Candidates as the pipeline's results, but without `rank` and `passed`.

        Args:
            chosen (`Sequence[int]` or `np.ndarray`, length M): their indices, in the order of the results.
            labels (`Sequence[int]`, length M): the class of each; the score is its probability.
            class_names (`Sequence[str]`): the names of all classes.
        """
        return [
            {
                "label": class_names[label],
                "generated_text": self.texts[index],
                "image": Image.fromarray(self.images[index] * 255),
                "score": float(self.probabilities[index, label]),
            }
            for index, label in zip(chosen, labels, strict=True)
        ]

    def scores(self, labels: Sequence[int]) -> np.ndarray:
        """The probability of each candidate's own class, float32 `[N]`, for `labels` of length N."""
        return self.probabilities[np.arange(len(self.texts)), np.asarray(labels)]


def generate_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[int],
    seed_keys: Sequence[Sequence[int]],
    temperature: float = 0.8,
    decoding: str = "exact",
    callback: Callable[[int, np.ndarray], None] | None = None,
) -> torch.Tensor:
    """Generate one text per label, in blocks of 64. A GPU decodes several blocks at the same time.

    The same labels and seed keys give the same texts. A text depends on its label and its noise. What is decoded
    together with it can change the last bits of matrix products, and so in rare cases a token. If a block does not fit
    in memory, its halves are decoded one after the other.

    Args:
        model (`GPT2LMHeadModel`): the language model.
        tokenizer (`MnistTextTokenizer`): the tokenizer of the model.
        labels (`Sequence[int]`, length N): numbers of classes, 0 to 9 for digits.
        seed_keys (`Sequence[Sequence[int]]`, length N): the seed of each text's noise; see [`gumbel_noise`].
        temperature (`float`, defaults to 0.8): divides the logits.
        decoding (`str`, defaults to `"exact"`): `"exact"`, `"bf16"` or `"generate"`; see the pipeline's `__call__`.
        callback (`Callable[[int, np.ndarray], None]`, *optional*):
            Called with the index of a block's first text and uint8 `[B, R, 30]` images in {0, 1} whenever more rows R
            are final in all texts of the block; only at the end if the block was halved.

    Returns:
        `torch.LongTensor`: `[N, 152]`, ids of valid texts, on the model's device.

    Raises:
        ValueError: if a label is not that of a class, or there is not one seed key per label.
    """
    labels = [find_class(label, DIGITS[: len(tokenizer.class_ids)]) for label in labels]
    if len(seed_keys) != len(labels):
        raise ValueError(f"there must be one seed key per label ({len(labels)}), got {len(seed_keys)}")
    alone = decoding == "generate" or callback is not None
    step = BLOCK_SIZE * (1 if alone else BLOCKS_TOGETHER.get(model.device.type, 1))
    blocks = []
    for start in range(0, len(labels), step):
        block = slice(start, start + step)
        show = None if callback is None else row_callback(tokenizer, start, callback)
        blocks.append(_generate(model, tokenizer, labels[block], seed_keys[block], temperature, decoding, show))
    return torch.cat(blocks)


def _generate(model, tokenizer, labels, seed_keys, temperature, decoding, callback) -> torch.Tensor:
    """Ids `[B, 152]`, all decoded at the same time, or in halves where that does not fit in memory."""
    try:
        return _generate_together(model, tokenizer, labels, seed_keys, temperature, decoding, callback)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error) or len(labels) == 1:
            raise
    # split between blocks while there are several
    size = BLOCK_SIZE if len(labels) > BLOCK_SIZE else 1
    half = max(len(labels) // size // 2, 1) * size
    parts = ((labels[:half], seed_keys[:half]), (labels[half:], seed_keys[half:]))
    input_ids = torch.cat([_generate(model, tokenizer, *part, temperature, decoding, None) for part in parts])
    if callback is not None:
        callback(input_ids)
    return input_ids


@torch.no_grad()
def _generate_together(model, tokenizer, labels, seed_keys, temperature, decoding, callback) -> torch.Tensor:
    noise = gumbel_noise(seed_keys, tokenizer.num_pixel_symbols, len(tokenizer.pixel_ids)).to(model.device)
    processors = [
        MnistTextLogitsProcessor(tokenizer),
        TemperatureLogitsWarper(temperature),
        GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids),
    ]
    config = GenerationConfig(
        # the noise in the logits makes the greedy choice a sample
        do_sample=False,
        max_length=tokenizer.model_max_length,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    prompts = torch.tensor([tokenizer.class_ids[label] for label in labels], device=model.device)[:, None]  # [B, 1]
    model = unwrap_model(model)
    # `generate` takes what is missing in a configuration from the model's own, which may contain anything. So it gets
    # the same weights in another object, because other threads would see a change of `model` itself.
    neutral = copy.copy(model)
    neutral.generation_config = GenerationConfig()
    # the class's method, because remote code replaces the model's own by that of custom_generate/
    given = {"attention_mask": torch.ones_like(prompts), "generation_config": config}
    generate = partial(type(model).generate, neutral, prompts, **given)
    if decoding != "generate":
        how = _decoding_arguments(model, tokenizer, decoding, callback)
        try:
            return generate(logits_processor=LogitsProcessorList(processors), **how)
        except UnknownArgumentError as error:
            # only prompts were given, so the unknown argument comes from a newer Transformers
            logger.warning_once(f"transformers {transformers.__version__} decodes with its own `generate`: {error}")
    input_ids = generate(logits_processor=LogitsProcessorList([*processors, _NumbersOnly()]))
    if callback is not None:
        callback(input_ids)
    return input_ids


class _NumbersOnly(LogitsProcessor):
    """Raises an error for NaN, which `generate` takes for the best score; `decode` checks this itself."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if scores.isnan().any():
            raise ValueError("the language model must return finite logits, got NaN; its weights may overflow")
        return scores


def _decoding_arguments(model, tokenizer, decoding: str, callback: Callable | None) -> dict[str, Any]:
    @wraps(decode)  # `generate` reads its signature
    def decode_model(_, *args, **kwargs) -> torch.Tensor:
        # `model` and not its copy, because CUDA graphs are kept by model
        return decode(model, *args, **kwargs)

    return {
        "custom_generate": decode_model,
        "num_draft_tokens": NUM_DRAFT_TOKENS,
        # first guesses: a symbol equals the one above it, and an image begins with blank rows
        "draft_lookback": tokenizer.num_pixel_symbols // tokenizer.image_size,
        "prefix_draft": [tokenizer.pixel_ids[0]] * int(BLANK_SHARE * tokenizer.num_pixel_symbols),
        "block_size": BLOCK_SIZE,
        "linear_dtype": torch.bfloat16 if decoding == "bf16" and multiplies_bfloat16(model.device) else None,
        "callback": callback,
    }


@torch.no_grad()
def judge_images(
    classifier: MnistCnnForImageClassification, images: np.ndarray, temperature: float = 0.8
) -> np.ndarray:
    """Let the classifier judge images.

    Args:
        classifier (`MnistCnnForImageClassification`): a classifier of images of this size.
        images (`np.ndarray`, uint8 `[N, 30, 30]` in {0, 1}): the images, N of 1 or more.
        temperature (`float`, defaults to 0.8): divides the logits.

    Returns:
        `np.ndarray`: float32 `[N, 10]`, the probabilities of the digits; `[N, C]` for C classes.

    Raises:
        ValueError: if the classifier returns NaN.
    """
    pixel_values = torch.from_numpy(images)[:, None].to(classifier.device, classifier.dtype)  # [N, 1, 30, 30]
    # in blocks, so that a score does not depend on how many candidates are judged
    logits = torch.cat([classifier(block).logits for block in pixel_values.split(BLOCK_SIZE)])  # [N, 10]
    probabilities = (logits.float() / temperature).softmax(dim=-1).cpu().numpy()
    if np.isnan(probabilities).any():
        raise ValueError("the classifier must return finite logits, got NaN; its weights may overflow")
    return probabilities


def row_callback(tokenizer, start: int, callback: Callable) -> Callable[[torch.Tensor], None]:
    """Turn ids, as they become sure, into whole rows of images."""
    symbols_per_row = tokenizer.num_pixel_symbols // tokenizer.image_size
    num_seen = 0

    def show(input_ids: torch.Tensor) -> None:
        nonlocal num_seen
        num_rows = min((input_ids.shape[1] - 1) // symbols_per_row, tokenizer.image_size)
        if num_rows > num_seen:
            num_seen = num_rows
            texts = tokenizer.batch_decode(input_ids[:, : 1 + num_rows * symbols_per_row])
            callback(start, tokenizer.decode_images(texts, partial=True)[:, :num_rows])

    return show


def _is_out_of_memory(error: Exception) -> bool:
    # the CPU's allocator raises a plain RuntimeError
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
