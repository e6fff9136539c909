# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/quality.py and benchmarks/literature.py, with a tiny model: sections, and what is not done twice."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_files import write_idx_folder

from mnist_text_gen.corpus import LabelledImages, load_corpus
from mnist_text_gen.modeling import class_log_likelihoods, hash_weights, read_quality


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import literature
    import quality

    return SimpleNamespace(quality=quality, literature=literature, PROG=quality.PROG, main=quality.main)


@pytest.fixture(scope="module")
def source(mnist_5k, tmp_path_factory):
    """A folder of IDX files: 4 test images of each digit, and 6 training images, but 3 of the digit 0."""

    def take(split: LabelledImages, number: int) -> LabelledImages:
        rows = np.stack([np.flatnonzero(split.labels == label)[:number] for label in range(10)], axis=1).ravel()
        return LabelledImages(split.images[rows], split.labels[rows])

    train, test = take(mnist_5k["train"], 6), take(mnist_5k["test"], 4)
    train = LabelledImages(*(np.delete(column, [0, 10, 20], axis=0) for column in train))
    return str(write_idx_folder(tmp_path_factory.mktemp("idx"), train, test))


@pytest.fixture
def options(source, tiny_checkpoint, tmp_path):
    """The smallest run: 64 candidates of a digit, of which 8 are the best, and 40 raw images."""
    values = {
        "source": source,
        "model": tiny_checkpoint,
        "work": tmp_path / "work",
        "report": tmp_path / "docs",
        "judge": tiny_checkpoint / "classifier",
        "temperatures": 0.8,
        "num_candidates": 640,
        "num_images": 40,
        "num_train_samples": 30,
        "num_other_samples": 40,
        "num_free_texts": 10,
        "num_outliers": 3,
    }
    return [str(part) for name, value in values.items() for part in (f"--{name}", value)]


@pytest.mark.slow
def test_parts_become_sections_beside_the_weights_and_a_report(benchmarks, options, tiny_checkpoint, tmp_path):
    parts = ["judge", "samples", "best_of_n", "validity", "calibration", "generation", "literature"]
    benchmarks.main([*options, "--sampled_model", str(tiny_checkpoint), "--parts", *parts])
    sections = read_quality(tiny_checkpoint)
    assert list(sections) == parts
    samples = sections["samples"]["0.8"]
    assert sections["judge"]["num_samples"] == 40
    assert (samples["raw"]["num_samples"], samples["best"]["num_samples"]) == (40, 80)
    assert [row["num_samples"] for row in sections["best_of_n"]] == [80] * 4
    assert sections["best_of_n"][-1]["class_agreement"] == samples["best"]["class_agreement"]
    assert sections["validity"]["0.8"]["num_samples"] == 10
    assert sections["calibration"]["raw candidates, logits / 0.8"]["num_samples"] == 640
    assert sections["generation"]["classification"]["language_model"]["accuracy"]["num_samples"] == 40
    assert (tmp_path / "docs" / "quality.md").read_text().count("\n") > 50

    # a part that is measured again replaces its section alone; the pool is not drawn again
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")}
    benchmarks.main([*options, "--parts", "validity", "--num_free_texts", "7"])
    assert read_quality(tiny_checkpoint) == sections | {"validity": read_quality(tiny_checkpoint)["validity"]}
    assert read_quality(tiny_checkpoint)["validity"]["0.8"]["num_samples"] == 7
    assert shards == {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")}


def test_sections_of_other_weights_go(benchmarks, tiny_checkpoint):
    benchmarks.quality.record(tiny_checkpoint, "samples", {"0.8": 1})
    benchmarks.quality.record(tiny_checkpoint, "validity", {"0.8": 2})
    assert read_quality(tiny_checkpoint) == {"samples": {"0.8": 1}, "validity": {"0.8": 2}}
    record = json.loads((tiny_checkpoint / "quality.json").read_text())
    assert record["weights"] == hash_weights(tiny_checkpoint)
    weights = tiny_checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert read_quality(tiny_checkpoint) == {}
    benchmarks.quality.record(tiny_checkpoint, "validity", {"0.8": 3})
    assert read_quality(tiny_checkpoint) == {"validity": {"0.8": 3}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--parts", "beauty"], "parts has 'beauty'; allowed are judge, samples, best_of_n,"),
        (["--parts", "literature"], "sampled_model is missing; allowed with the part literature is a folder"),
        (["--parts", "samples", "--num_candidates", "64", "64"], "num_candidates has 2 numbers; allowed are 1 and 1,"),
    ],
)
def test_wrong_arguments_are_refused(benchmarks, options, refusal_of, changes, message):
    assert message in refusal_of(benchmarks, *options, *changes)


def test_nats_of_sampled_images_are_those_of_the_mixture_of_classes(
    benchmarks, source, tiny_checkpoint, tiny_model, tokenizer, tmp_path
):
    found = benchmarks.literature.measure(source, tiny_checkpoint, cache=tmp_path)
    test = load_corpus(source, num_train_samples=1, binarization="sampled")["test"]
    likelihoods = class_log_likelihoods(tiny_model, tokenizer, tokenizer.decode_images(test["text"][:])).numpy()
    prior = [3 / 57, *[6 / 57] * 9]
    mixtures = [
        -math.log(sum(share * math.exp(value - max(row)) for share, value in zip(prior, row, strict=True))) - max(row)
        for row in likelihoods
    ]
    assert found["unconditional_nats"]["value"] == pytest.approx(np.mean(mixtures))
    given = [-row[label] for row, label in zip(likelihoods, test["label"], strict=True)]
    assert found["conditional_nats"]["value"] == pytest.approx(np.mean(given))
    assert found["unconditional_nats"]["num_samples"] == 40
    low, high = found["unconditional_nats"]["interval"]
    assert low < np.mean(mixtures) < high


def test_a_folder_without_weights_is_refused(benchmarks, source, tmp_path):
    with pytest.raises(ValueError, match="allowed is a folder with the weights of a model"):
        benchmarks.literature.measure(source, tmp_path, cache=tmp_path)


def test_a_model_of_other_classes_or_sizes_is_refused(benchmarks, options, named_files, refusal_of):
    line = refusal_of(benchmarks, *options, "--model", named_files, "--parts", "samples")
    assert f"model is '{named_files}', of 12×12 pixels and the classes T-shirt/top, Ankle boot, Bag" in line
    assert "allowed is one of 30×30 and the ten digits" in line
    assert not (named_files / "quality.json").exists()
