# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Share of texts that are valid images of their class digit, with the kinds of error."""

from numbers import Integral, Real

import datasets
import evaluate
import numpy as np
from scipy.stats import binomtest


_DESCRIPTION = """
Share of texts that are valid images of their class digit: the digit, the pixel symbols (150 for 30×30 pixels), `)`,
and nothing else. For each other text, its first error is counted.
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
    references (list of int, 0 to 9): the wanted class digit of each text.
    image_size (int, defaults to 30): height and width of the images: 6, 12, 18, 24, 30, 36, 42 or 48. A text has
        image_size² / 6 pixel symbols.

Returns:
    validity (float): share of texts that are valid images of their class digit, in [0, 1].
    interval (list of 2 float): exact 95 % interval of that share (Clopper and Pearson, 1934).
    num_samples (int): number of texts.
    errors (dict of str to int): number of texts with each kind of error; errors and valid texts add up to num_samples.

Raises:
    ValueError: if there are no texts, references are not as many as texts, a text is not a str, a reference is not an
        integer from 0 to 9, or image_size is not allowed.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/mnist_text_validity")
    >>> blank = ":" * 150
    >>> result = metric.compute(predictions=[f"5{blank})", f"0{blank}"], references=[5, 0])
    >>> result["validity"], result["errors"]["cut_short"]
    (0.5, 1)
"""

# the text form, as in the tokenizer of mnist-text-gen
CLASS_SYMBOLS = "0123456789"
PIXEL_SYMBOLS = "".join(map(chr, range(58, 122)))  # ":" to "y"
END_SYMBOL = ")"
PIXELS_PER_SYMBOL = 6
IMAGE_SIZES = range(6, 49, PIXELS_PER_SYMBOL)

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


def find_error(text: str, label: int, image_size: int = 30) -> str | None:
    """Name the first error of a text in reading order.

    Args:
        text (`str`): the text.
        label (`int`): the class that was wanted, 0 to 9.
        image_size (`int`, defaults to 30): height and width of the image, one of `IMAGE_SIZES`.

    Returns:
        `str` or `None`: one of `ERRORS`, or `None` for a valid image of the class.
    """
    if text[:1] not in tuple(CLASS_SYMBOLS):
        return "no_class_digit"
    if text[0] != CLASS_SYMBOLS[label]:
        return "wrong_class_digit"
    end = 1 + image_size**2 // PIXELS_PER_SYMBOL
    for symbol in text[1:end]:
        if symbol not in PIXEL_SYMBOLS:
            return "early_end" if symbol == END_SYMBOL else "misplaced_symbol"
    if len(text) <= end:
        return "cut_short"
    if text[end] != END_SYMBOL:
        return "missing_end"
    return "text_after_end" if len(text) > end + 1 else None


def check_numbers(name, values):
    """Raise a ValueError for the first value that is not a number."""
    for index, value in enumerate(np.asarray(values, dtype=object).flat):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise ValueError(f"`{name}[{index}]` must be a whole number, got {value!r}")


def check_texts(name, texts):
    """Raise a ValueError for the first text that is not a str, and for one str instead of a list."""
    if isinstance(texts, str):
        raise ValueError(f"`{name}` must be a list of str, got one str")
    for index, text in enumerate(np.asarray(texts, dtype=object).flat):
        if not isinstance(text, str):
            raise ValueError(f"`{name}[{index}]` must be a str, got {text!r}")


class MnistTextValidity(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                # with integers, evaluate would silently cut 0.9 to 0
                {"predictions": datasets.Value("string"), "references": datasets.Value("float64")}
            ),
        )

    def add_batch(self, **inputs):
        """Add texts and digits for `compute`."""  # evaluate adds more to this docstring
        # evaluate would silently turn True and "1" into 1, and None into a text
        check_texts("predictions", inputs.get("predictions"))
        check_numbers("references", inputs.get("references"))
        super().add_batch(**inputs)

    def _compute(self, predictions, references, image_size=30):
        if not isinstance(image_size, Integral) or isinstance(image_size, bool) or image_size not in IMAGE_SIZES:
            raise ValueError(f"`image_size` must be 6, 12, 18, 24, 30, 36, 42 or 48, got {image_size!r}")
        if not predictions:
            raise ValueError("`predictions` must have 1 text or more, got none")
        labels = np.asarray(references, dtype=np.float64)
        wrong = np.flatnonzero(~np.isin(labels, range(len(CLASS_SYMBOLS))))
        if wrong.size:
            raise ValueError(f"`references[{wrong[0]}]` must be an integer from 0 to 9, got {labels[wrong[0]]:g}")
        found = [find_error(text, int(label), image_size) for text, label in zip(predictions, labels, strict=True)]
        num_valid = found.count(None)
        interval = binomtest(num_valid, len(found)).proportion_ci(confidence_level=0.95, method="exact")
        return {
            "validity": num_valid / len(found),
            "interval": [float(bound) for bound in interval],
            "num_samples": len(found),
            "errors": {error: found.count(error) for error in ERRORS},
        }
