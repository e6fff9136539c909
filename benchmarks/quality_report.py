# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Write docs/quality.md and its pictures: `python benchmarks/quality_report.py --source MNIST`

`quality_report.md` is the template. Its figures and tables come from `quality.json`, which `benchmarks/quality.py`
writes beside the weights. Sections that were not measured are left out. The pictures of drawn digits come from
`--samples`, where `benchmarks/quality.py` keeps its samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import quality_pictures as pictures
from quality import NUM_CANDIDATES, NUM_CLASSES, RealImages, Samples
from sklearn.metrics import pairwise_distances_argmin_min
from transformers import GPT2LMHeadModel
from transformers.hf_argparser import HfArg

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.data import LabelledImages
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import load_weights, symbol_nats
from mnist_text_gen.publishing import hash_weights, read_quality
from mnist_text_gen.tokenizer import NUM_PIXEL_SYMBOLS, MnistTextTokenizer


PROG = "quality_report.py"
FOLDER = Path(__file__).parent
REPORT_FILE, PICTURES_FOLDER = "quality.md", "quality"


@dataclass
class ReportArguments:
    """What the report is written from."""

    source: str = HfArg(help="MNIST; see mnist_text_gen.data.load_images.")
    model: str = HfArg(default=str(SHIPPED_CHECKPOINT), help="Folder with the weights and quality.json.")
    samples: str = HfArg(default="runs/quality/samples-0.8", help="Folder of the samples of benchmarks/quality.py.")
    num_images: int = HfArg(default=10_000, help="Raw images whose nearest training images are found.")
    num_train_samples: int = HfArg(default=10_000, help="Number of first training images.")
    output_dir: str = HfArg(default=str(FOLDER.parent / "docs"), help="Folder of quality.md and its pictures.")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([ReportArguments], argv, PROG, __doc__)
    real = RealImages.load(args.source, args.num_train_samples, 1)
    pool = Samples.read(Path(args.samples)).raw(max(args.num_images, NUM_CLASSES * NUM_CANDIDATES))
    write_report(Path(args.model), pool, real, Path(args.output_dir))


def write_report(model: Path, pool: Samples, real: RealImages, folder: Path) -> None:
    """Write `quality.md` and `quality/*.png` into `folder`, all files or none."""
    smallest = np.bincount(pool.labels, minlength=NUM_CLASSES).min()
    if smallest < NUM_CANDIDATES:
        raise ValueError(f"`samples` must have {NUM_CANDIDATES} or more candidates of each digit, got {smallest}")
    sections = read_quality(model)
    hashes = ", ".join(f"`{path}` {value[:12]}" for path, value in hash_weights(model).items())
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.globals |= {each.__name__: each for each in (show, percent, show_figure, number, mean_of_bins)}
    environment.globals |= {"kind_names": pictures.KINDS | {"raw": "raw"}}
    environment.filters["first_value"] = lambda found: next(iter(found.values()))
    template = environment.from_string((FOLDER / "quality_report.md").read_text(encoding="utf-8"))
    with staged_folder(folder) as staging:
        target = staging / PICTURES_FOLDER
        target.mkdir()
        draw_plots(sections, target)
        draw_grids(pool, target)
        draw_neighbours(pool, real.train, target)
        text = template.render(
            sections,
            weights=hashes,
            wanted=show_wanted(sections),
            num_images=len(pool.texts),
            num_train=len(real.train.labels),
            surprise=draw_surprise(model, real.test, target),
        )
        (staging / REPORT_FILE).write_text(text, encoding="utf-8")
        drawn = {path.name for path in target.iterdir()}
    # remove pictures of sections that are no longer there
    for path in (folder / PICTURES_FOLDER).glob("*.png"):
        if path.name not in drawn:
            path.unlink()


def draw_plots(sections: dict[str, Any], target: Path) -> None:
    plots = {
        "samples": ("temperatures.png", pictures.draw_temperatures),
        "best_of_n": ("best_of_n.png", pictures.draw_best_of_n),
        "calibration": ("calibration.png", pictures.draw_reliability),
        "synthetic_data": ("synthetic_data.png", pictures.draw_synthetic_data),
        "likelihood": ("likelihood.png", pictures.draw_likelihood),
    }
    for name, (file, draw) in plots.items():
        if name in sections:
            pictures.save_figure(draw(sections[name]), target / file)


def draw_grids(pool: Samples, target: Path) -> None:
    first, few = pool.raw(NUM_CLASSES * NUM_CANDIDATES), pool.raw(NUM_CLASSES * 10)
    pictures.save_grid(few.take(np.argsort(few.labels, kind="stable")), 10, target / "raw.png")
    pictures.save_grid(first.best(), 8, target / "best.png")
    pictures.save_grid(first.diverse(), 8, target / "diverse.png")
    pictures.save_grid(first.worst(), 8, target / "worst.png")


def show(value: float, interval: Sequence[float] | None, decimals: int, unit: str = "") -> str:
    """A figure with its 95 % interval in brackets, if there is one."""
    shown = f"{value:.{decimals}f}{unit}"
    return f"{shown} ({interval[0]:.{decimals}f} to {interval[1]:.{decimals}f})" if interval else shown


def percent(share: float, interval: Sequence[float] = ()) -> str:
    return show(100 * share, [100 * bound for bound in interval], 2, " %")


def show_figure(figure: dict[str, Any], decimals: int) -> str:
    return show(figure["value"], figure.get("interval"), decimals)


def number(value: float) -> str:
    return f"{value:,.0f}"


def mean_of_bins(found: dict[str, Any], key: str) -> float:
    return sum(each["num_samples"] * each[key] for each in found["bins"]) / found["num_samples"]


class Found(NamedTuple):
    """A figure in the unit in which it is shown, and more text (`beside`) after it."""

    value: float
    interval: Sequence[float]
    num_samples: int
    beside: str = ""


def find_share(found: dict[str, Any], *path: str) -> Found:
    *parts, name = path
    found = reduce(dict.__getitem__, parts, found)
    return Found(100 * found[name], [100 * bound for bound in found["interval"]], found["num_samples"])


def find_frechet_ratio(sections: dict[str, Any]) -> Found:
    found = sections["samples"]["1"]["raw"]["frechet_distance"]
    beside = f", {found['frechet_distance']:.4g} with a floor of {found['floor']:.4g}"
    return Found(found["ratio"], found["ratio_interval"], found["num_samples"], beside)


def find_accuracy_loss(sections: dict[str, Any]) -> Found:
    scores = sections["accuracy_score"]
    real = next(each for name, each in scores.items() if name.endswith("real images"))
    return compare_shares(find_share(real, "accuracy"), find_share(scores["raw, temperature 1"], "accuracy"))


def find_near_copies(sections: dict[str, Any], kind: str) -> Found:
    shares = []
    for found in map(sections["samples"]["0.8"][kind]["diversity"].get, ("generated", "test")):
        interval = [100 * bound for bound in found["near_copy_interval"]]
        shares.append(Found(100 * found["near_copy_rate"], interval, found["num_images"]))
    return compare_shares(*shares)


def find_variety(sections: dict[str, Any]) -> Found:
    found = sections["samples"]["0.8"]["diverse"]["diversity"]
    ours, test = (found[name]["pairwise_distance"] for name in ("generated", "test"))
    return Found(ours - test, [], found["generated"]["num_images"], f", {ours:.1f} and {test:.1f}")


def find_frechet_gain(sections: dict[str, Any]) -> Found:
    best, diverse = (sections["samples"]["0.8"][kind]["frechet_distance"] for kind in ("best", "diverse"))
    distances = [each["frechet_distance"] for each in (best, diverse)]
    return Found(distances[0] / distances[1], [], best["num_samples"], f", {distances[0]:.2f} and {distances[1]:.2f}")


def compare_shares(first: Found, second: Found) -> Found:
    """The difference of two shares, with its interval by Newcombe 1998 (Statistics in Medicine 17(8), method 10).

    The interval assumes that the shares are independent. If both are measured on the same images, it is too wide.
    """
    (low, high), (other_low, other_high) = first.interval, second.interval
    difference = first.value - second.value
    interval = (
        difference - float(np.hypot(first.value - low, other_high - second.value)),
        difference + float(np.hypot(high - first.value, second.value - other_low)),
    )
    return Found(difference, interval, first.num_samples, f", {first.value:.2f} % and {second.value:.2f} %")


RAW, BEST, DIVERSE = (("samples", "0.8", kind, "class_agreement", "class_agreement") for kind in pictures.KINDS)
BAYES = ("generation", "classification", "language_model", "accuracy", "value")
# The bound, whether it is a lower bound, the unit, the section and part that are needed, and the figure.
WANTED: dict[str, tuple[float, bool, str, tuple[str, ...], Callable[[Any], Found]]] = {
    "raw": (98, True, " %", ("samples", "0.8"), lambda s: find_share(s, *RAW)),
    "best": (99.8, True, " %", ("samples", "0.8"), lambda s: find_share(s, *BEST)),
    "diverse": (99.8, True, " %", ("samples", "0.8", "diverse"), lambda s: find_share(s, *DIVERSE)),
    "variety": (-3, True, " pixels", ("samples", "0.8", "diverse"), find_variety),
    "diverse_copies": (0.3, False, " points", ("samples", "0.8", "diverse"), lambda s: find_near_copies(s, "diverse")),
    "frechet_gain": (4, True, "", ("samples", "0.8", "diverse"), find_frechet_gain),
    "frechet_distance": (2, False, "", ("samples", "1"), find_frechet_ratio),
    "accuracy_score": (1.5, False, " points", ("accuracy_score", "raw, temperature 1"), find_accuracy_loss),
    "near_copies": (0, False, " points", ("samples", "0.8"), lambda s: find_near_copies(s, "raw")),
    "generation": (98.5, True, " %", ("generation", "classification"), lambda s: find_share(s, *BAYES)),
}


def show_wanted(sections: dict[str, Any]) -> dict[str, str]:
    """The cells of the table of wanted and measured figures."""
    cells = {}
    for name, (bound, at_least, unit, path, find) in WANTED.items():
        cells[name] = f"{'≥' if at_least else '≤'} {bound:g}{unit} | "
        if reduce(lambda found, part: found.get(part, {}), path, sections) == {}:
            cells[name] += "not measured |  |  | "
            continue
        found = find(sections)
        met = found.value >= bound if at_least else found.value <= bound
        low, high = found.interval or (bound, bound)
        verdict = f"{'yes' if met else 'no'}{', within the interval' if low < bound < high else ''}"
        interval = f"{low:.2f} to {high:.2f}" if found.interval else ""
        cells[name] += f"**{found.value:.2f}{unit}**{found.beside} | {interval} | "
        cells[name] += f"{number(found.num_samples)} | {verdict}"
    return cells


def draw_neighbours(pool: Samples, train: LabelledImages, target: Path) -> None:
    """The nearest training images of the first and of the closest raw image of each digit."""
    drawn = pool.images
    # for values {0, 1} the squared distance is the number of pixels that differ
    nearest, distances = pairwise_distances_argmin_min(
        drawn.reshape(len(drawn), -1).astype(np.float32),
        train.images.reshape(len(train.images), -1).astype(np.float32),
        metric="sqeuclidean",
    )
    of_digits = [np.flatnonzero(pool.labels == digit) for digit in range(NUM_CLASSES)]
    firsts = np.array([rows[0] for rows in of_digits])
    # per digit, because the closest of all images would be ones
    closest = np.array([rows[np.rint(distances[rows]).argmin()] for rows in of_digits])
    for name, chosen in (("neighbours", firsts), ("closest", closest)):
        figure = pictures.draw_neighbours(drawn[chosen], train.images[nearest[chosen]])
        pictures.save_figure(figure, target / f"{name}.png")


def draw_surprise(model: Path, test: LabelledImages, target: Path) -> dict[int, float]:
    """Draw the nats of the first test image of each digit, and return their sums."""
    tokenizer = MnistTextTokenizer()
    rows = np.array([np.flatnonzero(test.labels == digit)[0] for digit in np.unique(test.labels)])
    chosen = LabelledImages(test.images[rows], test.labels[rows])
    input_ids = tokenizer(tokenizer.encode_images(*chosen), return_tensors="pt")["input_ids"]
    nats = symbol_nats(load_weights(GPT2LMHeadModel, str(model)), input_ids)[:, :NUM_PIXEL_SYMBOLS].numpy()
    pictures.save_figure(pictures.draw_surprise(chosen, nats), target / "surprise.png")
    return dict(zip(chosen.labels.tolist(), nats.sum(axis=1).tolist(), strict=True))


if __name__ == "__main__":
    main()
