# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The report of `benchmarks/quality.py`: `quality.md` and its pictures, from `quality.json` beside the weights.

What no number says stands here as text, and has to be true of any weights; what a number says is worked out from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import quality_pictures as pictures
from sample_quality import NUM_CANDIDATES, NUM_CLASSES, RealImages, Samples, choose_best, choose_raw, choose_worst
from sklearn.metrics import pairwise_distances_argmin_min
from transformers import GPT2LMHeadModel

from mnist_text_gen.commands.training import load_weights
from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import hash_weights, read_quality
from mnist_text_gen.modeling.likelihood import symbol_nats
from mnist_text_gen.tokenizer import NUM_PIXEL_SYMBOLS, MnistTextTokenizer


REPORT_FILE = "quality.md"
PICTURES_FOLDER = "quality"

Sections = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A figure beside what is wanted of it; `interval` is one of 95 %."""

    value: float
    interval: Sequence[float] | None
    num_samples: int
    beside: str = ""


@dataclass(frozen=True)
class Wanted:
    """What issue 7 asks for: a bound, and where the figure is; one that nobody measured is `None`."""

    text: str
    bound: float
    at_least: bool
    find: Callable[[Sections], Found | None]
    scale: float = 100
    form: str = "{:.2f}"
    unit: str = " %"


def _find_agreement(temperature: str, kind: str) -> Callable[[Sections], Found | None]:
    def find(sections: Sections) -> Found | None:
        found = sections.get("samples", {}).get(temperature)
        if found is None:
            return None
        agreement = found[kind]["class_agreement"]
        return Found(agreement["class_agreement"], agreement["interval"], agreement["num_samples"])

    return find


def _find_frechet_ratio(sections: Sections) -> Found | None:
    found = sections.get("samples", {}).get("1")
    if found is None or found["raw"]["frechet_distance"]["ratio"] is None:
        return None
    distance = found["raw"]["frechet_distance"]
    beside = f", {distance['frechet_distance']:.4g} with a floor of {distance['floor']:.4g}"
    return Found(distance["ratio"], distance["ratio_interval"], distance["num_samples"], beside)


def _find_accuracy_loss(sections: Sections) -> Found | None:
    scores = sections.get("accuracy_score", {})
    real = next((each for name, each in scores.items() if name.endswith("real images")), None)
    drawn = scores.get("raw, temperature 1")
    return compare_shares(real, drawn, "accuracy") if real and drawn else None


def _find_near_copies(sections: Sections) -> Found | None:
    found = sections.get("samples", {}).get("0.8")
    if found is None:
        return None
    ours, test = (
        {
            "share": each["near_copy_rate"],
            "interval": each["near_copy_interval"],
            "num_samples": each["num_images"],
        }
        for each in (found["raw"]["diversity"]["generated"], found["raw"]["diversity"]["test"])
    )
    difference = compare_shares(ours, test, "share")
    # they are what the pipeline returns
    best = found["best"]["diversity"]["generated"]["near_copy_rate"] if "best" in found else None
    beside = "" if best is None else f"; of the best 8 of 64 {100 * best:.2f} %"
    return replace(difference, beside=difference.beside + beside)


def _find_generation_accuracy(sections: Sections) -> Found | None:
    if "generation" not in sections:
        return None
    accuracy = sections["generation"]["classification"]["language_model"]["accuracy"]
    return Found(accuracy["value"], accuracy["interval"], accuracy["num_samples"])


def compare_shares(first: dict[str, Any], second: dict[str, Any], name: str) -> Found:
    """The difference of two shares, with the interval that their own intervals give.

    It is that of Newcombe 1998 (Statistics in Medicine 17(8), 873-890, method 10), which takes the two for
    independent; where they are measured on the same images, it is rather too wide.
    """
    (low, high), (other_low, other_high) = first["interval"], second["interval"]
    value, other = first[name], second[name]
    interval = (
        value - other - float(np.hypot(value - low, other_high - other)),
        value - other + float(np.hypot(high - value, other - other_low)),
    )
    beside = f", {100 * value:.2f} % and {100 * other:.2f} %"
    return Found(value - other, interval, first["num_samples"], beside)


WANTED = (
    Wanted(
        "raw candidates at temperature 0.8 that the judge takes for their digit",
        0.98,
        True,
        _find_agreement("0.8", "raw"),
    ),
    Wanted("the best 8 of 64 at temperature 0.8, the same", 0.998, True, _find_agreement("0.8", "best")),
    Wanted(
        "Fréchet distance of raw images at temperature 1.0, in multiples of its floor",
        2,
        False,
        _find_frechet_ratio,
        scale=1,
        unit="",
    ),
    Wanted(
        "accuracy score: what a CNN trained on raw images at temperature 1.0 loses against one trained on real images",
        0.015,
        False,
        _find_accuracy_loss,
        unit=" points",
    ),
    Wanted(
        "near-copies of training images: raw images at temperature 0.8 less real test images",
        0,
        False,
        _find_near_copies,
        unit=" points",
    ),
    Wanted("test images that classification by generation gets right", 0.985, True, _find_generation_accuracy),
)


def write_report(model: Path, pool: Samples, real: RealImages, folder: Path) -> None:
    """Write `quality.md` and `quality/*.png`; a section that was not measured is left out.

    Args:
        model (`Path`): folder with the language model and its `quality.json`.
        pool (`Samples`): raw candidates in the order they were drawn in, the digits in turn, 64 or more of each.
        real (`RealImages`): the training images that stand beside them, and test images.
        folder (`Path`): where; all files appear, or none.

    Raises:
        ValueError: for fewer candidates, and a `quality.json` that is no such record.
    """
    counts = np.bincount(pool.labels, minlength=NUM_CLASSES)
    if counts.min() < NUM_CANDIDATES:
        raise ValueError(f"pool has {counts.min()} candidates of a digit; allowed are {NUM_CANDIDATES} and more")
    sections = read_quality(model)
    builders = {
        "judge": _build_judge,
        "samples": _build_samples,
        "best_of_n": _build_best_of_n,
        "validity": _build_validity,
        "calibration": _build_calibration,
        "accuracy_score": _build_accuracy_score,
        "likelihood": _build_likelihood,
        "literature": _build_literature,
        "generation": _build_generation,
    }
    with staged_folder(folder) as staging:
        target = staging / PICTURES_FOLDER
        target.mkdir()
        parts = [_build_head(model), _build_wanted(sections)]
        parts.append(_build_grids(pool, target))
        parts += [build(sections[name], target) for name, build in builders.items() if name in sections]
        parts += [_build_neighbours(pool, real.train, target), _build_surprise(model, real.test, target), _NOT_SHOWN]
        text = "\n\n".join(part.strip() for part in parts) + "\n"
        (staging / REPORT_FILE).write_text(text, encoding="utf-8")
        drawn = {path.name for path in target.iterdir()}
    # those of a section that is no longer there
    for path in (Path(folder) / PICTURES_FOLDER).glob("*.png"):
        if path.name not in drawn:
            path.unlink()


def _build_head(model: Path) -> str:
    hashes = ", ".join(f"`{path}` {value[:12]}" for path, value in hash_weights(model).items())
    return f"{_HEAD.strip()}\n\nWeights, by the first digits of their SHA-256: {hashes}."


def _build_wanted(sections: Sections) -> str:
    rows = []
    for wanted in WANTED:
        found = wanted.find(sections)

        def form(value: float, wanted: Wanted = wanted) -> str:
            return wanted.form.format(wanted.scale * value)

        bound = f"{'≥' if wanted.at_least else '≤'} {wanted.scale * wanted.bound:g}{wanted.unit}"
        if found is None:
            rows.append([wanted.text, bound, "not measured", "", "", ""])
            continue
        interval = f"{form(found.interval[0])} to {form(found.interval[1])}" if found.interval else "–"
        value = f"**{form(found.value)}{wanted.unit}**{found.beside}"
        rows.append([wanted.text, bound, value, interval, f"{found.num_samples:,}", judge(wanted, found)])
    table = _table(["", "wanted", "found", "95 % interval", "images", "met"], rows)
    return f"## Wanted and found\n\n{table}\n\n{_MET.strip()}"


def judge(wanted: Wanted, found: Found) -> str:
    """Whether a figure is within its bound, and whether its interval lets one be sure."""
    met = found.value >= wanted.bound if wanted.at_least else found.value <= wanted.bound
    unsure = found.interval is not None and found.interval[0] < wanted.bound < found.interval[1]
    return f"{'yes' if met else 'no'}{', within the interval' if unsure else ''}"


def _build_grids(pool: Samples, target: Path) -> str:
    raw = choose_raw(pool, NUM_CLASSES * 10)
    first = choose_raw(pool, NUM_CLASSES * NUM_CANDIDATES)
    pictures.save_grid(raw.take(np.argsort(raw.labels, kind="stable")), 10, target / "raw.png")
    pictures.save_grid(choose_best(first), 8, target / "best.png")
    pictures.save_grid(choose_worst(first), 8, target / "worst.png")
    return _GRIDS


def _build_judge(found: dict[str, Any], target: Path) -> str:
    accuracy = _show(found["class_agreement"], found["interval"], 100, 2, " %")
    return _JUDGE.format(accuracy=accuracy, num_samples=found["num_samples"])


def _build_samples(samples: dict[str, Any], target: Path) -> str:
    pictures.save_figure(pictures.draw_temperatures(samples), target / "temperatures.png")
    rows, diversity_rows = [], []
    for temperature, found in samples.items():
        for kind, name in (("raw", "raw"), ("best", "best 8 of 64")):
            agreement, distance = found[kind]["class_agreement"], found[kind]["frechet_distance"]
            rows.append(
                [
                    f"{temperature}, {name}",
                    f"{agreement['num_samples']:,}",
                    _show(agreement["class_agreement"], agreement["interval"], 100, 2, " %"),
                    f"{distance['num_samples']:,}",
                    _show(distance["frechet_distance"], distance["interval"], 1, 3),
                    _show(distance["floor"], distance["floor_interval"], 1, 3),
                    _show(distance["ratio"], distance["ratio_interval"], 1, 2),
                ]
            )
            diversity_rows.append(
                [f"{temperature}, {name}", *_describe_diversity(found[kind]["diversity"]["generated"])]
            )
    first = next(iter(samples.values()))["raw"]
    diversity_rows.append(["real test images", *_describe_diversity(first["diversity"]["test"])])
    head = ["temperature", "images", "judge agrees", "images compared", "Fréchet distance", "floor", "ratio"]
    diversity_head = ["temperature", "images", "nearest, mean", "nearest, median", "near-copies", "exact copies"]
    text = _SAMPLES.format(
        table=_table(head, rows),
        copy_distance=first["diversity"]["copy_distance"],
        diversity=_table([*diversity_head, "repeated", "pairwise"], diversity_rows),
    )
    return f"{text.strip()}\n\n{_build_digits(*next(iter(samples.items())))}"


def _describe_diversity(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['num_images']:,}",
        f"{found['nearest_distance_mean']:.1f}",
        f"{found['nearest_distance_median']:g}",
        _show(found["near_copy_rate"], found["near_copy_interval"], 100, 2, " %"),
        _show(found["exact_copy_rate"], found["exact_copy_interval"], 100, 2, " %"),
        f"{100 * found['repeated_rate']:.2f} %",
        f"{found['pairwise_distance']:.1f}",
    ]


def _build_digits(temperature: str, found: dict[str, Any]) -> str:
    rows = []
    for digit in range(NUM_CLASSES):
        row = [f"**{digit}**"]
        for kind in ("raw", "best"):
            each = found[kind]["class_agreement"]["per_class"][digit]
            row += [f"{each['num_samples']:,}", _show(each["class_agreement"], each["interval"], 100, 2, " %")]
        counts = found["raw"]["class_agreement"]["confusion"][digit]
        rows.append(
            [*row, *(f"**{count:,}**" if other == digit else f"{count:,}" for other, count in enumerate(counts))]
        )
    head = ["digit", "raw", "judge agrees", "best 8 of 64", "judge agrees", *map(str, range(NUM_CLASSES))]
    return _DIGITS.format(temperature=temperature, table=_table(head, rows)).strip()


def _build_best_of_n(results: Sequence[dict[str, Any]], target: Path) -> str:
    pictures.save_figure(pictures.draw_best_of_n(results), target / "best_of_n.png")
    rows = []
    for found in results:
        agreement, distance, diversity = found["class_agreement"], found["frechet_distance"], found["diversity"]
        rows.append(
            [
                str(found["num_candidates"]),
                f"{found['num_samples']:,}",
                _show(agreement["class_agreement"], agreement["interval"], 100, 2, " %"),
                _show(distance["ratio"], distance["ratio_interval"], 1, 2),
                f"{diversity['generated']['pairwise_distance']:.1f}",
                _show(
                    diversity["generated"]["near_copy_rate"],
                    diversity["generated"]["near_copy_interval"],
                    100,
                    2,
                    " %",
                ),
            ]
        )
    head = ["candidates", "images", "judge agrees", "Fréchet distance / floor", "pairwise", "near-copies"]
    return _BEST_OF_N.format(table=_table(head, rows))


def _build_validity(results: dict[str, Any], target: Path) -> str:
    errors = list(dict.fromkeys(name for found in results.values() for name in found["errors"]))
    rows = [
        [
            temperature,
            f"{found['num_samples']:,}",
            _show(found["validity"], found["interval"], 100, 2, " %"),
            *(f"{found['errors'].get(name, 0):,}" for name in errors),
        ]
        for temperature, found in results.items()
    ]
    head = ["temperature", "texts", "valid", *(name.replace("_", " ") for name in errors)]
    return _VALIDITY.format(table=_table(head, rows))


def _build_calibration(results: dict[str, Any], target: Path) -> str:
    pictures.save_figure(pictures.draw_reliability(results), target / "calibration.png")
    rows = []
    for name, found in results.items():
        confidence, share = (
            sum(each["num_samples"] * each[key] for each in found["bins"]) / found["num_samples"]
            for key in ("confidence", "share")
        )
        rows.append(
            [
                name,
                f"{found['num_samples']:,}",
                f"{found['calibration_error']:.4f}",
                f"{100 * confidence:.2f} %",
                f"{100 * share:.2f} %",
            ]
        )
    head = ["", "images", "expected calibration error", "mean confidence", "right"]
    return _CALIBRATION.format(table=_table(head, rows))


def _build_accuracy_score(results: dict[str, Any], target: Path) -> str:
    rows = [
        [
            name,
            f"{found['num_train_samples']:,}",
            _show(found["accuracy"], found["interval"], 100, 2, " %"),
            ", ".join(f"{100 * accuracy:.2f}" for accuracy in found["accuracies"]),
            f"{found['num_samples']:,}",
        ]
        for name, found in results.items()
    ]
    head = ["trained on", "training images", "right", "each training", "test images"]
    return _ACCURACY_SCORE.format(table=_table(head, rows))


def _build_likelihood(found: dict[str, Any], target: Path) -> str:
    pictures.save_figure(pictures.draw_likelihood(found["rows"]), target / "likelihood.png")
    rows = []
    for name, row in sorted(found["rows"].items(), key=lambda item: item[1]["nats_per_image"]):
        seconds, tokens = row.get("train_seconds"), row.get("num_tokens")
        rows.append(
            [
                name,
                _show(row["nats_per_image"], row["interval"], 1, 2),
                f"{row['bits_per_pixel']:.4f}",
                f"{row['num_parameters']:,}",
                "–" if tokens is None else f"{tokens:,}",
                "–" if seconds is None else f"{seconds:,.0f}",
                row.get("hardware") or (found["clock"] if "choice" in row else "–"),
            ]
        )
    head = ["model", "nats an image", "bits a pixel", "parameters", "training tokens", "training seconds", "of what"]
    return _LIKELIHOOD.format(
        num_samples=found["num_samples"], num_train_samples=found["num_train_samples"], table=_table(head, rows)
    )


def _build_literature(found: dict[str, Any], target: Path) -> str:
    rows = [
        (row["nats"], [row["model"], f"{row['nats']:.2f}", row["binarization"], row["source"]])
        for row in found["published"]
    ]
    ours = found["unconditional_nats"]
    shown = _show(ours["value"], ours.get("interval"), 1, 2)
    rows.append(
        (ours["value"], ["**this text form**", f"**{shown}**", "dynamic", f"here, {ours['num_samples']:,} images"])
    )
    given = found["conditional_nats"]
    return _LITERATURE.format(
        table=_table(
            ["model", "nats an image", "binarisation", "who"], [row for _, row in sorted(rows, key=lambda row: row[0])]
        ),
        conditional=_show(given["value"], given.get("interval"), 1, 2),
        num_samples=given["num_samples"],
        dtype=found["dtype"],
        training="; then ".join(stage["description"] for stage in found["training"]) or "not recorded",
    )


def _build_generation(found: dict[str, Any], target: Path) -> str:
    classification = found["classification"]
    rows = []
    for key, name in (("language_model", "the language model, by Bayes' rule"), ("classifier", "the reranking CNN")):
        each = classification[key]
        rows.append(
            [
                name,
                _show(each["accuracy"]["value"], each["accuracy"]["interval"], 100, 2, " %"),
                _show(each["label_nats"]["value"], each["label_nats"].get("interval"), 1, 4),
                f"{each['calibration_error']['value']:.4f}",
                f"{each['accuracy']['num_samples']:,}",
            ]
        )
    detection = []
    for name in dict.fromkeys([*found["nats"], *found["detection"]]):
        nats, area = found["nats"].get(name), found["detection"].get(name)
        detection.append(
            [
                name,
                f"{(nats or area)['num_samples']:,}",
                _show(nats["value"], nats.get("interval"), 1, 1) if nats else "",
                _show(area["value"], area["interval"], 1, 4) if area else "",
            ]
        )
    comparison = classification["comparison"]
    return _GENERATION.format(
        dtype=found["dtype"],
        table=_table(["", "right", "nats of the label", "expected calibration error", "images"], rows),
        comparison=f"Right are both on {comparison['both']:,} images, only the language model on "
        f"{comparison['only_language_model']:,}, only the CNN on {comparison['only_classifier']:,}, neither on "
        f"{comparison['neither']:,}; McNemar's exact p is {comparison['mcnemar_p']:.3g}.",
        detection=_table(["images", "number", "nats, −log p(x)", "AUROC"], detection),
    )


def _build_neighbours(pool: Samples, train: LabelledImages, target: Path) -> str:
    drawn = pool.images
    # on {0, 1} the squared distance is the number of pixels that differ
    nearest, distances = pairwise_distances_argmin_min(
        drawn.reshape(len(drawn), -1).astype(np.float32),
        train.images.reshape(len(train.images), -1).astype(np.float32),
        metric="sqeuclidean",
    )
    of_digits = [np.flatnonzero(pool.labels == digit) for digit in range(NUM_CLASSES)]
    firsts = np.array([rows[0] for rows in of_digits])
    # of each digit, for the closest of all would be ones
    closest = np.array([rows[np.rint(distances[rows]).argmin()] for rows in of_digits])
    for name, chosen in (("neighbours", firsts), ("closest", closest)):
        figure = pictures.draw_neighbours(drawn[chosen], train.images[nearest[chosen]])
        pictures.save_figure(figure, target / f"{name}.png")
    return _NEIGHBOURS.format(num_images=len(drawn), num_train=len(train.images))


def _build_surprise(model: Path, test: LabelledImages, target: Path) -> str:
    tokenizer = MnistTextTokenizer()
    rows = np.array([np.flatnonzero(test.labels == digit)[0] for digit in np.unique(test.labels)])
    chosen = LabelledImages(test.images[rows], test.labels[rows])
    input_ids = tokenizer(tokenizer.encode_images(*chosen), return_tensors="pt")["input_ids"]
    nats = symbol_nats(load_weights(GPT2LMHeadModel, str(model)), input_ids)[:, :NUM_PIXEL_SYMBOLS].numpy()
    pictures.save_figure(pictures.draw_surprise(chosen, nats), target / "surprise.png")
    totals = [f"{total:.1f}" for total in nats.sum(axis=1)]
    return _SURPRISE.format(table=_table(["digit", *map(str, chosen.labels)], [["nats", *totals]]))


def _show(value: float | None, interval: Sequence[float] | None, scale: float, decimals: int, unit: str = "") -> str:
    """A figure with its interval of 95 % in brackets; a dash for one that there isn't."""
    if value is None:
        return "–"
    shown = f"{scale * value:.{decimals}f}{unit}"
    if interval is None:
        return shown
    return f"{shown} ({scale * interval[0]:.{decimals}f} to {scale * interval[1]:.{decimals}f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_HEAD = """
# How good the digits are

Written by `python benchmarks/quality.py --source MNIST` from `quality.json`, which lies beside the weights; changes by
hand go with the next run. `MNIST` is anything that [`load_images`](../corpus/sources.py) takes, and `--help` says what
else can be given. The command measures, keeps each section in `quality.json`, and writes this page and its pictures;
with `--parts` it measures only some sections anew. The model card reads the same file.

Numbers in brackets are intervals of 95 %. *The judge* is a CNN of
[`recipes/classifier_judge.yaml`](../recipes/classifier_judge.yaml): it neither ranks nor shares weights with the one
that does. *Raw* are candidates as they come, all of them; *best 8 of 64* are those to which the reranking CNN gives
the most probability of the wanted digit. Where nothing else is said, candidates are drawn at the first temperature
that the command was given, 0.8 by default.
"""

_MET = """
"Met" goes by the figure itself; "within the interval" says that its interval holds the bound, so that another sample
may fall on the other side. The interval of a difference is Newcombe's (1998, method 10), which takes both sides for
independent.
"""

_GRIDS = """
## What is drawn

The first ten candidates of each digit, a digit a row, with no selection. Beneath each stands the probability that the
reranking CNN gives the wanted digit.

![A grid of ten rows and ten columns: the first ten raw images of each digit from 0 to 9](quality/raw.png)

The best 8 of the first 64 candidates of each digit, best first:

![A grid of ten rows and eight columns: the eight images of each digit that were ranked best](quality/best.png)

The worst 8 of the same 64, worst first:

![A grid of ten rows and eight columns: the eight images of each digit that were ranked worst](quality/worst.png)
"""

_JUDGE = """
## The judge

Of {num_samples:,} real test images, which it has not seen, the judge takes {accuracy} for their digit. So what it
refuses of drawn images is in part its own mistake.
"""

_SAMPLES = """
## Samples by temperature

![Five plots against temperature, raw candidates as filled circles and the best 8 of 64 as hollow squares, real \
test images as a dotted line: agreement, Fréchet distance over its floor, distance to the nearest training image, \
near-copies, pairwise distance](quality/temperatures.png)

{table}

The Fréchet distance is between the judge's features of as many drawn and real test images; the floor is the same
distance between the test images and as many other real images, so a ratio of 1 is as near as real images are to
each other. Distance and floor both grow where fewer images are compared, so their ratio compares only between rows
with the same number. Its intervals are those of a jackknife.

Distances in pixels that differ, of 900, to the nearest training image and between two images of one digit
(pairwise). A near-copy is at most {copy_distance} pixels from a training image: so near are about 1 % of the real
test images. "Repeated" are images that occur more than once among themselves.

{diversity}
"""

_DIGITS = """
### Which digits

At temperature {temperature}. The columns 0 to 9 say what the judge takes the raw images for.

{table}
"""

_BEST_OF_N = """
## What reranking buys and costs

![Two plots against the number of candidates on a logarithmic axis: agreement, and pairwise distance beside that of \
real test images](quality/best_of_n.png)

The best 8 of the first n candidates of each 64. Of n = 8 all are taken, so that row is of raw candidates.

{table}
"""

_VALIDITY = """
## Validity without the grammar

The pipeline lets only pixels, and then the end, be drawn, so each of its texts is an image. Here all 75 symbols
may come at every place. Each invalid text is counted once, under its first error.

{table}
"""

_CALIBRATION = """
## Calibration of the reranking CNN

![Reliability: share of right against mean confidence, a line for each row of the table with its own marker, and \
below the number of images in each bin on a logarithmic axis](quality/calibration.png)

On test images: its largest probability, with the logits as they are and divided by 0.8 as for ranking, against the
share that is right. On raw candidates: the probability of the wanted digit against the share for which the judge
agrees. Bins are of equal width. The error is that of Guo et al. 2017 (equation 5), which has no simple interval:
it is above 0 even for a calibrated classifier, the more so the fewer images there are. A point of few images says
little.

{table}
"""

_ACCURACY_SCORE = """
## Accuracy score

A small CNN is trained on drawn images alone, and tested on real ones (Ravuri and Vinyals 2019). What the images
lack in quality or variety, it can't know. The figure is the mean of several trainings with other seeds, the
interval that of the chance in the test images.

{table}
"""

_LIKELIHOOD = """
## Likelihood

![Nats an image of each model with intervals, best on top; language models are filled circles, baselines hollow \
squares](quality/likelihood.png)

Nats of {num_samples:,} test images, fewer are better. All models are given the class, but for the plain "symbol at
each position". The baselines are fitted to {num_train_samples:,} training images; of several settings that was taken
which does best on the last tenth of them. The specification's recipe was not trained for as long as this model:
what it reaches in up to half an hour of one core, beside ours, stands in
[README](../README.md#how-fast-it-trains).

{table}
"""

_LITERATURE = """
## Beside the literature

MNIST with pixels drawn with their grey value for probability, 28×28 in a blank border, and the unconditional
figure −log Σ_y p(y) p(x | y). "Dynamic" draws the pixels of training images anew in each epoch, "static" takes
them from a fixed draw. Intervals of the published figures are not known; their test set has 10,000 images.

{table}

Given the class, this model's figure is {conditional}, {num_samples:,} images, computed in {dtype}. Its training:
{training}. It is another model than that of the rest of this page, with the same text form, trained on sampled
pixels.
"""

_GENERATION = """
## Classification by generation

p(y | x) from the likelihoods of a test image under each of the ten digits, all digits equally likely beforehand,
beside the reranking CNN on the same binary images; computed in {dtype}.

{table}

{comparison}

log p(x) as a detector: AUROC is how often a test digit has more of it than an image of the other kind; 0.5 is a
coin's.

{detection}
"""

_NEIGHBOURS = """
## Nearest training images

The first raw image of each digit, the nearest of {num_train:,} training images, and where they differ: a filled
square is ink only in the drawn image, a cross is ink only in the training image, grey is ink in both.

![Ten pairs of a drawn image and its nearest training image, each with a map of the pixels that \
differ](quality/neighbours.png)

The closest pair of each digit among {num_images:,} raw images:

![Ten closest pairs of a drawn and a training image, each with a map of the pixels that differ](quality/closest.png)
"""

_SURPRISE = """
## Surprise of real images

The first test image of each digit, and the nats of each symbol spread evenly over its six pixels: dark is what the
model did not expect. The thin line is the outline of the digit. Summed over the map, without the end symbol:

{table}

![Each image beside a map of its nats; dark is surprising](quality/surprise.png)
"""

_NOT_SHOWN = """
## What the figures don't show

The judge and the reranking CNN are both CNNs that learned from MNIST, so their mistakes are related, and an image
that misleads one may mislead the other. Agreement says nothing about beauty: a digit can be ugly and clear. The
Fréchet distance sees the means and covariances of one network's features, and nothing else; it depends on the
number of images, so it compares only at the same number. The distance in pixels doesn't see a copy that is shifted
or a little thicker. The likelihood depends on how pixels are made binary: figures of rounded and of sampled pixels
do not compare. A model can have a good likelihood and draw poorly, and the other way round. All intervals hold the
chance of sampling alone, for one training run: another seed gives other weights, and how far their figures lie
apart was not measured. Nothing here says anything of handwriting other than MNIST's.
"""
