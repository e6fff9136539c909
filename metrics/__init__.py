"""Metric modules for `evaluate`, each a folder that `evaluate.load` takes by its path."""

from pathlib import Path
from typing import Any


METRICS_FOLDER = Path(__file__).parent


def load_metric(name: str) -> Any:
    """The metric in the folder `name`, an `evaluate.Metric` that keeps its inputs in memory."""
    # it comes with an extra, and where the metrics lie can be asked without it
    import evaluate

    return evaluate.load(str(METRICS_FOLDER / name), keep_in_memory=True)
