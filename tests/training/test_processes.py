# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Several processes: the number that was asked for, and shares of batches that make the batches of one process."""

from types import SimpleNamespace

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from torch.utils.data import BatchSampler, SequentialSampler

from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.files import locked_folder
from mnist_text_gen.training.processes import ProcessArguments, ProcessBatchSampler, check_num_processes


@pytest.fixture
def environment(monkeypatch):
    for name in ("WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


def check(found, expected=None, ddp_backend=None):
    check_num_processes(ProcessArguments(expected), SimpleNamespace(world_size=found, ddp_backend=ddp_backend))


def launch(*options):
    """The environment that accelerate's launcher gives to the one process that it starts."""
    defaults = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    args = launch_command_parser().parse_args(
        [*options, *defaults, "--num_cpu_threads_per_process", "1", "train_hf.py"]
    )
    return prepare_simple_launcher_cmd_env(_validate_launch_command(args)[0])[1]


ONE, TWO = (("--cpu", "--num_processes", str(number)) for number in (1, 2))


@pytest.mark.parametrize(
    ("variables", "found"),
    [({}, 1), ({"MASTER_ADDR": "10.0.0.1"}, 1), ({"WORLD_SIZE": "1"}, 1), ({"WORLD_SIZE": "2"}, 2), (launch(*ONE), 1)],
)
def test_as_many_as_launched_are_accepted(environment, variables, found):
    environment(**variables)
    check(found)
    check(found, expected=found)


@pytest.mark.parametrize(
    ("variables", "backend", "message"),
    [
        (launch(*TWO), None, r"asked for several processes but started one.*--multi_gpu"),
        ({"WORLD_SIZE": "4"}, None, "the processes must be 4, WORLD_SIZE, got 1"),
        ({}, "gloo", "`ddp_backend` must not be given for one process, got 'gloo'"),
    ],
    ids=["accelerate that starts one", "no launcher", "backend"],
)
def test_one_process_where_several_were_meant_is_found_out(environment, variables, backend, message):
    environment(**variables)
    with pytest.raises(ValueError, match=message):
        check(1, ddp_backend=backend)


@pytest.mark.parametrize("command", [train_hf, train_classifier])
def test_second_run_in_an_output_folder_is_refused_at_its_start(refusal_of, tmp_path, command):
    argv = ["--do_train", "--use_cpu", "--output_dir", tmp_path / "run", "--dataset_name", tmp_path / "missing"]
    with locked_folder(tmp_path / "run"):
        line = refusal_of(command, *argv)
    assert f"got {str(tmp_path / 'run')!r}, which another run" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [train_hf, train_classifier])
def test_other_number_than_expected_is_refused_before_anything_is_made(refusal_of, tmp_path, command):
    argv = ["--do_train", "true", "--use_cpu", "--output_dir", tmp_path / "run", "--dataset_name", "mnist-5k"]
    line = refusal_of(command, *argv, "--expected_num_processes", 2)
    assert "the processes must be 2, `expected_num_processes`, got 1" in line
    assert "`expected_num_processes` must be 1 or more, got 0" in refusal_of(
        command, *argv, "--expected_num_processes", 0
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("num_rows", "num_processes"), [(16, 2), (21, 2), (23, 3), (7, 4)])
def test_shares_of_all_processes_are_the_batches_of_one(num_rows, num_processes, drop_last):
    batches = BatchSampler(SequentialSampler(range(num_rows)), 8, drop_last)
    shares = [list(ProcessBatchSampler(batches, num_processes, index)) for index in range(num_processes)]
    joined = [[row for share in step for row in share] for step in zip(*shares, strict=True)]
    assert joined == list(batches)
    sizes = [{len(share) for share in step} for step in zip(*shares, strict=True)]
    assert all(max(step) - min(step) <= 1 and min(step) > 0 for step in sizes)


def test_last_batch_too_small_to_share_is_refused():
    batches = BatchSampler(SequentialSampler(range(17)), 8, False)
    with pytest.raises(
        ValueError, match=r"the last batch must have a row for each of 2 processes, got 1 \(the remainder of 17 rows"
    ):
        ProcessBatchSampler(batches, 2, 0)
    assert len(ProcessBatchSampler(BatchSampler(SequentialSampler(range(17)), 8, True), 2, 0)) == 2
