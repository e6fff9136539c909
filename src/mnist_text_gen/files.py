# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Files appear whole or not at all: written beside their target, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


_STAGING_PREFIX = ".staging-"


def check_output_folder(folder: str | os.PathLike, name: str = "output_dir") -> Path:
    """Make `folder`, or raise a `ValueError` that says why it can't be written to."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ValueError(
            f"{name} is {str(folder)!r}; allowed is a folder that can be written to: {error.strerror}"
        ) from error


@contextmanager
def staged_folder(target: str | os.PathLike) -> Iterator[Path]:
    """Give a new folder inside `target`; move what it holds into `target` at the end, or drop it after an error.

    Files of the same name are replaced, others in `target`, and in its folders, stay. Being inside makes it the same
    file system, so that every move is a rename.
    """
    target = check_output_folder(target)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=target))
    try:
        yield staging
        sync_folder(staging)
        for path in sorted(staging.rglob("*")):
            if path.is_file():
                destination = target / path.relative_to(staging)
                destination.parent.mkdir(parents=True, exist_ok=True)
                path.replace(destination)
    finally:
        shutil.rmtree(staging)


def sync_folder(folder: str | os.PathLike) -> None:
    """Have every file and folder in `folder` on the disk, and not only in memory, before anything is renamed."""
    for path in [Path(folder), *Path(folder).rglob("*")]:
        sync_entry(path)


def sync_entry(path: str | os.PathLike) -> None:
    """Have one file on the disk, or the names in one folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_staging_folders(target: str | os.PathLike) -> None:
    """Remove what killed processes left of [`staged_folder`] in `target`; not while another process is at it."""
    for staging in Path(target).glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(staging)
