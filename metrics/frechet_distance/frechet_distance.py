# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Fréchet distance between features of generated and real images, with the floor between two sets of real images."""

from numbers import Integral

import datasets
import evaluate
import numpy as np
import torch
from scipy import stats
from torchmetrics.image.fid import FrechetInceptionDistance


_DESCRIPTION = """
Fréchet distance between Gaussians that are fitted to features of generated and of real images, and its floor, the
distance between two disjoint sets of real images.
"""

_CITATION = """
@inproceedings{heusel2017gans,
  title={{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium},
  author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp},
  booktitle={Advances in Neural Information Processing Systems},
  volume={30},
  year={2017},
  eprint={1706.08500}
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of list of float, or array [N, D]): features of the generated images, N above 1; kept in float32.
    references (list of list of float, or array [N, D]): features of as many real images.
    floor_references (list of list of float, or array [N, D], *optional*): features of as many other real images.
    num_folds (int, defaults to 0): folds of the jackknife, 2 to N / 2; 20 is a good choice. 0 gives no intervals.
    seed (int, defaults to 0): seed of the permutation that assigns images to folds, 0 or more.

Returns:
    frechet_distance (float): squared distance between the Gaussians of predictions and references, 0 or more: equation
        6 of Heusel et al., 2017 (arXiv:1706.08500); the formula is from Dowson and Landau, 1982.
    floor (float or None): the distance between references and floor_references; None without the latter.
    ratio (float or None): frechet_distance / floor; None without floor_references, or if the floor is 0.
    interval, floor_interval, ratio_interval (list of two floats, or None): 95 % intervals of the three for this N;
        None if num_folds is 0.
    num_samples (int): N.

Raises:
    ValueError: if a set is not [N, D] with N above 1 and D above 0, contains NaN or infinity, or has another shape
        than the others; floor_references are the same images as references; num_folds is neither 0 nor from 2 to
        N / 2; or seed is not an integer of 0 or more.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/frechet_distance")
    >>> metric.compute(predictions=[[0.0], [2.0]], references=[[3.0], [5.0]])["frechet_distance"]
    9.0
"""


class FrechetDistance(evaluate.Metric):
    def _info(self):
        # these are columns of one table, so evaluate itself raises an error for different numbers of rows
        features = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": features, "references": features}),
        )

    def _compute(self, predictions, references, floor_references=None, num_folds=0, seed=0):
        sets = {"predictions": predictions, "references": references}
        if floor_references is not None:
            sets["floor_references"] = floor_references
        sets = check_features(sets)
        num_samples = len(sets["predictions"])
        is_integer = isinstance(num_folds, Integral) and not isinstance(num_folds, bool)
        if not is_integer or num_folds not in (0, *range(2, num_samples // 2 + 1)):
            raise ValueError(f"`num_folds` must be 0, or from 2 to half of the {num_samples} images, got {num_folds}")
        if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"`seed` must be an integer of 0 or more, got {seed!r}")
        results = compare(**sets)
        intervals = jackknife_intervals(sets, results, num_folds, seed) if num_folds else dict.fromkeys(results)
        return {
            "frechet_distance": results["frechet_distance"],
            "interval": intervals["frechet_distance"],
            "floor": results["floor"],
            "floor_interval": intervals["floor"],
            "ratio": results["ratio"],
            "ratio_interval": intervals["ratio"],
            "num_samples": num_samples,
        }


def check_features(sets):
    """The sets as float64 arrays of one shape [N, D], or a ValueError that names the set and the row."""
    checked = {}
    for name, features in sets.items():
        try:
            # all in float32, because evaluate stores two of the three in float32
            features = np.asarray(features, dtype=np.float32).astype(np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(f"`{name}` must be numbers of shape [N, D], got an error: {error}") from error
        if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
            raise ValueError(
                f"`{name}` must have shape [N, D] with N above 1 and D above 0, got {list(features.shape)}"
            )
        bad_rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if bad_rows.size:
            raise ValueError(f"`{name}` must be finite, got NaN or infinity in row {bad_rows[0]}")
        checked[name] = features
        shape = checked["predictions"].shape
        if features.shape != shape:
            raise ValueError(
                f"`{name}` must have the shape of `predictions`, {list(shape)}, got {list(features.shape)}"
            )
    if "floor_references" in checked:
        rows, floor_rows = (sorted(map(bytes, checked[name])) for name in ("references", "floor_references"))
        if rows == floor_rows:
            raise ValueError("`floor_references` must be other real images than `references`, got the same")
    return checked


def compare(predictions, references, floor_references=None):
    """The distance and, if `floor_references` are given, the floor and the ratio of the two."""
    distance = frechet_distance(predictions, references)
    if floor_references is None:
        return {"frechet_distance": distance, "floor": None, "ratio": None}
    floor = frechet_distance(floor_references, references)
    return {"frechet_distance": distance, "floor": floor, "ratio": distance / floor if floor else None}


def frechet_distance(predictions, references):
    """Squared Fréchet distance between the Gaussians fitted to two sets, float64 `[N, D]` and `[M, D]`."""
    # torchmetrics sums square roots of eigenvalues. So a singular covariance, from a feature that is always 0, is no
    # special case, as it is for scipy's sqrtm. Its sums of squares lose digits if the mean is large, so centre first.
    origin = references.mean(axis=0)
    features = torch.nn.Identity()
    features.num_features = references.shape[1]
    distance = FrechetInceptionDistance(feature=features)
    distance.update(torch.from_numpy(references - origin), real=True)
    distance.update(torch.from_numpy(predictions - origin), real=False)
    # rounding can put the distance of equal sets below 0
    return max(0.0, distance.compute().item())


def jackknife_intervals(sets, results, num_folds, seed):
    """95 % intervals by the delete-a-group jackknife (Kott, 2001, Journal of Official Statistics 17(4), 521-526).

    They are intervals of the expected distance for this number of images, which is above the true distance by about
    c / N (Chong and Forsyth, 2020, arXiv:1911.07023). The bootstrap, which draws rows with replacement, adds that bias
    a second time, so near the floor its whole interval is above the estimate. Leaving out a fold shifts all replicates
    by the same bias, which their spread about their own mean does not contain. If the two distributions are nearly the
    same, the interval is about 1.4 times too wide; on average the jackknife errs on that side (Efron and Stein, 1981,
    Annals of Statistics 9(3)).
    """
    num_samples = len(sets["predictions"])
    folds = np.array_split(np.random.default_rng(seed).permutation(num_samples), num_folds)
    replicates = [compare(**{name: np.delete(rows, fold, axis=0) for name, rows in sets.items()}) for fold in folds]
    quantile = stats.t.ppf(0.975, num_folds - 1)
    intervals = {}
    for name, value in results.items():
        values = [replicate[name] for replicate in replicates]
        if value is None or None in values:
            intervals[name] = None
            continue
        margin = quantile * np.sqrt((num_folds - 1) * np.var(values))
        intervals[name] = [max(0.0, float(value - margin)), float(value + margin)]
    return intervals
