# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Trainings of a few steps on a few images, as the tests of several folders start them."""

SMALL = {
    "dataset_name": "mnist-5k",
    "num_train_samples": 16,
    "num_eval_samples": 8,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "max_steps": 2,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
}


def small_options(output_dir, **changes) -> list[str]:
    """The command line of a small training; what is None is left out, and of a tuple all parts are given."""
    argv = []
    for name, value in (SMALL | {"output_dir": output_dir} | changes).items():
        if value is not None:
            argv += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return argv
