# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""On SIGTERM and Ctrl-C, training finishes the step, saves a checkpoint, and ends."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import Trainer, TrainerCallback, TrainingArguments

from .processes import agree_on_largest, output_dir_of


# The terminal sends a Ctrl-C to all processes, and a launcher then sends it to them again: these count as one.
_SECONDS_OF_ONE_SIGNAL = 1.0


class StopOnSignal(TrainerCallback):
    """Ends the training of all processes after the current step, with a checkpoint, if one gets SIGTERM or SIGINT.

    A second signal ends the process at once.
    """

    def __init__(self):
        self.stopped_by: signal.Signals | None = None
        self._received, self._received_at, self._previous = 0, 0.0, {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for signals inside the block. A signal that came after the last step is sent again at its end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        self.stopped_by, self._received = None, 0
        # signals that are ignored stay ignored, as a shell demands for background processes
        watched = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._receive) for number in watched}
        try:
            yield
        finally:
            self._restore()
        if self._received and self.stopped_by is None:
            signal.raise_signal(self._received)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame) -> None:
        now = time.monotonic()
        if not self._received:
            self._received, self._received_at = number, now
        elif now - self._received_at > _SECONDS_OF_ONE_SIGNAL:
            self._restore()
            signal.raise_signal(number)

    def on_step_end(self, args: TrainingArguments, state, control, **kwargs):
        if number := agree_on_largest(self._received, args):
            self.stopped_by = signal.Signals(number)
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_epoch_end(self, args: TrainingArguments, state, control, **kwargs):
        if self.stopped_by is not None:
            control.should_save = control.should_evaluate = False


def exit_if_stopped(trainer: Trainer, stopped_by: signal.Signals | None) -> None:
    """If a signal ended the training, exit with status 128 + its number, as a shell would report it."""
    if stopped_by is None:
        return
    if trainer.is_world_process_zero():
        checkpoint = output_dir_of(trainer.args) / f"checkpoint-{trainer.state.global_step}"
        sys.stderr.write(
            f"Stopped by {stopped_by.name}; {checkpoint} is saved. The same command continues from there.\n"
        )
    sys.exit(128 + stopped_by)
