# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Reads the four IDX files of MNIST, each gzipped or not."""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from .images import check_regular_file, check_total


_IMAGES_MAGIC = 0x00000803  # unsigned byte, three dimensions
_LABELS_MAGIC = 0x00000801  # unsigned byte, one dimension
_SPLITS = {"train": "train", "test": "t10k"}


def _spell(split: str, kind: str) -> list[str]:
    # both spellings, "-idx3-ubyte" and ".idx3-ubyte", are in use
    stem, dimensions = f"{_SPLITS[split]}-{kind}", {"images": "idx3", "labels": "idx1"}[kind]
    return [f"{stem}{separator}{dimensions}-ubyte{suffix}" for separator in "-." for suffix in ("", ".gz")]


IDX_NAMES = frozenset(name for split in _SPLITS for kind in ("images", "labels") for name in _spell(split, kind))


def read_idx_folder(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images, uint8 `[N, S, S]`, and labels, int64 `[N]`, of the splits `train` and `test`."""
    return {
        split: (
            _read(_find(folder, split, "images"), _IMAGES_MAGIC),
            _read(_find(folder, split, "labels"), _LABELS_MAGIC).astype(np.int64),
        )
        for split in _SPLITS
    }


def _find(folder: Path, split: str, kind: str) -> Path:
    names = _spell(split, kind)
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise ValueError(f"{folder} must have one of {', '.join(names)} beside its other IDX files, got none")


def _read(path: Path, magic: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes; the format is at the end of http://yann.lecun.com/exdb/mnist."""
    check_regular_file(path)
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_gzip:
            return _read_array(file, path, magic, path.stat().st_size)
        try:
            with gzip.open(file) as unpacked:
                return _read_array(unpacked, path, magic)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} must be a gzip file that can be read, got an error: {error}") from error


def _read_array(file: IO[bytes] | gzip.GzipFile, path: Path, magic: int, size: int | None = None) -> np.ndarray:
    """The array of a file, whose `size` in bytes may be known. Reads at most one byte more than its header says."""
    num_dimensions = magic & 0xFF
    header_size = 4 * (1 + num_dimensions)
    header = file.read(header_size)
    if len(header) < header_size:
        raise ValueError(f"{path} must have {header_size} bytes or more, an IDX header, got {len(header)}")
    found, *shape = (int(number) for number in np.frombuffer(header, dtype=">u4"))
    if found != magic:
        raise ValueError(f"{path} must start with 0x{magic:08x}, as an IDX file of this kind, got 0x{found:08x}")
    num_values = math.prod(shape)
    expected, or_more = header_size + num_values, ""
    if size in (None, expected):
        check_total(shape[0], tuple(shape[1:]) or (1, 1), f"{path}:")
        # in pieces, so that memory is taken for what is there, not for what the header says
        data = bytearray()
        while part := file.read(min(2**20, num_values + 1 - len(data))):
            data += part
        size, or_more = header_size + len(data), " or more" if len(data) > num_values else ""
    if size != expected:
        raise ValueError(f"{path} must have {expected} bytes for its shape {shape}, got {size}{or_more}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
