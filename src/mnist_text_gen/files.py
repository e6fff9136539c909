# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Files appear whole or not at all, written beside their target, then renamed; and folders that one process has."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


_STAGING_PREFIX = ".staging-"
_LOCK_FILE = ".lock"
_locks: set[int] = set()  # descriptors of the files that this process has locked


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


@contextmanager
def locked_folder(folder: str | os.PathLike, name: str = "output_dir") -> Iterator[Path]:
    """Keep `folder` from other processes that lock it too, until the block ends or this process dies, however it does.

    The folder is made where it is missing, and removed at the end if nothing was put into it.

    Args:
        folder (`str` or `os.PathLike`): what only one process may write to.
        name (`str`, defaults to `"output_dir"`): the argument that an error names.

    Raises:
        ValueError: if another process has locked the folder, or it cannot be written to.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        check_output_folder(folder, name)
        descriptor = _lock(folder / _LOCK_FILE)
        if descriptor is None:
            raise ValueError(
                f"`{name}` must be a folder that no other run writes to, got {str(folder)!r}, where one is at work; "
                "wait for its end, or give another folder"
            )
        try:
            yield folder
        finally:
            _unlock(descriptor, folder / _LOCK_FILE)
    finally:
        with suppress(OSError):  # something is in it
            for path in made:
                path.rmdir()


def _lock(path: Path) -> int | None:
    """Open a file and lock it; `None` if another process has it."""
    while True:
        # with O_TEMPORARY, Windows removes the file when it is closed
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_TEMPORARY", 0), 0o666)
        try:
            if fcntl is None:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # between the two calls the process that had the lock may have removed the file
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                _locks.add(descriptor)
                return descriptor
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _unlock(descriptor: int, path: Path) -> None:
    if descriptor not in _locks:  # a forked process has no lock
        return
    if fcntl is not None:
        path.unlink(missing_ok=True)
    _locks.remove(descriptor)
    os.close(descriptor)


def _leave_locks() -> None:
    for descriptor in _locks:
        os.close(descriptor)
    _locks.clear()


if hasattr(os, "register_at_fork"):
    # a forked process, such as a worker of a data loader, would keep the lock of one that has died
    os.register_at_fork(after_in_child=_leave_locks)
