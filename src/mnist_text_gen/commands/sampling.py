# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments of the commands that draw: the model, the classes, and how they are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.modeling import Decoding, MnistTextGenerationPipeline, check_sampling_arguments, find_class


@dataclass
class SamplingArguments:
    """What to draw, and how."""

    digits: list[str] | None = field(
        default=None,
        metadata={"help": "The digits, or other classes by name or number; all of the model's classes by default."},
    )
    model_name_or_path: str = field(
        default=str(SHIPPED_CHECKPOINT),
        metadata={
            "help": "Folder or Hub id of a language model with its classifier; the shipped weights by default.",
            "path": True,
        },
    )
    temperature: float = field(default=0.8, metadata={"help": "Divides the logits of the language model."})
    classifier_temperature: float = field(default=0.8, metadata={"help": "Divides the logits of the classifier."})
    seed: int = field(default=0, metadata={"help": "The same seed gives the same digits."})
    decoding: Decoding = field(
        default="exact",
        metadata={
            "help": "exact: several tokens per step; bf16: faster, not exact; generate: Transformers' own loop."
        },
    )

    def __post_init__(self):
        if self.digits is not None and not self.digits:
            raise ValueError("`digits` must be one class of the model or more, got none")
        check_sampling_arguments(
            temperature=self.temperature, classifier_temperature=self.classifier_temperature, seed=self.seed
        )

    def choose_classes(self, pipe: MnistTextGenerationPipeline) -> list[int]:
        """The numbers of the wanted classes in order; by default those of all classes of the pipeline."""
        wanted: Sequence[str | int] = range(len(pipe.class_names)) if self.digits is None else self.digits
        return [find_class(name_or_number, pipe.class_names) for name_or_number in wanted]
