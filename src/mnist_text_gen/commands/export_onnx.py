# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Export to ONNX: `mnist-text-gen-export-onnx --output_dir onnx`.

It writes a folder in float32 that transformers.js loads, with the classifier in `classifier/`. Before the files are
moved there, onnxruntime runs them on drawn images: its logits must agree with torch's to within 1e-4.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from mnist_text_gen import MnistCnnForImageClassification, MnistTextGenerationPipeline
from mnist_text_gen.files import locked_folder, staged_folder
from mnist_text_gen.modeling import CLASSIFIER_FOLDER, generate_candidates

from .arguments import parse_arguments, run_command
from .exporting import ExportedModelArguments


PROG = "mnist-text-gen-export-onnx"
MODEL_FILE = "onnx/model.onnx"
TOLERANCE = 1e-4
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
# names of sizes that transformers.js needs for the empty cache of the first step
BATCH, LENGTH, PAST, TOTAL = "batch_size", "sequence_length", "past_sequence_length", "total_sequence_length"
# Transformers 5.24 renamed this argument, and 5.40 will drop the old name
CACHE_ARGUMENT = "cache" if "cache" in signature(GPT2LMHeadModel.forward).parameters else "past_key_values"


@dataclass
class ExportArguments(ExportedModelArguments):
    """The model to export, and the folder."""

    output_dir: str = field(
        default="onnx", metadata={"help": "Folder of the ONNX files, configurations and tokenizer.", "path": True}
    )


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, export, argv)


def export(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([ExportArguments], argv, PROG, __doc__)
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ValueError(f'{package} must be installed; pip install "mnist-text-gen[onnx]" installs it')
    pipe = args.load_pipeline()
    if not isinstance(pipe.model, GPT2LMHeadModel):
        found = type(pipe.model).__name__
        raise ValueError(f"`model_name_or_path` must be a GPT-2, got {args.model_name_or_path!r}, a {found}")
    if Path(args.output_dir).resolve() == Path(args.model_name_or_path).resolve():
        raise ValueError(f"`output_dir` must not be the folder of the model, got {args.output_dir!r}")
    with locked_folder(args.output_dir) as output_dir, staged_folder(output_dir) as folder:
        write_configurations(pipe, folder)
        write_language_model(pipe.model, folder / MODEL_FILE)
        write_classifier(pipe.classifier, folder / CLASSIFIER_FOLDER / MODEL_FILE)
        input_ids = draw_texts(pipe)
        of_model = compare_language_models(pipe.model, folder / MODEL_FILE, input_ids)
        of_classifier = compare_classifiers(pipe, folder / CLASSIFIER_FOLDER / MODEL_FILE, input_ids)
    print(
        f"The export is in {output_dir}. The largest difference between logits of onnxruntime and torch, over "
        f"{len(input_ids)} drawn texts: {of_model:.1e} in the language model, {of_classifier:.1e} in the classifier."
    )


def write_configurations(pipe: MnistTextGenerationPipeline, folder: Path) -> None:
    """Write the files that transformers.js reads beside the weights, and the configuration of the classifier."""
    config = deepcopy(pipe.model.config)
    # it names the code of the pipeline, which is not exported
    vars(config).pop("custom_pipelines", None)
    # otherwise transformers.js would look for quantized weights in a browser
    setattr(config, "transformers.js_config", {"dtype": "fp32"})
    config.save_pretrained(folder)
    pipe.model.generation_config.save_pretrained(folder)
    pipe.tokenizer.save_pretrained(folder)
    pipe.classifier.config.save_pretrained(folder / CLASSIFIER_FOLDER)


class ModelWithCache(torch.nn.Module):
    """A GPT-2 whose cache is plain tensors, the keys and values of each layer, as input and output."""

    def __init__(self, model: GPT2LMHeadModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids, past_key_values) -> tuple[torch.Tensor, ...]:
        cache: Any = DynamicCache(past_key_values)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=True,
            **{CACHE_ARGUMENT: cache},
        )
        # the model adds the new states to the cache that it is given
        return output.logits, *(states for layer in cache.layers for states in (layer.keys, layer.values))


def write_language_model(model: GPT2LMHeadModel, path: Path) -> None:
    """Export a GPT-2 with its cache, under the names that transformers.js uses.

    Inputs: `input_ids` and `position_ids` `[B, T]`, `attention_mask` `[B, P + T]`, all int64, and
    `past_key_values.N.key` and `.value` `[B, heads, P, head size]` of layer N, with P of 0 or more. Outputs: `logits`
    `[B, T, vocabulary]`, and `present.N.key` and `.value` `[B, heads, P + T, head size]`.
    """
    # sizes that all differ, so that the exporter cannot confuse them
    batch, length, past = 2, 3, 4
    example = {
        "input_ids": torch.zeros(batch, length, dtype=torch.long),
        "attention_mask": torch.ones(batch, past + length, dtype=torch.long),
        "position_ids": torch.arange(past, past + length).expand(batch, length),
        "past_key_values": [(states, states.clone()) for states in empty_cache(model.config, batch, past)],
    }
    dynamic_shapes = {
        "input_ids": {0: BATCH, 1: LENGTH},
        "attention_mask": {0: BATCH, 1: TOTAL},
        "position_ids": {0: BATCH, 1: LENGTH},
        "past_key_values": [({0: BATCH, 2: PAST}, {0: BATCH, 2: PAST})] * model.config.n_layer,
    }
    write_graph(
        ModelWithCache(model),
        example,
        dynamic_shapes,
        [*list(example)[:-1], *cache_names(model.config, "past_key_values")],
        ["logits", *cache_names(model.config, "present")],
        path,
    )


def write_classifier(classifier: MnistCnnForImageClassification, path: Path) -> None:
    """Export a classifier with the input `pixel_values`, float32 `[B, 1, S, S]`, and the output `logits`."""
    config = classifier.config
    example = {"pixel_values": torch.zeros(2, config.num_channels, config.image_size, config.image_size)}
    write_graph(classifier, example, {"pixel_values": {0: BATCH}}, list(example), ["logits"], path)


def write_graph(model, example: dict, dynamic_shapes: dict, inputs: list[str], outputs: list[str], path: Path) -> None:
    import onnx

    path.parent.mkdir(parents=True)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    with warnings.catch_warnings(), torch.no_grad():
        # warnings of a missing torchvision, and of sizes that always agree and have the same name
        warnings.simplefilter("ignore")
        exporter_log.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                model,
                kwargs=example,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=dynamic_shapes,
                dynamo=True,
                verbose=False,
            )
        finally:
            exporter_log.setLevel(level)
    assert program is not None  # with `dynamo` it never is
    graph = program.model_proto
    remove_origins(graph.graph)
    onnx.save(graph, path)


def remove_origins(graph) -> None:
    """Remove from an `onnx.GraphProto` the Python lines that each node comes from: a megabyte, with paths."""
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def cache_names(config: GPT2Config, prefix: str) -> list[str]:
    return [f"{prefix}.{layer}.{part}" for layer in range(config.n_layer) for part in ("key", "value")]


def empty_cache(config: GPT2Config, batch: int, length: int = 0) -> list[torch.Tensor]:
    """Zeros `[batch, heads, length, head size]`, one tensor per layer."""
    size = (batch, config.n_head, length, config.n_embd // config.n_head)
    return [torch.zeros(size) for _ in range(config.n_layer)]


def draw_texts(pipe: MnistTextGenerationPipeline) -> torch.Tensor:
    """Ids of one text per class, `[C, T]`."""
    labels = range(len(pipe.class_names))
    return generate_candidates(pipe.model, pipe.tokenizer, labels, [(0, label) for label in labels])


def compare_language_models(model: GPT2LMHeadModel, path: Path, input_ids: torch.Tensor) -> float:
    """The largest difference between logits of the exported model and of `model`; a `ValueError` above `TOLERANCE`.

    Compares one text and all texts, as a whole and one token per step, and all texts with padding on the left.
    """
    session = open_session(path)
    whole = torch.ones_like(input_ids)
    # as in a batch of prompts of several lengths: tokens under the mask must have no effect
    padded = whole.clone()
    for row, num_hidden in enumerate(torch.arange(len(padded)) % (padded.shape[1] - 1)):
        padded[row, :num_hidden] = 0
    differences = []
    for mask, num_texts, step in (
        (whole, len(input_ids), input_ids.shape[1]),
        (whole, 1, input_ids.shape[1]),
        (whole, len(input_ids), 1),
        (whole, 1, 1),
        (padded, len(input_ids), input_ids.shape[1]),
        (padded, len(input_ids), 1),
    ):
        ids, mask = input_ids[:num_texts], mask[:num_texts]
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        with torch.no_grad():
            expected = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        found = np.concatenate(list(run_in_steps(session, model.config, ids, mask, positions, step)), axis=1)
        differences.append(np.abs(found - expected.numpy())[mask.bool().numpy()].max())
    return check_difference(differences, "language model")


def run_in_steps(session, config: GPT2Config, input_ids, mask, positions, step: int) -> Iterator[np.ndarray]:
    """Yield logits `[B, step, vocabulary]` of `step` tokens at a time, with the states before them in the cache."""
    cache = [states.numpy() for states in empty_cache(config, len(input_ids)) for _ in range(2)]
    names = cache_names(config, "past_key_values")
    for start in range(0, input_ids.shape[1], step):
        end = start + step
        inputs = {
            "input_ids": input_ids[:, start:end].numpy(),
            "attention_mask": mask[:, :end].numpy(),
            "position_ids": positions[:, start:end].numpy(),
        }
        logits, *cache = session.run(None, inputs | dict(zip(names, cache, strict=True)))
        yield logits


def compare_classifiers(pipe: MnistTextGenerationPipeline, path: Path, input_ids: torch.Tensor) -> float:
    """The largest difference of the classifiers' logits, on the image of one text and on those of all texts."""
    session = open_session(path)
    images = pipe.tokenizer.decode_images(pipe.tokenizer.batch_decode(input_ids))[:, None].astype(np.float32)
    differences = []
    for batch in (images, images[:1]):
        with torch.no_grad():
            expected = pipe.classifier(torch.from_numpy(batch)).logits.numpy()
        (found,) = session.run(None, {"pixel_values": batch})
        differences.append(np.abs(found - expected).max())
    return check_difference(differences, "classifier")


def open_session(path: Path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def check_difference(differences: Sequence[float], name: str) -> float:
    largest = float(np.max(differences))  # NaN if one of them is
    if not largest <= TOLERANCE:
        raise ValueError(
            f"the logits of the exported {name} must agree with torch's to within {TOLERANCE:.0e}, got a difference "
            f"of {largest:.1e}"
        )
    return largest


if __name__ == "__main__":
    main()
