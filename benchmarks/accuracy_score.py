# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Classification accuracy score: how good a classifier becomes that has only seen drawn images.

A CNN is trained on drawn images with the digits that were asked for, and tested on real ones; beside it the same CNN,
trained on as many real images (Ravuri and Vinyals 2019, arXiv:1905.10887, section 3). What the drawn images lack, in
quality or in variety, the CNN can't know. `benchmarks/quality.py` calls this.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from figures import measure_share
from sample_quality import look_at
from transformers import Trainer, TrainingArguments, default_data_collator, set_seed

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification
from mnist_text_gen.corpus import LabelledImages


# Smaller than the classifier that is shipped, for many are trained.
HIDDEN_SIZES = [16, 32, 64]


class BinaryRows(torch.utils.data.Dataset):
    """Rows of `pixel_values`, float32 `[1, 30, 30]`, and `labels`, from images `[N, 30, 30]` in {0, 1}."""

    def __init__(self, split: LabelledImages):
        self.split = split

    def __len__(self) -> int:
        return len(self.split.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self.split.images[index], self.split.labels[index]
        return {"pixel_values": image[None].astype(np.float32), "labels": int(label)}


def train_classifier(train: LabelledImages, seed: int, num_epochs: float = 6) -> MnistCnnForImageClassification:
    """A small CNN that has seen nothing but these images, in eval mode; what it learns depends on `seed`."""
    set_seed(seed)
    model = MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=HIDDEN_SIZES))
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            weight_decay=0.01,
            per_device_train_batch_size=50,
            num_train_epochs=num_epochs,
            seed=seed,
            bf16=True,
            use_cpu=not torch.accelerator.is_available(),
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model, args, train_dataset=BinaryRows(train), data_collator=default_data_collator).train()
    return model.eval()


def measure_accuracy_scores(
    train_sets: dict[str, LabelledImages], test: LabelledImages, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, Any]:
    """The accuracy on real test images of CNNs that were trained on each set.

    Args:
        train_sets (`dict[str, LabelledImages]`): images, uint8 `[N, 30, 30]` in {0, 1}, and labels, by name.
        test (`LabelledImages`): the real test images in the same form.
        seeds (`Sequence[int]`): one training each; of its starting weights and the order of its images.

    Returns:
        `dict`, plain JSON: by name `num_train_samples`, `accuracy` (the mean over the seeds), `accuracies` (one a
        seed), `num_samples` and `interval`, the exact binomial one of 95 % of the mean number of right answers: it
        holds the chance in the test images, and the spread of `accuracies` is that of the trainings.
    """
    results = {}
    for name, train in train_sets.items():
        found = []
        for seed in seeds:
            probabilities, _ = look_at(train_classifier(train, seed), test.images)
            found.append(float((probabilities.argmax(axis=1) == test.labels).mean()))
        accuracy = float(np.mean(found))
        results[name] = {
            "num_train_samples": len(train.labels),
            "accuracy": accuracy,
            "accuracies": found,
            "num_samples": len(test.labels),
            "interval": measure_share(round(accuracy * len(test.labels)), len(test.labels))["interval"],
        }
    return results
