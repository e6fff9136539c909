"""Metric modules for `evaluate`, each a folder that `evaluate.load` takes by its path."""

from pathlib import Path


METRICS_FOLDER = Path(__file__).parent
