# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Decode GPT-2 several tokens a step, token for token what one at a time gives.

Once the noise of a sample is fixed, the next token is a function of the tokens before it: the one of the largest score
plus noise. So it can be guessed and checked, as a greedy token can. A step runs the model over the last sure token and
a few drafts behind it, keeps the drafts that come out as they went in and the first token behind them, and takes what
came out further on as the next drafts. This is predictive sampling (Wiggers and Hoogeboom, "Predictive Sampling with
Forecasting Autoregressive Models", 2020, algorithm 1). A step reads weights and cache once for all its tokens.

This file imports none of its siblings: a repository on the Hub carries it as `custom_generate/generate.py`.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
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


# What these make of a score depends on the scores beside it, and not on the tokens before it.
CONTEXT_FREE_PROCESSORS = (TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, MinPLogitsWarper)


def generate(*args, model: PreTrainedModel, **kwargs) -> torch.LongTensor:
    """What `model.generate(..., custom_generate="owner/repository", trust_remote_code=True)` calls.

    Transformers also puts it in the place of `model.generate` where a model is loaded with `trust_remote_code=True`
    from a repository that carries this file. The class still has its own.
    """
    return type(model).generate(model, *args, **{"custom_generate": decode, **kwargs})


@torch.no_grad()
def decode(
    model: GPT2LMHeadModel,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: Sequence,
    generation_config: GenerationConfig,
    seeds: Sequence[int] | None = None,
    num_draft_tokens: int = 3,
    draft_lookback: int = 1,
    prefix_draft: Sequence[int] = (),
    linear_dtype: torch.dtype | None = None,
    callback: Callable[[torch.LongTensor], None] | None = None,
    **model_kwargs,
) -> torch.LongTensor:
    """Continue prompts: `model.generate(input_ids, custom_generate=decode, seeds=[0, 1], ...)`.

    Temperature, top-k and top-p are those of the generation configuration, and any logits processors are applied. One
    that has a method `at_positions(positions, scores)` beside `__call__`, int64 `[B, T]` and float `[B, T, V]`, sees a
    step's tokens together, and so do Transformers' temperature, top-k, top-p and min-p. With any other processor a
    step is one token.

    Args:
        model (`GPT2LMHeadModel`): any sizes, device and dtype.
        input_ids (`torch.LongTensor`, `[B, P]`): prompts of equal length, not padded.
        logits_processor, stopping_criteria, generation_config:
            What `generate` prepares. Beams and stopping criteria of one's own are refused.
        seeds (`Sequence[int]`, length B, *optional*):
            For `do_sample`, one a prompt. Noise depends on nothing else. By default drawn from torch's generator.
        num_draft_tokens (`int`, defaults to 3): drafts a step; 0 decodes a token at a time.
        draft_lookback (`int`, defaults to 1): a token nothing is known of is guessed to be the one so far before it.
        prefix_draft (`Sequence[int]`):
            Tokens that many continuations start with. The model runs over them once for all equal prompts.
        linear_dtype (`torch.dtype`, *optional*):
            Multiply by the weights of the blocks in this dtype; faster, and not exact. By default the model's.
        callback (`Callable[[torch.LongTensor], None]`, *optional*):
            Called with `[B, T]` ids whenever more tokens of all rows are sure, T growing. It is what a streamer is to
            `generate`, which keeps that from decoding functions of others.

    Returns:
        `torch.LongTensor`: `[B, P + N]`, prompts and continuations, filled with the pad token behind an end token.

    Raises:
        ValueError: for a model that is not GPT-2, a context that is too short, padding, positions, embeddings or a
            cache of one's own, beams, other stopping criteria, a wrong number of seeds, a negative seed or count, and
            where all tokens are masked or scores are not numbers.
    """
    _check_request(model, stopping_criteria, generation_config)
    _check_model_kwargs(input_ids, **model_kwargs)
    _check_count("num_draft_tokens", num_draft_tokens, 0)
    _check_count("draft_lookback", draft_lookback, 1)
    for token in prefix_draft:
        _check_count("a token of prefix_draft", token, 0, model.config.vocab_size - 1)
    processors = list(logits_processor)
    if generation_config.do_sample:
        processors.append(SeededGumbelNoise(seeds, *input_ids.shape, generation_config.max_length, model))
    elif seeds is not None:
        raise ValueError("seeds are given, but do_sample is False; allowed is one of the two")
    if not all(_is_positionwise(processor) for processor in processors):
        num_draft_tokens, prefix_draft = 0, ()
    texts = _Texts(input_ids, generation_config, draft_lookback)
    network = _CachedGPT2(model, input_ids.shape[0], generation_config.max_length, linear_dtype)
    _read_prompts(network, texts, processors, prefix_draft)
    while True:
        if callback is not None:
            callback(texts.sure())
        finished = texts.lengths >= texts.ends
        if finished.all():
            return texts.result()
        network.drop(finished)
        positions = texts.window(num_draft_tokens + 1)
        logits = network(texts.take(positions), positions)
        _extend(processors, texts, positions + 1, logits)


def _check_request(model, stopping_criteria, config: GenerationConfig) -> None:
    if not isinstance(model, GPT2LMHeadModel) or model.config.add_cross_attention:
        raise ValueError(f"the model is a {type(model).__name__}; allowed is a GPT2LMHeadModel, no cross-attention")
    if config.max_length > model.config.n_positions:
        raise ValueError(f"max_length is {config.max_length}; allowed is the context, {model.config.n_positions}")
    if config.num_beams != 1 or config.return_dict_in_generate:
        raise ValueError("num_beams or return_dict_in_generate is set; allowed is one text of ids a prompt")
    for criterion in stopping_criteria:
        if not isinstance(criterion, MaxLengthCriteria | EosTokenCriteria):
            raise ValueError(f"stopping criterion {type(criterion).__name__}; allowed are max_length and eos_token_id")


def _check_model_kwargs(
    input_ids, attention_mask=None, position_ids=None, use_cache=None, logits_to_keep=None, **others
) -> None:
    """Refuse what would change the logits and is not read here; `generate` itself adds the named ones.

    It also adds an empty cache, whose name depends on the version of Transformers: `past_key_values`, then `cache`.
    """
    if attention_mask is not None and not attention_mask.all():
        raise ValueError("the attention mask has zeros; allowed are prompts of equal length, with no padding")
    if position_ids is not None and (position_ids != torch.arange(input_ids.shape[1], device=input_ids.device)).any():
        raise ValueError(f"position_ids starts with {position_ids[0].tolist()[:4]}; allowed are 0, 1, 2, ...")
    for name, value in others.items():
        if isinstance(value, Cache):
            if value.get_seq_length():
                raise ValueError(f"{name} holds {value.get_seq_length()} tokens; allowed is an empty cache")
        elif value is not None:
            raise ValueError(f"{name} is given; allowed are input_ids alone, of equal length")


def _check_count(name: str, value: int, smallest: int, largest: float = math.inf) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not smallest <= value <= largest:
        allowed = f"{smallest} or more" if largest == math.inf else f"from {smallest} to {largest}"
        raise ValueError(f"{name} is {value!r}; allowed is an integer {allowed}")


class SeededGumbelNoise:
    """Gumbel noise, each row's from its own seed: argmax(scores + noise) ~ softmax(scores).

    The Gumbel-max trick: Maddison, Tarlow and Minka, "A* Sampling" (2014), section 2.
    """

    def __init__(self, seeds: Sequence[int] | None, batch_size: int, start: int, stop: int, model: PreTrainedModel):
        if seeds is None:
            seeds = torch.randint(2**63 - 1, (batch_size,)).tolist()
        if len(seeds) != batch_size:
            raise ValueError(f"there are {len(seeds)} seeds; allowed are {batch_size}, one a prompt")
        for seed in seeds:
            _check_count("a seed", seed, 0)
        self.start = start
        uniform = np.stack(
            [np.random.default_rng(seed).random((stop - start, model.config.vocab_size), np.float32) for seed in seeds]
        )
        # float32 can draw 0, whose noise would be minus infinity
        noise = -np.log(-np.log(np.clip(uniform, np.finfo(np.float32).tiny, 1 - 2**-24)))
        self.noise = torch.from_numpy(noise).to(model.device)

    def at_positions(self, positions: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        steps = (positions - self.start).clamp(0, self.noise.shape[1] - 1)
        return scores + self.noise[torch.arange(len(steps), device=steps.device)[:, None], steps]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        return scores + self.noise[:, input_ids.shape[1] - self.start]


def _is_positionwise(processor) -> bool:
    return hasattr(processor, "at_positions") or isinstance(processor, CONTEXT_FREE_PROCESSORS)


def _extend(processors: list, texts: "_Texts", positions: torch.LongTensor, logits: torch.Tensor) -> None:
    """Take the best token at each of the positions `[B, T]`, from their logits `[B, T, V]`, as far as it is sure."""
    scores = logits.float()
    for processor in processors:
        if hasattr(processor, "at_positions"):
            scores = processor.at_positions(positions, scores)
        elif _is_positionwise(processor):
            scores = processor(None, scores.flatten(0, 1)).view_as(scores)
        else:
            scores = processor(texts.result(), scores[:, 0])[:, None]
    best, tokens = scores.max(dim=-1)
    lengths = texts.lengths[:, None]
    texts.accept(positions, tokens)
    # only what is kept has to make sense: a draft may be wrong, and stand behind an end token
    wrong = ~best.isfinite() & (positions >= lengths) & (positions < texts.lengths[:, None])
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"text {row} has a best score of {best[row, column].item()} at position {positions[row, column].item()}; "
            "allowed is a finite one (were all tokens masked, or do the weights give NaN?)"
        )


def _read_prompts(network: "_CachedGPT2", texts: "_Texts", processors: list, prefix_draft: Sequence[int]) -> None:
    """The first step: all prompts and the drafts behind them, equal prompts once."""
    prompts, owners = texts.prompts.unique(dim=0, return_inverse=True)
    prefix_draft = prefix_draft[: texts.max_length - texts.prompts.shape[1] - 1]
    drafts = torch.tensor(prefix_draft, dtype=prompts.dtype, device=prompts.device).expand(len(prompts), -1)
    ids = torch.cat([prompts, drafts], dim=1)
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    first = texts.prompts.shape[1] - 1
    logits = network(ids, positions, owners)[owners, first:]
    positions = positions[owners, first:] + 1
    texts.write(positions[:, :-1], ids[owners, first + 1 :])
    _extend(processors, texts, positions, logits)


class _Texts:
    """The texts of a batch: of each, how many tokens are sure, and behind them drafts."""

    def __init__(self, prompts: torch.LongTensor, config: GenerationConfig, lookback: int):
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

    def window(self, size: int) -> torch.LongTensor:
        """Positions `[B, size]` of the last sure token and the drafts behind it; beyond the end, the last repeats."""
        offsets = torch.arange(size, device=self.ids.device)
        positions = (self.lengths[:, None] - 1 + offsets).clamp(max=self.max_length - 2)
        # a guess may rest on a guess: go back until something is known
        steps_back = ((positions - self.known[:, None]) // self.lookback + 1).clamp(min=0)
        self.write(positions, self.take((positions - steps_back * self.lookback).clamp(min=0)))
        return positions

    def take(self, positions: torch.LongTensor) -> torch.LongTensor:
        return self.ids[self.rows, positions]

    def write(self, positions: torch.LongTensor, tokens: torch.LongTensor) -> None:
        self.ids[self.rows, positions] = tokens

    def accept(self, positions: torch.LongTensor, tokens: torch.LongTensor) -> None:
        """Keep the tokens `[B, T]` that follow equal drafts; the others, at their positions `[B, T]`, are drafts."""
        right = tokens[:, :-1] == self.take(positions[:, :-1])
        # columns that repeat the last position draft nothing
        right &= positions[:, 1:] > positions[:, :-1]
        num_sure = right.long().cumprod(dim=1).sum(dim=1) + 1
        live = self.lengths < self.ends
        self.lengths = torch.where(live, self.lengths + num_sure, self.lengths)
        tokens = torch.where(live[:, None], tokens, self.take(positions))
        self.write(positions, tokens)
        self.known = torch.maximum(positions[:, -1] + 1, self.known)
        self._stop(positions)

    def _stop(self, positions: torch.LongTensor) -> None:
        if len(self.eos):
            ended = torch.isin(self.take(positions), self.eos) & (positions < self.lengths[:, None])
            first = torch.where(ended, positions + 1, self.max_length).amin(dim=1)
            self.ends = torch.minimum(self.ends, first)
        self.lengths = torch.minimum(self.lengths, self.ends)

    def sure(self) -> torch.LongTensor:
        """The ids `[B, T]` of as many positions as are sure in all texts that have not ended."""
        length = int(torch.where(self.lengths < self.ends, self.lengths, self.max_length).min())
        return self.result()[:, :length]

    def result(self) -> torch.LongTensor:
        length = int(self.lengths.max())
        beyond = torch.arange(length, device=self.ids.device) >= self.lengths[:, None]
        return self.ids[:, :length].masked_fill(beyond, self.pad)


class _CachedGPT2:
    """GPT-2 on windows of tokens, each text's at its own positions, with keys and values kept in one buffer."""

    def __init__(self, model: GPT2LMHeadModel, batch_size: int, max_length: int, linear_dtype: torch.dtype | None):
        config, self.model = model.config, model
        self.batch_size, self.max_length = batch_size, max_length
        dtype = linear_dtype or model.dtype
        self.blocks = [_Block(block, config, index, dtype) for index, block in enumerate(model.transformer.h)]
        self.texts = torch.arange(batch_size, device=model.device)  # those that the cache still holds
        self.cache = _zeros((config.n_layer, batch_size, max_length, 2 * config.n_embd), dtype, model.device)

    def __call__(
        self, ids: torch.LongTensor, positions: torch.LongTensor, owners: torch.LongTensor | None = None
    ) -> torch.Tensor:
        """Logits `[N, T, V]` of what follows tokens `[N, T]` at positions `[N, T]`; 0 for texts that were dropped.

        With `owners` `[B]` the N rows are not yet the batch's, and row `owners[b]` becomes text b's in the cache.
        """
        if owners is None:
            ids, positions = ids[self.texts], positions[self.texts]
        num_texts = len(ids)
        num_keys = int(positions.max()) + 1
        transformer = self.model.transformer
        hidden = transformer.wte(ids) + transformer.wpe(positions)  # [N, T, E]
        masked = torch.arange(num_keys, device=ids.device) > positions[:, None, :, None]  # [N, 1, T, keys]
        bias = torch.zeros(masked.shape, device=ids.device, dtype=self.cache.dtype).masked_fill_(masked, -math.inf)
        slots = (torch.arange(num_texts, device=ids.device)[:, None] * self.max_length + positions).flatten()  # [N·T]
        for block, cache in zip(self.blocks, self.cache, strict=True):
            held = cache[:num_texts] if owners is None else torch.empty_like(cache[:num_texts])
            hidden = block(hidden, held, slots, bias)
            if owners is not None:
                cache[:, :num_keys] = held[owners, :num_keys]
        logits = self.model.lm_head(transformer.ln_f(hidden))
        if len(self.texts) == self.batch_size:
            return logits
        return logits.new_zeros(self.batch_size, *logits.shape[1:]).index_copy_(0, self.texts, logits)

    def drop(self, finished: torch.BoolTensor) -> None:
        """Leave out finished texts `[B]`, once they are half: then it pays to move the others together."""
        rows = (~finished[self.texts]).nonzero()[:, 0]
        if 2 * len(rows) <= len(self.texts):
            self.texts, self.cache = self.texts[rows], self.cache[:, rows]

    def reorder(self, rows: torch.LongTensor, num_keys: int) -> None:
        """Let text b go on from what is held of text `rows[b]`, `[B]`, at the first positions."""
        for cache in self.cache:  # a block at a time: no second copy of the whole
            cache[:, :num_keys] = cache[rows, :num_keys]


class _Block:
    """One transformer block, with what does not change from step to step made once."""

    def __init__(self, block: nn.Module, config, index: int, dtype: torch.dtype):
        self.ln_1, self.ln_2, self.dtype = block.ln_1, block.ln_2, dtype
        self.qkv, self.attention_projection = (_linear(layer, dtype) for layer in (block.attn.c_attn, block.attn.c_proj))
        self.expand, self.project = (_linear(layer, dtype) for layer in (block.mlp.c_fc, block.mlp.c_proj))
        self.activation = _gelu if config.activation_function in ("gelu_new", "gelu_pytorch_tanh") else block.mlp.act
        self.num_heads, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.scale = self.head_dim**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= index + 1

    def __call__(self, hidden, cache, slots, bias) -> torch.Tensor:
        hidden = hidden + self.attention(self.ln_1(hidden).to(self.dtype), cache, slots, bias)
        return hidden + self.project(self.activation(self.expand(self.ln_2(hidden).to(self.dtype))))

    def attention(self, hidden, cache, slots, bias) -> torch.Tensor:
        """Attention of `[N, T, E]` over a cache `[N, positions, 2·E]`, which takes new keys and values first."""
        num_texts, num_tokens, width = hidden.shape
        qkv = self.qkv(hidden)  # [N, T, 3·E]
        cache.view(-1, 2 * width).index_copy_(0, slots, qkv[..., width:].reshape(-1, 2 * width))
        heads = (self.num_heads, self.head_dim)
        queries = qkv[..., :width].view(num_texts, num_tokens, *heads).transpose(1, 2)  # [N, heads, T, head_dim]
        held = cache[:, : bias.shape[-1]].view(num_texts, -1, 2, *heads)
        keys, values = held.permute(2, 0, 3, 1, 4)  # [N, heads, keys, head_dim] each
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=self.scale)
        return self.attention_projection(mixed.transpose(1, 2).reshape(num_texts, num_tokens, width))


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, and not what lies in memory: attention multiplies what is masked by 0, and 0 times NaN is NaN.

    On a CPU numpy asks for large pages that are zero already: a third of the time of `torch.zeros`.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2.

    As (1 + tanh u) / 2 is the logistic function of 2 u, it takes half as long on a CPU as the fused kernel.
    """
    if x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    scale = 2 * math.sqrt(2 / math.pi)
    return (x * x).mul_(0.044715 * scale).add_(scale).mul_(x).sigmoid_().mul_(x)


def _linear(layer: nn.Module, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """A `Conv1D` of GPT-2, whose weight is `[in, out]`, as a function."""
    weight, bias = layer.weight, layer.bias
    if dtype == weight.dtype:
        return lambda x: torch.addmm(bias, x.flatten(0, -2), weight).view(*x.shape[:-1], -1)
    weight, bias = weight.t().to(dtype).contiguous(), bias.to(dtype)
    return lambda x: F.linear(x, weight, bias)
