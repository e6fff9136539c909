# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Trainings in processes of their own: `python forked_trainings.py program.json` runs chains of them.

The program is a list of chains, and a chain a list of trainings, one after the other: `argv`; `num_processes`, at work
at the same time over gloo; `kill`, the point (a key of `KILLS`) at which the process kills itself, or of two processes
the second has another mishap; `snapshot`, where the output folder is then copied to. Printed are, as JSON, the exit
statuses of every training's processes. All are forked from this one, which has imported everything and computed
nothing, so that each starts at once.
"""

import errno
import json
import os
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

import safetensors.torch
import torch
import transformers.modeling_utils
from transformers import Trainer

from mnist_text_gen.commands import train_hf


CHAINS_AT_ONCE = 4


def kill_myself(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_call(owner, name, number, before=kill_myself):
    """Before call `number` of `owner.name`, counted from 1, do `before(*args)`, which kills, or raises."""
    original, calls = getattr(owner, name), 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            before(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, counted)


def write_half_of_the_weights(tensors, path, **kwargs):
    Path(path).write_bytes(safetensors.torch.save(tensors)[:1000])
    kill_myself()


def rename_and_die(path, target):
    os.rename(path, target)
    kill_myself()


def remove_half_and_die(path, *args, **kwargs):
    (Path(path) / "optimizer.pt").unlink()
    kill_myself()


def fail(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def in_second_process(mishap):
    if os.environ["RANK"] == "1":
        mishap()


# A checkpoint after every second step of six; each dies later than its first checkpoint, except the first.
KILLS = {
    "before the first checkpoint": lambda: kill_at_call(Trainer, "training_step", 2),
    "in a step": lambda: kill_at_call(Trainer, "training_step", 4),
    "in the weights": lambda: kill_at_call(
        transformers.modeling_utils, "safe_save_file", 2, write_half_of_the_weights
    ),
    "while syncing": lambda: kill_at_call(os, "fsync", 20),
    "before the rename": lambda: kill_at_call(Path, "rename", 2),
    "after the rename": lambda: kill_at_call(Path, "rename", 2, rename_and_die),
    "while removing the old one": lambda: kill_at_call(shutil, "rmtree", 1, remove_half_and_die),
    "after the last step": lambda: setattr(train_hf, "save_language_model", kill_myself),
    # the only call of one save in this process: random numbers
    "full disk of one": lambda: in_second_process(lambda: kill_at_call(torch, "save", 2, fail)),
    "signal to one": lambda: in_second_process(
        lambda: kill_at_call(Trainer, "training_step", 3, lambda *_: signal.raise_signal(signal.SIGTERM))
    ),
}


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def fork(argv: list[str], kill: str | None, environment: dict[str, str]) -> int:
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.environ |= environment
        if kill is not None:
            KILLS[kill]()
        train_hf.main(argv)
        status = 0
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def run(argv: list[str], num_processes: int = 1, kill: str | None = None, snapshot: str | None = None) -> list[int]:
    environments = [{}]
    if num_processes > 1:
        world = {"WORLD_SIZE": str(num_processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        world["LOCAL_WORLD_SIZE"] = world["WORLD_SIZE"]
        environments = [world | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(num_processes)]
    pids = [fork(argv, kill, environment) for environment in environments]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if snapshot is not None:
        shutil.copytree(argv[argv.index("--output_dir") + 1], snapshot)
    return statuses


def start(chain: list[dict], result: Path) -> int:
    if pid := os.fork():
        return pid
    result.write_text(json.dumps([run(**training) for training in chain]))
    os._exit(0)


def main(program: Path) -> None:
    chains, pids = json.loads(program.read_text()), set()
    results = [program.with_suffix(f".{index}") for index in range(len(chains))]
    for chain, result in zip(chains, results, strict=True):
        if len(pids) == CHAINS_AT_ONCE:
            pids.remove(os.wait()[0])
        pids.add(start(chain, result))
    while pids:
        pids.remove(os.wait()[0])
    print(json.dumps([json.loads(result.read_text()) for result in results]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
