# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Drawing a data set: what it holds, that processes and interruptions leave no trace, and what is refused."""

import json
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import torch
import yaml
from processes import run_process
from run_folders import read_bytes
from safetensors.torch import load_file, save_file
from tiny_models import CLASS_NAMES

from mnist_text_gen import MnistTextGenerationPipeline, load_pipeline
from mnist_text_gen.commands import draw_dataset, drawn_rows
from mnist_text_gen.tokenizer import check_text


MODULE = "mnist_text_gen.commands.draw_dataset"
TWENTY = ("--num_images", "20", "--num_images_per_shard", "8")


@pytest.fixture
def options_of(tiny_files, tmp_path):
    def build(*options, name="out"):
        options = ("--model_name_or_path", tiny_files, "--output_dir", tmp_path / name, *TWENTY, *options)
        return [str(option) for option in options]

    return build


@pytest.fixture
def write(options_of, tmp_path):
    """Run the command into a folder of its own; the folder is the result."""

    def run(*options, name="out"):
        draw_dataset.main(options_of(*options, name=name))
        return tmp_path / name

    return run


@pytest.fixture(scope="module")
def written(tiny_files, tmp_path_factory):
    """Twenty images in three shards; not to be changed."""
    folder = tmp_path_factory.mktemp("written") / "out"
    draw_dataset.main(["--model_name_or_path", str(tiny_files), "--output_dir", str(folder), *TWENTY])
    return folder


@pytest.fixture
def copied(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "out"))


@pytest.fixture(scope="module")
def pipe(tiny_files):
    return load_pipeline(tiny_files, torch.device("cpu"))


@pytest.fixture(scope="module")
def choosy(pipe):
    """Options with which some of the images are drawn again; of one class, so that each can reach the score."""
    rows = drawn_rows.draw_block(pipe, settings_of(classes=[4]), [(index, 0) for index in range(20)])
    return ("--digits", 4, "--min_score", float(np.quantile([row["score"] for row in rows], 0.25)))


@pytest.fixture
def error_of(refusal_of, options_of):
    return lambda *options, name="out": refusal_of(draw_dataset, *options_of(*options, name=name))


def shard_names(num_shards):
    return {f"data/train-{shard:05d}-of-{num_shards:05d}.parquet" for shard in range(num_shards)}


def hash_names(num_shards):
    return {name.replace("data/", ".sha256/") for name in shard_names(num_shards)}


def load(folder):
    splits = datasets.load_dataset(str(folder))
    assert set(splits) == {"train"}
    return splits["train"]


def rows_of(folder):
    return load(folder).remove_columns("image").to_list()


def settings_of(**changes):
    settings = {"weights": {}, "seed": 0, "num_images": 20, "num_images_per_shard": 8, "num_threads": 1}
    settings |= {"classes": list(range(10)), "class_shares": None, "min_score": None, "decoding": "exact"}
    settings |= {"temperature": 0.8, "classifier_temperature": 0.8}
    return draw_dataset.Settings(**settings | changes)


def test_files_are_shards_hashes_settings_and_card_and_name_no_path(written):
    files = read_bytes(written)
    assert set(files) == {*shard_names(3), *hash_names(3), "generation.json", "README.md"}
    # as they were before classes had names, so that older data sets can be gone on with
    newer = {"class_names", "image_size", "selection"}
    assert json.loads(files["generation.json"]).keys() == vars(settings_of()).keys() - newer
    # a path of pytest's has the user's name too
    for part in (str(written), written.parents[2].name):
        assert [name for name, content in files.items() if part.encode() in content] == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="a system without sha256sum")
def test_hashes_are_in_the_form_that_sha256sum_checks(written):
    subprocess.run(["sha256sum", "--check", "--strict", *sorted(hash_names(3))], cwd=written, check=True)


def test_data_set_reads_back_in_order(written, tokenizer):
    data_set = load(written)
    types = {
        name: datasets.Value(each) for name, each in (("text", "string"), ("score", "float64"), ("index", "int64"))
    }
    types |= {"image": datasets.Image(), "label": datasets.ClassLabel(names=list("0123456789"))}
    assert data_set.features == types
    assert data_set["index"][:] == list(range(20))
    assert data_set["label"][:] == [*range(10), *range(10)]
    assert len(set(data_set["text"])) == 20
    for row, image in zip(data_set, tokenizer.decode_images(data_set["text"][:]), strict=True):
        check_text(row["text"])
        assert (row["text"][0], len(row["text"])) == (str(row["label"]), 152)
        assert (row["image"].format, row["image"].mode) == ("PNG", "L")
        assert np.array_equal(np.asarray(row["image"]), image * 255)
        assert 0 <= row["score"] <= 1


def test_images_and_scores_are_those_of_the_pipeline(write, pipe, monkeypatch):
    how = {"temperature": 0.7, "classifier_temperature": 1.5, "decoding": "bf16"}
    options = ("--seed", 7, *(part for name, value in how.items() for part in (f"--{name}", value)))
    seen, sample_texts = [], MnistTextGenerationPipeline.sample_texts

    def spy(self, *arguments):
        seen.append(arguments[-1])
        return sample_texts(self, *arguments)

    with monkeypatch.context() as patch:
        # the texts of a tiny model are the same however they are decoded
        patch.setattr(MnistTextGenerationPipeline, "sample_texts", spy)
        rows = rows_of(write(*options))
    assert set(seen) == {"bf16"}
    labels = [index % 10 for index in range(8, 16)]
    seed_keys = [(7, drawn_rows.TEXT_STREAM, index, 0) for index in range(8, 16)]
    candidates = pipe.sample_texts(labels, seed_keys, **how)
    assert [row["text"] for row in rows[8:16]] == candidates.texts
    assert [row["score"] for row in rows[8:16]] == candidates.scores(labels).tolist()


@pytest.mark.parametrize(("num_images", "num_per_shard"), [(1, 8), (9, 8), (70, 70)])
def test_any_number_of_images_of_classes_that_take_turns(write, num_images, num_per_shard):
    folder = write("--num_images", num_images, "--num_images_per_shard", num_per_shard, "--digits", 7, 1, 7)
    data_set = load(folder)
    assert data_set["index"][:] == list(range(num_images))
    assert data_set["label"][:] == ([7, 1] * 35)[:num_images]
    sizes = [pyarrow.parquet.read_metadata(path).num_rows for path in sorted((folder / "data").iterdir())]
    assert sizes == {1: [1], 9: [8, 1], 70: [70]}[num_images]


def test_labels_are_drawn_by_their_shares():
    shares = [0, 1, 0, 3, 0, 0, 4, 2, 0, 0]
    settings = settings_of(class_shares=shares, classes=None)
    counts = Counter(settings.label_of(index) for index in range(10_000))
    assert set(counts) == {1, 3, 6, 7}
    for label, count in counts.items():
        # 5 standard deviations of a binomial
        share = shares[label] / 10
        assert abs(count - 10_000 * share) < 5 * (10_000 * share * (1 - share)) ** 0.5
    of_seeds = [[settings_of(class_shares=shares, seed=seed).label_of(n) for n in range(50)] for seed in (0, 4)]
    assert of_seeds[0] == [settings.label_of(index) for index in range(50)] != of_seeds[1]


@pytest.mark.parametrize("selection", ["best", "diverse"])
def test_selection_keeps_eight_of_64_candidates_of_a_digit(write, pipe, selection):
    rows = rows_of(write("--selection", selection, "--num_images_per_shard", 12))
    assert [row["index"] for row in rows] == list(range(20))
    assert [row["label"] for row in rows] == [0] * 8 + [1] * 8 + [2] * 4
    keys = [(0, drawn_rows.CANDIDATE_STREAM, 1, 0, index) for index in range(64)]
    drawn = pipe.sample_texts([1] * 64, keys)
    kept = drawn.select(1, 8, selection, 0.999)
    assert [row["text"] for row in rows[8:16]] == [drawn.texts[index] for index in kept]


def test_a_group_of_which_too_few_are_good_is_drawn_again(error_of, write):
    line = error_of("--selection", "diverse", "--min_score", 0.999, "--max_attempts", 2)
    assert "`min_score` must be a score that 8 of 64 candidates of each class reach, got 0.999: images 0 to 7" in line
    # without a min_score they are filled up
    assert len(rows_of(write("--selection", "diverse", "--num_images", 3, name="filled"))) == 3


def test_rejected_image_is_the_next_attempt_that_passes(pipe):
    settings = settings_of(num_images=3, classes=[4])
    blocks = [drawn_rows.draw_block(pipe, settings, [(index, attempt) for index in range(3)]) for attempt in range(4)]
    attempts = list(zip(*blocks, strict=True))
    # each image reaches it, also where the last bits of a score depend on what is judged beside it
    threshold = min(max(row["score"] for row in rows) for rows in attempts) * (1 - 1e-4)
    drawn = draw_dataset.draw_rows(pipe, settings_of(num_images=3, classes=[4], min_score=threshold), range(3), 4)
    assert [row["text"] for row in drawn] == [
        next(row["text"] for row in rows if row["score"] >= threshold) for rows in attempts
    ]
    assert any(rows[0]["score"] < threshold for rows in attempts)


def test_min_score_that_is_never_reached_ends_with_one_line(error_of, tmp_path):
    line = error_of("--min_score", 0.999999, "--max_attempts", 3)
    assert "`min_score` must be a score that the model reaches, got 0.999999: image " in line
    assert "after 3 attempts (`max_attempts`)" in line
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["generation.json"]


@pytest.mark.slow
def test_two_launched_processes_write_what_one_writes(write, options_of, choosy, tmp_path):
    # --cpu would silently launch one process
    launcher = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    launcher += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port")
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    command = (sys.executable, "-m", *launcher, port, "-m", MODULE, *options_of(*choosy, name="two"))
    result = run_process(*command, OMP_NUM_THREADS=torch.get_num_threads(), CUDA_VISIBLE_DEVICES="")
    # the main process of two counts the images of shards 0 and 2
    assert "12/12" in result.stderr
    assert len(result.stdout.splitlines()) == 1
    assert read_bytes(tmp_path / "two") == read_bytes(write(*choosy, name="one"))


def spoil_shard(path):
    path.write_bytes(path.read_bytes()[:100])


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def remove_hash(path):
    (path.parents[1] / ".sha256" / path.name).unlink()


@pytest.mark.parametrize("spoil", [Path.unlink, spoil_shard, flip_bit, remove_hash])
def test_shards_that_are_missing_or_cut_off_are_drawn_again(write, copied, spoil, capsys):
    whole = read_bytes(copied)
    spoil(copied / "data" / "train-00001-of-00003.parquet")
    (copied / "README.md").unlink()
    (copied / ".staging-left" / "data").mkdir(parents=True)
    (copied / ".staging-left" / "data" / "train-00001-of-00003.parquet").write_bytes(b"half")
    write()
    assert read_bytes(copied) == whole
    assert not (copied / ".staging-left").exists()
    captured = capsys.readouterr()
    assert captured.out.startswith("20 images in 3 shards: 8 drawn now in ")
    assert "8/8" in captured.err


def test_set_goes_on_with_the_threads_that_it_was_begun_with(write, copied, monkeypatch):
    (copied / "data" / "train-00001-of-00003.parquet").unlink()
    begun_with, found = torch.get_num_threads(), []
    draw_rows = draw_dataset.draw_rows

    def note_threads(*args):
        found.append(torch.get_num_threads())
        return draw_rows(*args)

    monkeypatch.setattr(draw_dataset, "draw_rows", note_threads)
    with draw_dataset.threads(begun_with + 1):
        write()
        assert torch.get_num_threads() == begun_with + 1
    assert found == [begun_with]


def test_complete_run_started_again_with_the_same_weights_elsewhere_draws_nothing(
    write, copied, tiny_checkpoint, capsys, monkeypatch
):
    (copied / "README.md").write_text("mine")
    before = read_bytes(copied)
    monkeypatch.setattr(draw_dataset, "draw_rows", None)
    write("--model_name_or_path", tiny_checkpoint)
    assert read_bytes(copied) == before
    captured = capsys.readouterr()
    assert captured.out == f"20 images in 3 shards: none new. They are in {copied}.\n"
    assert "image" not in captured.err


def test_error_while_writing_names_the_folder_and_leaves_no_half_shard(write, tmp_path, monkeypatch, capsys):
    def fail(self, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets.Dataset, "to_parquet", fail)
    with pytest.raises(SystemExit):
        write()
    assert f"[Errno 28] No space left on device: '{tmp_path / 'out'}'" in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["generation.json"]


def test_shard_that_is_not_there_at_the_end_is_named(copied):
    settings = draw_dataset.Settings(**json.loads((copied / "generation.json").read_text()))
    (copied / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(ValueError, match=r"train-00001-of-00003.parquet is missing or differs from what was written"):
        draw_dataset.finish_folder(copied, settings)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--seed", "1"), ["`seed` must be 0, as for the images ", "got 1;"]),
        (("--class_shares", *"1111111111"), ["`classes` must be ", "got None;"]),
        (("--min_score", "0"), ["`min_score` must be None, ", "got 0.0;"]),
        (("--decoding", "bf16"), ["`decoding` must be 'exact', ", "got 'bf16';"]),
    ],
)
def test_other_arguments_in_the_same_folder_are_refused(copied, written, error_of, options, found):
    line = error_of(*options)
    assert [part for part in [*found, str(copied), "another `output_dir`"] if part not in line] == []
    assert read_bytes(copied) == read_bytes(written)


@pytest.mark.parametrize("name", ["model.safetensors", "classifier/model.safetensors"])
@pytest.mark.usefixtures("copied")
def test_other_weights_in_the_same_folder_are_refused(error_of, tiny_checkpoint, name):
    weights = load_file(tiny_checkpoint / name)
    key = next(iter(weights))
    save_file(weights | {key: weights[key] + 1}, tiny_checkpoint / name, metadata={"format": "pt"})
    assert "`weights` must be {" in error_of("--model_name_or_path", tiny_checkpoint)


@pytest.mark.parametrize("content", ["{", "[]", '"text"', "\xff"])
def test_settings_that_are_not_settings_are_refused(copied, error_of, content):
    (copied / "generation.json").write_text(content, encoding="latin-1")
    assert str(copied / "generation.json") in error_of()


@pytest.mark.parametrize("name", ["README.md", "data/train.parquet"])
def test_folder_of_something_else_is_refused_and_stays(error_of, tmp_path, name):
    (tmp_path / "out" / name).parent.mkdir(parents=True)
    (tmp_path / "out" / name).write_text("mine")
    line = error_of()
    assert "`output_dir` must be a new or empty folder, or that of a run that was interrupted, got " in line
    assert f"{str(tmp_path / 'out')!r}, which has {name.split('/')[0]!r}" in line
    assert read_bytes(tmp_path / "out") == {name: b"mine"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--num_images", "0"), ["`num_images` must be an integer of 1 or more, got 0"]),
        (("--min_score", "nan"), ["`min_score` must be at least 0 and below 1, got nan"]),
        (("--class_shares", "1", "2"), ["`class_shares` must be 10 finite numbers of 0 or more", "got [1.0, 2.0]"]),
        (("--class_shares", *"0000000000"), ["`class_shares` must be 10 finite", "whose sum is above 0, got [0.0,"]),
        (("--class_shares", *["1e308"] * 10), ["10 finite numbers", "got [1e+308,"]),
        (("--push_to_hub_id", "a/b/c"), ["a/b/c"]),
        (("--push_to_hub_id", "you/digits"), ["Cannot reach"]),
    ],
)
def test_bad_option_is_refused_by_name_before_anything_is_written(error_of, tmp_path, options, found):
    line = error_of(*options)
    assert [part for part in found if part not in line] == []
    assert not (tmp_path / "out").exists()


def test_card_says_how_to_read_and_what_is_there(write):
    folder = write("--digits", 3, 9, "--min_score", 0.05)
    card = (folder / "README.md").read_text(encoding="utf-8")
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert (front_matter["license"], front_matter["tags"]) == ("apache-2.0", ["synthetic", "mnist"])
    assert (folder / "generation.json").read_text() in card and "below 0.05" in card
    counts = [int(line.split("|")[2]) for line in card.splitlines()[-10:]]
    assert counts == [0, 0, 0, 10, 0, 0, 0, 0, 0, 10]


def test_push_whose_network_breaks_ends_with_one_line_and_keeps_the_images(options_of, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(draw_dataset, "open_repository", lambda repo_id, **kwargs: repo_id)
    with pytest.raises(SystemExit) as stop:
        draw_dataset.main(options_of("--push_to_hub_id", "you/digits"))
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{draw_dataset.PROG}: error: ")
    assert len(load(tmp_path / "out")) == 20


def test_data_set_of_named_classes_says_their_names(write, named_files):
    folder = write("--model_name_or_path", named_files)
    data_set = load(folder)
    assert data_set.features["label"].names == list(CLASS_NAMES)
    assert data_set["label"][:] == [index % 3 for index in range(20)]
    assert data_set[0]["image"].size == (12, 12)
    assert all(len(text) == 26 and text[0] == str(index % 3) for index, text in enumerate(data_set["text"]))
    settings = json.loads((folder / "generation.json").read_text())
    assert (settings["class_names"], settings["image_size"]) == (list(CLASS_NAMES), 12)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "20 images of 3 classes, 12×12 pixels" in card
    assert card.splitlines()[-3:] == ["| T-shirt/top | 7 |", "| Ankle boot | 7 |", "| Bag | 6 |"]
    assert "digit" not in card.replace("mnist-text-gen", "")
    before = read_bytes(folder)
    write("--model_name_or_path", named_files)  # goes on, with nothing to do
    assert read_bytes(folder) == before


def test_classes_are_chosen_by_name_or_by_a_share_for_each(write, named_files, error_of):
    options = ("--model_name_or_path", named_files)
    line = error_of(*options, "--class_shares", *["1"] * 10)
    assert "`class_shares` must be 3 finite numbers of 0 or more" in line
    assert set(load(write(*options, "--digits", "Bag", 0, name="names"))["label"]) == {0, 2}
    folder = write(*options, "--digits", "Bag", "--class_shares", 1, 1, 0, name="shares")
    labels = load(folder)["label"][:]
    assert set(labels) == {0, 1}
    settings = json.loads((folder / "generation.json").read_text())
    assert settings["classes"] is None
    assert labels == [draw_dataset.Settings(**settings).label_of(index) for index in range(20)]
