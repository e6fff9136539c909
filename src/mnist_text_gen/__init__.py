# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draws handwritten digits as text. Importing this registers tokenizer, classifier and pipeline with Transformers."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from transformers import AutoTokenizer
from transformers.pipelines import PIPELINE_REGISTRY

from . import publishing
from .checkpoints import SHIPPED_CHECKPOINT
from .loading import load_pipeline
from .modeling import (
    TASK,
    MnistCnnConfig,
    MnistCnnForImageClassification,
    MnistTextGenerationPipeline,
    MnistTextLogitsProcessor,
)
from .tokenizer import MnistTextTokenizer


if TYPE_CHECKING:
    from .data import load_corpus, load_images


__version__ = version("mnist-text-gen")

__all__ = [
    "MnistCnnConfig",
    "MnistCnnForImageClassification",
    "MnistTextGenerationPipeline",
    "MnistTextLogitsProcessor",
    "MnistTextTokenizer",
    "load_corpus",
    "load_images",
    "load_pipeline",
]

# AutoTokenizer finds a class by the name in tokenizer_config.json once it is registered for any configuration. Not for
# GPT2Config: that would change the tokenizer of every GPT-2.
AutoTokenizer.register(MnistCnnConfig, fast_tokenizer_class=MnistTextTokenizer)

# A new dictionary: the one that the pipeline class holds is written into config.json, where a path of this machine has
# no place.
PIPELINE_REGISTRY.supported_tasks[TASK] = {
    **PIPELINE_REGISTRY.supported_tasks[TASK],
    "default": {"model": (str(SHIPPED_CHECKPOINT), "main")},
}


# A published model carries the pipeline's code, and not that of cards and uploads.
MnistTextGenerationPipeline.publisher = publishing


def __getattr__(name: str):
    # `datasets` takes as long to import as all the rest, and drawing a digit does not need it.
    if name in ("load_corpus", "load_images"):
        from . import data

        return getattr(data, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
