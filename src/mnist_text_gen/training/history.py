# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The history of a training, read from the trainer's logs: its picture and its entry in `run.json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter


HISTORY_FILE = "training_curve.png"
_MAX_RECORDED_POINTS = 100
_TICK_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Quantities:
    """Names, units and formats of the quantities in the logs of a training.

    Args:
        loss (`str`): name of the training loss in the logs; an evaluation has it with the prefix `eval_`.
        loss_scale (`float`): factor from the model's loss to this one.
        throughput (`str`): name of the throughput, such as `tokens_per_second`.
        items_per_row (`int`): how many of these items (tokens, images) a row of the data set has.
        formats (`dict[str, str]`): maps names in the logs to their format in the progress bar, in its order.
    """

    loss: str
    loss_scale: float
    throughput: str
    items_per_row: int
    formats: dict[str, str]


@dataclass(frozen=True)
class TrainingHistory:
    """Figures by step. The first four arrays have one entry per log, the last two one per evaluation."""

    steps: np.ndarray
    seconds: np.ndarray  # since the start, without evaluations and saving
    losses: np.ndarray
    learning_rates: np.ndarray
    evaluation_steps: np.ndarray
    evaluations: np.ndarray

    def smoothed(self) -> np.ndarray:
        """Moving averages of the losses over a twentieth of them, three or more; over fewer at both ends."""
        half_width = min(-(-len(self.losses) // 40), len(self.losses) // 4)
        kernel = np.ones(2 * half_width + 1)
        return np.convolve(self.losses, kernel, "same") / np.convolve(np.ones_like(self.losses), kernel, "same")


def read_history(log_history: Sequence[dict[str, Any]], quantities: Quantities, rows_per_step: int) -> TrainingHistory:
    """Read the logs of a trainer's state. Checkpoints have them too, so those of a resumed run are complete.

    Args:
        log_history (`Sequence[dict]`): the logs in `TrainerState`.
        quantities (`Quantities`): the names of the figures.
        rows_per_step (`int`): the batch size.

    Returns:
        `TrainingHistory`: if a step has several records, with the last one.
    """
    training = {record["step"]: record for record in log_history if quantities.throughput in record}
    evaluation = f"eval_{quantities.loss}"
    evaluations = {record["step"]: record[evaluation] for record in log_history if evaluation in record}
    steps = np.array(list(training), dtype=np.int64)
    throughputs = np.array([record[quantities.throughput] for record in training.values()], dtype=np.float64)
    items = np.diff(steps, prepend=0) * rows_per_step * quantities.items_per_row
    return TrainingHistory(
        steps=steps,
        seconds=np.cumsum(items / throughputs),
        losses=np.array([record[quantities.loss] for record in training.values()], dtype=np.float64),
        learning_rates=np.array([record["learning_rate"] for record in training.values()], dtype=np.float64),
        evaluation_steps=np.array(list(evaluations), dtype=np.int64),
        evaluations=np.array(list(evaluations.values()), dtype=np.float64),
    )


def describe_history(history: TrainingHistory, quantities: Quantities, num_rows: int) -> dict[str, Any]:
    """The entries of a history in `run.json`: the smoothed loss at the end, the throughput, and up to 100 points.

    Args:
        history (`TrainingHistory`): with one point or more.
        quantities (`Quantities`): the names of the figures.
        num_rows (`int`): how many rows were trained on.
    """
    chosen = np.linspace(0, len(history.steps) - 1, min(len(history.steps), _MAX_RECORDED_POINTS)).round().astype(int)
    columns = {
        "step": history.steps,
        "seconds": history.seconds,
        quantities.loss: history.smoothed(),
        "learning_rate": history.learning_rates,
    }
    return {
        quantities.throughput: _to_json(num_rows * quantities.items_per_row / history.seconds[-1:])[0],
        f"train_{quantities.loss}": _to_json(history.smoothed()[-1:])[0],
        # this name is in published records
        "curve": {name: _to_json(values[chosen]) for name, values in columns.items()},
        "evaluations": {"step": _to_json(history.evaluation_steps), quantities.loss: _to_json(history.evaluations)},
    }


def _to_json(values: np.ndarray) -> list[float | int | None]:
    """Numbers with six digits; `None` for NaN and infinity, which JSON does not have."""
    if values.dtype.kind == "i":
        return values.tolist()
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def draw_history(history: TrainingHistory, quantities: Quantities) -> Figure:
    """Draw losses and learning rate over the steps, with the seconds on top.

    Args:
        history (`TrainingHistory`): with one point or more.
        quantities (`Quantities`): the names of the figures.
    """
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")  # not with pyplot, which keeps global state
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    mark = "." if len(history.steps) == 1 else ""
    upper.plot(history.steps, history.losses, color="0.72", linewidth=0.8, marker=mark, label="training")
    upper.plot(history.steps, history.smoothed(), color="black", linewidth=1.6, label="training, smoothed")
    if len(history.evaluations):
        upper.plot(
            history.evaluation_steps, history.evaluations, "o--", color="tab:red", markersize=5, label="evaluation"
        )
    upper.set_xlim(left=0)
    upper.set_yscale("log")
    upper.yaxis.set_major_locator(MaxNLocator(9, steps=_TICK_STEPS))
    upper.yaxis.set_minor_locator(NullLocator())
    upper.yaxis.set_major_formatter(ScalarFormatter())
    upper.set_ylabel(quantities.loss.replace("_", " "))
    upper.grid(color="0.9")
    upper.legend()
    lower.plot(history.steps, history.learning_rates, color="black", linewidth=1.2, marker=mark)
    lower.set_ylim(bottom=0)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    lower.grid(color="0.9")
    _add_seconds(upper, history)
    return figure


def _add_seconds(axes: Axes, history: TrainingHistory) -> None:
    top = axes.twiny()
    ticks = [
        tick
        for tick in MaxNLocator(6, steps=_TICK_STEPS).tick_values(0, history.seconds[-1])
        if 0 <= tick <= history.seconds[-1]
    ]
    places = np.interp(ticks, [0, *history.seconds], [0, *history.steps])
    top.set_xticks(places, [f"{tick:g}" for tick in ticks])
    top.set_xlim(axes.get_xlim())  # after the ticks, which widen it
    top.set_xlabel("seconds of training")
