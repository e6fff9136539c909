# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The training images of both training commands: distorted, or drawn pixel by pixel, anew in each epoch."""

from transformers import TrainerCallback

from mnist_text_gen.data import set_epoch
from mnist_text_gen.data.arguments import AugmentedSourceArguments


class AugmentationCallback(TrainerCallback):
    """Tells the rows which epoch it is, before they are read.

    What an epoch sees depends on its number alone, so a resumed run, and one on more processes, sees the same.
    """

    def __init__(self, args: AugmentedSourceArguments):
        self.args = args

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        epoch = int(state.epoch)
        is_plain = epoch >= state.num_train_epochs - self.args.num_plain_epochs
        set_epoch(train_dataloader.dataset, epoch, 0.0 if is_plain else self.args.augmentation)
