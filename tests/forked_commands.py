# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Commands that a signal meets at every file-system event: `python forked_commands.py folder command model images`.

A command is run once to count its events, and then, for each event and each of SIGKILL and SIGTERM, into a folder as
it was before: the signal meets it before that event, and the same command is started again. Printed is, as JSON, what
was wrong afterwards. What costs time, drawing and exporting, is replaced by something that only depends on its
arguments. All runs are forked from this process, which has imported everything, and done what a process does once.
"""

import builtins
import io
import json
import os
import shutil
import signal
import sys
import traceback
from functools import partial
from pathlib import Path

import datasets.io.parquet  # noqa: F401
import numpy as np
import pyarrow.parquet  # noqa: F401
from PIL import Image

from mnist_text_gen.commands import (
    build_dataset,
    draw_dataset,
    export_onnx,
    exporting,
    sample_hf,
    train_classifier,
    train_hf,
)
from mnist_text_gen.files import check_whole
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import Candidates
from mnist_text_gen.tokenizer import MnistTextTokenizer


EVENTS = ("open", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir")


class Pipe:
    """Draws in no time, and something else for each seed."""

    class_names, class_word, commit_hash = list("0123456789"), "digit", None
    tokenizer = MnistTextTokenizer()

    def sample_texts(self, labels, seed_keys, *how):
        generators = [np.random.default_rng(seed_key) for seed_key in seed_keys]
        images = np.stack([generator.integers(2, size=(30, 30), dtype=np.uint8) for generator in generators])
        texts = self.tokenizer.encode_images(images, labels)
        probabilities = np.stack([generator.dirichlet(np.ones(10)) for generator in generators])
        return Candidates(texts, images, probabilities, {"generate": 0.1, "judge": 0.1})

    def sample(self, label, num_candidates, seed, **how):
        return self.sample_texts([label] * num_candidates, [(seed, label, index) for index in range(num_candidates)])

    def show(self, candidates, best, labels):
        return candidates.results(best, labels, self.class_names)


def write_graph(model, example, dynamic_shapes, inputs, outputs, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(sum(float(weight.sum()) for weight in model.state_dict().values()).hex().encode())


def options_of(name, model, images):
    """The command that writes the old files, or none, and the one that writes the new ones."""
    source = ["--dataset_name", images, "--num_train_samples"]
    sheets = ["--num_candidates", "2", "--num_return_sequences", "2", "--save_texts", "jsonl", "--digits", "3", "7"]
    training = "--do_train true --max_steps 1 --num_train_samples 9 --use_cpu true --report_to none --save_strategy no"
    training = [*training.split(), "--dataset_name", images, "--model_name_or_path"]
    classifier = [*training, f"{model}/classifier"]
    shards = ["--model_name_or_path", model, "--num_images", "6", "--num_images_per_shard", "2"]
    return {
        "build_dataset": (build_dataset, [*source, "9"], [*source, "12"]),
        "draw_dataset": (draw_dataset, None, shards),
        "sample_hf": (sample_hf, [*sheets, "--seed", "1"], sheets),
        "export_onnx": (export_onnx, ["--model_name_or_path", f"{model}-old"], ["--model_name_or_path", model]),
        "train_hf": (train_hf, [*training, f"{model}-old"], [*training, model]),
        "train_classifier": (train_classifier, [*classifier, "--num_train_samples", "8"], classifier),
    }[name]


def replace_what_costs_time(pipes):
    for command in (draw_dataset, sample_hf):
        command.load_pipeline = lambda *args: Pipe()
    exporting.load_pipeline = lambda name, device: pipes[name]
    export_onnx.write_graph = write_graph
    export_onnx.draw_texts = lambda pipe: []
    # what is at the end of a training: model, configuration and tokenizer, and then the record of them
    train_hf.MnistTrainer.train_from_last_checkpoint = lambda trainer: setattr(trainer.state, "epoch", 0.0)
    export_onnx.compare_language_models = export_onnx.compare_classifiers = lambda *args: 0.0


def count_events(act, output_dir):
    """Have `act(number)` called before each file-system event in the output folder, counted from 1."""
    number = 0

    def counted(original):
        def call(*args, **kwargs):
            nonlocal number
            # all that are given to fsync, or come from a removal
            if isinstance(args[0], int) or "dir_fd" in kwargs or str(args[0]).startswith(str(output_dir)):
                number += 1
                act(number)
            return original(*args, **kwargs)

        return call

    for name in EVENTS:
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = io.open = counted(io.open)


def run(command, options, output_dir, act=None) -> int:
    """Exit status of a command in a process of its own."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        sys.stdout = io.StringIO()
        if act is not None:
            count_events(act, output_dir)
        command.main([*options, "--output_dir", str(output_dir)])
        status = 0
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def send(number, event, now):
    if now == event:
        os.kill(os.getpid(), number)


def read(folder) -> dict[str, str]:
    """Name to content of everything in a folder, of folders and hidden files too."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes().hex() if path.is_file() else "" for path in paths}


def is_mixed(found, old, new) -> bool:
    """Whether there are files of the old run and of the new one together; a record names its weights by their hash."""
    changed = [name for name in found if old.get(name) != new.get(name) and name != "run.json"]
    return all(any(found[name] == files.get(name) for name in changed) for files in (old, new))


def is_whole(folder) -> bool:
    try:
        check_whole(folder)
        return True
    except ValueError:
        return False


def find_faults(folder, name, model, images) -> tuple[int, list[str]]:
    command, old_options, options = options_of(name, model, images)
    # the first model and the first image of a process take Transformers and Pillow longer than all else in a run
    Image.init()
    replace_what_costs_time({path: load_pipeline(path) for path in (model, f"{model}-old")})
    old_dir, new_dir, log = folder / "old", folder / "new", folder / "events"
    if old_options is not None:
        assert run(command, old_options, old_dir) == 0
        shutil.copytree(old_dir, new_dir)
    old_files = read(old_dir)
    assert run(command, options, new_dir) == 0
    new_files = read(new_dir)
    shutil.copytree(old_dir, folder / "count") if old_options is not None else None
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT)
    assert run(command, options, folder / "count", lambda number: os.pwrite(descriptor, b"%9d" % number, 0)) == 0
    num_events = int(log.read_text())
    faults = []
    for event in range(1, num_events + 1):
        for number, expected in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
            place, output_dir = f"{number.name} at event {event}", folder / "killed"
            shutil.rmtree(output_dir, ignore_errors=True)
            if old_options is not None:
                shutil.copytree(old_dir, output_dir)
            status = run(command, options, output_dir, partial(send, number, event))
            if status != expected:
                faults.append(f"{place}: status {status}")
            found = read(output_dir) if output_dir.exists() else {}
            if is_mixed(found, old_files, new_files):
                faults.append(f"{place}: old and new files together")
            if old_files.keys() - found.keys() and is_whole(output_dir):
                faults.append(f"{place}: a part of the files that readers take for the whole")
            splits = {path.name.split("-")[0] for path in output_dir.glob("data/*.parquet")}
            if name == "build_dataset" and splits == {"train"}:
                faults.append(f"{place}: training images without test images, which look like a whole data set")
            if (status := run(command, options, output_dir)) != 0:
                faults.append(f"{place}: status {status} when started again")
            elif (found := read(output_dir)) != new_files:
                names = [name for name in found | new_files if found.get(name) != new_files.get(name)]
                faults.append(f"{place}: {names} differ")
    return num_events, faults


if __name__ == "__main__":
    print(json.dumps(find_faults(Path(sys.argv[1]), *sys.argv[2:])))
