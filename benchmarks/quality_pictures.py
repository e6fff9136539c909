# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Plots and pictures of `docs/quality.md`, which `python benchmarks/quality_report.py --source MNIST` writes.

Lines and points differ in shape, style and filling, not only in colour.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image
from quality import Samples

from mnist_text_gen.data import LabelledImages
from mnist_text_gen.drawing import draw_grid, format_score


# The style of raw images and of each selection in every plot.
STYLES = {
    "raw": {"color": "black", "marker": "o", "linestyle": "-"},
    "best": {"color": "tab:red", "marker": "s", "linestyle": "--", "markerfacecolor": "white"},
    "diverse": {"color": "tab:blue", "marker": "^", "linestyle": "-.", "markerfacecolor": "white"},
}
KINDS = {"raw": "raw candidates", "best": "best 8 of 64", "diverse": "diverse 8 of 64"}
TEST_STYLE = {"color": "0.45", "linestyle": ":", "linewidth": 1.6}


def save_figure(figure: Figure, path: Path) -> None:
    figure.savefig(path)  # with the version of matplotlib: another one places letters differently


def save_grid(samples: Samples, num_columns: int, path: Path) -> None:
    images = [Image.fromarray(image * np.uint8(255)) for image in samples.images]
    draw_grid(images, [format_score(score) for score in samples.scores], num_columns).save(path, optimize=True)


def draw_temperatures(samples: dict[str, Any]) -> Figure:
    """Five figures by temperature, for raw images, each selection and real test images."""
    figure, axes = _make_panels(2, 3, (10, 6))
    measured = [name for name in STYLES if all(name in each for each in samples.values())]
    for name in measured:
        found = {float(key): _list_figures(each[name]) for key, each in sorted(samples.items())}
        for panel, column in zip(axes, zip(*found.values(), strict=True), strict=False):
            _draw_line(panel, list(found), column, STYLES[name])
    test = next(iter(samples.values()))["raw"]["diversity"]["test"]
    axes[1].axhline(1, **TEST_STYLE)
    for panel, value in ((axes[2], "nearest_distance_mean"), (axes[4], "pairwise_distance")):
        panel.axhline(test[value], **TEST_STYLE)
    axes[3].axhline(100 * test["near_copy_rate"], **TEST_STYLE)
    axes[3].axhspan(*_scale(test["near_copy_interval"], 100), color="0.9", zorder=0)
    titles = (
        "judge agrees, %",
        "Fréchet distance / floor",
        "pixels to the nearest training image",
        "near-copies, %",
        "pixels between two images of a digit",
    )
    for panel, title in zip(axes, titles, strict=False):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("temperature")
        panel.set_xticks([float(temperature) for temperature in sorted(samples)])
        # otherwise a line of the test images at the edge would be hidden by the frame
        panel.margins(y=0.12)
    for label, style in [*((KINDS[name], STYLES[name]) for name in measured), ("real test images", TEST_STYLE)]:
        axes[5].plot([], [], label=label, **style)
    axes[5].legend(loc="center", frameon=False, fontsize=11)
    axes[5].axis("off")
    return figure


def _list_figures(found: dict[str, Any]) -> list[tuple[float, Sequence[float] | None]]:
    agreement, distance = found["class_agreement"], found["frechet_distance"]
    generated = found["diversity"]["generated"]
    return [
        (100 * agreement["class_agreement"], _scale(agreement["interval"], 100)),
        (distance["ratio"], distance["ratio_interval"]),
        (generated["nearest_distance_mean"], None),
        (100 * generated["near_copy_rate"], _scale(generated["near_copy_interval"], 100)),
        (generated["pairwise_distance"], None),
    ]


def draw_best_of_n(results: Sequence[dict[str, Any]]) -> Figure:
    """Agreement and pairwise distance by number of candidates."""
    figure, (left, right) = _make_panels(1, 2, (8, 3.6))
    numbers = [each["num_candidates"] for each in results]
    agreement, _, _, _, pairwise = zip(*map(_list_figures, results), strict=True)
    right.axhline(results[0]["diversity"]["test"]["pairwise_distance"], label="real test images", **TEST_STYLE)
    titles = ("judge agrees, %", "pixels between two images of a digit")
    for panel, column, title in zip((left, right), (agreement, pairwise), titles, strict=True):
        _draw_line(panel, numbers, column, STYLES["raw"])
        panel.set_title(title, fontsize=10)
        panel.set_xscale("log", base=2)
        panel.set_xticks(numbers, [str(number) for number in numbers])
        panel.set_xlabel("candidates, of which the best 8 are taken")
    right.legend(frameon=False)
    return figure


def draw_reliability(calibration: dict[str, Any]) -> Figure:
    """Share of right answers by mean confidence, with the sizes of the bins below."""
    figure, (upper, lower) = _make_panels(2, 1, (6, 6.4), sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], **TEST_STYLE)
    for style, (name, found) in zip(STYLES.values(), calibration.items(), strict=True):
        confidence = [each["confidence"] for each in found["bins"]]
        label = f"{name}: error {found['calibration_error']:.4f}"
        upper.plot(confidence, [each["share"] for each in found["bins"]], label=label, **style)
        lower.plot(confidence, [each["num_samples"] for each in found["bins"]], **style)
    upper.set_ylabel("share that is right")
    upper.legend(fontsize=9)
    lower.set(ylabel="images in the bin", yscale="log", xlabel="mean confidence of the bin")
    return figure


def draw_synthetic_data(found: dict[str, Any]) -> Figure:
    """Accuracy on real images by number of drawn ones: alone on the left, together with real ones on the right."""
    figure, panels = _make_panels(1, 2, (9, 4), sharey=True)
    rows, min_scores = found["rows"], sorted({row["min_score"] for row in found["rows"]})
    titles = {"alone": "drawn images alone", "beside_real": "drawn and real images"}
    for panel, (way, title) in zip(panels, titles.items(), strict=True):
        for min_score, style in zip(min_scores, STYLES.values(), strict=False):
            kept = [row for row in rows if row["min_score"] == min_score]
            column = [(100 * row[way]["accuracy"], _scale(row[way]["interval"], 100)) for row in kept]
            label = f"score of {min_score:g} or more"
            _draw_line(panel, [row["num_images"] for row in kept], column, {**style, "label": label})
        panel.axhline(100 * found["real"]["accuracy"], label="real images alone", **TEST_STYLE)
        panel.set(title=title, xlabel="drawn images")
    panels[0].set_ylabel("real test images that are right, %")
    panels[1].legend(frameon=False)
    return figure


def draw_likelihood(found: dict[str, Any]) -> Figure:
    """Nats per image with their intervals, best on top. The language model is filled, baselines are hollow."""
    rows = found["rows"]
    figure, (axes,) = _make_panels(1, 1, (8, 1.3 + 0.42 * len(rows)))
    ranked = sorted(rows.items(), key=lambda row: -row[1]["nats_per_image"])
    for place, (_, row) in enumerate(ranked):
        value, (low, high) = row["nats_per_image"], row["interval"]
        filling = {"marker": "s", "markerfacecolor": "white"} if "choice" in row else {"marker": "o"}
        style = {"color": "black", "capsize": 5, "markersize": 4, **filling}
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], **style)
        where = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
        axes.annotate(f"{value:.2f}", (value, place), fontsize=9, **where)
    axes.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    axes.set(ylim=(-0.6, len(ranked) - 0.3), xlabel="nats per image (● language model, □ baseline)")
    axes.margins(x=0.08)
    axes.grid(visible=False, axis="y")
    return figure


def draw_neighbours(drawn: np.ndarray, nearest: np.ndarray) -> Figure:
    """Drawn images and their nearest training images, both uint8 `[N, 30, 30]` in {0, 1}, and their differences."""
    num_rows = -(-len(drawn) // 2)
    figure, panels = _make_panels(num_rows, 6, (9, 1.62 * num_rows))
    for index, (ours, theirs) in enumerate(zip(drawn, nearest, strict=True)):
        left, middle, right = panels[3 * index : 3 * index + 3]
        _show_image(left, ours, "drawn")
        _show_image(middle, theirs, "training")
        _show_image(right, 1 - 0.3 * (ours & theirs), f"{int((ours != theirs).sum())} differ", is_framed=True)
        for mask, style in ((ours > theirs, {"marker": "s"}), (theirs > ours, {"marker": "x", "linewidths": 0.8})):
            rows, columns = np.nonzero(mask)
            right.scatter(columns, rows, s=7, color="black", **style)
    return figure


def draw_surprise(images: LabelledImages, nats: np.ndarray) -> Figure:
    """Images in {0, 1}, and maps of their nats `[N, 150]`, each symbol's spread evenly over its six pixels."""
    pixels_per_symbol = images.images[0].size // nats.shape[1]
    maps = (np.repeat(nats, pixels_per_symbol, axis=1) / pixels_per_symbol).reshape(images.images.shape)
    num_rows = -(-len(maps) // 2)
    figure, panels = _make_panels(num_rows, 4, (8, 1.85 * num_rows))
    for index, (image, label, values) in enumerate(zip(*images, maps, strict=True)):
        left, right = panels[2 * index : 2 * index + 2]
        _show_image(left, image, f"a {label}")
        style = {"cmap": "gray_r", "vmax": maps.max()}
        drawn = _show_image(right, values, f"{values.sum():.1f} nats", is_framed=True, **style)
        right.contour(image, levels=[0.5], colors="tab:blue", linewidths=0.6)
    figure.colorbar(drawn, ax=panels.tolist(), label="nats per pixel: a sixth of its symbol's", shrink=0.6)
    return figure


def _make_panels(num_rows: int, num_columns: int, size: tuple[float, float], **options) -> tuple[Figure, np.ndarray]:
    """A figure, and its panels in one row, each with a light grid."""
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False, **options).ravel()
    for panel in panels:
        panel.grid(color="0.92")
    return figure, panels


def _show_image(axes: Axes, image: np.ndarray, title: str, is_framed: bool = False, **style) -> AxesImage:
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    if is_framed:
        axes.add_patch(Rectangle((-0.5, -0.5), 30, 30, fill=False, edgecolor="0.6", linewidth=0.8))
    return axes.imshow(image, **{"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest", **style})


def _draw_line(axes: Axes, x: Sequence[float], column: Sequence[tuple], style: dict[str, Any]) -> None:
    """Draw values with their intervals, if they have any."""
    values = np.array([value for value, _ in column])
    bounds = np.array([interval or (value, value) for value, (_, interval) in zip(values, column, strict=True)])
    margins = np.maximum(np.stack([values - bounds[:, 0], bounds[:, 1] - values]), 0)
    axes.errorbar(x, values, yerr=margins, capsize=3, **style)


def _scale(interval: Sequence[float], factor: float) -> list[float]:
    return [factor * bound for bound in interval]
