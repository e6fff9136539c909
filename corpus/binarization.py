# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Binary images whose pixels are drawn with the grey values for probabilities."""

from collections.abc import Sequence

import numpy as np

from mnist_text_gen.tokenizer import IMAGE_SIZE


BINARIZATIONS = ("rounded", "sampled")
# The words of a Philox counter that say where in a key's numbers to begin: those of the distortions begin at zero.
_COUNTER = (0, 0, 0, 1)


def sample_images(images: np.ndarray, keys: Sequence[int], seed: int = 0) -> np.ndarray:
    """Draw each pixel as 1 with the probability that its grey value is of 255, and put a blank border around.

    The literature on likelihoods compares models on MNIST in this form (Salakhutdinov and Murray 2008, section 5;
    drawn anew in each epoch it is called dynamic binarisation). Border pixels are 0 and certain, so the likelihood of
    30×30 pixels is that of the 28×28.

    Args:
        images (`np.ndarray`, uint8 `[N, 28, 28]` in 0 to 255): grey images.
        keys (`Sequence[int]`, length N): what the draw of each image depends on beside the seed, as in
            [`augment_images`], whose draws with the same key are independent of these.
        seed (`int`, defaults to 0): seed of all draws.

    Returns:
        `np.ndarray`: uint8 `[N, 30, 30]`, values {0, 1}.

    Raises:
        ValueError: for another number of keys than images, and a negative seed.
    """
    if len(keys) != len(images) or seed < 0:
        raise ValueError(
            f"there are {len(images)} images and {len(keys)} keys, and the seed is {seed}; allowed are a key an "
            "image, and a seed of 0 or more"
        )
    border = (IMAGE_SIZE - images.shape[-1]) // 2
    binary = np.zeros((len(images), IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    for image, key, drawn in zip(images, keys, binary, strict=True):
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64), counter=_COUNTER))
        # one of 255 equally likely numbers is below the grey value in exactly that share of the draws
        drawn[border:-border, border:-border] = generator.integers(255, size=image.shape, dtype=np.uint8) < image
    return binary
