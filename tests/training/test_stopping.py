# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""SIGTERM and Ctrl-C: the step is finished, a checkpoint saved, and the same command goes on from there."""

import signal
import time

import pytest
from forked_trainings import kill_at_call
from run_folders import checkpoints, differing, names
from transformers import Trainer


def signal_in_step(monkeypatch, number, *signals):
    def send(*args):
        for sent in signals:
            signal.raise_signal(sent) if isinstance(sent, signal.Signals) else time.sleep(sent)

    monkeypatch.setattr(Trainer, "training_step", Trainer.training_step)  # and put back
    kill_at_call(Trainer, "training_step", number, send)


@pytest.fixture
def at_a_terminal():
    """Ctrl-C interrupts, as it does in a terminal; workers of pytest-xdist ignore it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_finishes_the_step_saves_and_exits_and_the_same_command_goes_on(
    tmp_path, train, finished, capsys, sent, status
):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        # twice at once, as a launcher passes on what the terminal has sent already
        signal_in_step(patch, 3, sent, sent)
        train(tmp_path / "run")
    assert stop.value.code == status
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Stopped by {sent.name}; {tmp_path / 'run' / 'checkpoint-3'} is saved. The same command continues from there."
    )
    assert names(tmp_path / "run") == {"checkpoint-2", "checkpoint-3"}
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    train(tmp_path / "run")
    assert differing(tmp_path / "run", finished) == []


@pytest.mark.usefixtures("at_a_terminal")
def test_signal_that_is_ignored_stays_ignored(tmp_path, train, monkeypatch):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_in_step(monkeypatch, 3, signal.SIGINT)
    train(tmp_path / "run", max_steps=4)
    assert checkpoints(tmp_path / "run") == {"checkpoint-2", "checkpoint-4"}
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.usefixtures("at_a_terminal")
def test_second_ctrl_c_interrupts_at_once(tmp_path, train, monkeypatch):
    signal_in_step(monkeypatch, 3, signal.SIGINT, 1.1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    assert names(tmp_path / "run") == {"checkpoint-2"}
