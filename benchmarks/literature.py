# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Likelihood as the literature measures it:
`python benchmarks/literature.py --source ../shared/mnist --model runs/sampled`.

The model is one of `recipes/sampled.yaml`: pixels drawn with their grey value for probability, 28×28 in a blank
border, all 60,000 training images. The figure is −log Σ_y p(y) p(x | y), since published models do not know the class;
p(y) are the shares of the classes in the training images. An image takes ten passes, which are kept in `--cache`, see
`classification_by_generation.py`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classification_by_generation import cached_log_likelihoods
from figures import measure_mean
from generation import show_table
from transformers import GPT2LMHeadModel

from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.commands.training import load_weights
from mnist_text_gen.corpus import load_corpus, load_images
from mnist_text_gen.files import check_output_folder
from mnist_text_gen.modeling import check_language_model_config, hash_weights, marginal_log_likelihood, read_run
from mnist_text_gen.tokenizer import MnistTextTokenizer


PROG = "literature.py"
# Nats an image of 28×28 pixels, binarisation, and who reports it. "pytorch-generative" are the reproductions in the
# README of github.com/EugenHotaj/pytorch-generative, which draws the pixels anew in each epoch.
PUBLISHED = (
    ("LMConv", 77.56, "dynamic", "Jain et al. 2020, arXiv:2006.12486"),
    ("PixelSNAIL", 78.61, "dynamic", "pytorch-generative"),
    ("VLAE", 79.03, "static", "Chen et al. 2017, arXiv:1611.02731"),
    ("ImageGPT", 79.17, "dynamic", "pytorch-generative"),
    ("PixelRNN", 79.20, "static", "van den Oord et al. 2016, arXiv:1601.06759"),
    ("PixelCNN", 81.45, "dynamic", "pytorch-generative"),
    ("MADE", 84.87, "dynamic", "pytorch-generative"),
)


@dataclass
class Arguments:
    """What is measured."""

    source: str = field(metadata={"help": "MNIST; see mnist_text_gen.corpus.load_images."})
    model: str = field(metadata={"help": "Folder of a language model that was trained on sampled pixels."})
    bf16: bool = field(default=False, metadata={"help": "Products in bfloat16."})
    cache: str = field(default="runs/quality", metadata={"help": "Folder that keeps the likelihoods."})
    num_images: int | None = field(default=None, metadata={"help": "The first test images; all by default."})


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([Arguments], argv, PROG, __doc__)
    show(measure(args.source, args.model, args.bf16, args.cache, args.num_images))


def measure(
    source: str,
    model: str | Path,
    bf16: bool = False,
    cache: str | Path = "runs/quality",
    num_images: int | None = None,
) -> dict[str, Any]:
    """Nats an image of sampled test images.

    Args:
        As the options of the same names, see [`Arguments`].

    Returns:
        `dict`, plain JSON: `unconditional_nats` and `conditional_nats` (each a `dict` of `value`, `interval` of 95 %
        and `num_samples`), `dtype`, `training` (the stages of the model's `run.json`) and `published` (a `dict` a
        row).

    Raises:
        ValueError: for a folder without a language model, and more images than the source holds.
    """
    tokenizer = MnistTextTokenizer()
    weights = hash_weights(Path(model))
    if not weights:
        raise ValueError(f"model is {str(model)!r}; allowed is a folder with the weights of a model")
    language_model = load_weights(GPT2LMHeadModel, str(model)).eval()
    check_language_model_config(language_model.config, tokenizer, str(model))
    corpus = load_corpus(source, tokenizer, num_train_samples=1, num_eval_samples=num_images, binarization="sampled")
    test = corpus["test"]
    images, labels = tokenizer.decode_images(test["text"][:]), torch.tensor(test["label"][:])
    cache = check_output_folder(cache, "cache")
    likelihoods = cached_log_likelihoods(language_model, tokenizer, weights, "sampled digits", images, bf16, cache)
    counts = np.bincount(load_images(source)["train"].labels, minlength=likelihoods.shape[1])
    log_prior = torch.from_numpy(counts / counts.sum()).log()
    return {
        "unconditional_nats": measure_mean(-marginal_log_likelihood(likelihoods, log_prior)),
        "conditional_nats": measure_mean(-likelihoods.gather(1, labels[:, None])[:, 0]),
        "dtype": "bfloat16" if bf16 else "float32",
        "training": read_run(Path(model)).get("training", []),
        "published": [dict(zip(("model", "nats", "binarization", "source"), row, strict=True)) for row in PUBLISHED],
    }


def show(found: dict[str, Any]) -> None:
    rows = [[row["model"], f"{row['nats']:.2f}", row["binarization"], row["source"]] for row in found["published"]]
    for name, key in (("this model", "unconditional_nats"), ("this model, given the class", "conditional_nats")):
        low, high = found[key]["interval"]
        images = f"{found[key]['num_samples']:,} images"
        rows.append([name, f"{found[key]['value']:.2f}", "dynamic", f"here, {images}, {low:.2f} to {high:.2f}"])
    show_table(["model", "nats an image", "binarisation", "who"], rows)


if __name__ == "__main__":
    sys.exit(main())
