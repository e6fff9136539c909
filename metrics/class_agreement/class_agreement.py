# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Share of images that a classifier assigns to the wanted class, with exact intervals, per class, and as a table."""

from numbers import Integral, Real

import datasets
import evaluate
import numpy as np
from scipy.stats import binomtest


_DESCRIPTION = """
Share of generated images that a classifier assigns to the wanted class, with an exact binomial interval, in total and
per class, and the confusion table of wanted and assigned classes.
"""

_CITATION = """
@article{clopper1934use,
  title={The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial},
  author={Clopper, C. J. and Pearson, E. S.},
  journal={Biometrika},
  volume={26},
  number={4},
  pages={404--413},
  year={1934}
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of int, 0 to num_classes - 1): the class that the classifier assigns to each image.
    references (list of int, 0 to num_classes - 1): the wanted class of each image.
    num_classes (int, defaults to 10): number of classes.
    confidence_level (float, defaults to 0.95): level of the intervals, above 0 and below 1.

Returns:
    class_agreement (float): share of images that the classifier assigns to the wanted class, in [0, 1].
    interval (list of 2 float): exact interval of that share (Clopper and Pearson, 1934).
    num_samples (int): number of images.
    per_class (list of num_classes dict): class_agreement, interval and num_samples for the images of each wanted
        class; for a class without images, the first two are None.
    confusion (list of num_classes lists of num_classes int): number of images, with one row per wanted class and one
        column per assigned class.

Raises:
    ValueError: if there are no images, references are not as many as predictions, a class is not an integer from 0 to
        num_classes - 1, or num_classes or confidence_level is out of range.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/class_agreement")
    >>> result = metric.compute(predictions=[3, 3, 8, 7], references=[3, 3, 3, 7])
    >>> result["class_agreement"], result["confusion"][3][8]
    (0.75, 1)
"""


class ClassAgreement(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                # with integers, evaluate would silently cut a probability of 0.9 to 0
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def add_batch(self, **inputs):
        """Add classes for `compute`."""  # evaluate adds more to this docstring
        # evaluate would silently turn True and "1" into 1
        for name in ("predictions", "references"):
            check_numbers(name, inputs.get(name))
        super().add_batch(**inputs)

    def _compute(self, predictions, references, num_classes=10, confidence_level=0.95):
        if not isinstance(num_classes, Integral) or isinstance(num_classes, bool) or num_classes < 1:
            raise ValueError(f"`num_classes` must be an integer of 1 or more, got {num_classes!r}")
        if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
            raise ValueError(f"`confidence_level` must be a number above 0 and below 1, got {confidence_level!r}")
        if not predictions:
            raise ValueError("`predictions` must have 1 class or more, got none")
        taken_for = _check_classes(predictions, num_classes, "predictions")
        wanted = _check_classes(references, num_classes, "references")
        confusion = np.bincount(wanted * num_classes + taken_for, minlength=num_classes**2)
        confusion = confusion.reshape(num_classes, num_classes)
        agreed, totals = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
        return {
            **_summarize(sum(agreed), sum(totals), confidence_level),
            "per_class": [_summarize(*counts, confidence_level) for counts in zip(agreed, totals, strict=True)],
            "confusion": confusion.tolist(),
        }


def check_numbers(name, values):
    """Raise a ValueError for the first value that is not a number."""
    for index, value in enumerate(np.asarray(values, dtype=object).flat):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise ValueError(f"`{name}[{index}]` must be a whole number, got {value!r}")


def _check_classes(classes: list[float], num_classes: int, name: str) -> np.ndarray:
    classes = np.asarray(classes, dtype=np.float64)
    wrong = np.flatnonzero(~((classes >= 0) & (classes < num_classes) & (classes == np.floor(classes))))
    if wrong.size:
        raise ValueError(
            f"`{name}[{wrong[0]}]` must be an integer from 0 to {num_classes - 1}, got {classes[wrong[0]]:g}"
        )
    return classes.astype(np.int64)


def _summarize(num_agreed: int, num_samples: int, confidence_level: float) -> dict:
    if not num_samples:
        return {"class_agreement": None, "interval": None, "num_samples": 0}
    interval = binomtest(num_agreed, num_samples).proportion_ci(confidence_level, method="exact")
    return {
        "class_agreement": num_agreed / num_samples,
        "interval": [float(bound) for bound in interval],
        "num_samples": num_samples,
    }
