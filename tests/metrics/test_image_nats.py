# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The metric, loaded by its path as a user would, against values worked out by hand."""

import math

import evaluate
import numpy as np
import pytest

from mnist_text_gen.metrics import METRICS_FOLDER


@pytest.fixture(scope="module")
def image_nats():
    # in memory: after a refusal, a metric on disk waits a second for its own lock
    return evaluate.load(str(METRICS_FOLDER / "image_nats"), keep_in_memory=True)


@pytest.mark.parametrize(("token_losses", "nats"), [([[1.0, 2.0], [3.0, 0.0]], 3.0), (np.full((3, 151), 0.5), 75.5)])
def test_nats_are_the_mean_over_images_of_summed_losses(image_nats, token_losses, nats):
    result = image_nats.compute(token_losses=token_losses)
    assert set(result) == {"nats_per_image", "bits_per_pixel"}
    assert result["nats_per_image"] == pytest.approx(nats)
    assert result["bits_per_pixel"] == pytest.approx(nats / math.log(2) / 900)


def test_uniform_guesses_are_one_bit_per_pixel(image_nats):
    # 150 symbols of log2(64) = 6 bits are 900 bits, the default number of pixels
    for token_losses, options in (([[math.log(64)] * 150], {}), ([[math.log(2)] * 4] * 2, {"num_pixels": 4})):
        assert image_nats.compute(token_losses=token_losses, **options)["bits_per_pixel"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("token_losses", "message"),
    [
        ([[1.0, math.nan]], "`token_losses` must be nats of 0 or more, got a negative value, NaN or infinity"),
        ([[1.0, 2.0], [-0.5, 2.0]], "`token_losses` must be nats of 0 or more, got a negative value, NaN or infinity"),
        ([[]], r"shape \[N, T\] with N and T above 0, got \[1, 0\]"),
        ([[1.0], [1.0, 2.0]], "inhomogeneous"),
    ],
)
def test_losses_that_are_no_losses_are_refused(image_nats, token_losses, message):
    with pytest.raises(ValueError, match=message):
        image_nats.compute(token_losses=token_losses)
    # and the next computation is not disturbed
    assert image_nats.compute(token_losses=[[2.0]])["nats_per_image"] == 2.0


@pytest.mark.parametrize("num_pixels", [0, 2.5, None, True])
def test_number_of_pixels_that_is_none_is_refused(image_nats, num_pixels):
    with pytest.raises(ValueError, match=f"`num_pixels` must be an integer of 1 or more, got {num_pixels!r}"):
        image_nats.compute(token_losses=[[1.0]], num_pixels=num_pixels)
