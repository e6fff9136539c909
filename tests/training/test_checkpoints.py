# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints: whole or not at all, gone on from to the same bits, refused for another training."""

import json
import logging
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from forked_trainings import fail, kill_at_call
from run_folders import checkpoints, differing, names
from safetensors import SafetensorError
from transformers import TrainerState

from mnist_text_gen.commands import train_hf
from mnist_text_gen.files import hash_file
from mnist_text_gen.training import checkpoints as checkpoint_folders
from mnist_text_gen.training.checkpoints import find_last_checkpoint
from mnist_text_gen.training.trainer import MnistTrainer


def rewrite(folder, **changes):
    path = folder / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_checkpoint_holds_no_pickled_object_and_says_what_it_holds(finished):
    assert checkpoints(finished) == {"checkpoint-2", "checkpoint-4", "checkpoint-6"}
    held = names(finished / "checkpoint-2")
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} <= held
    assert "training_args.bin" not in held
    content = json.loads((finished / "checkpoint-2" / "checkpoint.json").read_text())
    assert set(content["files"]) == held - {"checkpoint.json"}
    assert content["recipe"]["learning_rate"] == 2e-3
    assert str(finished.parent) not in (finished / "checkpoint-2" / "checkpoint.json").read_text()


def test_run_goes_on_from_the_last_checkpoint_to_the_same_bits_and_counts_all_seconds(half, finished, train):
    rewrite(half / "checkpoint-4", train_seconds=1000.0)
    begin = time.monotonic()
    train(half)
    assert differing(half, finished) == []
    assert checkpoints(half) == checkpoints(finished)
    (stage,) = json.loads((half / "run.json").read_text())["training"][-1:]
    assert 1000 < stage["train_seconds"] < 1000 + time.monotonic() - begin


def test_finished_run_started_again_takes_no_further_step(tmp_path, finished, train):
    again = shutil.copytree(finished, tmp_path / "again")
    (again / "model.safetensors").unlink()
    train(again)
    assert differing(again, finished) == []
    assert checkpoints(again) == checkpoints(finished)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000), "model.safetensors differs from what"),
        (lambda folder: (folder / "checkpoint.json").unlink(), "checkpoint.json, which is written last"),
        (lambda folder: (folder / "checkpoint.json").write_text("{"), "checkpoint.json is damaged"),
        (lambda folder: rewrite(folder, files={}), "trainer_state.json is missing"),
        (lambda folder: rewrite(folder, recipe=None), "checkpoint.json is damaged"),
        (lambda folder: (folder / "checkpoint.json").write_text("[" * 100_000), "checkpoint.json is damaged"),
    ],
)
def test_incomplete_checkpoint_is_passed_over_with_a_warning(half, caplog, damage, fault):
    damage(half / "checkpoint-4")
    with caplog.at_level(logging.WARNING):
        assert find_last_checkpoint(half, checkpoint_folders.logger) == half / "checkpoint-2"
    (warning,) = caplog.messages
    assert str(half / "checkpoint-4") in warning
    assert fault in warning


def test_incomplete_checkpoint_that_is_named_is_refused(half, error_of):
    rewrite(half / "checkpoint-4", recipe=None)
    line = error_of(half, resume_from_checkpoint=half / "checkpoint-4")
    assert f"`resume_from_checkpoint` must be a complete checkpoint, got {str(half / 'checkpoint-4')!r}" in line
    assert "checkpoint.json is damaged" in line


def test_run_goes_on_behind_an_incomplete_checkpoint_and_replaces_it(half, finished, train):
    (half / "checkpoint-4" / "optimizer.pt").unlink()
    train(half, save_total_limit=1)
    assert differing(half, finished) == []
    assert checkpoints(half) == {"checkpoint-6"}


def test_leftovers_of_killed_saves_are_removed_and_a_replaced_checkpoint_comes_back(half, finished, train):
    (half / "checkpoint-4").rename(half / ".replaced-checkpoint-4")
    shutil.copytree(half / "checkpoint-2", half / ".replaced-checkpoint-2")
    (half / ".staging-checkpoint-4").mkdir()
    (half / "all_results.json").write_text('{"train_loss": 1')
    written = (half / ".replaced-checkpoint-4" / "model.safetensors").stat().st_mtime_ns
    train(half)
    assert checkpoints(half) == checkpoints(finished)
    assert (half / "checkpoint-4" / "model.safetensors").stat().st_mtime_ns == written


def test_checkpoints_that_are_links_are_removed_as_links(half, finished, train):
    elsewhere = half.parent / "elsewhere"
    (half / "checkpoint-2").rename(elsewhere)
    (half / "checkpoint-2").symlink_to(elsewhere)
    (half / ".replaced-checkpoint-4").symlink_to(elsewhere)
    (half / ".staging-checkpoint-8").symlink_to(elsewhere)
    before = names(elsewhere)
    train(half, save_total_limit=1)
    assert checkpoints(half) == {"checkpoint-6"}
    assert names(elsewhere) == before
    assert differing(half, finished) == []


def test_limit_is_kept_at_the_start_if_a_run_was_killed_before_it_removed_a_checkpoint(half, train, monkeypatch):
    seen = []
    monkeypatch.setattr(MnistTrainer, "training_step", lambda *args, **kwargs: seen.append(checkpoints(half)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(half, save_total_limit=1)
    assert seen == [{"checkpoint-4"}]


def test_old_checkpoints_are_removed_but_never_the_last(tmp_path, train):
    # an incomplete one with more steps must not push the whole one out
    (tmp_path / "run" / "checkpoint-900").mkdir(parents=True)
    train(tmp_path / "run", save_total_limit=2)
    assert checkpoints(tmp_path / "run") == {"checkpoint-6", "checkpoint-900"}


def test_other_training_is_refused_with_the_difference_named(half, error_of):
    changes = {"learning_rate": 1e-3, "dropout": 0.2, "seed": 7, "augmentation": 0, "num_plain_epochs": 1}
    changes |= {"optimizer": "muon", "bf16": True, "per_device_train_batch_size": 8, "lr_scheduler_type": "linear"}
    line = error_of(half, **changes)
    differences = ["learning_rate: 0.002, 0.001", "dropout: 0.1, 0.2", "seed: 42, 7", "augmentation: 1.0, 0.0"]
    differences += ["num_plain_epochs: 0, 1", "optimizer: 'adam', 'muon'", "bf16: False, True", "4, 8"]
    for found in (difference.replace(", ", " in the checkpoint, ") for difference in differences):
        assert f"{found} now" in line and str(half / "checkpoint-4") in line
    assert names(half) == {"checkpoint-2", "checkpoint-4"}


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_one_other_pixel_or_label_is_refused(half, error_of, tmp_path, source, name):
    other = Path(shutil.copytree(source, tmp_path / "other"))
    data = bytearray((other / name).read_bytes())
    data[-1] ^= 1
    (other / name).write_bytes(data)
    assert "training images and labels of dataset_name (sha256): " in error_of(half, dataset_name=other)


def test_other_weights_and_another_tokenizer_are_refused(half, error_of, tmp_path, tiny_model, monkeypatch, tokenizer):
    torch.nn.init.ones_(tiny_model.transformer.ln_f.bias)
    tiny_model.save_pretrained(tmp_path / "weights")
    assert "weights of model_name_or_path (sha256)" in error_of(half, model_name_or_path=tmp_path / "weights")
    monkeypatch.setattr(type(tokenizer), "get_vocab", lambda self: {"0": 1})
    assert "vocabulary of the tokenizer (sha256)" in error_of(half)


def test_what_does_not_change_the_training_may_change(half, train, source, tiny_files, finished):
    moved = {
        "dataset_name": shutil.copytree(source, half.parent / "moved"),
        "model_name_or_path": shutil.copytree(tiny_files, half.parent / "weights"),
    }
    other = {"save_steps": 5, "logging_steps": 1, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    train(half, **moved, **other, max_steps=7, num_eval_samples=4)
    # those of this run, not those that the checkpoint brought along
    assert checkpoints(half) == {"checkpoint-2", "checkpoint-4", "checkpoint-5", "checkpoint-7"}
    state = TrainerState.load_from_json(half / "checkpoint-7" / "trainer_state.json")
    assert [entry["step"] for entry in state.log_history if "loss" in entry] == [5, 6, 7]


class Spell:
    def __reduce__(self):
        return (os.mkdir, (str(Path(os.environ["SPELL_FOLDER"]) / "spelled"),))


@pytest.mark.parametrize("name", ["rng_state.pth", "optimizer.pt", "scheduler.pt"])
def test_pickle_in_a_checkpoint_is_not_run(half, error_of, tmp_path, monkeypatch, name):
    monkeypatch.setenv("SPELL_FOLDER", str(tmp_path))
    torch.save({"python": Spell()}, half / "checkpoint-4" / name)
    path = half / "checkpoint-4" / "checkpoint.json"
    content = json.loads(path.read_text())
    content["files"][name] = hash_file(half / "checkpoint-4" / name)
    path.write_text(json.dumps(content))
    line = error_of(half)
    assert "must have only tensors in its files" in line
    assert str(half / "checkpoint-4") in line
    assert not (tmp_path / "spelled").exists()
    # the spell works where somebody unpickles it
    torch.load(half / "checkpoint-4" / name, weights_only=False)
    assert (tmp_path / "spelled").exists()


@pytest.mark.parametrize(("owner", "name", "number"), [(torch, "save", 2), (os, "fsync", 3), (Path, "rename", 1)])
def test_full_disk_is_one_line_and_leaves_the_last_checkpoint_and_no_half_one(
    half, error_of, monkeypatch, owner, name, number
):
    monkeypatch.setattr(owner, name, getattr(owner, name))  # and put back
    kill_at_call(owner, name, number, fail)
    line = error_of(half, logging_strategy="no")
    assert f"checkpoint-6 cannot be saved in {half}; the last complete one is checkpoint-4" in line
    assert "No space left on device" in line
    assert names(half) == {"checkpoint-2", "checkpoint-4"}


def test_full_disk_at_the_end_is_one_error_and_leaves_no_half_model(half, train, monkeypatch):
    def save(*args):
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(train_hf, "save_language_model", save)
    with pytest.raises(OSError, match=r"^the model cannot be saved in .*half: No space left on device \(os error 28"):
        train(half)
    metrics = {"all_results.json", "train_results.json"}
    assert names(half) == {"checkpoint-2", "checkpoint-4", "checkpoint-6"} | metrics


def test_output_folder_is_synced_once_it_has_the_checkpoint(tmp_path, train, monkeypatch):
    synced, sync = [], checkpoint_folders.sync_entry

    def note(path):
        synced.append((path, checkpoints(path)))
        sync(path)

    monkeypatch.setattr(checkpoint_folders, "sync_entry", note)
    train(tmp_path / "run", max_steps=2)
    assert synced == [(tmp_path / "run", {"checkpoint-2"})]
