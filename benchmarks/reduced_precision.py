# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What `decoding="bf16"` costs: `python benchmarks/reduced_precision.py --source ../shared/mnist`.

The nats of real test images under the logits that each decoding computes, and the share of raw candidates that the
classifier takes for the wanted digit, both with the same noise.
"""

import argparse
import math

import torch
from torch.nn import functional as F
from transformers import pipeline

from mnist_text_gen.corpus import load_images
from mnist_text_gen.modeling import TASK
from mnist_text_gen.modeling.cached_gpt2 import CachedGPT2


DTYPES = {"exact": None, "bf16": torch.bfloat16}
BATCH_SIZE = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="mnist-5k", help="test images; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--num_images", type=int, default=1000)
    parser.add_argument("--num_seeds", type=int, default=10, help="640 candidates each")
    args = parser.parse_args()
    draw = pipeline(TASK)
    test = load_images(args.source)["test"].first(args.num_images, "num_images")
    texts = draw.tokenizer.encode_images(test.images, test.labels)
    input_ids = draw.tokenizer(texts, return_tensors="pt")["input_ids"].to(draw.device)
    nats = {way: mean_nats(draw.model, input_ids, dtype) for way, dtype in DTYPES.items()}
    num_candidates = 640 * args.num_seeds
    accepted = {way: num_accepted(draw, way, args.num_seeds) for way in DTYPES}
    print(f"| decoding | nats an image, {args.num_images} test images | taken for the digit, of {num_candidates} |")
    print("| --- | --- | --- |")
    for way in DTYPES:
        error = 1.96 * math.sqrt(accepted[way] * (num_candidates - accepted[way]) / num_candidates**3)
        share = f"{accepted[way]} ({100 * accepted[way] / num_candidates:.2f} ± {100 * error:.2f} %)"
        print(f"| {way} | {nats[way]:.3f} | {share} |")


@torch.no_grad()
def mean_nats(model, input_ids: torch.LongTensor, dtype: torch.dtype | None) -> float:
    """Of the 151 tokens after the digit, by the logits that `decode` computes."""
    total = 0.0
    for batch in input_ids.split(BATCH_SIZE):
        network = CachedGPT2(model, len(batch), batch.shape[1], dtype)
        positions = torch.arange(batch.shape[1] - 1, device=batch.device).expand(len(batch), -1)
        logits = network(batch[:, :-1], positions)
        total += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
    return total / len(input_ids)


def num_accepted(draw, way: str, num_seeds: int) -> int:
    total = 0
    for seed in range(num_seeds):
        for label in range(10):
            input_ids = draw.generate_candidates(label, seed=seed, decoding=way)
            total += int((draw.classify_candidates(input_ids).argmax(dim=-1) == label).sum())
    return total


if __name__ == "__main__":
    main()
