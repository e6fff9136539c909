# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Training in several processes: checks of their number, common decisions, and equal shares of every batch."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DataLoader
from transformers import TrainingArguments

from mnist_text_gen.files import locked_folder


@dataclass
class ProcessArguments:
    """The processes."""

    expected_num_processes: int | None = field(
        default=None,
        metadata={"help": "Processes that must be running, of all machines together; any other number is an error."},
    )

    def __post_init__(self):
        if self.expected_num_processes is not None and self.expected_num_processes < 1:
            raise ValueError(f"`expected_num_processes` must be 1 or more, got {self.expected_num_processes}")


def check_num_processes(process_args: ProcessArguments, training_args: TrainingArguments) -> None:
    """Check that as many processes are running as were asked for.

    Without `expected_num_processes`, the environment of the launcher decides: `WORLD_SIZE` of torchrun, and
    `MASTER_ADDR`, which `accelerate launch` without `--multi_gpu` sets if `--num_processes` is above 1, although it
    then starts only one.

    Raises:
        ValueError: if the numbers differ.
    """
    found, expected = training_args.world_size, process_args.expected_num_processes
    how = (
        "`accelerate launch --multi_gpu --num_processes N` starts N; on CPUs, put --use_cpu --ddp_backend gloo at the "
        "end of the command"
    )
    if training_args.ddp_backend is not None and not torch.distributed.is_initialized():
        raise ValueError(f"`ddp_backend` must not be given for one process, got {training_args.ddp_backend!r}; {how}")
    if expected is not None:
        if found != expected:
            raise ValueError(f"the processes must be {expected}, `expected_num_processes`, got {found}; {how}")
        return
    if found != int(os.environ.get("WORLD_SIZE", found)):
        raise ValueError(f"the processes must be {os.environ['WORLD_SIZE']}, WORLD_SIZE, got {found}; {how}")
    # accelerate's simple launcher is the only one that sets ACCELERATE_USE_CPU
    from_simple_launcher = "ACCELERATE_USE_CPU" in os.environ and "WORLD_SIZE" not in os.environ
    if found == 1 and from_simple_launcher and "MASTER_ADDR" in os.environ:
        raise ValueError(
            f"accelerate launch was asked for several processes but started one; {how}. If one is right, add "
            "--expected_num_processes 1"
        )


def agree_on_largest(value: int, args: TrainingArguments) -> int:
    """The largest `value` of all processes, each of which must call this function."""
    if args.world_size == 1:
        return value
    largest = torch.tensor(value, device=args.device)
    torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
    return int(largest)


def output_dir_of(args: TrainingArguments) -> Path:
    """The output folder, for which `TrainingArguments` has a default."""
    assert args.output_dir is not None
    return Path(args.output_dir)


@contextmanager
def locked_output_dir(args: TrainingArguments) -> Iterator[None]:
    """Lock `output_dir` against other runs inside the block. All processes raise an error if another run has it."""
    error: Exception | None = None
    with ExitStack() as stack:
        for has_turn in (args.process_index == 0, args.process_index > 0):  # the first process, then the others
            try:
                if has_turn:
                    stack.enter_context(locked_folder(output_dir_of(args), rank=args.process_index))
            except (ValueError, OSError) as caught:
                error = caught
            if agree_on_largest(int(error is not None), args):
                raise error or ValueError("`output_dir` was refused by another process")
        yield


class ProcessBatchSampler(BatchSampler):
    """The share of one process in every batch of all processes together.

    Shares differ by at most one row, also in the last batch of an epoch, so that N processes learn from the same rows
    in the same steps as one. Accelerate's own sampler fills the last batch with rows from the beginning of the epoch.

    Args:
        batch_sampler (`BatchSampler`): makes the batches of all processes together.
        num_processes (`int`): how many processes there are.
        process_index (`int`): the index of this process.

    Raises:
        ValueError: if the last batch has fewer rows than there are processes.
    """

    sampler: Any  # the Trainer's, which has a length and epochs

    def __init__(self, batch_sampler: BatchSampler, num_processes: int, process_index: int):
        super().__init__(batch_sampler.sampler, batch_sampler.batch_size, batch_sampler.drop_last)
        num_rows = len(self.sampler)
        last = 0 if self.drop_last else num_rows % self.batch_size
        if 0 < last < num_processes:
            raise ValueError(
                f"the last batch must have a row for each of {num_processes} processes, got {last} (the remainder of "
                f"{num_rows:,} rows in batches of {self.batch_size}); choose another batch size, or "
                "--dataloader_drop_last true"
            )
        self.num_processes, self.process_index = num_processes, process_index

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            first, end = (len(batch) * (self.process_index + part) // self.num_processes for part in (0, 1))
            yield batch[first:end]

    def set_epoch(self, epoch: int) -> None:
        # Accelerate and the Trainer look for this method only one level deep. In a resumed run the sampler is deeper,
        # behind a wrapper that skips rows, and without this method every epoch would have the order of the first.
        self.sampler.set_epoch(epoch)


def share_batches(dataloader: DataLoader, args: TrainingArguments) -> DataLoader:
    """Let a training data loader that accelerate prepared use [`ProcessBatchSampler`]."""
    shard = dataloader.batch_sampler
    if isinstance(shard, BatchSamplerShard):
        rows, num_processes = shard.batch_sampler, shard.num_processes
        batches = BatchSampler(rows.sampler, rows.batch_size * num_processes, rows.drop_last)
        shard.batch_sampler = ProcessBatchSampler(batches, num_processes, shard.process_index)
        # the sampler inside makes the shares, so accelerate's wrapper must only pass them on
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return dataloader
