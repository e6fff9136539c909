# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""GPT-2 with a cache of keys and values, run over several tokens per text at a time; on a GPU as CUDA graphs.

This file imports none of its siblings, because a published model also has a copy of it in `custom_generate/`.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging


logger = logging.get_logger(__name__)

GRAPHED_DEVICES = {"cuda"}
# For each model, the networks that no call uses at the moment, by shape. On a GPU they are CUDA graphs, which are slow
# to capture. On a CPU they save the first touch of the cache's memory, which can take a tenth of a call. There, only
# one network of a shape is kept, and none whose cache is larger than `MAX_IDLE_BYTES`.
_IDLE: WeakKeyDictionary[PreTrainedModel, dict[tuple, list]] = WeakKeyDictionary()
_IDLE_LOCK = threading.Lock()
MAX_IDLE_SHAPES, MAX_IDLE_BYTES = 2, 2**28
_Model = TypeVar("_Model")


class UnsupportedError(ValueError):
    """A request that only Transformers' own `generate` can fulfil."""


def unwrap_model(model: _Model) -> _Model:
    """Return the model that `torch.compile` wrapped, or `model` itself: a compiled `forward` is not used."""
    return getattr(model, "_orig_mod", model)


def check_model(model: PreTrainedModel) -> None:
    """Raise an [`UnsupportedError`] for a model that a [`CachedGPT2`] does not run."""
    if not isinstance(model, GPT2LMHeadModel) or model.config.add_cross_attention:
        raise UnsupportedError(
            f"the model must be a GPT2LMHeadModel without cross-attention, got a {type(model).__name__}"
        )
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1 or devices == ["meta"]:
        raise UnsupportedError(
            f"the model must have all its weights on one device, got {' and '.join(devices)}; Transformers' own "
            "`generate` runs a model that `device_map` has split"
        )


class Network:
    """Runs the model over a batch in blocks of rows; on a GPU all blocks at the same time, each as a CUDA graph."""

    def __init__(
        self, model: GPT2LMHeadModel, batch_size: int, block_size: int, max_length: int, dtype, num_tokens: int
    ):
        sizes = (batch_size // block_size) * [block_size] + [batch_size % block_size]
        self.sizes = [size for size in sizes if size]
        dtype = _find_dtype(model, dtype)
        self.blocks = [_take_network(model, size, max_length, dtype, num_tokens) for size in self.sizes]

    def read(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits `[B, P, V]` after the first tokens `[B, P]` of the texts. Equal rows of a block are run once."""
        logits = []
        for block, rows in zip(self.blocks, ids.split(self.sizes), strict=True):
            rows, owners = rows.unique(dim=0, return_inverse=True)  # [N, P], [B]
            positions = torch.arange(ids.shape[1], device=ids.device).expand_as(rows)
            logits.append(block.read(rows, positions, owners)[owners])
        return torch.cat(logits)

    def __call__(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits `[B, T, V]` of what follows tokens `[B, T]` at positions `[B, T]`."""
        windows = zip(ids.split(self.sizes), positions.split(self.sizes), strict=True)
        logits = [block(*window) for block, window in zip(self.blocks, windows, strict=True)]
        for block in self.blocks:
            block.join()
        return torch.cat(logits)

    def drop(self, finished: torch.Tensor) -> None:
        for block, rows in zip(self.blocks, finished.split(self.sizes), strict=True):
            block.drop(rows)


@contextmanager
def borrow_network(model: GPT2LMHeadModel, *how) -> Iterator[Network]:
    """A network, whose parts are kept for the next call unless this one fails."""
    try:
        network = Network(model, *how)
        yield network
    except BaseException:
        _IDLE.pop(model, None)  # memory may be short, which a CPU says in several ways
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)  # a graph that is still running writes to memory that is freed here
        raise
    _give_back(model, network.blocks)


class CachedGPT2:
    """GPT-2 that reads several tokens per text, each text at its own positions, and keeps keys and values in a buffer.

    With `static`, the shapes are the same at all steps, and so are the kernels on a GPU: attention goes over all
    positions, with those after a token masked, and finished texts stay in the batch.
    """

    key: tuple  # its key in `_IDLE`

    def __init__(self, model: GPT2LMHeadModel, batch_size: int, max_length: int, dtype=None, static: bool = False):
        config, self.lm_head = model.config, model.lm_head
        self.wte, self.wpe, self.ln_f = model.transformer.wte, model.transformer.wpe, model.transformer.ln_f
        self.batch_size, self.max_length, self.static = batch_size, max_length, static
        dtype = _find_dtype(model, dtype)
        self.blocks = [_Block(block, config, index, dtype) for index, block in enumerate(model.transformer.h)]
        self.texts = torch.arange(batch_size, device=model.device)  # indices of the texts in the cache
        # keys and values of a head lie side by side, as attention reads them
        head = (2, config.n_head, max_length, config.n_embd // config.n_head)
        self.whole_cache = _zeros((config.n_layer, batch_size, *head), dtype, model.device)
        self.cache = self.whole_cache  # less the places of finished texts

    def __call__(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits `[N, T, V]` of what follows tokens `[N, T]` at positions `[N, T]`; 0 for texts that were dropped."""
        if len(self.texts) == self.batch_size:
            return self._run(ids, positions, self.max_length if self.static else int(positions.max()) + 1)
        ids, positions = ids[self.texts], positions[self.texts]
        logits = self._run(ids, positions, int(positions.max()) + 1)
        return logits.new_zeros(self.batch_size, *logits.shape[1:]).index_copy_(0, self.texts, logits)

    def read(self, ids: torch.Tensor, positions: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        """Logits `[N, T, V]` of distinct rows `[N, T]`. In the cache, text b gets row `owners[b]`, `[B]`."""
        return self._run(ids, positions, int(positions.max()) + 1, owners)

    def _run(self, ids, positions, num_keys: int, owners: torch.Tensor | None = None) -> torch.Tensor:
        num_texts = len(ids)
        with torch.autocast(ids.device.type, enabled=False):  # dtypes are chosen already
            hidden = self.wte(ids) + self.wpe(positions)  # [N, T, E]
            masked = torch.arange(num_keys, device=ids.device) > positions[:, None, :, None]  # [N, 1, T, keys]
            bias = torch.zeros(masked.shape, device=ids.device, dtype=self.cache.dtype).masked_fill_(masked, -math.inf)
            texts = torch.arange(num_texts, device=ids.device)[:, None].expand_as(positions)  # [N, T]
            for block, cache in zip(self.blocks, self.cache, strict=True):  # [B, 2, heads, positions, head_dim]
                held = cache[:num_texts] if owners is None else torch.empty_like(cache[:num_texts])
                hidden = block(hidden, held, (texts, positions), bias)
                if owners is not None:
                    cache[:, :, :, :num_keys] = held[owners, :, :, :num_keys]
            return self.lm_head(self.ln_f(hidden))  # [N, T, V]

    def join(self) -> None:
        pass

    def drop(self, finished: torch.Tensor) -> None:
        """Drop finished texts, bool `[B]`, once they are an eighth; the last unfinished ones take their places."""
        live = ~finished[self.texts]
        num_live = max(int(live.sum()), 1)
        if self.static or 8 * num_live > 7 * len(live):
            return
        movers = num_live + live[num_live:].nonzero()[:, 0]
        places = (~live[:num_live]).nonzero()[: len(movers), 0]
        self.cache[:, places] = self.cache[:, movers]
        self.texts[places] = self.texts[movers]
        self.texts, self.cache = self.texts[:num_live], self.cache[:, :num_live]

    def reorder(self, rows: torch.Tensor, num_keys: int) -> None:
        """Copy the first `num_keys` positions of text `rows[b]`, `[B]`, to text b."""
        for cache in self.cache:  # layer by layer, which needs no second copy of the whole cache
            cache[:, :, :, :num_keys] = cache[rows, :, :, :num_keys]

    def reset(self) -> None:
        """Clear the cache and convert the weights again, in case they have changed."""
        self.texts = torch.arange(self.batch_size, device=self.whole_cache.device)
        self.cache = self.whole_cache.zero_()
        for block in self.blocks:
            for linear in (block.qkv, block.attention_projection, block.expand, block.project):
                linear.refresh()


class _GraphedGPT2:
    """Steps of a static `CachedGPT2` as one CUDA graph: one launch per step instead of one for each of 130 kernels."""

    key: tuple

    def __init__(self, network: CachedGPT2, num_tokens: int):
        device = network.cache.device
        self.network, self.read, self.drop = network, network.read, network.drop
        shape = (2, network.batch_size, num_tokens)
        self.inputs = torch.zeros(shape, dtype=torch.int64, device=device)  # ids and positions
        self.stream, self.graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
        self.stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self.stream):
            network(*self.inputs)  # in the first run libraries initialize themselves, which cannot be captured
            self.graph.capture_begin(capture_error_mode="thread_local")
            try:
                self.logits = network(*self.inputs)  # [N, T, V]
            finally:
                self.graph.capture_end()
        self.join()
        self.reset()  # the first run has written to the cache

    def __call__(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits `[N, T, V]`, valid after `join` and until the next call."""
        self.stream.wait_stream(torch.cuda.current_stream(ids.device))
        with torch.cuda.stream(self.stream):
            self.inputs[0].copy_(ids)
            self.inputs[1].copy_(positions)
            self.graph.replay()
        return self.logits

    def join(self) -> None:
        torch.cuda.current_stream(self.inputs.device).wait_stream(self.stream)

    def reset(self) -> None:
        self.network.reset()


def _take_network(model, batch_size: int, max_length: int, dtype: torch.dtype, num_tokens: int):
    """An idle network of these shapes and weights, or a new one; on a GPU as a graph, if capturing succeeds."""
    weights = tuple(weight.data_ptr() for weight in model.parameters())
    key = (batch_size, max_length, dtype, num_tokens, torch.backends.cuda.matmul.fp32_precision, weights)
    is_graphed = model.device.type in GRAPHED_DEVICES
    with _IDLE_LOCK:
        shapes = _IDLE.setdefault(model, {})
        idle = shapes.setdefault(key, [])
        while len(shapes) > MAX_IDLE_SHAPES:
            del shapes[next(iter(shapes))]
        if idle:
            network = idle.pop()
            network.reset()
        else:
            network = CachedGPT2(model, batch_size, max_length, dtype, is_graphed)
            network = _capture(network, num_tokens) if is_graphed else network
    network.key = key
    return network


def _capture(network: CachedGPT2, num_tokens: int) -> "_GraphedGPT2 | CachedGPT2":
    try:
        return _GraphedGPT2(network, num_tokens)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        logger.warning_once(f"A decoding step could not be captured as a CUDA graph and runs more slowly: {error}")
        return network


def _give_back(model, networks: list) -> None:
    """Keep networks for the next call, unless newer shapes have displaced theirs."""
    is_graphed = model.device.type in GRAPHED_DEVICES
    with _IDLE_LOCK:
        for network in networks:
            idle = _IDLE.get(model, {}).get(network.key)
            if idle is not None and (is_graphed or (not idle and network.whole_cache.nbytes <= MAX_IDLE_BYTES)):
                idle.append(network)


class _Block:
    """One transformer block; what is the same at every step is prepared once."""

    def __init__(self, block, config: GPT2Config, index: int, dtype: torch.dtype):
        self.ln_1, self.ln_2, self.dtype = block.ln_1, block.ln_2, dtype
        self.qkv, self.attention_projection = _Linear(block.attn.c_attn, dtype), _Linear(block.attn.c_proj, dtype)
        activation = _gelu if config.activation_function in ("gelu_new", "gelu_pytorch_tanh") else block.mlp.act
        self.expand, self.project = _Linear(block.mlp.c_fc, dtype, activation), _Linear(block.mlp.c_proj, dtype)
        self.num_heads, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.scale = self.head_dim**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= index + 1

    def __call__(self, hidden, cache, slots, bias) -> torch.Tensor:
        # [N, T, E]; in place, so that the residual sum stays in the model's dtype
        hidden += self.attention(self.ln_1(hidden).to(self.dtype), cache, slots, bias)
        hidden += self.project(self.expand(self.ln_2(hidden).to(self.dtype)))
        return hidden

    def attention(self, hidden, cache, slots, bias) -> torch.Tensor:
        """Attention of `[N, T, E]` over a cache `[N, 2, heads, positions, head_dim]`, after writing to its slots."""
        num_texts, num_tokens, width = hidden.shape
        qkv = self.qkv(hidden).view(num_texts, num_tokens, 3, self.num_heads, self.head_dim)
        cache.permute(0, 3, 1, 2, 4)[slots] = qkv[:, :, 1:]  # [N, T, 2, heads, head_dim]
        queries = qkv[:, :, 0].transpose(1, 2)  # [N, heads, T, head_dim]
        keys, values = cache[:, :, :, : bias.shape[-1]].unbind(1)  # [N, heads, keys, head_dim] each
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=self.scale)
        return self.attention_projection(mixed.transpose(1, 2).reshape(num_texts, num_tokens, width))


class _Linear:
    """A `Conv1D` of GPT-2 in a dtype, and the activation after it.

    The weight is `[in, out]`; a converted one is `[out, in]`, which is faster.
    """

    def __init__(self, layer: Conv1D, dtype: torch.dtype, activation: Callable | None = None):
        self.layer, self.converted, self.activation = layer, dtype != layer.weight.dtype, activation
        self.weight: torch.Tensor = layer.weight
        self.bias: torch.Tensor = layer.bias
        if self.converted:
            self.weight, self.bias = layer.weight.t().to(dtype).contiguous(), layer.bias.to(dtype)
        on_cpu = self.weight.device.type == "cpu"
        is_bfloat16 = self.converted and dtype == torch.bfloat16 and multiplies_bfloat16(self.weight.device)
        self.is_fused = activation is _gelu and on_cpu and is_bfloat16

    def refresh(self) -> None:
        if self.converted:
            self.weight.copy_(self.layer.weight.t())
            self.bias.copy_(self.layer.bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.is_fused:  # oneDNN's product and GELU in one call, as `torch.compile` calls it
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "tanh")
        if self.converted:
            x = F.linear(x, self.weight, self.bias)
        else:
            x = torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)
        return x if self.activation is None else self.activation(x)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16. On a CPU without them it is many times slower than float32."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _find_dtype(model: GPT2LMHeadModel, dtype: torch.dtype | None) -> torch.dtype:
    """The dtype of matrix products: `dtype` if given, else that of autocast if it is on, else the model's."""
    if dtype is None and torch.is_autocast_enabled(model.device.type):
        return torch.get_autocast_dtype(model.device.type)
    return dtype or model.dtype


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, because attention multiplies masked values by 0, and 0 times a NaN left in memory is NaN.

    On a CPU, numpy gets large pages that are already zero, in a third of the time of `torch.zeros`.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(shape)


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2.

    (1 + tanh u) / 2 is the logistic function of 2 u. Computed so, it takes half the fused kernel's time on a CPU.
    """
    if x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    scale = 2 * math.sqrt(2 / math.pi)
    return (x * x).mul_(0.044715 * scale).add_(scale).mul_(x).sigmoid_().mul_(x)
