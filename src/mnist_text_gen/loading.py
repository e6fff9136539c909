# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Load a pipeline from a folder or the Hub with the code of this package, without trusting any other code."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, pipeline

from .checkpoints import SHIPPED_CHECKPOINT
from .files import check_whole
from .modeling import TASK, MnistCnnForImageClassification, MnistTextGenerationPipeline, load_weights, reading


def load_pipeline(
    model_name_or_path: str | Path = SHIPPED_CHECKPOINT,
    device: torch.device | str | int | None = None,
    classifier: MnistCnnForImageClassification | None = None,
    **kwargs: Any,
) -> MnistTextGenerationPipeline:
    """Load a pipeline with the code of this package. Code in the folder or repository is never run.

    `pipeline("mnist-text-gen", model=...)` instead asks for `trust_remote_code=True` for every folder that
    `pipe.save_pretrained` has written: Transformers uses the pipeline's code that `config.json` names, even though a
    pipeline of the same name is registered.

    Args:
        model_name_or_path (`str` or `Path`, *optional*):
            Folder or Hub id of a language model with its classifier; the shipped weights by default.
        device (`torch.device`, `str` or `int`, *optional*): the device, as in [`~transformers.pipeline`].
        classifier (`MnistCnnForImageClassification`, *optional*): replaces the one beside the language model.
        kwargs: further arguments of [`MnistTextGenerationPipeline`].

    Returns:
        [`MnistTextGenerationPipeline`]: ready to draw.

    Raises:
        ValueError: if the language model, tokenizer or classifier is missing, cannot be read, or does not fit.

    Example:

    ```python
    >>> from mnist_text_gen import load_pipeline

    >>> pipe = load_pipeline()
    >>> len(pipe("3", num_candidates=8, seed=0))
    8
    ```
    """
    name = str(model_name_or_path)
    message = f"`model_name_or_path` must be a folder or a Hub id with a language model, got {name!r}"
    if Path(name).is_file():
        raise ValueError(f"{message}, a file")
    check_whole(name)
    try:
        model: PreTrainedModel = load_weights(AutoModelForCausalLM, name, f"model_name_or_path {name!r}")
        with reading(f"model_name_or_path {name!r}"):
            tokenizer = AutoTokenizer.from_pretrained(name)
    except OSError as error:
        raise ValueError(f"{message}: {error}") from error
    if device is not None:
        # in a run of several processes, a pipeline does not move its model to the device that it is given
        model.to(device)  # type: ignore[arg-type]  # annotated as a function instead of a method
    return pipeline(  # type: ignore[call-overload]  # annotated only for Transformers' own tasks
        TASK,
        model=model,
        tokenizer=tokenizer,
        classifier=classifier,
        pipeline_class=MnistTextGenerationPipeline,
        device=device,
        **kwargs,
    )
