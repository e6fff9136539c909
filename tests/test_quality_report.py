# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The report on the quality of the digits: figures of a made-up quality.json, pictures of real images."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.modeling import hash_weights, write_quality
from mnist_text_gen.tokenizer import binarize_images


ROOT = Path(__file__).parents[1]


def share(name, value, n):
    h = 1.96 * (value * (1 - value) / n) ** 0.5 + 1 / n
    return {name: value, "interval": [max(0, value - h), min(1, value + h)], "num_samples": n}


def make(n, agree, near, pair, ratio):
    test = {
        "num_images": 10000,
        "nearest_distance_mean": 60.0,
        "nearest_distance_median": 59.0,
        "near_copy_rate": 0.0101,
        "near_copy_interval": [0.0082, 0.0123],
        "exact_copy_rate": 0.0,
        "exact_copy_interval": [0.0, 0.0004],
        "repeated_rate": 0.0,
        "pairwise_distance": 120.0,
        "pairwise_distance_per_class": {},
    }
    return {
        "num_samples": n,
        "class_agreement": {
            **share("class_agreement", agree, n),
            "per_class": [share("class_agreement", agree, n // 10) for _ in range(10)],
            "confusion": [
                [round(n / 10 * agree) if i == j else (1 if (i + j) % 4 == 0 else 0) for j in range(10)]
                for i in range(10)
            ],
        },
        "frechet_distance": {
            "frechet_distance": 0.01 * ratio,
            "interval": [0.009 * ratio, 0.011 * ratio],
            "floor": 0.01,
            "floor_interval": [0.008, 0.012],
            "ratio": ratio,
            "ratio_interval": [ratio * 0.8, ratio * 1.2],
            "num_samples": n,
        },
        "diversity": {
            "copy_distance": 14,
            "generated": {
                **test,
                "num_images": n,
                "nearest_distance_mean": near,
                "near_copy_rate": 0.007,
                "near_copy_interval": [0.006, 0.0085],
                "pairwise_distance": pair,
            },
            "test": test,
        },
    }


def fig(v, n, h):
    return {"value": v, "num_samples": n, "interval": [v - h, v + h]}


def cal(n):
    return {
        "num_samples": n,
        "calibration_error": 0.0123,
        "bins": [
            {
                "num_samples": max(1, n // 2 ** (15 - i)),
                "confidence": (i + 0.5) / 15,
                "share": min(1, (i + 0.5) / 15 * (0.9 + 0.01 * (i % 3))),
            }
            for i in range(15)
        ],
    }


def sections():
    S = {"judge": {**share("class_agreement", 0.9912, 10000), "per_class": [], "confusion": []}}
    S["samples"] = {
        k: {"raw": make(10000, a, b, c, d), "best": make(10000, min(1, a + 0.012), b - 8, c - 12, d + 2.5)}
        for k, a, b, c, d in (("0.8", 0.987, 55, 108, 3.1), ("0.6", 0.995, 45, 90, 8.0), ("1", 0.962, 66, 121, 1.8))
    }
    S["best_of_n"] = [
        {"num_candidates": n, **make(10000, a, 50, c, 3.0)}
        for n, a, c in ((8, 0.987, 108), (16, 0.995, 103), (32, 0.998, 100), (64, 0.999, 96))
    ]
    S["validity"] = {
        k: {
            **share("validity", a, 2560),
            "errors": {
                "no_class_digit": 0,
                "wrong_class_digit": 0,
                "misplaced_symbol": 3,
                "early_end": 1,
                "cut_short": 0,
                "missing_end": 2,
                "text_after_end": 0,
            },
        }
        for k, a in (("0.8", 0.998), ("1", 0.99))
    }
    S["calibration"] = {
        k: cal(n)
        for k, n in (
            ("test images", 10000),
            ("test images, logits / 0.8", 10000),
            ("raw candidates, logits / 0.8", 80000),
        )
    }
    S["accuracy_score"] = {
        k: {**share("accuracy", a, 10000), "num_train_samples": 10000, "accuracies": [a - 0.001, a, a + 0.001]}
        for k, a in (
            ("10,000 real images", 0.985),
            ("raw, temperature 0.8", 0.972),
            ("raw, temperature 1", 0.974),
            ("best 8 of 64, temperature 0.8", 0.95),
        )
    }
    lm = {
        "num_steps": 5008,
        "num_tokens": 24358912,
        "hardware": "2 CPU cores",
        "train_seconds": 3780.0,
        "num_parameters": 6376704,
    }
    bl = {"choice": {}, "num_parameters": 9600, "train_seconds": 12.0, "held_out_nats": 1.0, "choosing_seconds": 9.0}
    S["likelihood"] = {
        "dataset": "ylecun/mnist",
        "num_train_samples": 10000,
        "num_samples": 10000,
        "confidence": 0.95,
        "clock": "seconds of one core",
        "rows": {
            k: {"nats_per_image": v, "interval": [v - 0.6, v + 0.6], "bits_per_pixel": v / 624, **r}
            for k, v, r in (
                ("this model", 55.78, lm),
                ("the specification", 90.0, {**lm, "train_seconds": None}),
                ("empirical symbols", 206.0, bl),
                ("logistic regression", 102.0, bl),
                ("small PixelCNN", 68.0, bl),
            )
        },
    }
    S["literature"] = {
        "unconditional_nats": fig(84.2, 10000, 0.4),
        "conditional_nats": fig(83.1, 10000, 0.4),
        "dtype": "bfloat16",
        "training": [{"description": "60,000 images, sampled"}],
        "published": [
            {"model": "LMConv", "nats": 77.56, "binarization": "dynamic", "source": "Jain et al. 2020"},
            {"model": "MADE", "nats": 84.87, "binarization": "dynamic", "source": "somebody"},
        ],
    }

    def clf(a):
        return {
            "accuracy": fig(a, 10000, 0.002),
            "label_nats": fig(0.04, 10000, 0.004),
            "calibration_error": {"value": 0.004, "num_samples": 10000, "num_bins": 15},
            "confusion": [],
        }

    S["generation"] = {
        "weights": {},
        "dataset": "ylecun/mnist",
        "dtype": "float32",
        "prior": "uniform",
        "seed": 0,
        "classification": {
            "language_model": clf(0.9862),
            "classifier": clf(0.9945),
            "comparison": {
                "both": 9840,
                "only_language_model": 22,
                "only_classifier": 105,
                "neither": 33,
                "mcnemar_p": 1e-12,
            },
        },
        "nats": {
            "test digits": fig(57.0, 10000, 0.4),
            "noise, as much ink": fig(900.0, 1000, 3.0),
            "a blank image": {"value": 40.0, "num_samples": 1},
        },
        "detection": {
            "noise, as much ink": {**fig(1.0, 1000, 0.0), "num_digits": 10000},
            "a blank image": {**fig(0.01, 1, 0.002), "num_digits": 10000},
            "digits turned by 180°, without 0, 1, 8": {**fig(0.87, 700, 0.01), "num_digits": 7000},
        },
    }
    return S


HEADINGS = {
    "judge": "## The judge",
    "samples": "## Samples by temperature",
    "best_of_n": "## What reranking buys and costs",
    "validity": "## Validity without the grammar",
    "calibration": "## Calibration of the reranking CNN",
    "accuracy_score": "## Accuracy score",
    "likelihood": "## Likelihood",
    "literature": "## Beside the literature",
    "generation": "## Classification by generation",
}


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import quality_report
    import sample_quality

    return SimpleNamespace(report=quality_report, samples=sample_quality)


@pytest.fixture
def write(benchmarks, mnist_5k, tokenizer, tiny_checkpoint, tmp_path):
    """Write the report of these sections, and read it."""
    images, labels = mnist_5k["train"]
    images = binarize_images(images)
    rows = np.stack([np.flatnonzero(labels == digit)[:64] for digit in range(10)], axis=1).ravel()
    texts = tokenizer.encode_images(images[rows], labels[rows])
    pool = benchmarks.samples.Samples(texts, labels[rows], np.linspace(0.01, 0.99, 640, dtype=np.float32))
    test = LabelledImages(binarize_images(mnist_5k["test"].images), mnist_5k["test"].labels)
    real = benchmarks.samples.RealImages(LabelledImages(images[-500:], labels[-500:]), test, test)

    def run(found, folder="report"):
        write_quality(tiny_checkpoint, hash_weights(tiny_checkpoint), found)
        benchmarks.report.write_report(tiny_checkpoint, pool, real, tmp_path / folder)
        return (tmp_path / folder / "quality.md").read_text()

    return run


def test_report_has_every_section_with_its_figures_and_the_same_bytes_again(write, tmp_path):
    text = write(sections())
    for heading in HEADINGS.values():
        assert f"\n{heading}\n" in text
    assert "| ≥ 98 % | **98.70 %** | 98.47 to 98.93 | 10,000 | yes |" in text
    assert "the judge takes 99.12 % (98.93 to 99.31) for their digit" in text
    assert "| 0.8, raw | 10,000 | 98.70 % (98.47 to 98.93) |" in text
    assert "| this model | 55.78 (55.18 to 56.38) |" in text
    assert "| **this text form** | **84.20 (83.80 to 84.60)** | dynamic | here, 10,000 images |" in text
    pictures = re.findall(r"!\[([^\]]+)\]\((quality/\w+\.png)\)", text)
    assert {path.name for path in (tmp_path / "report/quality").iterdir()} == {Path(path).name for _, path in pictures}
    assert all(alternative.strip() for alternative, _ in pictures) and len(pictures) == 10
    for _, path in pictures:
        assert np.asarray(Image.open(tmp_path / "report" / path).convert("L")).std() > 5
        assert (tmp_path / "report" / path).stat().st_size < 150_000
    assert write(sections(), "again") == text
    for _, path in pictures:
        assert (tmp_path / "again" / path).read_bytes() == (tmp_path / "report" / path).read_bytes()


def test_pictures_of_a_section_that_is_gone_go_and_other_files_stay(write, tmp_path):
    write(sections())
    (tmp_path / "report/quality/notes.txt").write_text("mine")
    write({"validity": sections()["validity"]})
    left = {path.name for path in (tmp_path / "report/quality").iterdir()}
    assert "likelihood.png" not in left and "temperatures.png" not in left
    assert {"raw.png", "closest.png", "notes.txt"} <= left


def test_section_that_is_missing_is_left_out_with_its_heading(write):
    text = write({"validity": sections()["validity"]})
    assert HEADINGS["validity"] in text
    assert not any(heading in text for name, heading in HEADINGS.items() if name != "validity")
    assert text.count("| not measured |") == 6


def test_neighbours_are_of_the_first_and_of_the_closest_raw_image_of_each_digit(write, monkeypatch, mnist_5k):
    import quality_pictures

    calls, draw = [], quality_pictures.draw_neighbours
    monkeypatch.setattr(quality_pictures, "draw_neighbours", lambda *pairs: calls.append(pairs) or draw(*pairs))
    write({})
    images, labels = mnist_5k["train"]
    images = binarize_images(images)
    train, (firsts, closest) = images[-500:], calls
    for digit in range(10):
        drawn = images[np.flatnonzero(labels == digit)[:64]]
        distances = np.array([[(ours != theirs).sum() for theirs in train] for ours in drawn])
        assert np.array_equal(firsts[0][digit], drawn[0])
        assert np.array_equal(firsts[1][digit], train[distances[0].argmin()])
        best = distances.min(axis=1).argmin()
        assert np.array_equal(closest[0][digit], drawn[best])
        assert np.array_equal(closest[1][digit], train[distances[best].argmin()])


def wanted_rows(report, found):
    return [line for line in report._build_wanted(found).splitlines() if re.match(r"\| [^|]+\| [≥≤]", line)]


def test_whether_wanted_figures_are_met_follows_from_the_figures(benchmarks):
    rows = wanted_rows(benchmarks.report, sections())
    met = [row.split(" | ")[-1].removesuffix(" |") for row in rows]
    unsure = "yes, within the interval"
    assert met == ["yes", "yes", unsure, unsure, "yes", unsure]
    assert "0.70 % and 1.01 %; of the best 8 of 64 0.70 % |" in rows[4]
    worse = sections()
    worse["samples"] = {
        "0.8": {"raw": make(10000, 0.9, 50, 100, 3.0), "best": make(10000, 0.9, 50, 100, 3.0)},
        "1": {"raw": make(10000, 0.9, 50, 100, 3.0)},
    }
    worse["samples"]["0.8"]["raw"]["diversity"]["generated"] |= {
        "near_copy_rate": 0.02,
        "near_copy_interval": [0.017, 0.023],
    }
    worse["accuracy_score"]["raw, temperature 1"] = share("accuracy", 0.9, 10000)
    worse["generation"]["classification"]["language_model"]["accuracy"] = fig(0.95, 10000, 0.01)
    assert [row.split(" | ")[-1] for row in wanted_rows(benchmarks.report, worse)] == ["no |"] * 6


def test_interval_of_a_difference_is_newcombes(benchmarks):
    # Newcombe 1998, Table II, (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339, from Wilson's intervals of the two
    first = {"share": 56 / 70, "interval": [0.6920, 0.8769], "num_samples": 70}
    second = {"share": 48 / 80, "interval": [0.4904, 0.7004], "num_samples": 80}
    found = benchmarks.report.compare_shares(first, second, "share")
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_pool_that_is_too_small_is_refused_and_nothing_is_written(benchmarks, tiny_checkpoint, tmp_path):
    pool = benchmarks.samples.Samples(["0"] * 10, np.arange(10), np.ones(10))
    with pytest.raises(ValueError, match="pool has 1 candidates of a digit; allowed are 64 and more"):
        benchmarks.report.write_report(tiny_checkpoint, pool, None, tmp_path / "report")
    assert not (tmp_path / "report").exists()
