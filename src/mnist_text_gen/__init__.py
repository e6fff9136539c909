# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Handwritten digits, drawn as text. Importing this registers tokenizer, classifier and pipeline with Transformers."""

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

# AutoTokenizer finds a class by its name in tokenizer_config.json once the class is registered for any configuration.
# GPT2Config would be wrong: it would change the tokenizer of every GPT-2.
AutoTokenizer.register(MnistCnnConfig, fast_tokenizer_class=MnistTextTokenizer)

# A new dictionary, because the old one is written into config.json, which must not have a path of this machine.
PIPELINE_REGISTRY.supported_tasks[TASK] = {
    **PIPELINE_REGISTRY.supported_tasks[TASK],
    "default": {"model": (str(SHIPPED_CHECKPOINT), "main")},
}


# A published model has the code of the pipeline, but not that of cards and uploads.
MnistTextGenerationPipeline.publisher = publishing


def __getattr__(name: str):
    # importing `datasets` takes as long as everything else together, and drawing a digit does not need it
    if name in ("load_corpus", "load_images"):
        from . import data

        return getattr(data, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
