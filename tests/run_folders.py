# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What is in the output folders of commands."""

import torch
from safetensors.torch import load_file


def names(folder):
    return {path.name for path in folder.iterdir()}


def read_bytes(folder) -> dict[str, bytes]:
    """Relative path to content of every file, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checkpoints(folder):
    """All folders, so that what a save has left behind is seen."""
    return {path.name for path in folder.iterdir() if path.is_dir()}


def differing(one, other):
    one, other = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]
