# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Checks of weights from elsewhere against their configuration, before a model is built."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file


WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = f"{WEIGHTS_FILE}.index.json"
_Model = TypeVar("_Model", bound=PreTrainedModel)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn exceptions that damaged files cause into a `ValueError` that names their source."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:  # a library may raise anything for wrong sizes, types and values
        raise ValueError(
            f"{name} must be a folder or a Hub id with a model that can be read, got {type(error).__name__}: {error}"
        ) from error


def load_weights(
    model_class: type[_Model] | type[AutoModelForCausalLM],
    source: str,
    name: str | None = None,
    revision: str | None = None,
    subfolder: str = "",
    **options: Any,
) -> _Model:
    """`from_pretrained`, with a check that the weights are exactly those that the configuration needs.

    Args:
        model_class (`type[PreTrainedModel]` or `AutoModelForCausalLM`): the class of the model.
        source (`str`): a folder, or an id on the Hub.
        name (`str`, *optional*): what an error calls the model; the source by default.
        revision (`str`, *optional*), subfolder (`str`, *optional*): where the model is in the source.
        options: further arguments of `from_pretrained`.

    Returns:
        The model, an instance of `model_class`.

    Raises:
        ValueError: if [`check_weights`] or [`check_finite`] raises one, or the files cannot be read as a model.
        OSError: if the model does not exist.
    """
    name = name or repr(source)
    where: dict[str, Any] = {"subfolder": subfolder, **({"revision": revision} if revision else {})}
    with reading(name):
        check_weights(model_class, source, name, **where)
        model: Any = model_class.from_pretrained(source, use_safetensors=True, **where, **options)
    check_finite(model, name)
    return model


def check_weights(model_class: type[Any], source: str, name: str, **where: Any) -> None:
    """Raise a `ValueError` unless the names and shapes of the weights in `source` are those of its `config.json`.

    Transformers itself only warns of missing weights, and draws them at random. This reads only the header of the
    weights, and the model takes no memory. If there is no safetensors file, nothing is checked.
    """
    shapes = _read_shapes(source, **where)
    if shapes is None:
        return
    is_auto = not issubclass(model_class, PreTrainedModel)
    config_class = AutoConfig if is_auto else model_class.config_class
    config = config_class.from_pretrained(source, **where)
    # a model on the meta device takes no memory, but each layer still takes time
    num_layers = getattr(config, "num_hidden_layers", 1)
    if num_layers > len(shapes):
        raise ValueError(
            f"{name} must have weights that fit its configuration, got {len(shapes)} weights for {num_layers} layers"
        )
    with torch.device("meta"):
        model = model_class.from_config(config) if is_auto else model_class._from_config(config)
    _compare(model, shapes, name)


def _read_shapes(source: str, **where) -> dict[str, list[int]] | None:
    """Names and shapes of all weights in a folder or on the Hub, read from the headers of their files."""
    where = {**where, "_raise_exceptions_for_missing_entries": False}
    files = [cached_file(source, WEIGHTS_FILE, **where)]
    if files == [None]:
        index = cached_file(source, INDEX_FILE, **where)
        if index is None:
            return None
        shards = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
        files = [cached_file(source, shard, **where) for shard in sorted(set(shards))]
    shapes: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, framework="pt") as weights:
            shapes |= {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
    return shapes


def _compare(model: PreTrainedModel, shapes: dict[str, list[int]], name: str) -> None:
    prefix = f"{model.base_model_prefix}."
    found = {key.removeprefix(prefix): shape for key, shape in shapes.items()}
    wanted = {key.removeprefix(prefix): list(tensor.shape) for key, tensor in model.state_dict().items()}
    # tied weights have two names for one tensor, and a file has one of them or both
    needed = [key.removeprefix(prefix) for key, _ in [*model.named_parameters(), *model.named_buffers()]]
    ignored = model._keys_to_ignore_on_load_unexpected or ()
    problems = [f"no {key}" for key in needed if key in wanted and key not in found]
    problems += [
        f"{key}, which the model does not have"
        for key in found
        if key not in wanted and not any(key.endswith(ending) for ending in ignored)
    ]
    problems += [
        f"{key} of shape {shape}, not {wanted[key]}"
        for key, shape in found.items()
        if key in wanted and wanted[key] != shape
    ]
    if problems:
        raise ValueError(f"{name} must have weights that fit its configuration, got {problems[0]}")


@torch.no_grad()
def check_finite(model: nn.Module, name: str) -> None:
    """Raise a `ValueError` if a weight is NaN or infinite."""
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.is_meta and not tensor.isfinite().all():
            raise ValueError(f"{name} must have finite weights, got NaN or infinity in {key}")


def check_own_weights(model: PreTrainedModel, revision: str | None) -> None:
    """[`check_weights`] for the source of a model that Transformers has already loaded, if the source is known.

    A model whose configuration differs from that of its source is not checked, because it was changed on purpose.
    """
    source = model.config.name_or_path
    where = {"revision": revision, "local_files_only": True, "_raise_exceptions_for_missing_entries": False}
    try:
        path = source and cached_file(source, "config.json", **where)
    except OSError:
        path = None  # neither a folder nor an id on the Hub
    if not path:
        return
    of_source = type(model.config).from_pretrained(Path(path).parent)
    if _structure(of_source) == _structure(model.config):
        check_weights(type(model), str(Path(path).parent), repr(source))


def _structure(config: PreTrainedConfig) -> tuple:
    sizes = ("vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers", "n_inner")
    return tuple(getattr(config, size, None) for size in sizes)
