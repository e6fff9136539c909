# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The baselines of benchmarks/likelihood.py, smaller and trained for less."""

import dataclasses

import baselines


CHANGES = {
    "LogisticRegression": {
        "sizes": {"num_rows": 2},
        "options": {"alpha": 0.1, "num_epochs": 2, "learning_rate": 0.03, "batch_size": 8},
    },
    "PixelCNN": {
        "choices": (2,),
        "sizes": {"num_channels": 4, "num_blocks": 2},
        "options": {"learning_rate": 0.03, "batch_size": 5},
    },
}
TINY = {
    name: dataclasses.replace(baseline, **CHANGES.get(baseline.model.__name__, {}))
    for name, baseline in baselines.BASELINES.items()
}
