# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Nats per image and bits per pixel from the losses of an image's tokens."""

import math
from numbers import Integral

import datasets
import evaluate
import numpy as np


_DESCRIPTION = """
Negative log-likelihood of an image under a model of its tokens: by the chain rule, the sum of the tokens' losses.
"""

_KWARGS_DESCRIPTION = """
Args:
    token_losses (list of list of float, or array [N, T]): negative log-likelihood of each predicted token, in nats.
    num_pixels (int, defaults to 900): pixels per image.

Returns:
    nats_per_image (float): mean over the images of the summed losses.
    bits_per_pixel (float): nats_per_image / ln 2 / num_pixels.

Raises:
    ValueError: if token_losses are not [N, T] with N and T above 0, or contain a negative value, NaN or infinity; or
        num_pixels is not an integer of 1 or more.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/image_nats")
    >>> metric.compute(token_losses=[[1.0, 2.0], [3.0, 0.0]])["nats_per_image"]
    3.0
"""


class ImageNats(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"token_losses": datasets.Sequence(datasets.Value("float32"))}),
        )

    def _compute(self, token_losses, num_pixels=900):
        losses = np.asarray(token_losses, dtype=np.float64)
        if losses.ndim != 2 or not losses.size:
            raise ValueError(f"`token_losses` must have shape [N, T] with N and T above 0, got {list(losses.shape)}")
        if not np.isfinite(losses).all() or (losses < 0).any():
            raise ValueError("`token_losses` must be nats of 0 or more, got a negative value, NaN or infinity")
        if not isinstance(num_pixels, Integral) or isinstance(num_pixels, bool) or num_pixels < 1:
            raise ValueError(f"`num_pixels` must be an integer of 1 or more, got {num_pixels!r}")
        nats = float(losses.sum(axis=1).mean())
        return {"nats_per_image": nats, "bits_per_pixel": nats / math.log(2) / num_pixels}
