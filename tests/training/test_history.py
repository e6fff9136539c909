# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The history of a training: what is read from the logs, recorded and drawn."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from mnist_text_gen.commands.train_hf import build_quantities
from mnist_text_gen.training.history import TrainingHistory, describe_history, draw_history, read_history


QUANTITIES = build_quantities()


def of_training(step, nats, tokens_per_second, learning_rate=0.1):
    figures = {"nats_per_image": nats, "tokens_per_second": tokens_per_second, "learning_rate": learning_rate}
    return {"loss": nats / 151, "epoch": 0.5, **figures, "step": step}


LOGS = [
    of_training(10, 300.0, 1520.0),
    {"eval_loss": 1.9, "eval_nats_per_image": 280.0, "step": 10},
    of_training(20, 200.0, 3040.0),
    of_training(30, 100.0, 1520.0, 0.05),
    {"train_runtime": 99.0, "train_loss": 1.3, "total_flos": 5.0, "step": 30},
    {"eval_loss": 0.9, "eval_nats_per_image": 130.0, "step": 30},
    {"eval_loss": 0.8, "eval_nats_per_image": 120.0, "step": 30},
]


def make_history(losses):
    steps = np.arange(1, len(losses) + 1)
    losses = np.array(losses, dtype=float)
    return TrainingHistory(steps, steps * 2.0, losses, np.full(len(steps), 1e-3), np.array([], int), np.array([]))


def test_record_has_the_final_figures_and_the_points():
    record = describe_history(read_history(LOGS, QUANTITIES, 4), QUANTITIES, num_rows=30 * 4)
    assert record == {
        "tokens_per_second": 1824.0,
        "train_nats_per_image": 100.0,
        "curve": {
            "step": [10, 20, 30],
            "seconds": [4.0, 6.0, 10.0],
            "nats_per_image": [300.0, 200.0, 100.0],
            "learning_rate": [0.1, 0.1, 0.05],
        },
        "evaluations": {"step": [10, 30], "nats_per_image": [280.0, 120.0]},
    }


def test_record_of_a_long_run_is_thinned_from_first_to_last():
    record = describe_history(make_history(np.linspace(5, 1, 1187)), QUANTITIES, 1187)
    steps = record["curve"]["step"]
    assert len(steps) == 100 and (steps[0], steps[-1]) == (1, 1187) and steps == sorted(set(steps))


@pytest.mark.parametrize("losses", [[3.0], [0.0, 0.0], [1.0, float("nan"), 0.5], [2.0, float("nan")]])
def test_history_of_any_losses_is_recorded_and_drawn(losses):
    file, history = io.BytesIO(), make_history(losses)
    draw_history(history, QUANTITIES).savefig(file, format="png")
    assert Image.open(file).size == (960, 720)
    record = describe_history(history, QUANTITIES, len(losses))
    assert record["curve"]["nats_per_image"] == [None if np.isnan(loss) else loss for loss in losses]
    json.dumps(record, allow_nan=False)


def test_picture_shows_losses_evaluations_rate_and_seconds():
    history = read_history(LOGS, QUANTITIES, 4)
    figure = draw_history(history, QUANTITIES)
    upper, lower, _ = figure.axes
    lines = {line.get_label(): line for line in upper.lines}
    assert list(lines) == ["training", "training, smoothed", "evaluation"]
    assert lines["training"].get_ydata().tolist() == [300, 200, 100]
    assert lines["evaluation"].get_xdata().tolist() == [10, 30]
    assert lower.lines[0].get_ydata().tolist() == [0.1, 0.1, 0.05]
