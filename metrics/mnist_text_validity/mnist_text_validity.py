# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Share of texts that are valid images of their class digit, with the kinds of error."""

import datasets
import evaluate
import numpy as np
from scipy.stats import binomtest

from .tokenization_mnist_text import CLASS_SYMBOLS, END_SYMBOL, NUM_PIXEL_SYMBOLS, PIXEL_SYMBOLS, TEXT_LENGTH


_DESCRIPTION = """
Share of texts that are valid images of their class digit: the digit, 150 pixel symbols, `)`, and nothing else. Each
other text counts for the first error in reading order.
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
    predictions (list of str): texts.
    references (list of int, 0 to 9): the class digit that was wanted of each text.

Returns:
    validity (float): share of texts that are valid images of their class digit, in [0, 1].
    interval (list of 2 float): exact 95 % interval of that share (Clopper and Pearson, 1934).
    num_samples (int): number of texts.
    errors (dict of str to int): number of texts for each kind of error; with the valid ones they are all texts.

Raises:
    ValueError: for no texts, another number of references than texts, a text that is None, and a reference that is no
        integer from 0 to 9.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/mnist_text_validity")
    >>> blank = ":" * 150
    >>> result = metric.compute(predictions=[f"5{blank})", f"0{blank}"], references=[5, 0])
    >>> result["validity"], result["errors"]["cut_short"]
    (0.5, 1)
"""

# in reading order
ERRORS = (
    "no_class_digit",
    "wrong_class_digit",
    "misplaced_symbol",
    "early_end",
    "cut_short",
    "missing_end",
    "text_after_end",
)


def find_error(text: str, label: int) -> str | None:
    """Name the first error of a text in reading order.

    Args:
        text (`str`): the text.
        label (`int`): the class that was wanted, 0 to 9.

    Returns:
        `str` or `None`: one of `ERRORS`, or `None` for a valid image of the class.
    """
    if text[:1] not in tuple(CLASS_SYMBOLS):
        return "no_class_digit"
    if text[0] != CLASS_SYMBOLS[label]:
        return "wrong_class_digit"
    for symbol in text[1 : 1 + NUM_PIXEL_SYMBOLS]:
        if symbol not in PIXEL_SYMBOLS:
            return "early_end" if symbol == END_SYMBOL else "misplaced_symbol"
    if len(text) < TEXT_LENGTH:
        return "cut_short"
    if text[TEXT_LENGTH - 1] != END_SYMBOL:
        return "missing_end"
    return "text_after_end" if len(text) > TEXT_LENGTH else None


class MnistTextValidity(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                # evaluate would cut 0.9 to the integer 0 and say nothing
                {"predictions": datasets.Value("string"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions, references):
        if not predictions:
            raise ValueError("predictions are 0 texts; allowed is 1 and more")
        for index, text in enumerate(predictions):
            if text is None:
                raise ValueError(f"predictions[{index}] is None; allowed is a str")
        labels = np.asarray(references, dtype=np.float64)  # None becomes NaN
        wrong = np.flatnonzero(~np.isin(labels, range(len(CLASS_SYMBOLS))))
        if wrong.size:
            raise ValueError(f"references[{wrong[0]}] is {labels[wrong[0]]:g}; allowed are the integers 0 to 9")
        found = [find_error(text, int(label)) for text, label in zip(predictions, labels, strict=True)]
        num_valid = found.count(None)
        interval = binomtest(num_valid, len(found)).proportion_ci(confidence_level=0.95, method="exact")
        return {
            "validity": num_valid / len(found),
            "interval": [float(bound) for bound in interval],
            "num_samples": len(found),
            "errors": {error: found.count(error) for error in ERRORS},
        }
