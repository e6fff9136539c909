# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Trainings of a few steps on a few images, as the tests of several folders start them."""

from transformers import TrainerCallback


SMALL = {"dataset_name": "mnist-5k", "num_train_samples": 16, "num_eval_samples": 8, "use_cpu": True}
SMALL |= {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 8, "max_steps": 2, "save_strategy": "no"}
SMALL |= {"learning_rate": 2e-3, "lr_scheduler_type": "constant", "report_to": "none", "disable_tqdm": True}


def small_options(output_dir, **changes) -> list[str]:
    """The command line of a small training; what is None is left out, and of a tuple all parts are given."""
    argv = []
    for name, value in (SMALL | {"output_dir": output_dir} | changes).items():
        if value is not None:
            argv += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return argv


class StopAt(TrainerCallback):
    """Ends a training after a step, with a checkpoint."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            control.should_save = control.should_training_stop = True
