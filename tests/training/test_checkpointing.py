# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints: whole or not at all, gone on from to the same bits, refused for another training."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import Trainer, TrainerState

from mnist_text_gen.commands import train_hf
from mnist_text_gen.training import checkpointing
from mnist_text_gen.training.checkpointing import CheckpointingTrainer, find_last_checkpoint


ROOT = Path(__file__).parents[2]
SMALL = {
    "num_train_samples": 62,
    "num_eval_samples": 8,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "dropout": 0.1,
    "augmentation": 1.0,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "max_steps": 6,
    "save_steps": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "do_train": True,
}


def write_idx(path, magic, values):
    header = np.array([magic, *values.shape], dtype=">u4").tobytes()
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def source(tmp_path_factory, mnist_5k):
    """A few images that are read at once, as IDX files."""
    folder = tmp_path_factory.mktemp("source")
    for name, split, number in (("train", "train", 62), ("t10k", "test", 8)):
        images, labels = mnist_5k[split].first(number, "number")
        write_idx(folder / f"{name}-images-idx3-ubyte", 0x803, images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", 0x801, labels)
    return folder


@pytest.fixture(scope="module")
def small(source, tiny_files):
    return SMALL | {"dataset_name": source, "model_name_or_path": tiny_files}


@pytest.fixture(scope="module")
def options_of(small):
    def options_of(output_dir, **changes):
        settings = small | {"output_dir": output_dir} | changes
        return [part for name, value in settings.items() for part in (f"--{name}", str(value))]

    return options_of


@pytest.fixture
def train(options_of):
    return lambda output_dir, **changes: train_hf.train(options_of(output_dir, **changes))


@pytest.fixture
def error_of(refusal_of, options_of):
    return lambda output_dir, **changes: refusal_of(train_hf, *options_of(output_dir, **changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, options_of):
    """A run of six steps that nobody stopped; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_hf.train(options_of(folder))
    return folder


@pytest.fixture
def half(tmp_path, finished):
    """The same run as it was after four steps."""
    folder = tmp_path / "half"
    for name in ("checkpoint-2", "checkpoint-4"):
        shutil.copytree(finished / name, folder / name)
    return folder


def names(folder):
    return {path.name for path in folder.iterdir()}


def checkpoints(folder):
    """All folders, so that what a save has left behind is seen."""
    return {path.name for path in folder.iterdir() if path.is_dir()}


def differing(one, other):
    one, other = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def test_checkpoint_holds_no_pickled_object_and_says_what_it_holds(finished):
    assert checkpoints(finished) == {"checkpoint-2", "checkpoint-4", "checkpoint-6"}
    held = names(finished / "checkpoint-2")
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} <= held
    assert "training_args.bin" not in held
    content = json.loads((finished / "checkpoint-2" / "checkpoint.json").read_text())
    assert set(content["files"]) == held - {"checkpoint.json"}
    assert content["recipe"]["learning_rate"] == 2e-3
    assert str(finished.parent) not in (finished / "checkpoint-2" / "checkpoint.json").read_text()


def test_run_goes_on_from_the_last_checkpoint_to_the_same_bits(half, finished, train):
    train(half)
    assert differing(half, finished) == []
    assert checkpoints(half) == checkpoints(finished)


def test_finished_run_started_again_takes_no_further_step(tmp_path, finished, train):
    again = shutil.copytree(finished, tmp_path / "again")
    (again / "model.safetensors").unlink()
    train(again)
    assert differing(again, finished) == []
    assert checkpoints(again) == checkpoints(finished)


def test_seconds_of_all_parts_are_counted(half, train):
    path = half / "checkpoint-4" / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"train_seconds": 1000.0}))
    begin = time.monotonic()
    train(half)
    (stage,) = json.loads((half / "run.json").read_text())["training"][-1:]
    assert 1000 < stage["train_seconds"] < 1000 + time.monotonic() - begin


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000), "model.safetensors is not what was written"),
        (lambda folder: (folder / "checkpoint.json").unlink(), "checkpoint.json, which is written last"),
        (lambda folder: (folder / "checkpoint.json").write_text("{"), "checkpoint.json is damaged"),
        (lambda folder: (folder / "checkpoint.json").write_text('{"files": {}}'), "trainer_state.json is missing"),
    ],
)
def test_incomplete_checkpoint_is_passed_over_with_a_warning_and_refused_if_named(
    half, error_of, caplog, damage, fault
):
    damage(half / "checkpoint-4")
    with caplog.at_level(logging.WARNING):
        assert find_last_checkpoint(half, checkpointing.logger) == half / "checkpoint-2"
    (warning,) = caplog.messages
    assert str(half / "checkpoint-4") in warning
    assert fault in warning
    line = error_of(half, resume_from_checkpoint=half / "checkpoint-4")
    assert f"resume_from_checkpoint is {str(half / 'checkpoint-4')!r}" in line
    assert fault in line


def test_run_goes_on_behind_an_incomplete_checkpoint_and_replaces_it(half, finished, train):
    (half / "checkpoint-4" / "optimizer.pt").unlink()
    train(half, save_total_limit=1)
    assert differing(half, finished) == []
    assert checkpoints(half) == {"checkpoint-6"}


def test_leftovers_of_killed_saves_are_removed_and_a_replaced_checkpoint_comes_back(half, finished, train):
    (half / "checkpoint-4").rename(half / ".replaced-checkpoint-4")
    shutil.copytree(half / "checkpoint-2", half / ".replaced-checkpoint-2")
    (half / ".staging-checkpoint-4").mkdir()
    written = (half / ".replaced-checkpoint-4" / "model.safetensors").stat().st_mtime_ns
    train(half)
    assert checkpoints(half) == checkpoints(finished)
    assert (half / "checkpoint-4" / "model.safetensors").stat().st_mtime_ns == written


def test_old_checkpoints_are_removed_but_never_the_last(tmp_path, train):
    # an incomplete one with more steps must not push the whole one out
    (tmp_path / "run" / "checkpoint-900").mkdir(parents=True)
    train(tmp_path / "run", save_total_limit=2)
    assert checkpoints(tmp_path / "run") == {"checkpoint-6", "checkpoint-900"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"learning_rate": 1e-3}, ["learning_rate: 0.002 in the checkpoint, 0.001 now"]),
        (
            {"dropout": 0.2, "seed": 7},
            ["dropout: 0.1 in the checkpoint, 0.2 now", "seed: 42 in the checkpoint, 7 now"],
        ),
        ({"augmentation": 0}, ["augmentation: 1.0 in the checkpoint, 0.0 now"]),
        ({"num_plain_epochs": 1}, ["num_plain_epochs: 0 in the checkpoint, 1 now"]),
        ({"optimizer": "muon"}, ["optimizer: 'adam' in the checkpoint, 'muon' now"]),
        ({"bf16": True}, ["bf16: False in the checkpoint, True now"]),
        ({"per_device_train_batch_size": 8}, ["per_device_train_batch_size ×", "4 in the checkpoint, 8 now"]),
        ({"lr_scheduler_type": "linear"}, ["lr_scheduler_type: 'constant'", "max_steps: 'none' in the", "6 now"]),
    ],
)
def test_other_training_is_refused_with_the_difference_named(half, error_of, changes, found):
    line = error_of(half, **changes)
    assert [part for part in [str(half / "checkpoint-4"), *found] if part not in line] == []
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
    content["files"][name] = checkpointing._hash(half / "checkpoint-4" / name)
    path.write_text(json.dumps(content))
    line = error_of(half)
    assert "is not loaded" in line
    assert str(half / "checkpoint-4") in line
    assert not (tmp_path / "spelled").exists()
    # the spell works where somebody unpickles it
    torch.load(half / "checkpoint-4" / name, weights_only=False)
    assert (tmp_path / "spelled").exists()


def fail_at_call(monkeypatch, owner, name, number, error):
    original, calls = getattr(owner, name), 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (Path, "mkdir", None),
        (torch, "save", 2),
        (TrainerState, "save_to_json", 1),
        (os, "fsync", 3),
        (Path, "rename", 1),
    ],
)
def test_full_disk_is_one_line_and_leaves_the_last_checkpoint_and_no_half_one(
    half, error_of, monkeypatch, owner, name, number
):
    full = OSError(errno.ENOSPC, "No space left on device")
    if number is None:
        save = CheckpointingTrainer._save_checkpoint

        def save_on_full_disk(*args):
            fail_at_call(monkeypatch, owner, name, 1, full)
            save(*args)

        monkeypatch.setattr(CheckpointingTrainer, "_save_checkpoint", save_on_full_disk)
    else:
        fail_at_call(monkeypatch, owner, name, number, full)
    line = error_of(half, logging_strategy="no")
    assert f"checkpoint-6 cannot be saved in {half}; the last whole one is checkpoint-4" in line
    assert "No space left on device" in line
    assert names(half) == {"checkpoint-2", "checkpoint-4"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 KB: one checkpoint of the tiny model fits, two don't."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root on Linux only")
    yield disk
    # lazily, for the error that was raised may still hold the file that it could not write
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_real_full_disk_is_one_line_and_leaves_the_last_checkpoint(small_disk, error_of):
    line = error_of(small_disk / "run", logging_strategy="no")
    assert f"checkpoint-4 cannot be saved in {small_disk / 'run'}; the last whole one is checkpoint-2: " in line
    assert names(small_disk / "run") == {"checkpoint-2"}
    assert find_last_checkpoint(small_disk / "run") == small_disk / "run" / "checkpoint-2"


def test_full_disk_at_the_end_is_one_error_and_leaves_no_half_model(half, train, monkeypatch):
    def save(*args):
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(train_hf, "save_language_model", save)
    with pytest.raises(
        OSError, match=r"^the model cannot be saved in .*half: No space left on device \(os error 28\)$"
    ):
        train(half)
    metrics = {"all_results.json", "train_results.json"}
    assert names(half) == {"checkpoint-2", "checkpoint-4", "checkpoint-6"} | metrics


def signal_in_step(monkeypatch, number, *signals):
    original, calls = Trainer.training_step, 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            for sent in signals:
                signal.raise_signal(sent) if isinstance(sent, signal.Signals) else time.sleep(sent)
        return original(*args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", counted)


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
        f"Stopped by {sent.name}; {tmp_path / 'run' / 'checkpoint-3'} is saved. The same command goes on from there."
    )
    assert names(tmp_path / "run") == {"checkpoint-2", "checkpoint-3"}
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    train(tmp_path / "run")
    assert differing(tmp_path / "run", finished) == []


def test_output_folder_is_synced_once_it_has_the_checkpoint(tmp_path, train, monkeypatch):
    synced, sync = [], checkpointing.sync_entry

    def note(path):
        synced.append((path, checkpoints(path)))
        sync(path)

    monkeypatch.setattr(checkpointing, "sync_entry", note)
    train(tmp_path / "run", max_steps=2)
    assert synced == [(tmp_path / "run", {"checkpoint-2"})]


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


@pytest.mark.parametrize("name", ["enable_jit_checkpoint", "save_on_each_node"])
def test_other_ways_of_saving_are_refused(tmp_path, error_of, name):
    assert f"{name} is true; allowed is false" in error_of(tmp_path / "run", **{name: True})
    assert names(tmp_path / "run") == set()


# where the process kills itself, and the checkpoints that are then whole
KILLS = {
    "before the first checkpoint": [],
    "in a step": [2],
    "in the weights": [2],
    "in the optimizer": [2],
    "while syncing": [2],
    "before the rename": [2],
    "after the rename": [2, 4],
    "while removing the old one": [4],
    "after the last step": [4, 6],
}
SAVE_TOTAL_LIMITS = {"while removing the old one": 1, "after the last step": 2}


def run_forked(folder, chains):
    """Exit statuses of trainings in processes of their own, and what these wrote to stderr."""
    program = folder / "program.json"
    program.write_text(json.dumps([list(chain.values()) for chain in chains]))
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "forked_trainings.py"), str(program)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    statuses = json.loads(result.stdout.splitlines()[-1])
    names = [name for chain in chains for name in chain]
    return dict(zip(names, [status for chain in statuses for status in chain], strict=True)), result.stderr


def killed_chain(folder, options_of, kill):
    limit = {"save_total_limit": SAVE_TOTAL_LIMITS[kill]} if kill in SAVE_TOTAL_LIMITS else {}
    argv = options_of(folder / kill, **limit)
    killed = {"argv": argv, "kill": kill, "snapshot": str(folder / f"{kill}, killed")}
    return {kill: killed, f"{kill}, resumed": {"argv": argv}}


def shared_training(folder, options_of, layout, name, num_processes, max_steps):
    options = {"layout": layout, "augmentation": int(layout == "aligned"), "dropout": 0}
    options |= {"logging_steps": 1, "save_steps": 25, "save_total_limit": 1}
    options |= {"ddp_backend": "gloo"} if num_processes > 1 else {}
    # the last batch of an epoch is a smaller one: 2 of 122 rows, 5 of 8,969
    options["num_train_samples"], batch_size = {"aligned": (61, 8), "sliding": (60, 6)}[layout]
    options["per_device_train_batch_size"] = batch_size // num_processes
    argv = options_of(folder / layout / name, max_steps=max_steps, **options)
    return {"argv": argv, "num_processes": num_processes}


def all_chains(folder, options_of):
    chains = [{"whole": {"argv": options_of(folder / "whole")}}]
    chains += [killed_chain(folder, options_of, kill) for kill in KILLS]
    for mishap in ("full disk of one", "signal to one"):
        argv = options_of(folder / mishap, ddp_backend="gloo", per_device_train_batch_size=2)
        chains.append({mishap: {"argv": argv, "num_processes": 2, "kill": mishap}})
    of_parts = [[("one", 1, 50)], [("two", 2, 50)]]
    of_parts += [[("one, two", 1, 25), ("one, two", 2, 50)], [("two, one", 2, 25), ("two, one", 1, 50)]]
    for layout in ("aligned", "sliding"):
        for parts in of_parts:
            chains.append({(layout, *part): shared_training(folder, options_of, layout, *part) for part in parts})
    return chains


@pytest.fixture(scope="module")
def forked(tmp_path_factory, options_of):
    """The folder of all trainings that want a process of their own, their exit statuses, and stderr."""
    folder = tmp_path_factory.mktemp("forked")
    return folder, *run_forked(folder, all_chains(folder, options_of))


@pytest.mark.slow
@pytest.mark.parametrize("kill", KILLS)
def test_run_killed_at_any_moment_ends_with_the_same_bits_as_one_never_stopped(forked, kill):
    folder, statuses, log = forked
    assert statuses[kill] == [-signal.SIGKILL], log
    killed = folder / f"{kill}, killed"
    left = names(killed) - {"train_results.json", "all_results.json"}
    of_saves = {name for name in left if not name.startswith(".staging-")}
    assert of_saves == {f"checkpoint-{step}" for step in KILLS[kill]}
    assert [name for name in of_saves if checkpointing.find_fault(killed / name) is not None] == []
    assert statuses[f"{kill}, resumed"] == [0], log
    assert differing(folder / kill, folder / "whole") == []
    assert not [name for name in names(folder / kill) if name.startswith(".")]


@pytest.mark.slow
def test_full_disk_of_one_process_ends_both_with_one_error(forked):
    folder, statuses, log = forked
    assert statuses["full disk of one"] == [2, 2], log
    assert names(folder / "full disk of one") == {"checkpoint-2"}
    about = "checkpoint-4 cannot be saved in"
    assert [line.rpartition(": ")[2] for line in sorted(log.splitlines()) if about in line] == [
        "[Errno 28] No space left on device",
        "another process failed",
    ]


@pytest.mark.slow
def test_signal_to_one_process_stops_both_after_the_same_step(forked):
    folder, statuses, log = forked
    assert statuses["signal to one"] == [143, 143], log
    assert names(folder / "signal to one") == {"checkpoint-2", "checkpoint-3"}
    assert log.count("Stopped by SIGTERM") == 1


def losses_of(folder, steps):
    state = TrainerState.load_from_json(folder / f"checkpoint-{steps}" / "trainer_state.json")
    return {entry["step"]: entry["loss"] for entry in state.log_history if "loss" in entry}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["aligned", "sliding"])
def test_two_processes_learn_what_one_does_also_after_a_resume_with_another_number(forked, layout):
    folder, statuses, log = forked
    of_layout = {key: status for key, status in statuses.items() if key[0] == layout}
    assert of_layout == {key: [0] * key[2] for key in of_layout}, log
    expected = losses_of(folder / layout / "one", 50)
    assert list(expected) == list(range(1, 51))
    for name in ("two", "one, two", "two, one"):
        assert losses_of(folder / layout / name, 50) == pytest.approx(expected, abs=1e-5), name
