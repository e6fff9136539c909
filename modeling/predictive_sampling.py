# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decode GPT-2 several tokens per step, with the same result as one token per step.

Once the noise of a sample is fixed, the next token is a function of the tokens before it: the one with the largest
sum of score and noise. So it can be guessed and checked, like a token of greedy decoding. A step runs the model over
the last final token and a few drafts after it. It keeps the drafts that the model confirms and the first token after
them, and takes the model's later tokens as the next drafts. This is predictive sampling (Wiggers and Hoogeboom,
"Predictive Sampling with Forecasting Autoregressive Models", 2020, algorithm 1). It is fast because a step reads
weights and cache once for all its tokens.

A published model has a copy of this file, `custom_generate/generate.py`, beside a copy of the one that it imports.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
import torch
from transformers import (
    Cache,
    EosTokenCriteria,
    GenerationConfig,
    GPT2LMHeadModel,
    LogitsProcessorList,
    MaxLengthCriteria,
    MinPLogitsWarper,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .cached_gpt2 import Network, UnsupportedError, borrow_network, check_model, unwrap_model


# After this many steps the host waits for a GPU to report the lengths of the texts; meanwhile it launches ahead.
STEPS_PER_CHECK = {"cuda": 4}
# These processors look only at the scores of a position, not at the tokens before it.
CONTEXT_FREE_PROCESSORS = (TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, MinPLogitsWarper)


class UnknownArgumentError(UnsupportedError):
    """`generate` passed an argument that `decode` does not know: from the user, or from a newer Transformers."""


def generate(*args, model: PreTrainedModel, **kwargs) -> torch.Tensor:
    """The function that `model.generate(..., custom_generate="owner/repository", trust_remote_code=True)` calls.

    Transformers also replaces `model.generate` by it if a model is loaded with `trust_remote_code=True` from a
    repository that has this file. The class keeps its own `generate`, which does what `decode` cannot: beams, padding,
    streamers, other stopping criteria, and so on.
    """
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    plain: Any = unwrap_model(model)
    stock = partial(type(plain).generate, plain, *args, **kwargs)
    # with these arguments, `generate` would not call `decode`
    if kwargs.keys() & {"custom_generate", "streamer", "assistant_model", "tokenizer"}:
        return stock()
    try:
        return stock(custom_generate=decode)
    except UnsupportedError:
        of_decode = {name for name, value in signature(decode).parameters.items() if value.default is not value.empty}
        if kwargs.keys() & of_decode:
            raise
    return stock()


@torch.no_grad()
def decode(
    model: GPT2LMHeadModel,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: Sequence,
    generation_config: GenerationConfig,
    seeds: Sequence[int] | None = None,
    num_draft_tokens: int = 3,
    draft_lookback: int = 1,
    prefix_draft: Sequence[int] = (),
    block_size: int | None = None,
    linear_dtype: torch.dtype | None = None,
    callback: Callable[[torch.Tensor], None] | None = None,
    **model_kwargs,
) -> torch.Tensor:
    """Continue prompts: `model.generate(input_ids, custom_generate=decode, seeds=[0, 1], ...)`.

    Temperature, top-k and top-p are those of the generation configuration, and any logits processors are applied. A
    processor that also has a method `at_positions(positions, scores)`, for int64 `[B, T]` and float `[B, T, V]`,
    processes all tokens of a step together, and so do Transformers' temperature, top-k, top-p and min-p. With any
    other processor, a step is one token.

    Args:
        model (`GPT2LMHeadModel`): of any sizes, device and dtype.
        input_ids (`torch.LongTensor`, `[B, P]`): prompts of equal length, without padding.
        logits_processor, stopping_criteria, generation_config:
            As prepared by `generate`. Beams and custom stopping criteria are errors.
        seeds (`Sequence[int]`, length B, *optional*):
            For `do_sample`, one per prompt, 0 or more; noise depends on nothing else. By default drawn from torch's
            generator.
        num_draft_tokens (`int`, defaults to 3): drafts per step; 0 decodes one token per step.
        draft_lookback (`int`, defaults to 1): a first draft copies the token this many positions before it.
        prefix_draft (`Sequence[int]`):
            Tokens that many continuations start with. The model runs over them once for all equal prompts.
        block_size (`int`, *optional*):
            The model runs over this many rows at a time. A text then does not depend on the number of the others,
            although the last bits of a product depend on its shape. By default all rows are one block.
        linear_dtype (`torch.dtype`, *optional*):
            The dtype of products, keys and values in the transformer blocks. A lower one is faster and not exact. By
            default that of `torch.autocast` if it is on, else the model's.
        callback (`Callable[[torch.LongTensor], None]`, *optional*):
            Called with ids `[B, T]` whenever more tokens T are final in all rows. It replaces a streamer, which
            `generate` does not pass on to custom decoding functions.

    Returns:
        `torch.LongTensor`: `[B, P + N]`, prompts and continuations, filled with the pad token after an end token.

    Raises:
        ValueError: if the model is not GPT-2 or not on one device, the context is too short, prompts are padded,
            positions, embeddings or a cache are given, beams or other stopping criteria are set, the number of seeds
            is wrong, a seed or count is negative, all tokens are masked, or scores are not numbers.
    """
    model = unwrap_model(model)
    _check_request(model, stopping_criteria, generation_config)
    _check_model_kwargs(input_ids, **model_kwargs)
    _check_count("`num_draft_tokens`", num_draft_tokens, 0)
    _check_count("`draft_lookback`", draft_lookback, 1)
    if block_size is not None:
        _check_count("`block_size`", block_size, 1)
    for token in prefix_draft:
        _check_count("a token of `prefix_draft`", token, 0, model.config.vocab_size - 1)
    processors = list(logits_processor)
    if generation_config.do_sample:
        batch_size, start = input_ids.shape
        processors.append(SeededGumbelNoise(seeds, batch_size, start, generation_config.max_length, model))
    elif seeds is not None:
        raise ValueError("`seeds` must not be given if `do_sample` is False")
    if not all(_is_positionwise(processor) for processor in processors):
        num_draft_tokens, prefix_draft = 0, ()
    texts = _Texts(input_ids, generation_config, draft_lookback)
    # a callback, and a processor that sees single tokens, must run after every step
    steps_per_check = STEPS_PER_CHECK.get(input_ids.device.type, 1) if callback is None and num_draft_tokens else 1
    shapes = (len(input_ids), block_size or len(input_ids), texts.max_length, linear_dtype, num_draft_tokens + 1)
    with borrow_network(model, *shapes) as network:
        _read_prompts(network, texts, processors, prefix_draft)
        for step in itertools.count():
            if callback is not None:
                callback(texts.sure())
            if step % steps_per_check == 0:
                finished = texts.check_finished()  # [B]
                if finished.all():
                    break
                network.drop(finished)
            positions = texts.window(num_draft_tokens + 1)  # [B, T]
            logits = network(texts.take(positions), positions)  # [B, T, V]
            _extend(processors, texts, positions + 1, logits)
        return texts.result()


def _check_request(model, stopping_criteria, config: GenerationConfig) -> None:
    check_model(model)
    if config.max_length > model.config.n_positions:
        raise UnsupportedError(
            f"`max_length` must be at most {model.config.n_positions}, the model's context, got {config.max_length}"
        )
    if config.num_beams != 1 or config.return_dict_in_generate:
        raise UnsupportedError(
            "`num_beams` must be 1 and `return_dict_in_generate` False: `decode` returns one text per prompt, as ids"
        )
    for criterion in stopping_criteria:
        if not isinstance(criterion, MaxLengthCriteria | EosTokenCriteria):
            raise UnsupportedError(
                f"stopping criteria must be `max_length` and `eos_token_id`, got {type(criterion).__name__}"
            )


def _check_model_kwargs(
    input_ids, attention_mask=None, position_ids=None, use_cache=None, logits_to_keep=None, **others
) -> None:
    """Refuse arguments that would change the logits but are not used here; `generate` itself adds the named ones.

    It also adds an empty cache, named `past_key_values` or `cache` depending on the version of Transformers.
    """
    if attention_mask is not None and not attention_mask.all():
        raise UnsupportedError("prompts must have equal length, without padding, got zeros in `attention_mask`")
    if position_ids is not None and (position_ids != torch.arange(input_ids.shape[1], device=input_ids.device)).any():
        raise UnsupportedError(f"`position_ids` must be 0, 1, 2, ..., got {position_ids[0].tolist()[:4]} first")
    for name, value in others.items():
        if isinstance(value, Cache):
            if value.get_seq_length():
                raise UnsupportedError(f"`{name}` must be an empty cache, got one of {value.get_seq_length()} tokens")
        elif value is not None:
            raise UnknownArgumentError(f"`{name}` must not be given: prompts are `input_ids` of equal length")


def _check_count(name: str, value: int, smallest: int, largest: float = math.inf) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not smallest <= value <= largest:
        allowed = f"of {smallest} or more" if largest == math.inf else f"from {smallest} to {largest}"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}")


class SeededGumbelNoise:
    """Gumbel noise with a seed per row: argmax(scores + noise) ~ softmax(scores).

    This is the Gumbel-max trick: Maddison, Tarlow and Minka, "A* Sampling" (2014), section 2.
    """

    def __init__(self, seeds: Sequence[int] | None, batch_size: int, start: int, stop: int, model: PreTrainedModel):
        if seeds is None:
            seeds = torch.randint(2**63 - 1, (batch_size,)).tolist()
        if len(seeds) != batch_size:
            raise ValueError(f"there must be one seed per prompt ({batch_size}), got {len(seeds)}")
        for seed in seeds:
            _check_count("a seed", seed, 0)
        self.start = start
        uniform = np.stack(
            [np.random.default_rng(seed).random((stop - start, model.config.vocab_size), np.float32) for seed in seeds]
        )
        # float32 can draw 0, whose noise would be minus infinity
        noise = -np.log(-np.log(np.clip(uniform, np.finfo(np.float32).tiny, 1 - 2**-24)))
        self.noise = torch.from_numpy(noise).to(model.device)

    def at_positions(self, positions: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        steps = (positions - self.start).clamp(0, self.noise.shape[1] - 1)
        return scores + self.noise[torch.arange(len(steps), device=steps.device)[:, None], steps]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores + self.noise[:, input_ids.shape[1] - self.start]


def _is_positionwise(processor) -> bool:
    return hasattr(processor, "at_positions") or isinstance(processor, CONTEXT_FREE_PROCESSORS)


def _extend(processors: list, texts: "_Texts", positions: torch.Tensor, logits: torch.Tensor) -> None:
    """From logits `[B, T, V]`, take the best tokens at positions `[B, T]`: the first ones are final, others drafts."""
    scores = logits.float()
    for processor in processors:
        if hasattr(processor, "at_positions"):
            scores = processor.at_positions(positions, scores)
        elif _is_positionwise(processor):
            scores = processor(None, scores.flatten(0, 1)).view_as(scores)
        else:
            scores = processor(texts.result(), scores[:, 0])[:, None]
    best, tokens = scores.max(dim=-1)  # [B, T]
    lengths = texts.lengths[:, None]
    texts.accept(positions, tokens)
    # only tokens that are kept need a finite score: a draft may be wrong, or stand after an end token
    wrong = ~best.isfinite() & (positions >= lengths) & (positions < texts.lengths[:, None])
    texts.unchecked.append((wrong, best, positions))


def _read_prompts(network: Network, texts: "_Texts", processors: list, prefix_draft: Sequence[int]) -> None:
    """The first step: run the model over all prompts and the drafts after them."""
    first = texts.prompts.shape[1] - 1
    prefix_draft = prefix_draft[: texts.max_length - texts.prompts.shape[1] - 1]
    drafts = torch.tensor(prefix_draft, dtype=torch.int64, device=texts.ids.device).expand(len(texts.ids), -1)
    ids = torch.cat([texts.prompts, drafts], dim=1)  # [B, P + drafts]
    logits = network.read(ids)[:, first:]  # [B, 1 + drafts, V]
    positions = torch.arange(first + 1, ids.shape[1] + 1, device=ids.device).expand(len(ids), -1)
    texts.write(positions[:, :-1], drafts)
    _extend(processors, texts, positions, logits)


class _Texts:
    """The texts of a batch: `lengths` `[B]` tokens of each are final, and drafts follow them."""

    def __init__(self, prompts: torch.Tensor, config: GenerationConfig, lookback: int):
        self.prompts, self.max_length, self.lookback = prompts, config.max_length, lookback
        eos = config.eos_token_id
        self.eos = torch.tensor([] if eos is None else eos, device=prompts.device).view(-1)
        self.pad = config.pad_token_id if config.pad_token_id is not None else int(self.eos[0]) if len(self.eos) else 0
        batch_size, length = prompts.shape
        self.rows = torch.arange(batch_size, device=prompts.device)[:, None]
        self.ids = torch.full((batch_size, config.max_length), self.pad, device=prompts.device)
        self.ids[:, :length] = prompts
        self.lengths = torch.full((batch_size,), length, device=prompts.device)
        self.ends = torch.full((batch_size,), config.max_length, device=prompts.device)
        self.known = self.lengths.clone()
        # for each step: which scores are wrong, the scores, and their positions, [B, T] each
        self.unchecked: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def check_finished(self) -> torch.Tensor:
        """Which texts are finished, bool `[B]`. Raises an error for wrong scores since the last call.

        It waits for the device, so it is not called at every step.
        """
        unchecked, self.unchecked = self.unchecked, []
        if torch.stack([wrong.any() for wrong, _, _ in unchecked]).any():
            wrong, best, positions = next(step for step in unchecked if step[0].any())
            row, column = wrong.nonzero()[0].tolist()
            raise ValueError(
                f"the best score must be finite, got {best[row, column].item()} in text {row} at position "
                f"{positions[row, column].item()}; all tokens may be masked, or the weights may give NaN"
            )
        return self.lengths >= self.ends

    def window(self, size: int) -> torch.Tensor:
        """Positions `[B, size]` of the last final token and the drafts after it; at the end, the last one repeats."""
        offsets = torch.arange(size, device=self.ids.device)
        positions = (self.lengths[:, None] - 1 + offsets).clamp(max=self.max_length - 2)
        # the token to copy may itself be unknown: go back until a token is known
        steps_back = ((positions - self.known[:, None]) // self.lookback + 1).clamp(min=0)
        self.write(positions, self.take((positions - steps_back * self.lookback).clamp(min=0)))
        return positions

    def take(self, positions: torch.Tensor) -> torch.Tensor:
        return self.ids[self.rows, positions]

    def write(self, positions: torch.Tensor, tokens: torch.Tensor) -> None:
        self.ids[self.rows, positions] = tokens

    def accept(self, positions: torch.Tensor, tokens: torch.Tensor) -> None:
        """Keep tokens `[B, T]` as long as all drafts before them were right; write the others as the next drafts."""
        right = tokens[:, :-1] == self.take(positions[:, :-1])
        # columns that repeat the last position have no draft
        right &= positions[:, 1:] > positions[:, :-1]
        num_sure = right.long().cumprod(dim=1).sum(dim=1) + 1
        live = self.lengths < self.ends
        self.lengths = torch.where(live, self.lengths + num_sure, self.lengths)
        tokens = torch.where(live[:, None], tokens, self.take(positions))
        self.write(positions, tokens)
        self.known = torch.maximum(positions[:, -1] + 1, self.known)
        self._stop(positions)

    def _stop(self, positions: torch.Tensor) -> None:
        if len(self.eos):
            ended = torch.isin(self.take(positions), self.eos) & (positions < self.lengths[:, None])
            first = torch.where(ended, positions + 1, self.max_length).amin(dim=1)
            self.ends = torch.minimum(self.ends, first)
        self.lengths = torch.minimum(self.lengths, self.ends)

    def sure(self) -> torch.Tensor:
        """The ids `[B, T]` of the positions that are final in all texts."""
        length = int(torch.where(self.lengths < self.ends, self.lengths, self.max_length).min())
        return self.result()[:, :length]

    def result(self) -> torch.Tensor:
        length = int(self.lengths.max())
        beyond = torch.arange(length, device=self.ids.device) >= self.lengths[:, None]
        return self.ids[:, :length].masked_fill(beyond, self.pad)
