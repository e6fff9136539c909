# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Small random distortions of grey images that do not change the class."""

import math
from collections.abc import Sequence

import numpy as np
import torch


# Standard deviations at a strength of 1. They are small, so that distorted images stay similar to MNIST.
ROTATION = math.radians(5.0)
SHEAR = 0.07
LOG_SCALE = 0.06
# Elastic displacement in pixels, on a coarse grid with bicubic interpolation. (Simard et al. 2003, section 2, smooth a
# fine random field with a Gaussian, which costs more and gives a field that is as smooth.)
ELASTIC = 0.6
ELASTIC_GRID = 5
# Grey values in [0, 1] are raised to the power exp(LOG_GAMMA · draw - BRIGHTEN), which makes strokes thinner or
# thicker. Interpolation blurs, which makes binary strokes thinner; BRIGHTEN restores MNIST's mean share of ink.
LOG_GAMMA = 0.3
BRIGHTEN = 0.25
# Draws are clipped to this many standard deviations.
CLIP = 2.0

_NUM_DRAWS = 6 + 2 * ELASTIC_GRID**2


def augment_images(
    images: np.ndarray, keys: Sequence[int] | np.ndarray, seed: int = 0, strength: float = 1.0
) -> np.ndarray:
    """Rotate, shear, scale and bend images a little, and make their strokes thinner or thicker.

    Size and centre of mass are restored afterwards, because each digit of MNIST was scaled to the same box and shifted
    until its centre of mass was in the middle (LeCun et al. 1998, section III.A).

    Args:
        images (`np.ndarray`, uint8 `[N, S, S]` in [0, 255]): grey images.
        keys (`Sequence[int]`, length N):
            One integer per image, 0 to 2**64 - 1. The same image, key and seed give the same result in any batch and
            in any process.
        seed (`int`, defaults to 0): seed of all draws, 0 to 2**64 - 1.
        strength (`float`, defaults to 1.0): factor of all standard deviations, 0 or more.

    Returns:
        `np.ndarray`: uint8 `[N, S, S]` in [0, 255].

    Raises:
        ValueError: if there is not one key per image, or the seed or the strength is negative.
    """
    if len(keys) != len(images) or seed < 0 or not strength >= 0:
        raise ValueError(
            f"there must be one key per image, and a seed and a strength of 0 or more, got {len(images)} images, "
            f"{len(keys)} keys, seed {seed} and strength {strength}"
        )
    if not len(images):
        return images
    draws = strength * torch.from_numpy(np.stack([_draw(seed, key) for key in keys]))
    affine, gamma, elastic = draws.split([5, 1, 2 * ELASTIC_GRID**2], dim=1)
    matrices = _affine_matrices(affine)
    field = elastic.view(-1, 2, ELASTIC_GRID, ELASTIC_GRID) * (ELASTIC * 2 / images.shape[-1])

    def warp(points: torch.Tensor) -> torch.Tensor:
        return points.flatten(1, 2).bmm(matrices.mT).view_as(points) + _sample(field, points, "border").movedim(1, -1)

    grey = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
    points = _pixel_centres(images.shape[-1]).expand(len(images), -1, -1, -1)
    points = _renormalize(points, grey, _sample(grey, warp(points)))
    exponents = (LOG_GAMMA * gamma - BRIGHTEN * strength).exp()[..., None, None]
    warped = _sample(grey, warp(points)).clamp(0, 1) ** exponents
    return (255 * warped[:, 0]).round().to(torch.uint8).numpy()


def _draw(seed: int, key: int) -> np.ndarray:
    # Philox is counter-based: one generator per image costs microseconds and depends only on these two numbers.
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))
    return generator.standard_normal(_NUM_DRAWS, dtype=np.float32).clip(-CLIP, CLIP)


def _affine_matrices(draws: torch.Tensor) -> torch.Tensor:
    """Rotation · shear · scale about the centre of the image, float32 `[N, 2, 2]`, from draws `[N, 5]`."""
    angle, shear_x, shear_y, scale_x, scale_y = draws.T
    angle = angle * ROTATION
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(-1, 2, 2)
    one = torch.ones_like(angle)
    shear = torch.stack([one, shear_x * SHEAR, shear_y * SHEAR, one], dim=-1).view(-1, 2, 2)
    scale = torch.diag_embed(torch.stack([scale_x, scale_y], dim=-1).mul(LOG_SCALE).exp())
    return rotation @ shear @ scale


def _pixel_centres(size: int) -> torch.Tensor:
    """x and y of every pixel's centre, `[size, size, 2]`, where the image goes from -1 to 1."""
    centres = (2 * torch.arange(size) + 1) / size - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)


def _sample(values: torch.Tensor, points: torch.Tensor, padding_mode: str = "zeros") -> torch.Tensor:
    return torch.nn.functional.grid_sample(
        values, points, mode="bicubic", padding_mode=padding_mode, align_corners=False
    )


def _renormalize(points: torch.Tensor, original: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """Points for reading warped images `[N, 1, S, S]` so that they have the original's size and centre of mass."""
    (old_centre, old_size), (new_centre, new_size) = _measure(original), _measure(warped.clamp(0, 1))
    return (points - old_centre) * (new_size / old_size) + new_centre


def _measure(grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre of mass `[N, 1, 1, 2]`, and the longer side of the box around the ink, `[N, 1, 1, 1]` in pixels."""
    weights = grey.movedim(1, -1) + 1e-6  # for an image without ink, the centre is the middle
    centre = (weights * _pixel_centres(grey.shape[-1])).sum((1, 2), keepdim=True) / weights.sum((1, 2), keepdim=True)
    # a row or column whose brightest pixel is below a half counts in part, so that sizes are continuous
    sides = [(2 * grey.amax(axis)).clamp(max=1).sum(-1) for axis in (2, 3)]
    return centre, torch.maximum(*sides)[..., None, None] + 1e-6
