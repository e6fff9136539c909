# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Staged folders: all of the new files, or all of the old. Locked folders: one process at a time."""

import multiprocessing
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from image_files import write_idx_folder

from mnist_text_gen import files, load_pipeline
from mnist_text_gen.data import load_images
from mnist_text_gen.files import check_output_folder, locked_folder, staged_folder


def read_tree(folder) -> dict[str, str]:
    """Relative path to content of every file, hidden ones and staging folders too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_and_folders_arrive_when_the_block_ends(tmp_path):
    target = tmp_path / "a" / "b"
    with staged_folder(target) as staging:
        (staging / "model.txt").write_text("model")
        (staging / "classifier" / "deep").mkdir(parents=True)
        (staging / "classifier" / "deep" / "config.txt").write_text("config")
        (staging / ".hidden").write_text("hidden")
    expected = {"model.txt": "model", "classifier/deep/config.txt": "config", ".hidden": "hidden"}
    assert read_tree(tmp_path / "a" / "b") == expected
    assert not staging.exists()


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_after_an_error_the_old_files_are_as_they_were(tmp_path, error):
    (tmp_path / "model.txt").write_text("old")
    (tmp_path / "classifier").mkdir()
    (tmp_path / "classifier" / "config.txt").write_text("old config")
    before = read_tree(tmp_path)
    with pytest.raises(error, match="half-way"), staged_folder(tmp_path) as staging:
        (staging / "model.txt").write_text("new")
        (staging / "classifier").mkdir()
        (staging / "classifier" / "config.txt").write_text("new config")
        (staging / "other.txt").write_text("new")
        raise error("half-way")
    assert read_tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classifier", "model.txt"]


def test_same_named_files_are_replaced_when_the_block_ends_and_others_stay(tmp_path):
    (tmp_path / "classifier").mkdir()
    old = {"model.txt": "old", "notes.txt": "mine", "classifier/config.txt": "old", "classifier/notes.txt": "mine"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    with staged_folder(tmp_path) as staging:
        assert staging.parent == tmp_path  # so that every move is a rename on one file system
        (staging / "model.txt").write_text("new")
        (staging / "classifier").mkdir()
        (staging / "classifier" / "config.txt").write_text("new")
        assert old.items() <= read_tree(tmp_path).items()
    assert read_tree(tmp_path) == old | {"model.txt": "new", "classifier/config.txt": "new"}


def test_check_makes_the_folder_and_its_parents_and_leaves_nothing_in_it(tmp_path):
    folder = check_output_folder(str(tmp_path / "a" / "b"))
    assert folder == tmp_path / "a" / "b" and folder.is_dir() and list(folder.iterdir()) == []


@pytest.mark.parametrize("below", ["", "b", "b/c"])
def test_check_refuses_a_file_and_what_would_be_below_it(tmp_path, below):
    (tmp_path / "a").write_text("a file")
    folder = tmp_path / "a" / below
    message = f"`my_dir` must be a folder that can be written to, got {str(folder)!r}: "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}(File exists|Not a directory)$"):
        check_output_folder(folder, name="my_dir")
    assert (tmp_path / "a").read_text() == "a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_refuses_a_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match=r"^`output_dir` must be a folder that can .*: Permission denied$"):
        check_output_folder(tmp_path)


def test_what_killed_runs_left_is_removed_or_finished_and_links_are_not_followed(tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for path in ("model.txt", ".staging-a/folder/model.txt", ".staging-b", ".complete-a/new/b.txt", ".complete-b"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (elsewhere).mkdir()
    (elsewhere / "file").write_text("mine")
    for name in (".staging-c", ".complete-c", ".lock"):
        (folder / name).symlink_to(elsewhere if name != ".lock" else elsewhere / "file")
    with locked_folder(folder):
        assert read_tree(folder) == {"model.txt": "model.txt", "new/b.txt": ".complete-a/new/b.txt", ".lock": ""}
    assert read_tree(folder).keys() == {"model.txt", "new/b.txt"}
    assert read_tree(elsewhere) == {"file": "mine"}


@pytest.mark.parametrize("load", [load_pipeline, load_images])
def test_part_of_what_a_killed_run_has_put_in_place_is_not_read(tmp_path, tiny_files, mnist_5k, load):
    if load is load_pipeline:
        folder, last = Path(shutil.copytree(tiny_files, tmp_path / "whole")), "tokenizer.json"
    else:
        folder, last = tmp_path / "whole", "train-labels-idx1-ubyte"
        folder.mkdir()
        write_idx_folder(folder, *mnist_5k.values())
    before = sorted(path.name for path in folder.iterdir())
    (folder / ".complete-x").mkdir()
    (folder / last).rename(folder / ".complete-x" / last)
    with pytest.raises(ValueError, match=f"{re.escape(str(folder))}.* got only some of them"):
        load(str(folder))
    with locked_folder(folder):
        pass
    load(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_place_that_is_taken_by_a_folder_is_named_before_anything_is_moved(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("old")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path / "b"))), staged_folder(tmp_path) as staging:
        (staging / "a").write_text("new")
        (staging / "b").write_text("new")
    assert read_tree(tmp_path) == {"a": "old"}


def test_full_disk_is_said_of_the_folder(tmp_path):
    with pytest.raises(OSError, match=re.escape(str(tmp_path))), locked_folder(tmp_path), staged_folder(tmp_path):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("replaced", [False, True])
def test_folder_that_is_removed_while_it_is_locked_is_not_made_again(tmp_path, replaced):
    with pytest.raises(OSError, match="run was removed or replaced"), locked_folder(tmp_path / "run") as folder:
        (folder / "file").write_text("")
        shutil.rmtree(folder)
        if replaced:
            folder.mkdir()
            (folder / ".lock").write_text("of another run")
        with pytest.raises(OSError, match="run was removed or replaced"), staged_folder(folder):
            pytest.fail("the block must not run")
    assert read_tree(tmp_path) == ({"run/.lock": "of another run"} if replaced else {})


def test_processes_of_a_run_share_a_folder_and_each_keeps_out_the_next_run(tmp_path):
    with locked_folder(tmp_path, rank=1):  # the first has died
        (tmp_path / ".staging-of-rank-1").mkdir()
        with pytest.raises(ValueError, match="which another run"), locked_folder(tmp_path):
            pytest.fail("the block must not run")
        assert {path.name for path in tmp_path.iterdir()} == {".lock-1", ".staging-of-rank-1"}
    with locked_folder(tmp_path), locked_folder(tmp_path, rank=1), locked_folder(tmp_path, rank=2):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".lock-1", ".lock-2"}
    assert list(tmp_path.iterdir()) == []


WITH_FORK = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="a system without fork")


@pytest.fixture
def holder(tmp_path):
    """Another process that has locked the folder `tmp_path / "run"`, and an event that ends it."""
    context = multiprocessing.get_context("fork")
    locked, leave = context.Event(), context.Event()

    def hold():
        with locked_folder(tmp_path / "run") as folder:
            (folder / "mine").write_text("")
            locked.set()
            leave.wait(60)

    process = context.Process(target=hold)
    process.start()
    assert locked.wait(60)
    yield process, leave
    process.kill()
    process.join()


@WITH_FORK
@pytest.mark.parametrize("killed", [False, True])
def test_folder_of_another_process_is_refused_until_it_ends_or_dies(tmp_path, holder, killed):
    process, leave = holder
    with pytest.raises(ValueError, match=r"^`output_dir` must be .*, got '.*run', which another run"):
        locked_folder(tmp_path / "run").__enter__()
    process.kill() if killed else leave.set()
    process.join()
    with locked_folder(tmp_path / "run"):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


@WITH_FORK
def test_lock_is_not_passed_on_to_a_forked_process(tmp_path):
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=lambda: (started.set(), time.sleep(60)))
    with locked_folder(tmp_path):
        child.start()
        try:
            assert started.wait(60)
            files._leave_locks()  # what the system does when a process dies
            with locked_folder(tmp_path):
                assert child.is_alive()
        finally:
            child.kill()
            child.join()


def test_folder_that_was_made_for_a_lock_goes_if_nothing_was_put_into_it(tmp_path):
    with pytest.raises(KeyError), locked_folder(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with locked_folder(tmp_path / "a" / "b") as folder:
        (folder / "file").write_text("")
    assert [path.name for path in folder.iterdir()] == ["file"]
