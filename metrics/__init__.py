"""Metric modules for `evaluate`; `evaluate.load` loads each folder by its path."""

from pathlib import Path
from typing import Any


METRICS_FOLDER = Path(__file__).parent


def load_metric(name: str) -> Any:
    """The metric in the folder `name`, an `evaluate.Metric` that keeps its inputs in memory."""
    # imported here, because `METRICS_FOLDER` is needed without the extra that has `evaluate`
    import evaluate

    return evaluate.load(str(METRICS_FOLDER / name), keep_in_memory=True)
