# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Baselines for the language model: three simple models of p(image | class), and how they are fitted.

Each gives every symbol of a text a probability given the symbols before it. So the sum of the nats of 150 symbols is
−log p(x | y), as for the language model. The end token is certain and has no nats.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from training import Clock

from mnist_text_gen.data import LabelledImages
from mnist_text_gen.files import staged_folder
from mnist_text_gen.tokenizer import CLASS_SYMBOLS, IMAGE_SIZE, NUM_PIXEL_SYMBOLS, PIXEL_SYMBOLS, binarize_images
from mnist_text_gen.tokenizer.binary_images import pack_pixels


NUM_CLASSES = len(CLASS_SYMBOLS)
NUM_SYMBOLS = len(PIXEL_SYMBOLS)
SYMBOLS_PER_ROW = NUM_PIXEL_SYMBOLS // IMAGE_SIZE
PIXELS_PER_SYMBOL = IMAGE_SIZE // SYMBOLS_PER_ROW
# The share of the training images, the last ones, on which hyperparameters are chosen.
HELD_OUT_SHARE = 0.1
EVAL_BATCH_SIZE = 100


class Examples(NamedTuple):
    """Images in the form of the baselines' inputs."""

    pixels: torch.Tensor  # uint8 [N, 30, 30] in {0, 1}
    symbols: torch.Tensor  # int64 [N, 150], 0 to 63
    labels: torch.Tensor  # int64 [N]

    @classmethod
    def from_images(cls, split: LabelledImages) -> "Examples":
        pixels = binarize_images(split.images)
        columns = (pixels, pack_pixels(pixels).astype(np.int64), split.labels)
        return cls(*(torch.from_numpy(column).to(PartialState().device) for column in columns))

    def take(self, rows: slice | torch.Tensor) -> "Examples":
        return Examples(*(column[rows] for column in self))


class SymbolModel(nn.Module):
    """A model with a method `logits(pixels, labels)` that returns the logits of the symbols, `[N, 150, 64]`."""

    def forward(self, examples: Examples) -> torch.Tensor:
        """Nats of every symbol, float32 `[N, 150]`."""
        logits = self.logits(examples.pixels, examples.labels).float()
        return nn.functional.cross_entropy(logits.transpose(1, 2), examples.symbols, reduction="none")


class SymbolFrequencies(SymbolModel):
    """The frequencies of symbols: p(symbol | position), or p(symbol | class, position)."""

    def __init__(self, class_conditional: bool):
        super().__init__()
        tables = torch.zeros(NUM_CLASSES if class_conditional else 1, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS)
        self.log_probabilities = nn.Parameter(tables, requires_grad=False)

    def table(self, labels: torch.Tensor) -> torch.Tensor:
        return labels if len(self.log_probabilities) > 1 else torch.zeros_like(labels)

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.log_probabilities[self.table(labels)]


@torch.no_grad()
def count(model: SymbolFrequencies, examples: Examples, alpha: float, seed: int) -> None:
    """Fill the tables with (n + α) / (N + 64 α), which is additive smoothing. `seed` is not used."""
    positions = torch.arange(NUM_PIXEL_SYMBOLS, device=examples.symbols.device)
    cells = (model.table(examples.labels)[:, None] * NUM_PIXEL_SYMBOLS + positions) * NUM_SYMBOLS + examples.symbols
    counts = torch.bincount(cells.flatten(), minlength=model.log_probabilities.numel()).double()
    smoothed = counts.view_as(model.log_probabilities) + alpha
    model.log_probabilities.copy_((smoothed / smoothed.sum(-1, keepdim=True)).log())


class LogisticRegression(SymbolModel):
    """One multinomial logistic regression per position, 150 in total.

    Its inputs are the binary pixels of the `num_rows` rows above, the pixels before it in its own row, and the class.
    Positions share no weights.
    """

    def __init__(self, num_rows: int):
        super().__init__()
        self.num_rows = num_rows
        num_pixels = (num_rows + 1) * IMAGE_SIZE
        self.weight = nn.Parameter(torch.zeros(NUM_PIXEL_SYMBOLS, num_pixels, NUM_SYMBOLS))
        self.bias = nn.Parameter(torch.zeros(NUM_CLASSES, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS))
        seen = torch.ones(IMAGE_SIZE, SYMBOLS_PER_ROW, num_rows + 1, IMAGE_SIZE)
        for place in range(SYMBOLS_PER_ROW):
            seen[:, place, -1, place * PIXELS_PER_SYMBOL :] = 0  # not drawn yet
        for row in range(num_rows):
            seen[row, :, : num_rows - row] = 0  # above the image
        self.register_buffer("mask", seen.view(NUM_PIXEL_SYMBOLS, num_pixels, 1), persistent=False)

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        blank_above = nn.functional.pad(pixels.float(), (0, 0, self.num_rows, 0))
        windows = blank_above.unfold(1, self.num_rows + 1, 1).permute(1, 0, 3, 2)  # [30 rows, N, num_rows + 1, 30]
        weight = (self.weight * self.mask).unflatten(0, (IMAGE_SIZE, SYMBOLS_PER_ROW))
        weight = weight.transpose(1, 2).flatten(2)  # [30 rows, pixels, 5 symbols × 64]
        logits = windows.flatten(2) @ weight  # [30 rows, N, 5 × 64]
        return logits.transpose(0, 1).reshape(-1, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS) + self.bias[labels]


class MaskedConv2d(nn.Module):
    """A convolution that sees only the pixels before a pixel in row-major order, plus a bias per class.

    The masks are those of van den Oord et al. 2016 (arXiv:1601.06759, section 3.4): A excludes the pixel itself, B
    includes it. The kernel does not have the rows below, which the masks would only set to zero.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, mask: str):
        super().__init__()
        self.padding = kernel_size // 2
        visible = torch.ones(self.padding + 1, kernel_size)
        visible[-1, self.padding + (mask == "B") :] = 0
        self.register_buffer("mask", visible, persistent=False)
        num_inputs = in_channels * int(visible.sum())
        weight = torch.randn(out_channels, in_channels, *visible.shape) * (2 / num_inputs) ** 0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Embedding.from_pretrained(torch.zeros(NUM_CLASSES, out_channels), freeze=False)

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """`[N, in_channels, 30, 30]` to `[N, out_channels, 30, 30]`."""
        padded = nn.functional.pad(hidden, (self.padding, self.padding, self.padding, 0))
        convolved = nn.functional.conv2d(padded, self.weight * self.mask)
        return convolved + self.bias(labels)[:, :, None, None].to(convolved.dtype)


class ResidualBlock(nn.Module):
    """1×1, masked 3×3 and 1×1 convolutions with a residual (van den Oord et al. 2016, arXiv:1601.06759, figure 5)."""

    def __init__(self, num_channels: int):
        super().__init__()
        self.down = nn.Conv2d(num_channels, num_channels // 2, 1)
        self.masked = MaskedConv2d(num_channels // 2, num_channels // 2, 3, "B")
        self.up = nn.Conv2d(num_channels // 2, num_channels, 1)

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        inner = self.masked(nn.functional.relu(self.down(hidden)), labels)
        return hidden + self.up(nn.functional.relu(inner))


class PixelCNN(nn.Module):
    """A small class-conditional PixelCNN on 30×30 binary pixels (van den Oord et al. 2016, arXiv:1601.06759, and for
    the biases per class arXiv:1606.05328, equation 4). It has `num_channels` in the residual stream and half of them
    inside a block."""

    def __init__(self, num_channels: int, num_blocks: int):
        super().__init__()
        self.first = MaskedConv2d(1, num_channels, 7, "A")
        self.blocks = nn.ModuleList(ResidualBlock(num_channels) for _ in range(num_blocks))
        self.last = nn.Conv2d(num_channels, 1, 1)
        for block in self.blocks:  # each block starts as the identity, so that depth needs no warm-up
            nn.init.zeros_(block.up.weight)
        self.to(memory_format=torch.channels_last)

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits for a pixel to be 1, `[N, 30, 30]`."""
        hidden = pixels.float()[:, None].contiguous(memory_format=torch.channels_last)
        hidden = self.first(hidden, labels)
        for block in self.blocks:
            hidden = block(hidden, labels)
        return self.last(nn.functional.relu(hidden))[:, 0]

    def forward(self, examples: Examples) -> torch.Tensor:
        """Nats of every symbol, the sum over its six pixels, float32 `[N, 150]`."""
        logits = self.logits(examples.pixels, examples.labels).float()
        losses = nn.functional.binary_cross_entropy_with_logits(logits, examples.pixels.float(), reduction="none")
        return losses.reshape(-1, NUM_PIXEL_SYMBOLS, PIXELS_PER_SYMBOL).sum(-1)


def count_parameters(model: nn.Module) -> int:
    """The number of parameters that are not masked."""
    masked = [module for module in model.modules() if hasattr(module, "mask")]
    hidden = sum(int((module.mask == 0).expand_as(module.weight).sum()) for module in masked)
    return sum(parameter.numel() for parameter in model.parameters()) - hidden


def train(
    model: nn.Module, examples: Examples, num_epochs: int, seed: int, learning_rate: float, batch_size: int, penalty=0
) -> None:
    """Minimise the mean nats per image, plus `penalty` / 2 times the sum of squares of all weights except biases.

    It uses Adam under bfloat16 autocast, and the one-cycle schedule for the rate (Smith and Topin 2017,
    arXiv:1708.07120). The order of an epoch depends only on `seed` and its number.
    """
    num_images, device = len(examples.labels), examples.labels.device
    biases = [parameter for name, parameter in model.named_parameters() if "bias" in name]
    weights = [parameter for name, parameter in model.named_parameters() if "bias" not in name]
    # Adam's `weight_decay` is the gradient of that penalty, in contrast to AdamW's
    optimizer = torch.optim.Adam([{"params": weights, "weight_decay": penalty}, {"params": biases}], learning_rate)
    num_steps = num_epochs * -(-num_images // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=num_steps)
    model.train()
    for epoch in range(num_epochs):
        order = torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(num_images)).to(device)
        for rows in order.split(batch_size):
            with torch.autocast(device.type, torch.bfloat16):
                loss = model(examples.take(rows)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 100.0)
            optimizer.step()
            schedule.step()
    model.eval()


def train_regression(
    model: LogisticRegression, examples: Examples, penalty: float, seed: int, alpha: float, **options: Any
) -> None:
    """`train`, starting with the log-probabilities of a class-conditional [`SymbolFrequencies`] as biases."""
    frequencies = SymbolFrequencies(class_conditional=True).to(examples.labels.device)
    count(frequencies, examples, alpha, seed)
    model.bias.data.copy_(frequencies.log_probabilities)
    train(model, examples, seed=seed, penalty=penalty, **options)


@torch.no_grad()
def baseline_nats(model: nn.Module, examples: Examples) -> np.ndarray:
    """Nats of every symbol under a baseline, float32 `[N, 150]`."""
    starts = range(0, len(examples.labels), EVAL_BATCH_SIZE)
    batches = [model(examples.take(slice(start, start + EVAL_BATCH_SIZE))) for start in starts]
    return torch.cat(batches).cpu().numpy()


@dataclass(frozen=True)
class Baseline:
    """A model, built with `sizes`, and its fit: `fit(model, examples, choice, seed, **options)`.

    `choices` are values of α or of the penalty, or numbers of epochs. The one with the fewest nats on the held-out
    images is used to fit the model again to all images.
    """

    model: type[nn.Module]
    fit: Callable[..., None]
    choices: tuple[float, ...]
    sizes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def build(self, seed: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.model(**self.sizes).to(PartialState().device)


ALPHAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BASELINES = {
    "symbol at each position": Baseline(SymbolFrequencies, count, ALPHAS, {"class_conditional": False}),
    "symbol at each position, given the class": Baseline(
        SymbolFrequencies, count, ALPHAS, {"class_conditional": True}
    ),
    "logistic regression on the last 4 rows": Baseline(
        LogisticRegression,
        train_regression,
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        {"num_rows": 4},
        {"alpha": 0.1, "num_epochs": 8, "learning_rate": 0.1, "batch_size": 100},
    ),
    "PixelCNN": Baseline(
        PixelCNN, train, (10,), {"num_channels": 64, "num_blocks": 10}, {"learning_rate": 3e-3, "batch_size": 32}
    ),
}


def fit_baseline(baseline: Baseline, examples: Examples, seed: int = 0) -> tuple[nn.Module, dict[str, Any]]:
    """Choose the hyperparameter on the last tenth of `examples`, then fit to all of them.

    The record has the choice, the held-out nats per image of all choices if there are several, and the seconds of
    choosing and of the last fit.
    """
    num_images = len(examples.labels)
    num_held_out = int(num_images * HELD_OUT_SHARE)
    if not num_held_out:
        raise ValueError(f"the training images must be 10 or more, because a tenth is held out, got {num_images}")
    learned, held_out = examples.take(slice(-num_held_out)), examples.take(slice(-num_held_out, None))
    clock = Clock(examples.labels.device)
    found = {}
    for choice in baseline.choices if len(baseline.choices) > 1 else ():
        model = baseline.build(seed)
        baseline.fit(model, learned, choice, seed, **baseline.options)
        found[choice] = float(baseline_nats(model, held_out).sum(1, dtype=np.float64).mean())
    choosing_seconds = clock.read()
    choice = min(found, key=found.get) if found else baseline.choices[0]
    model = baseline.build(seed)
    baseline.fit(model, examples, choice, seed, **baseline.options)
    return model, {
        "choice": choice,
        "held_out_nats": {str(value): nats for value, nats in found.items()},
        "train_seconds": clock.read() - choosing_seconds,
        "choosing_seconds": choosing_seconds,
    }


def load_or_fit(baseline: Baseline, train: LabelledImages, cache: Path, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """The fitted model and its record, see [`fit_baseline`]; read from `cache`, or written there."""
    names = (baseline.model.__name__, baseline.fit.__name__)
    settings = (*names, baseline.choices, baseline.sizes, baseline.options, HELD_OUT_SHARE, train.hash(), seed)
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"baseline-{names[0].lower()}-{key}.safetensors"
    if not path.exists():
        model, record = fit_baseline(baseline, Examples.from_images(train), seed)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        keep(path, tensors, {"record": json.dumps(record)})
    model, (tensors, metadata) = baseline.build(seed=0).eval(), read_kept(path)
    model.load_state_dict(tensors)
    return model, json.loads(metadata["record"])


def keep(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    with staged_folder(path.parent) as staging:
        save_file(tensors, staging / path.name, metadata)


def read_kept(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata()
    except SafetensorError as error:
        raise ValueError(f"{path} must be a safetensors file, got an error; remove the file: {error}") from error
