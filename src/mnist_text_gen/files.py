# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Files that belong together appear together: all new or all old; and folders that only one run writes to.

New files are written into `.staging-…` inside their target. Once all of them are on the disk, one rename to
`.complete-…` says so; after it they are moved to their places. Whoever locks a folder first tidies up behind runs that
were killed: what is staged is dropped, what is complete is moved. Until then `check_whole` keeps readers away.
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
# What a disk answers without saying for which file.
_ERRORS_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def check_output_folder(folder: str | os.PathLike, name: str = "output_dir") -> Path:
    """Make `folder`, or raise a `ValueError` that says why it can't be written to."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # a file system without nameless files may keep it, if the process is killed now
        with tempfile.TemporaryFile(dir=folder, prefix=STAGING_PREFIX):
            return folder
    except OSError as error:
        raise ValueError(
            f"`{name}` must be a folder that can be written to, got {str(folder)!r}: {error.strerror}"
        ) from error


@contextmanager
def staged_folder(target: str | os.PathLike) -> Iterator[Path]:
    """Give a new folder inside `target`; move what it holds into `target` at the end, or drop it after an error.

    Files of the same name are replaced, others in `target`, and in its folders, stay. At no moment are old and new
    files there together: the old ones go before the first new one comes. They come in the order of their names, and go
    in the reverse one: a part of a data set may have `test` without `train`, which no one takes for the whole. A
    process that is killed in between leaves the rest to the next one that locks the folder.

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
        if not isinstance(error, Exception):  # a signal; moves that have begun take no time
            _place(complete, target)
        raise


def _check_places(staging: Path, target: Path) -> None:
    """Raise before anything is moved, for afterwards there is no way back."""
    for path in staging.rglob("*"):
        place = target / path.relative_to(staging)
        if place.is_dir() and not path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        if path.is_dir() and os.path.lexists(place) and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))


def _place(complete: Path, target: Path) -> None:
    """Move all files of a complete folder to their places in `target`; or the rest of them, if that had begun."""
    sizes = {path: path.stat().st_size for path in sorted(complete.rglob("*")) if path.is_file()}
    places = {path: target / path.relative_to(complete) for path in sizes}
    if len(sizes) > 1:  # a single one is replaced by its rename
        for place in reversed(places.values()):
            place.unlink(missing_ok=True)
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    for path, place in places.items():
        if place.stat().st_size != sizes[path]:
            raise OSError(errno.EIO, "not what was written", str(place))
    for folder in {target, *(place.parent for place in places.values())}:
        sync_entry(folder)
    remove_entry(complete)


def check_whole(folder: str | os.PathLike) -> None:
    """Raise a `ValueError` if files that belong together have only partly arrived in `folder`; all else passes."""
    if any(path.is_dir() for path in Path(folder).glob(f"{_COMPLETE_PREFIX}*")):
        raise ValueError(
            f"{str(folder)!r} must be read when all of its files are there, got a part of them: a run is putting them "
            "in place, or was killed while it did; the same command, started again, ends that"
        )


def sync_folder(folder: str | os.PathLike) -> None:
    """Have every file and folder in `folder` on the disk, and not only in memory, before anything is renamed."""
    for path in [Path(folder), *Path(folder).rglob("*")]:
        sync_entry(path)


def sync_entry(path: str | os.PathLike) -> None:
    """Have one file on the disk, or the names in one folder."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows opens none, and keeps the names itself
    # nor does Windows sync a file that is open for reading alone
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of what a file holds. As `hashlib.file_digest`, which Python 3.10 lacks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def remove_entry(path: str | os.PathLike) -> None:
    """Remove a file, a link (and not what it leads to), or a folder with all that is in it; or nothing."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_parquet(data_set: Any, path: Path) -> None:
    """Write a `datasets.Dataset` into one parquet file, and read it back.

    The file is opened here: `datasets` reads `::`, `~` and `[ ]` in a name in its own way.

    Raises:
        OSError: if the file does not hold what was to be written.
    """
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        data_set.to_parquet(file)
    with path.open("rb") as file:
        if pyarrow.parquet.ParquetFile(file).read().num_rows != len(data_set):
            raise OSError(errno.EIO, f"holds not the {len(data_set)} rows that were written", str(path))


@contextmanager
def locked_folder(folder: str | os.PathLike, name: str = "output_dir", rank: int = 0) -> Iterator[Path]:
    """Keep `folder` from other runs that lock it too, until the block ends or this process dies, however it does.

    The folder is made where it is missing, and removed at the end if nothing was put into it. What killed runs have
    left in it is tidied up. Of several processes that are one run, the first enters before the others do; each of them
    has a lock of its own, so that those which outlive the first keep out the next run.

    Args:
        folder (`str` or `os.PathLike`): what only one run may write to.
        name (`str`, defaults to `"output_dir"`): the argument that an error names.
        rank (`int`, defaults to 0): which of the processes of the run this is.

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
                    f"`{name}` must be a folder that no other run writes to, got {str(folder)!r}, where one is at "
                    "work; wait for its end, or give another folder"
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
        with suppress(OSError):  # something is in it
            for made_folder in made:
                made_folder.rmdir()


def check_lock(folder: str | os.PathLike) -> None:
    """Raise an `OSError` if this process has locked `folder`, and it is another one by now, or none."""
    for path, descriptor in list(_locks.items()):
        removed = path.parent == Path(os.path.abspath(folder)) and not _is_open_at(descriptor, path)
        if removed and path in _locks:  # else another thread has just unlocked it
            raise OSError(f"{folder} was removed or replaced while this run was writing to it")


def is_lock(path: Path) -> bool:
    """Whether a file is only there because a run is at work, or was killed."""
    return path.name == _LOCK_FILE or path.name.startswith(f"{_LOCK_FILE}-")


def _tidy_up(folder: Path) -> bool:
    """Finish or remove what killed runs have left; `False` if a process of another run still lives."""
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
    """Open a file and lock it; `False` if another process, or another part of this one, has it."""
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
    except OSError:  # there is none, or no folder, or another thread has just closed it
        return False


def _unlock(path: Path) -> None:
    descriptor = _locks.pop(path, None)
    if descriptor is None:  # a forked process has no lock
        return
    if sys.platform == "win32":  # it removes no open file: neither this one, nor one that another run has just opened
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
    # a forked process, such as a worker of a data loader, would keep the lock of one that has died
    os.register_at_fork(after_in_child=_leave_locks)
