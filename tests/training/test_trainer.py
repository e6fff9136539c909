# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The Trainer: what it needs of Transformers, what it refuses, and the best checkpoint."""

import json
import logging

import pytest
from run_folders import checkpoints
from transformers import Trainer, TrainerState

from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.training import trainer
from mnist_text_gen.training.trainer import check_transformers


def without_arguments(self):
    """A method whose arguments went away."""


@pytest.mark.parametrize(
    ("owner", "name", "method"),
    [
        *((*part[:2], None) for part in trainer._OF_RESULTS),
        (Trainer, "_save_checkpoint", without_arguments),
        (TrainerState, "compute_steps", without_arguments),
    ],
)
def test_transformers_without_a_method_that_results_depend_on_is_refused(monkeypatch, owner, name, method):
    monkeypatch.setattr(owner, name, method) if method else monkeypatch.delattr(owner, name)
    with pytest.raises(ImportError, match=rf"^transformers \d.* has no {owner.__name__}\.{name}\(.*\): .* would "):
        check_transformers()


def test_transformers_without_a_method_for_comfort_is_warned_of(monkeypatch, caplog):
    check_transformers()
    assert caplog.messages == []
    monkeypatch.setattr(Trainer, "log", without_arguments)
    with caplog.at_level(logging.WARNING):
        check_transformers()
    (warning,) = caplog.messages
    assert "has no Trainer.log(logs); this is lost: nats per image and throughput in the logs" in warning


@pytest.mark.parametrize(
    ("command", "name", "value", "found"),
    [
        (train_hf, "enable_jit_checkpoint", "true", "`enable_jit_checkpoint` must be false, got true: "),
        (train_hf, "save_on_each_node", "true", "`save_on_each_node` must be false, got true: "),
        (train_hf, "label_smoothing_factor", "0.1", "`label_smoothing_factor` must be 0, got 0.1"),
        (train_classifier, "label_smoothing_factor", "0.1", "`label_smoothing_factor` must be 0, got 0.1"),
        (train_classifier, "fp16", "true", "`fp16` must be false on a CPU, got true"),
    ],
)
def test_what_the_trainer_cannot_do_is_refused_before_images_are_read(
    refusal_of, tmp_path, command, name, value, found
):
    argv = ["--dataset_name", tmp_path / "missing", "--do_train", "--use_cpu", "--output_dir", tmp_path / "run"]
    assert found in refusal_of(command, *argv, f"--{name}", value)
    assert list(tmp_path.iterdir()) == []


def test_best_checkpoint_is_named_by_its_place_kept_and_saved_as_the_model(tmp_path, train):
    run = tmp_path / "run"
    # the loss falls with the first steps, then a rate of 3 spoils the model
    schedule = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 6, "learning_rate": 3}
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 2, "do_eval": True}
    train(run, **schedule, **best, save_total_limit=2)
    state = json.loads((run / "checkpoint-6" / "trainer_state.json").read_text())
    losses = {entry["step"]: entry["eval_loss"] for entry in state["log_history"] if "eval_loss" in entry}
    assert state["best_global_step"] == min(losses, key=losses.get) != 6
    assert state["best_model_checkpoint"] == str(run / f"checkpoint-{state['best_global_step']}")
    assert checkpoints(run) == {"checkpoint-6", f"checkpoint-{state['best_global_step']}", "samples"}
    assert json.loads((run / "eval_results.json").read_text())["eval_loss"] == pytest.approx(min(losses.values()))
