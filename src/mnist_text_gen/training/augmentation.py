# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""New distortions or samples of the training images in each epoch, for both training commands."""

from transformers import TrainerCallback

from mnist_text_gen.data import set_epoch
from mnist_text_gen.data.arguments import AugmentedSourceArguments


class AugmentationCallback(TrainerCallback):
    """Tells the rows which epoch it is, before they are read.

    The images of an epoch depend only on its number, so they are the same in a resumed run or with more processes.
    """

    def __init__(self, args: AugmentedSourceArguments):
        self.args = args

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        epoch = int(state.epoch)
        is_plain = epoch >= state.num_train_epochs - self.args.num_plain_epochs
        set_epoch(train_dataloader.dataset, epoch, 0.0 if is_plain else self.args.augmentation)
