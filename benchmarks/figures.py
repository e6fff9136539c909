# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Figures with their intervals, as the benchmarks keep them in JSON."""

from typing import Any

import numpy as np
from scipy import stats


CONFIDENCE = 0.95


def measure_share(count: int, total: int) -> dict[str, Any]:
    """A share with its exact interval (Clopper and Pearson 1934)."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return {"value": count / total, "interval": [float(interval.low), float(interval.high)], "num_samples": total}


def measure_mean(values: np.ndarray) -> dict[str, Any]:
    """A mean with the normal interval of its standard error; of a single value, without."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    figure = {"value": mean, "num_samples": len(values)}
    if len(values) > 1:
        error = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * float(stats.sem(values))
        figure["interval"] = [mean - error, mean + error]
    return figure
