# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Seconds for 64 judged candidates of a digit: `python benchmarks/generation.py`.

In turn, in one process: the pipeline's `generate_candidates`, which takes one seed a candidate; stock `generate` with
`do_sample=True` under the same `LogitsProcessor`; and the judging of 64 candidates. After a warm-up, the medians of
several rounds are printed, with the ratio of the first two.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import LogitsProcessorList, pipeline

from mnist_text_gen import MnistTextLogitsProcessor
from mnist_text_gen.modeling import TASK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num_candidates", type=int, default=64)
    args = parser.parse_args()
    draw = pipeline(TASK)
    steps = {
        "generate_candidates (seeded)": lambda seed: draw.generate_candidates(7, args.num_candidates, seed=seed),
        "stock generate, do_sample": lambda seed: stock_generate(draw, 7, args.num_candidates),
    }
    seconds = {name: [] for name in [*steps, "classify_candidates"]}
    for seed in range(args.rounds + 1):
        timings = {name: timed(lambda step=step, seed=seed: step(seed)) for name, step in steps.items()}
        candidates = draw.generate_candidates(7, args.num_candidates, seed=seed)
        timings["classify_candidates"] = timed(lambda ids=candidates: draw.classify_candidates(ids))
        if seed:  # the first round warms up
            for name, value in timings.items():
                seconds[name].append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{args.num_candidates} candidates, {args.rounds} rounds, {torch.get_num_threads()} threads, {draw.device}")
    print("| step | median s | min s | max s |\n|---|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {medians[name]:.2f} | {min(values):.2f} | {max(values):.2f} |")
    ours, stock = (medians[name] for name in steps)
    print(f"stock / ours: {stock / ours:.2f}")


@torch.no_grad()
def stock_generate(draw, label: int, num_candidates: int) -> torch.Tensor:
    prompts = torch.full((num_candidates, 1), label, device=draw.device)
    return draw.model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=True,
        temperature=0.8,
        top_k=0,
        max_length=draw.tokenizer.model_max_length,
        logits_processor=LogitsProcessorList([MnistTextLogitsProcessor(draw.tokenizer)]),
    )


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
