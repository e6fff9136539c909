# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Seconds to draw digits, candidates generated, judged and reranked: `python benchmarks/generation.py`.

Compares, in turn in one process, stock `generate` with `do_sample=True` under the same `LogitsProcessor`, and the
pipeline's decodings. After a warm-up come medians of several rounds and their ratio to stock. Then: how far `exact` is
from the time that the arithmetic alone takes, where its time goes, how time grows with the number of candidates, the
memory of each, and where the seconds of a cold start go.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import LogitsProcessorList, pipeline

from mnist_text_gen import MnistTextGenerationPipeline, MnistTextLogitsProcessor
from mnist_text_gen.commands.sample_hf import load_pipeline
from mnist_text_gen.modeling import DECODINGS, DIGITS, TASK
from mnist_text_gen.tokenizer import IMAGE_SIZE


STOCK = "stock generate"
OURS = [decoding for decoding in DECODINGS if decoding != "generate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--digits", nargs="+", default=["7", "0123456789"], help="one table each, 64 candidates a digit"
    )
    parser.add_argument("--growth", nargs="*", type=int, default=[1, 16, 64, 256, 1024], help="numbers of candidates")
    parser.add_argument("--memory_of", choices=[STOCK, *OURS], help="only draw once and print the peak of memory")
    args = parser.parse_args()
    draw = pipeline(TASK)
    if args.memory_of:
        print(added_memory(draw, args.memory_of))
        return
    print(f"{torch.get_num_threads()} threads, {draw.device}")
    for digits in args.digits:
        exact = compare(draw, digits, args.rounds)["exact"]
        show_limit(draw, exact / len(digits))
    show_profile(draw)
    show_growth(draw, args.growth, args.rounds)
    show_memory()
    show_start_up()


def load_digits(model: str | Path) -> MnistTextGenerationPipeline:
    """A pipeline of the ten digits in 30×30 pixels, which the measurements are about; a `ValueError` for another."""
    draw = load_pipeline(str(model))
    found, wanted = (draw.class_names, draw.tokenizer.image_size), (DIGITS, IMAGE_SIZE)
    if found != wanted:
        raise ValueError(
            f"model is {str(model)!r}, of {found[1]}×{found[1]} pixels and the classes {', '.join(found[0])}; allowed "
            f"is one of {IMAGE_SIZE}×{IMAGE_SIZE} and the ten digits"
        )
    return draw


def compare(draw, digits: str, rounds: int) -> dict[str, float]:
    """Medians of seconds for all the digits, by way of decoding."""
    seconds = {way: [] for way in (STOCK, *OURS)}
    for seed in range(rounds + 1):
        timings = {way: timed(lambda way=way, seed=seed: draw_digits(draw, digits, way, seed)) for way in seconds}
        if seed:  # the first round warms up
            for way, value in timings.items():
                seconds[way].append(value)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    rows = [
        [
            way,
            f"{medians[way]:.2f}",
            f"{min(values):.2f}",
            f"{max(values):.2f}",
            f"{medians[STOCK] / medians[way]:.2f}",
        ]
        for way, values in seconds.items()
    ]
    print(f"\n{64 * len(digits)} candidates of {len(digits)} digits, judged and reranked, {rounds} rounds")
    show_table(["way", "median s", "min s", "max s", "times as fast as stock"], rows)
    return medians


def draw_digits(draw, digits: str, way: str, seed: int, num_candidates: int = 64) -> None:
    for digit in map(int, digits):
        if way == STOCK:
            input_ids = stock_generate(draw, digit, num_candidates)
        else:
            input_ids = draw.generate_candidates(digit, num_candidates, seed=seed, decoding=way)
        draw.postprocess(draw.rerank(digit, input_ids, draw.classify_candidates(input_ids), min(8, num_candidates)))


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


def show_limit(draw, seconds: float) -> None:
    """The time of the blocks' products alone: 64 texts of 151 tokens at the speed of a large product."""
    weights = sum(p.numel() for p in draw.model.transformer.h.parameters() if p.ndim == 2)
    factor = torch.randn(2048, 2048, device=draw.device)
    product = statistics.median(timed(lambda: factor @ factor) for _ in range(20))
    limit = 2 * weights * 64 * 151 / (2 * 2048**3 / product)
    print(f"the products of 64 texts alone, at {2 * 2048**3 / product / 1e9:.0f} GFLOP/s: {limit:.2f} s; ", end="")
    print(f"exact takes {seconds / limit:.1f} times that")


def show_profile(draw, num_rows: int = 20) -> None:
    """The operators that take the most time in generating 64 candidates, in milliseconds of one call each."""
    for way in OURS:
        with torch.profiler.profile() as profile:
            draw.generate_candidates(7, seed=0, decoding=way)
        times = {e.key: (e.self_cpu_time_total, e.self_device_time_total, e.count) for e in profile.key_averages()}
        longest = sorted(times.items(), key=lambda row: -sum(row[1][:2]))[:num_rows]
        rows = [[name, f"{cpu / 1e3:.0f}", f"{gpu / 1e3:.0f}", f"{count}"] for name, (cpu, gpu, count) in longest]
        total = [sum(values) / 1e3 for values in zip(*times.values(), strict=True)]
        rows.append(["all", f"{total[0]:.0f}", f"{total[1]:.0f}", f"{1e3 * total[2]:.0f}"])
        print(f"\nwhere the time of {way} goes, as the profiler sees it")
        show_table(["operator", "CPU ms", "GPU ms", "calls"], rows)


def show_growth(draw, numbers: Sequence[int], rounds: int) -> None:
    rows = []
    for number in numbers:
        ways = {
            way: statistics.median(
                timed(lambda way=way, seed=seed: draw_digits(draw, "7", way, seed, number))  # noqa: B023
                for seed in range(max(1, rounds * 64 // max(number, 64)))
            )
            for way in (STOCK, *OURS)
        }
        rows.append([str(number), *(f"{value:.2f}" for value in ways.values())])
    print("\nseconds by number of candidates of one digit")
    show_table(["candidates", STOCK, *OURS], rows)


def added_memory(draw, way: str) -> int:
    before = peak_memory()
    draw_digits(draw, "7", way, seed=0)
    return peak_memory() - before


def peak_memory() -> int:
    """MiB. Linux's own figure: `getrusage` takes over that of the process that started this one."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def show_memory() -> None:
    rows = [[way, f"{int(fresh_process(__file__, '--memory_of', way))}"] for way in (STOCK, *OURS)]
    print("\nmemory that drawing 64 candidates adds to a process, at its peak")
    show_table(["way", "MiB"], rows)


def show_start_up() -> None:
    """Each line in a process of its own, three times; a line holds the ones above it."""
    steps = {
        "import torch": "import torch",
        "import mnist_text_gen": "import mnist_text_gen",
        "and load the pipeline": "import mnist_text_gen, transformers; transformers.pipeline('mnist-text-gen')",
        "and draw one digit": "import mnist_text_gen, transformers; transformers.pipeline('mnist-text-gen')('7')",
    }
    rows = [
        [name, f"{statistics.median(timed(lambda code=code: fresh_process('-c', code)) for _ in range(3)):.2f}"]
        for name, code in steps.items()
    ]
    print("\nseconds from a cold process")
    show_table(["up to", "median s"], rows)


def fresh_process(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |", flush=True)


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
