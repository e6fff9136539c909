# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the two training commands share: go on from a checkpoint, train, save, evaluate."""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import get_last_checkpoint

from mnist_text_gen.files import staged_folder


def run_trainer(trainer: Trainer, save: Callable[[PreTrainedModel, Path], None]) -> None:
    """Train and evaluate as the trainer's arguments say; metrics go to `train_results.json` and `eval_results.json`.

    Args:
        trainer (`Trainer`): goes on from the checkpoint that was named, else from the last in its output folder.
        save (`Callable`): writes the trained model into a folder; what it wrote then appears in the output folder.
    """
    args = trainer.args
    if args.do_train:
        result = trainer.train(
            resume_from_checkpoint=args.resume_from_checkpoint or get_last_checkpoint(args.output_dir)
        )
        trainer.save_metrics("train", result.metrics)
        if trainer.is_world_process_zero():
            with staged_folder(args.output_dir) as folder:
                save(trainer.accelerator.unwrap_model(trainer.model), folder)
    if args.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
