# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What a language model of digits has to beat: three simple models of p(image | class), and how they are fitted.

Each gives every symbol of a text a probability from what comes before it, so that the sum of its nats over the 150
symbols is −log p(x | y), as the language model's is. The end token is certain, and costs them nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from torch import nn
from train_speed import Clock

from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.tokenizer import (
    CLASS_SYMBOLS,
    IMAGE_SIZE,
    NUM_PIXEL_SYMBOLS,
    PIXEL_SYMBOLS,
    binarize_images,
)
from mnist_text_gen.tokenizer.tokenization_mnist_text import pack_pixels


NUM_CLASSES = len(CLASS_SYMBOLS)
NUM_SYMBOLS = len(PIXEL_SYMBOLS)
SYMBOLS_PER_ROW = NUM_PIXEL_SYMBOLS // IMAGE_SIZE
PIXELS_PER_SYMBOL = IMAGE_SIZE // SYMBOLS_PER_ROW
# Of the training images, the last ones: what is not learned is chosen on them.
HELD_OUT_SHARE = 0.1
EVAL_BATCH_SIZE = 100


class Examples(NamedTuple):
    """Images as the baselines read them.

    Attributes:
        pixels (`torch.Tensor`): uint8 `[N, 30, 30]`, values {0, 1}.
        symbols (`torch.Tensor`): int64 `[N, 150]`, 0 to 63.
        labels (`torch.Tensor`): int64 `[N]`, 0 to 9.
    """

    pixels: torch.Tensor
    symbols: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def from_images(cls, split: LabelledImages) -> "Examples":
        pixels = binarize_images(split.images)
        columns = (pixels, pack_pixels(pixels).astype(np.int64), split.labels)
        return cls(*(torch.from_numpy(column).to(PartialState().device) for column in columns))

    def take(self, rows: slice | torch.Tensor) -> "Examples":
        return Examples(*(column[rows] for column in self))


class SymbolModel(nn.Module):
    """A model whose `logits(pixels, labels)`, `[N, 150, 64]`, are those of the symbols."""

    def forward(self, examples: Examples) -> torch.Tensor:
        """Nats of every symbol, float32 `[N, 150]`."""
        logits = self.logits(examples.pixels, examples.labels).float()
        return nn.functional.cross_entropy(logits.transpose(1, 2), examples.symbols, reduction="none")


class SymbolFrequencies(SymbolModel):
    """How often each symbol was at each position: p(symbol | position), or p(symbol | class, position).

    Args:
        class_conditional (`bool`): whether each class has its own table.
    """

    def __init__(self, class_conditional: bool):
        super().__init__()
        num_tables = NUM_CLASSES if class_conditional else 1
        self.register_buffer("log_probabilities", torch.zeros(num_tables, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS))

    @property
    def num_parameters(self) -> int:
        return self.log_probabilities.numel()

    def table(self, labels: torch.Tensor) -> torch.Tensor:
        return labels if len(self.log_probabilities) > 1 else torch.zeros_like(labels)

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.log_probabilities[self.table(labels)]


def count(model: SymbolFrequencies, examples: Examples, alpha: float, seed: int) -> None:
    """Fill the tables with (n + α) / (N + 64 α), additive smoothing; nothing is drawn, so `seed` is not read."""
    cells = cells_of(model.table(examples.labels), examples.symbols)
    counts = torch.bincount(cells.flatten(), minlength=model.log_probabilities.numel()).double()
    smoothed = counts.view_as(model.log_probabilities) + alpha
    model.log_probabilities.copy_((smoothed / smoothed.sum(-1, keepdim=True)).log())


def cells_of(tables: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
    """Where in the flattened tables the symbols `[N, 150]` of texts with these tables `[N]` are counted."""
    positions = torch.arange(NUM_PIXEL_SYMBOLS, device=symbols.device)
    return (tables[:, None] * NUM_PIXEL_SYMBOLS + positions) * NUM_SYMBOLS + symbols


class LogisticRegression(SymbolModel):
    """One multinomial logistic regression for each of the 150 positions.

    Each sees the binary pixels of the `num_rows` rows above it, those of its own row that come before it, and the
    class. Nothing is shared between positions: what is at the image's edge has to be learned there alone, but no
    symmetry is put in that the counts of symbols don't have either.

    Args:
        num_rows (`int`): rows above that are seen; those above the image are blank.
    """

    def __init__(self, num_rows: int):
        super().__init__()
        self.num_rows = num_rows
        num_pixels = (num_rows + 1) * IMAGE_SIZE
        self.weight = nn.Parameter(torch.zeros(NUM_PIXEL_SYMBOLS, num_pixels, NUM_SYMBOLS))
        self.bias = nn.Parameter(torch.zeros(NUM_CLASSES, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS))
        drawn = torch.ones(SYMBOLS_PER_ROW, num_rows + 1, IMAGE_SIZE)
        for place in range(SYMBOLS_PER_ROW):
            drawn[place, -1, place * PIXELS_PER_SYMBOL :] = 0
        mask = drawn.view(SYMBOLS_PER_ROW, num_pixels, 1).repeat(IMAGE_SIZE, 1, 1)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def num_parameters(self) -> int:
        """Weights of pixels that are in the image and drawn already, and the classes' biases."""
        rows = torch.arange(IMAGE_SIZE, device=self.mask.device).clamp(max=self.num_rows).sum().item()
        above = SYMBOLS_PER_ROW * rows * IMAGE_SIZE
        own = self.mask.view(-1, self.num_rows + 1, IMAGE_SIZE)[:, -1].sum().item()
        return int(above + own) * NUM_SYMBOLS + self.bias.numel()

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        blank_above = nn.functional.pad(pixels.float(), (0, 0, self.num_rows, 0))
        windows = blank_above.unfold(1, self.num_rows + 1, 1).permute(1, 0, 3, 2)  # [30 rows, N, num_rows + 1, 30]
        weight = (self.weight * self.mask).unflatten(0, (IMAGE_SIZE, SYMBOLS_PER_ROW))
        weight = weight.transpose(1, 2).flatten(2)  # [30 rows, pixels, 5 symbols × 64]
        logits = windows.flatten(2) @ weight  # [30 rows, N, 5 × 64]
        return logits.transpose(0, 1).reshape(-1, NUM_PIXEL_SYMBOLS, NUM_SYMBOLS) + self.bias[labels]


class MaskedConv2d(nn.Module):
    """A convolution that sees what comes before a pixel in row-major order, plus a bias for each class.

    The masks of van den Oord et al. 2016 (arXiv:1601.06759, section 3.4): A leaves the pixel itself out, B doesn't.
    The rows below, which the masks would only set to zero, are no part of the kernel here.
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

    @property
    def num_parameters(self) -> int:
        return int(self.weight[:, :, self.mask == 1].numel()) + self.bias.weight.numel()

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """`[N, in_channels, 30, 30]` to `[N, out_channels, 30, 30]`."""
        padded = nn.functional.pad(hidden, (self.padding, self.padding, self.padding, 0))
        convolved = nn.functional.conv2d(padded, self.weight * self.mask)
        return convolved + self.bias(labels)[:, :, None, None].to(convolved.dtype)


class ResidualBlock(nn.Module):
    """1×1, masked 3×3, 1×1, and the way around (van den Oord et al. 2016, arXiv:1601.06759, figure 5)."""

    def __init__(self, num_channels: int):
        super().__init__()
        self.down = nn.Conv2d(num_channels, num_channels // 2, 1)
        self.masked = MaskedConv2d(num_channels // 2, num_channels // 2, 3, "B")
        self.up = nn.Conv2d(num_channels // 2, num_channels, 1)

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        inner = self.masked(nn.functional.relu(self.down(hidden)), labels)
        return hidden + self.up(nn.functional.relu(inner))


class PixelCNN(nn.Module):
    """A class-conditional PixelCNN on 30×30 binary pixels (van den Oord et al. 2016, arXiv:1601.06759 and, for the
    biases of the classes, arXiv:1606.05328, equation 4), small.

    Args:
        num_channels (`int`): of the residual stream; half as many inside a block.
        num_blocks (`int`): residual blocks after the masked 7×7 convolution.
    """

    def __init__(self, num_channels: int, num_blocks: int):
        super().__init__()
        self.first = MaskedConv2d(1, num_channels, 7, "A")
        self.blocks = nn.ModuleList(ResidualBlock(num_channels) for _ in range(num_blocks))
        self.last = nn.Conv2d(num_channels, 1, 1)
        for block in self.blocks:  # each begins as nothing, so that depth costs no warm-up
            nn.init.zeros_(block.up.weight)
        self.to(memory_format=torch.channels_last)

    @property
    def num_parameters(self) -> int:
        masked = [module for module in self.modules() if isinstance(module, MaskedConv2d)]
        plain = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        return sum(module.num_parameters for module in masked) + sum(
            parameter.numel() for module in plain for parameter in module.parameters()
        )

    def logits(self, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits that a pixel is 1, `[N, 30, 30]`."""
        hidden = pixels.float()[:, None].contiguous(memory_format=torch.channels_last)
        hidden = self.first(hidden, labels)
        for block in self.blocks:
            hidden = block(hidden, labels)
        return self.last(nn.functional.relu(hidden))[:, 0]

    def forward(self, examples: Examples) -> torch.Tensor:
        """Nats of every symbol, the sum of those of its six pixels, float32 `[N, 150]`."""
        logits = self.logits(examples.pixels, examples.labels).float()
        losses = nn.functional.binary_cross_entropy_with_logits(logits, examples.pixels.float(), reduction="none")
        return losses.reshape(-1, NUM_PIXEL_SYMBOLS, PIXELS_PER_SYMBOL).sum(-1)


def train(
    model: nn.Module,
    examples: Examples,
    num_epochs: int,
    seed: int,
    learning_rate: float,
    batch_size: int,
    penalty: float = 0.0,
) -> None:
    """Minimise the mean nats of an image, plus `penalty` / 2 times the squares of all weights but the biases.

    With Adam under bfloat16 autocast, the rate by the one-cycle schedule (Smith and Topin 2017, arXiv:1708.07120). The
    order of an epoch depends on `seed` and its number alone.
    """
    num_images, device = len(examples.labels), examples.labels.device
    biases = [parameter for name, parameter in model.named_parameters() if "bias" in name]
    weights = [parameter for name, parameter in model.named_parameters() if "bias" not in name]
    # Adam's `weight_decay`, other than AdamW's, is the gradient of that penalty
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
    """`train`, from biases that are the log-probabilities of [`SymbolFrequencies`] with the class."""
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
    """A model and how it is fitted.

    Attributes:
        model (`type`): its class, built with `sizes`.
        fit (`Callable`): `fit(model, examples, choice, seed, **options)`.
        choices (`tuple`): values of α, of the penalty, or numbers of epochs. The one with the fewest nats on the
            held-out images is taken, and fitted to all images again; of one there is nothing to choose.
    """

    model: type[nn.Module]
    fit: Callable[..., None]
    choices: tuple[float, ...]
    sizes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """All that decides what is learned, but for the images and the seed."""
        return {
            "model": self.model.__name__,
            "fit": self.fit.__name__,
            "choices": list(self.choices),
            "sizes": self.sizes,
            "options": self.options,
            "held_out_share": HELD_OUT_SHARE,
        }

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
    """Choose what is not learned on the last tenth of `examples`, then fit to all of them.

    Args:
        baseline (`Baseline`): what to fit.
        examples (`Examples`): the training images, 10 or more.
        seed (`int`, defaults to 0): of the starting weights and the order of the images.

    Returns:
        `tuple`: the model, and a `dict` with `choice`, `held_out_nats` (nats an image, by choice; empty where there
        was nothing to choose), `train_seconds` (of the last fit) and `choosing_seconds` (of those before it).

    Raises:
        ValueError: for too few images to hold some out.
    """
    num_images = len(examples.labels)
    num_held_out = int(num_images * HELD_OUT_SHARE)
    if not num_held_out:
        raise ValueError(f"{num_images} training images; allowed is 10 or more, the last tenth is held out")
    learned, held_out = examples.take(slice(-num_held_out)), examples.take(slice(-num_held_out, None))
    clock = Clock(examples.labels.device)
    found = {}
    for choice in baseline.choices if len(baseline.choices) > 1 else ():
        model = baseline.build(seed)
        baseline.fit(model, learned, choice, seed, **baseline.options)
        found[choice] = float(baseline_nats(model, held_out).sum(1, dtype=np.float64).mean())
    choosing_seconds = clock.read()[0]
    choice = min(found, key=found.get) if found else baseline.choices[0]
    model = baseline.build(seed)
    baseline.fit(model, examples, choice, seed, **baseline.options)
    return model, {
        "choice": choice,
        "held_out_nats": {str(value): nats for value, nats in found.items()},
        "train_seconds": clock.read()[0] - choosing_seconds,
        "choosing_seconds": choosing_seconds,
    }
