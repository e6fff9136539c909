# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Training in several processes: as many as were meant, one decision, and equal shares of every batch."""

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
        metadata={
            "help": "Processes, of all machines together, that have to be at work; any other number is an error."
        },
    )

    def __post_init__(self):
        if self.expected_num_processes is not None and self.expected_num_processes < 1:
            raise ValueError(f"`expected_num_processes` must be 1 or more, got {self.expected_num_processes}")


def check_num_processes(process_args: ProcessArguments, training_args: TrainingArguments) -> None:
    """Compare the number of processes at work with the one that was asked for.

    Where `expected_num_processes` is not given, what the launcher left in the environment tells: `WORLD_SIZE` of
    torchrun; and `accelerate launch` without `--multi_gpu`, for example with `--cpu`, starts one process whatever
    `--num_processes` says, but sets `MASTER_ADDR` for more than one only.

    Raises:
        ValueError: where the two numbers differ.
    """
    found, expected = training_args.world_size, process_args.expected_num_processes
    how = "accelerate launch --multi_gpu --num_processes N starts N, on CPUs if --use_cpu --ddp_backend gloo end it"
    if training_args.ddp_backend is not None and not torch.distributed.is_initialized():
        raise ValueError(f"ddp_backend is {training_args.ddp_backend!r}, and one process at work; {how}")
    if expected is not None:
        if found != expected:
            raise ValueError(f"expected_num_processes is {expected}, and {found} at work; {how}")
        return
    if found != int(os.environ.get("WORLD_SIZE", found)):
        raise ValueError(f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and {found} at work; {how}")
    # accelerate's simple launcher is the only one that sets ACCELERATE_USE_CPU
    from_simple_launcher = "ACCELERATE_USE_CPU" in os.environ and "WORLD_SIZE" not in os.environ
    if found == 1 and from_simple_launcher and "MASTER_ADDR" in os.environ:
        raise ValueError(
            f"accelerate launch was asked for several processes and started one; {how}. If one is meant, say "
            "--expected_num_processes 1"
        )


def agree_on_largest(value: int, args: TrainingArguments) -> int:
    """The largest `value` of all processes; each of them has to call this."""
    if args.world_size == 1:
        return value
    largest = torch.tensor(value, device=args.device)
    torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
    return int(largest)


def output_dir_of(args: TrainingArguments) -> Path:
    """The output folder; where none was given, `TrainingArguments` has put one of its own there."""
    assert args.output_dir is not None
    return Path(args.output_dir)


@contextmanager
def locked_output_dir(args: TrainingArguments) -> Iterator[None]:
    """Keep `output_dir` from other runs inside the block; where one is at work in it, all processes raise."""
    error: Exception | None = None
    with ExitStack() as stack:
        for at_work in (args.process_index == 0, args.process_index > 0):  # the first, then the others
            try:
                if at_work:
                    stack.enter_context(locked_folder(output_dir_of(args), rank=args.process_index))
            except (ValueError, OSError) as caught:
                error = caught
            if agree_on_largest(int(error is not None), args):
                raise error or ValueError("`output_dir` was refused by another process")
        yield


class ProcessBatchSampler(BatchSampler):
    """The share that one process has of every batch that all processes make together.

    Shares are equal to one row, in the last batch of an epoch too, so that N processes learn from the same rows in the
    same steps as one. Accelerate's own sampler fills the last batch up with rows from the beginning of the epoch.

    Args:
        batch_sampler (`BatchSampler`): makes the batches of all processes together.
        num_processes (`int`): how many processes there are.
        process_index (`int`): which of them this is.

    Raises:
        ValueError: where the last batch has fewer rows than there are processes.
    """

    sampler: Any  # of a Trainer, which has a length, and epochs

    def __init__(self, batch_sampler: BatchSampler, num_processes: int, process_index: int):
        super().__init__(batch_sampler.sampler, batch_sampler.batch_size, batch_sampler.drop_last)
        num_rows = len(self.sampler)
        last = 0 if self.drop_last else num_rows % self.batch_size
        if 0 < last < num_processes:
            raise ValueError(
                f"the last batch must have a row for each of {num_processes} processes, got {last}, which "
                f"{num_rows:,} rows in batches of {self.batch_size} leave; give another batch size, or "
                "--dataloader_drop_last true"
            )
        self.num_processes, self.process_index = num_processes, process_index

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            first, end = (len(batch) * (self.process_index + part) // self.num_processes for part in (0, 1))
            yield batch[first:end]

    def set_epoch(self, epoch: int) -> None:
        # Accelerate and the Trainer look for this one level deep, which the sampler below, behind the wrapper that
        # skips what a resumed run has seen, is not; it would begin every epoch with the order of the first.
        self.sampler.set_epoch(epoch)


def share_batches(dataloader: DataLoader, args: TrainingArguments) -> DataLoader:
    """Make a training data loader that accelerate prepared give this process its [`ProcessBatchSampler`] share."""
    shard = dataloader.batch_sampler
    if isinstance(shard, BatchSamplerShard):
        rows, num_processes = shard.batch_sampler, shard.num_processes
        batches = BatchSampler(rows.sampler, rows.batch_size * num_processes, rows.drop_last)
        shard.batch_sampler = ProcessBatchSampler(batches, num_processes, shard.process_index)
        # What is below has made the shares; the wrapper only has to pass them on, as they are.
        shard.num_processes, shard.process_index, shard.even_batches = 1, 0, False
    return dataloader
