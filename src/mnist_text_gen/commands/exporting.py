# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments of the commands that export a model: which model, loaded in float32."""

from dataclasses import dataclass, field

import torch

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import MnistTextGenerationPipeline


@dataclass
class ExportedModelArguments:
    """The model to export."""

    model_name_or_path: str = field(
        default=str(SHIPPED_CHECKPOINT),
        metadata={
            "help": "Folder or Hub id of a GPT-2 with its classifier; the shipped weights by default.",
            "path": True,
        },
    )

    def load_pipeline(self) -> MnistTextGenerationPipeline:
        """The pipeline on the CPU, with both models in float32 and without dropout."""
        pipe = load_pipeline(self.model_name_or_path, torch.device("cpu"))
        pipe.model.float().eval()
        pipe.classifier.float()
        return pipe
