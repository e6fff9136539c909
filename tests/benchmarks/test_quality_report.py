# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The report on the quality of the digits: the shipped figures beside pictures of real images."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import quality_report
from PIL import Image
from quality import RealImages, Samples

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.data import LabelledImages
from mnist_text_gen.publishing import hash_weights, read_quality, write_quality
from mnist_text_gen.tokenizer import binarize_images


DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = read_quality(SHIPPED_CHECKPOINT)
OF_DIVERSE = ("diverse", "variety", "diverse_copies", "frechet_gain")


@pytest.fixture
def write(mnist_5k, tokenizer, tiny_checkpoint, tmp_path):
    """Write the report of these sections, and read it."""
    images, labels = binarize_images(mnist_5k["train"].images), mnist_5k["train"].labels
    rows = np.stack([np.flatnonzero(labels == digit)[:64] for digit in range(10)], axis=1).ravel()
    texts = tokenizer.encode_images(images[rows], labels[rows])
    pool = Samples(texts, labels[rows], np.linspace(0.01, 0.99, 640, dtype=np.float32))
    test = LabelledImages(binarize_images(mnist_5k["test"].images), mnist_5k["test"].labels)
    real = RealImages(LabelledImages(images[-500:], labels[-500:]), test, test)

    def run(sections):
        write_quality(tiny_checkpoint, hash_weights(tiny_checkpoint), sections)
        quality_report.write_report(tiny_checkpoint, pool, real, tmp_path / "report")
        return (tmp_path / "report" / "quality.md").read_text()

    return run


def test_report_of_the_shipped_figures_is_the_shipped_report(write, tmp_path):
    text = write(SECTIONS)
    shipped = (DOCS / "quality.md").read_text().splitlines()
    others = [line for line in shipped if line not in text.splitlines()]
    # what depends on the weights and on the images beside them
    starts = ("Weights, by", "The first raw image", "The closest pair", "| nats |")
    assert len(others) == len(shipped) - len([line for line in shipped if line in text.splitlines()]) == 4
    assert all(line.startswith(start) for line, start in zip(others, starts, strict=True))
    assert "the nearest of 500 training images" in text and "among 640 raw images" in text
    pictures = re.findall(r"!\[([^\]]+)\]\((quality/\w+\.png)\)", text)
    assert {path.name for path in (tmp_path / "report/quality").iterdir()} == {Path(path).name for _, path in pictures}
    assert all(alternative.strip() for alternative, _ in pictures) and len(pictures) == 12
    for _, path in pictures:
        assert np.asarray(Image.open(tmp_path / "report" / path).convert("L")).std() > 5
        if Path(path).name in ("temperatures.png", "best_of_n.png", "calibration.png", "likelihood.png"):
            with Image.open(DOCS / path) as drawn, Image.open(tmp_path / "report" / path) as again:
                # other versions of matplotlib place letters differently
                size, limit = (1, 0) if drawn.info["Software"] == again.info["Software"] else (20, 50)
                patches = (np.asarray(plot.convert("L").reduce(size), np.int64) for plot in (drawn, again))
                assert abs(np.subtract(*patches)).max() <= limit, path


def test_section_that_is_missing_is_left_out_with_its_pictures_and_other_files_stay(write, tmp_path):
    (tmp_path / "report/quality").mkdir(parents=True)
    for name in ("likelihood.png", "notes.txt"):
        (tmp_path / "report/quality" / name).write_text("older")
    text = write({"validity": SECTIONS["validity"]})
    assert text.count("\n## ") == 7 and "\n## Validity without the grammar\n" in text
    assert text.count("| not measured |") == 10
    left = {path.name for path in (tmp_path / "report/quality").iterdir()}
    assert "likelihood.png" not in left
    assert {"raw.png", "closest.png", "notes.txt"} <= left


def test_whether_wanted_figures_are_met_follows_from_the_figures():
    unsure = ", within the interval"
    sections = copy.deepcopy(SECTIONS)
    sections["samples"]["0.8"]["diverse"] = copy.deepcopy(SECTIONS["samples"]["1"]["raw"])
    cells = quality_report.show_wanted(sections)
    assert [text.split(" | ")[-1] for name, text in cells.items() if name in OF_DIVERSE] == ["no", "yes", "yes", "yes"]
    assert [text.split(" | ")[-1] for name, text in cells.items() if name not in OF_DIVERSE] == [
        *("yes", "yes", f"yes{unsure}", "yes", f"yes{unsure}", f"no{unsure}")
    ]
    worse = copy.deepcopy(sections)
    for kind in ("raw", "best", "diverse"):
        worse["samples"]["0.8"][kind]["class_agreement"] |= {"class_agreement": 0.9, "interval": [0.89, 0.91]}
    worse["samples"]["1"]["raw"]["frechet_distance"] |= {"ratio": 3.0, "ratio_interval": [2.5, 3.5]}
    near = {"near_copy_rate": 0.02, "near_copy_interval": [0.017, 0.023]}
    for kind in ("raw", "diverse"):
        worse["samples"]["0.8"][kind]["diversity"]["generated"] |= near | {"pairwise_distance": 120.0}
    worse["samples"]["0.8"]["diverse"]["frechet_distance"] |= {"frechet_distance": 10.0}
    worse["accuracy_score"]["raw, temperature 1"] |= {"accuracy": 0.9, "interval": [0.894, 0.906]}
    worse["generation"]["classification"]["language_model"]["accuracy"] |= {"value": 0.95, "interval": [0.94, 0.96]}
    assert [cells.split(" | ")[-1] for cells in quality_report.show_wanted(worse).values()] == ["no"] * 10


def test_interval_of_a_difference_is_newcombes():
    # Newcombe 1998, Table II, (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339, from Wilson's intervals of the two
    first = quality_report.Found(80.0, [69.20, 87.69], 70)
    second = quality_report.Found(60.0, [49.04, 70.04], 80)
    found = quality_report.compare_shares(first, second)
    assert found.value == pytest.approx(20)
    assert found.interval == pytest.approx((5.24, 33.39), abs=0.02)


def test_too_few_samples_are_refused_and_nothing_is_written(tiny_checkpoint, tmp_path):
    pool = Samples(["0"] * 10, np.arange(10), np.ones(10))
    with pytest.raises(ValueError, match="`samples` must have 64 or more candidates of each digit, got 1"):
        quality_report.write_report(tiny_checkpoint, pool, None, tmp_path / "report")
    assert not (tmp_path / "report").exists()
