# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Trainings in processes of their own: killed at any moment, or two that train together, one of which fails."""

import json
import signal
import sys
from pathlib import Path

import pytest
import transformers
from packaging.version import Version
from processes import run_process
from run_folders import differing, names
from transformers import TrainerState

from mnist_text_gen.training.checkpoints import find_fault


ROOT = Path(__file__).parents[2]
# where the process kills itself, and the checkpoints that are then whole
KILLS = {
    "before the first checkpoint": [],
    "in a step": [2],
    "in the weights": [2],
    "while syncing": [2],
    "before the rename": [2],
    "after the rename": [2, 4],
    "while removing the old one": [4],
    "after the last step": [4, 6],
}
# how many processes begin, and how many go on
RESUMED = {"aligned": (1, 2), "sliding": (2, 1)}
SAVE_TOTAL_LIMITS = {"while removing the old one": 1, "after the last step": 2}


def run_forked(folder, chains):
    """Exit statuses of trainings in processes of their own, and what these wrote to stderr."""
    program = folder / "program.json"
    program.write_text(json.dumps([list(chain.values()) for chain in chains]))
    result = run_process(sys.executable, ROOT / "tests" / "forked_trainings.py", program, cwd=folder)
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
    options |= {"logging_steps": 1, "save_steps": 10, "save_total_limit": 1}
    options |= {"ddp_backend": "gloo"} if num_processes > 1 else {}
    # the last batch of an epoch is a smaller one: 5 of 61 rows, 3 of 153
    options["num_train_samples"], batch_size = {"aligned": (61, 8), "sliding": (2, 10)}[layout]
    options["per_device_train_batch_size"] = batch_size // num_processes
    argv = options_of(folder / layout / name, max_steps=max_steps, **options)
    return {"argv": argv, "num_processes": num_processes}


def all_chains(folder, options_of):
    chains = [{"whole": {"argv": options_of(folder / "whole")}}]
    chains += [killed_chain(folder, options_of, kill) for kill in KILLS]
    for mishap in ("full disk of one", "signal to one"):
        argv = options_of(folder / mishap, ddp_backend="gloo", per_device_train_batch_size=2)
        chains.append({mishap: {"argv": argv, "num_processes": 2, "kill": mishap}})
    for layout, numbers in RESUMED.items():
        resumed = [("resumed", numbers[0], 10), ("resumed", numbers[1], 20)]
        for parts in ([("one", 1, 20)], [("two", 2, 20)], resumed):
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
    # a lock that its process has left is one for nobody
    left = names(killed) - {"train_results.json", "all_results.json", ".lock"}
    of_saves = {name for name in left if not name.startswith(".staging-")}
    assert of_saves == {f"checkpoint-{step}" for step in KILLS[kill]}
    assert [name for name in of_saves if find_fault(killed / name) is not None] == []
    assert statuses[f"{kill}, resumed"] == [0], log
    assert differing(folder / kill, folder / "whole") == []
    assert not [name for name in names(folder / kill) if name.startswith(".")]


@pytest.mark.slow
def test_full_disk_of_one_process_ends_both_with_one_error(forked):
    folder, statuses, log = forked
    assert statuses["full disk of one"] == [2, 2], log
    assert names(folder / "full disk of one") == {"checkpoint-2"}
    about = "checkpoint-4 cannot be saved in"
    causes = sorted(line.rpartition(": ")[2] for line in log.splitlines() if about in line)
    assert causes == ["[Errno 28] No space left on device", "another process failed"]


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
@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.18"), reason="Transformers cannot read an optimizer for 'cpu:0'"
)
@pytest.mark.parametrize("layout", RESUMED)
def test_two_processes_learn_what_one_does_also_after_a_resume_with_another_number(forked, layout):
    folder, statuses, log = forked
    of_layout = {key: status for key, status in statuses.items() if key[0] == layout}
    assert of_layout == {key: [0] * key[2] for key in of_layout}, log
    expected = losses_of(folder / layout / "one", 20)
    assert list(expected) == list(range(1, 21))
    for name in ("two", "resumed"):
        assert losses_of(folder / layout / name, 20) == pytest.approx(expected, abs=1e-5), name
