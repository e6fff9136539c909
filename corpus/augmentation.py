# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Small random distortions of grey images that leave the digit the digit it is."""

import math
from collections.abc import Sequence

import numpy as np
import torch


# Standard deviations; most draws are close to the original image, so the corpus stays close to MNIST.
ROTATION = math.radians(5.0)
SHEAR = 0.07
LOG_SCALE = 0.06
# Elastic displacement in pixels, on a coarse grid that is interpolated (Simard et al. 2003, section 2, smooth a fine
# random field with a Gaussian instead; a coarse grid with bicubic interpolation gives as smooth a field for less).
ELASTIC = 0.6
ELASTIC_GRID = 5
# Draws beyond this many standard deviations are pulled back to it.
CLIP = 2.0


def augment_images(images: np.ndarray, keys: Sequence[int], seed: int = 0) -> np.ndarray:
    """Rotate, shear, scale and bend images a little.

    Args:
        images (`np.ndarray`, uint8 `[N, 28, 28]` in 0 to 255): grey images.
        keys (`Sequence[int]`, length N):
            What the draw of each image depends on beside the seed: the same image, key and seed give the same result
            in any batch and in any process. Integers of 0 and more.
        seed (`int`, defaults to 0): seed of all draws.

    Returns:
        `np.ndarray`: uint8 `[N, 28, 28]` in 0 to 255.

    Raises:
        ValueError: for another number of keys than images, and a negative seed.
    """
    if len(keys) != len(images) or seed < 0:
        raise ValueError(
            f"there are {len(images)} images and {len(keys)} keys, and the seed is {seed}; allowed are a key an "
            "image, and a seed of 0 or more"
        )
    if not len(images):
        return images
    draws = np.stack([_draw(seed, key) for key in keys])  # [N, 5 + 2·grid²]
    affine, elastic = np.split(draws, [5], axis=1)
    size = images.shape[-1]
    grid = torch.nn.functional.affine_grid(_affine_matrices(affine), [len(images), 1, size, size], align_corners=False)
    field = torch.from_numpy(elastic).view(-1, 2, ELASTIC_GRID, ELASTIC_GRID) * (ELASTIC * 2 / size)
    field = torch.nn.functional.interpolate(field, (size, size), mode="bicubic", align_corners=True)
    grid = grid + field.permute(0, 2, 3, 1)  # [N, 28, 28, 2], in units where the image spans -1 to 1
    grey = torch.from_numpy(images.astype(np.float32))[:, None]
    warped = torch.nn.functional.grid_sample(grey, grid, mode="bilinear", align_corners=False)
    return warped[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()


def _draw(seed: int, key: int) -> np.ndarray:
    # Philox is counter-based: one generator an image costs microseconds and depends on nothing but these two numbers.
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))
    return generator.standard_normal(5 + 2 * ELASTIC_GRID**2, dtype=np.float32).clip(-CLIP, CLIP)


def _affine_matrices(draws: np.ndarray) -> torch.Tensor:
    """Rotation · shear · scale, float32 `[N, 2, 3]`, about the centre of the image."""
    angle, shear_x, shear_y, scale_x, scale_y = torch.from_numpy(draws).T
    angle = angle * ROTATION
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(-1, 2, 2)
    one = torch.ones_like(angle)
    shear = torch.stack([one, shear_x * SHEAR, shear_y * SHEAR, one], dim=-1).view(-1, 2, 2)
    scale = torch.diag_embed(torch.stack([scale_x, scale_y], dim=-1).mul(LOG_SCALE).exp())
    matrix = rotation @ shear @ scale
    return torch.cat([matrix, torch.zeros_like(matrix[..., :1])], dim=-1)
