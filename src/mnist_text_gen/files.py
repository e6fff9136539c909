# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Writing of files that belong together, so that readers see all new ones or all old ones, and locks of folders.

New files are written into a folder `.staging-…` inside their target. Once all of them are on the disk, that folder is
renamed to `.complete-…`, and then the files are moved to their places. A run that locks a target first cleans up after
runs that were killed: it removes staged files and moves complete ones. Until then `check_whole` refuses the target.
"""

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


STAGING_PREFIX = ".staging-"
_COMPLETE_PREFIX = ".complete-"
_LOCK_FILE = ".lock"
_locks: dict[Path, int] = {}  # the files that this process has locked, and their descriptors
# errors of a disk that come without the name of a file
_ERRORS_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def check_output_folder(folder: str | os.PathLike, name: str = "output_dir") -> Path:
    """Create `folder` if it is missing, or raise a `ValueError` that says why it cannot be written to.

    `name` is the argument that the error names.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # the prefix, because some file systems would keep the file if the process is killed now
        with tempfile.TemporaryFile(dir=folder, prefix=STAGING_PREFIX):
            return folder
    except OSError as error:
        raise ValueError(
            f"`{name}` must be a folder that can be written to, got {str(folder)!r}: {error.strerror}"
        ) from error


@contextmanager
def staged_folder(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a new folder inside `target`. At the end its files move into `target`; after an error they are removed.

    Files of the same name are replaced, and other files in `target` and its folders stay. Old and new files are never
    there together: all old ones are removed before the first new one arrives. New files arrive in the order of their
    names, and old ones are removed in reverse order, so that a data set never has `train` without `test`. If the
    process is killed meanwhile, the next one that locks the folder moves the rest.

    Raises:
        ValueError: if `target` cannot be written to.
        OSError: if `target` was locked by this process and has been removed since, or a file cannot be placed.
    """
    check_lock(target)
    target = check_output_folder(target)
    staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=target))
    complete = staging.with_name(staging.name.replace(STAGING_PREFIX, _COMPLETE_PREFIX))
    try:
        yield staging
        sync_folder(staging)
        _check_places(staging, target)
        check_lock(target)
        staging.rename(complete)
        _place(complete, target)
    except BaseException as error:
        remove_entry(staging)
        if not isinstance(error, Exception):  # a signal: finish the moves if they have begun, which takes no time
            _place(complete, target)
        raise


def _check_places(staging: Path, target: Path) -> None:
    """Raise an error before anything is moved, because a move cannot be undone."""
    for path in staging.rglob("*"):
        place = target / path.relative_to(staging)
        if place.is_dir() and not path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        if path.is_dir() and os.path.lexists(place) and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))


def _place(complete: Path, target: Path) -> None:
    """Move the files of a complete folder, or those that are left in it, to their places in `target`."""
    sizes = {path: path.stat().st_size for path in sorted(complete.rglob("*")) if path.is_file()}
    places = {path: target / path.relative_to(complete) for path in sizes}
    if len(sizes) > 1:  # a single file is replaced by its rename
        for place in reversed(places.values()):
            place.unlink(missing_ok=True)
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    for path, place in places.items():
        if place.stat().st_size != sizes[path]:
            raise OSError(errno.EIO, "it differs from what was written", str(place))
    for folder in {target, *(place.parent for place in places.values())}:
        sync_entry(folder)
    remove_entry(complete)


def check_whole(folder: str | os.PathLike) -> None:
    """Raise a `ValueError` if a run has moved only some of its files into `folder`."""
    if any(path.is_dir() for path in Path(folder).glob(f"{_COMPLETE_PREFIX}*")):
        raise ValueError(
            f"{str(folder)!r} must have all of its files, got only some of them: a run is moving them there, or was "
            "killed while it did. The same command, started again, moves the rest"
        )


def sync_folder(folder: str | os.PathLike) -> None:
    """Flush every file and folder in `folder` from memory to the disk."""
    for path in [Path(folder), *Path(folder).rglob("*")]:
        sync_entry(path)


def sync_entry(path: str | os.PathLike) -> None:
    """Flush one file, or the names in one folder, to the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows cannot open folders, and flushes names itself
    # Windows cannot flush a file that is open only for reading
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content. Python 3.10 does not have `hashlib.file_digest`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def remove_entry(path: str | os.PathLike) -> None:
    """Remove a file, a link (but not its target), or a folder with its content, if it exists."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_parquet(data_set: Any, path: Path) -> None:
    """Write a `datasets.Dataset` into one parquet file, and read it back.

    The file is opened here, because `datasets` gives `::`, `~` and `[ ]` in a name a meaning.

    Raises:
        OSError: if the file does not have all rows.
    """
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        data_set.to_parquet(file)
    with path.open("rb") as file:
        if pyarrow.parquet.ParquetFile(file).read().num_rows != len(data_set):
            raise OSError(errno.EIO, f"it does not have the {len(data_set)} rows that were written", str(path))


@contextmanager
def locked_folder(folder: str | os.PathLike, name: str = "output_dir", rank: int = 0) -> Iterator[Path]:
    """Lock `folder` against other runs until the block ends or this process dies in any way.

    The folder is created if it is missing, and removed at the end if it is empty. The files of killed runs are cleaned
    up. If a run has several processes, the first one must enter before the others. Each has its own lock, so that
    processes that outlive the first one still keep the next run out.

    Args:
        folder (`str` or `os.PathLike`): the folder.
        name (`str`, defaults to `"output_dir"`): the argument that an error names.
        rank (`int`, defaults to 0): the rank of this process in its run.

    Raises:
        ValueError: if another run has locked the folder, or it cannot be written to.
        OSError: at the end, if the folder was removed meanwhile.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    path = Path(os.path.abspath(folder)) / (f"{_LOCK_FILE}-{rank}" if rank else _LOCK_FILE)
    try:
        check_output_folder(folder, name)
        locked = _lock(path)
        try:
            if not locked or (rank == 0 and not _tidy_up(folder)):
                raise ValueError(
                    f"`{name}` must be a folder that no other run writes to, got {str(folder)!r}, which another run "
                    "has locked; wait for its end, or choose another folder"
                )
            yield folder
            check_lock(folder)
        finally:
            if locked:
                _unlock(path)
    except OSError as error:
        if error.errno in _ERRORS_OF_DISKS and error.filename is None:
            error.filename = str(folder)
        raise
    finally:
        with suppress(OSError):  # it is not empty
            for made_folder in made:
                made_folder.rmdir()


def check_lock(folder: str | os.PathLike) -> None:
    """Raise an `OSError` if this process has locked `folder` and it was removed or replaced since."""
    for path, descriptor in list(_locks.items()):
        removed = path.parent == Path(os.path.abspath(folder)) and not _is_open_at(descriptor, path)
        if removed and path in _locks:  # otherwise another thread has just unlocked it
            raise OSError(f"{folder} was removed or replaced while this run was writing to it")


def is_lock(path: Path) -> bool:
    """Whether a file is the lock of a run that is active or was killed."""
    return path.name == _LOCK_FILE or path.name.startswith(f"{_LOCK_FILE}-")


def _tidy_up(folder: Path) -> bool:
    """Move or remove the files that killed runs have left; `False` if a process of another run is still alive."""
    for path in folder.glob(f"{_LOCK_FILE}-*"):
        path = Path(os.path.abspath(path))
        if not _lock(path):
            return False
        _unlock(path)
    for path in sorted(folder.glob(f"{_COMPLETE_PREFIX}*")):
        if path.is_dir() and not path.is_symlink():
            _place(path, folder)
        else:
            remove_entry(path)
    for path in folder.glob(f"{STAGING_PREFIX}*"):
        remove_entry(path)
    return True


def _lock(path: Path) -> bool:
    """Open a file and lock it; `False` if another process, or this one, has already locked it."""
    while True:
        if path.is_symlink():
            path.unlink()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return False
        # between the two calls the process that had the lock may have removed the file
        if _is_open_at(descriptor, path):
            _locks[path] = descriptor
            return True
        os.close(descriptor)


def _is_open_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:  # file or folder are missing, or another thread has just closed the descriptor
        return False


def _unlock(path: Path) -> None:
    descriptor = _locks.pop(path, None)
    if descriptor is None:  # a forked process has no lock
        return
    if sys.platform == "win32":  # it cannot remove an open file, whether this process or another run has it open
        os.close(descriptor)
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
        return
    if _is_open_at(descriptor, path):
        path.unlink()
    os.close(descriptor)


def _leave_locks() -> None:
    for descriptor in _locks.values():
        os.close(descriptor)
    _locks.clear()


if hasattr(os, "register_at_fork"):
    # otherwise a forked process, such as a worker of a data loader, would keep the lock after its parent has died
    os.register_at_fork(after_in_child=_leave_locks)
