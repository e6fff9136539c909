# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How fast are digits drawn? `python benchmarks/sampling.py --source MNIST`

Each part prints a table. Without `--source`, the last part is left out.

- `speed`: seconds to generate, judge and rerank 64 candidates per digit. Stock `generate` with `do_sample=True` and
  the same `LogitsProcessor` takes turns with the pipeline's decodings. The first round warms up and does not count.
- `profile`: the time of each decoding by PyTorch operator.
- `growth`: seconds by number of candidates.
- `memory`: the peak memory that each decoding adds to a process of its own.
- `start_up`: seconds from a cold process to the first digit.
- `precision`: the effect of `decoding="bf16"` on the nats of test images under the logits of each decoding, and on the
  share of raw candidates that the classifier takes for the wanted digit, with the same noise.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from scipy.stats import binomtest
from torch.nn import functional as F
from transformers import LogitsProcessorList
from transformers.hf_argparser import HfArg

from mnist_text_gen import MnistTextGenerationPipeline, MnistTextLogitsProcessor
from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.data import load_images
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import DECODINGS, Candidates, generate_candidates, judge_images
from mnist_text_gen.modeling.cached_gpt2 import CachedGPT2
from mnist_text_gen.tokenizer import DIGITS, IMAGE_SIZE


PROG = "sampling.py"
STOCK = "stock generate"
OURS = [decoding for decoding in DECODINGS if decoding != "generate"]
DIGITS_TO_DRAW = ("7", "0123456789")  # one table of speed for each
GROWTH = (1, 16, 64, 256, 1024)  # candidates
NUM_IMAGES, NUM_SEEDS = 1000, 10  # for precision, with 640 candidates per seed
DTYPES = {"exact": None, "bf16": torch.bfloat16}
# Each runs in a process of its own, and includes the ones above it.
START_UP = {
    "import torch": "import torch",
    "import mnist_text_gen": "import mnist_text_gen",
    "and load the pipeline": "import mnist_text_gen, transformers; transformers.pipeline('mnist-text-gen')",
    "and draw one digit": "import mnist_text_gen, transformers; transformers.pipeline('mnist-text-gen')('7')",
}


@dataclass
class Arguments:
    """What is measured."""

    source: str | None = HfArg(default=None, help="MNIST, for precision; see mnist_text_gen.data.load_images.")
    model: str = HfArg(default=str(SHIPPED_CHECKPOINT), help="Folder of the model and its classifier.")
    parts: list[str] = field(default_factory=lambda: list(PARTS), metadata={"help": "Which parts; all by default."})
    rounds: int = HfArg(default=5, help="Rounds that are timed; the tables show their median.")
    memory_of: str | None = HfArg(default=None, help="Only draw once this way and print the added memory in MiB.")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([Arguments], argv, PROG, __doc__)
    check_parts(args.parts, PARTS)
    pipe = load_digits(args.model)
    if args.memory_of:
        before = peak_memory()
        draw_digits(pipe, "7", args.memory_of, seed=0)
        print(peak_memory() - before)
        return
    print(f"{torch.get_num_threads()} threads, {pipe.device}")
    for part in args.parts:
        if part != "precision" or args.source:
            PARTS[part](pipe, args)


def check_parts(parts: Sequence[str], allowed: Iterable[str]) -> None:
    for part in parts:
        if part not in allowed:
            raise ValueError(f"`parts` must be some of {', '.join(allowed)}, got {part!r}")


def load_digits(model: str | Path) -> MnistTextGenerationPipeline:
    """Load a pipeline of the ten digits in 30×30 pixels; raises a `ValueError` for other classes or sizes."""
    pipe = load_pipeline(model)
    found, wanted = (pipe.class_names, pipe.tokenizer.image_size), (DIGITS, IMAGE_SIZE)
    if found != wanted:
        raise ValueError(
            f"`model` must be a model of the ten digits in {IMAGE_SIZE}×{IMAGE_SIZE} pixels, got {str(model)!r}, of "
            f"the classes {', '.join(found[0])} in {found[1]}×{found[1]} pixels"
        )
    return pipe


def show_speed(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    for digits in DIGITS_TO_DRAW:
        seconds = time_decodings(pipe, digits, args.rounds)
        rows = []
        for way, values in seconds.items():
            median, of_stock = statistics.median(values), statistics.median(seconds[STOCK])
            figures = (median, min(values), max(values), of_stock / median)
            rows.append([way, *(f"{figure:.2f}" for figure in figures)])
        print(f"\n{64 * len(digits)} candidates of {', '.join(digits)}, judged and reranked, {args.rounds} rounds")
        show_table(["way", "median s", "min s", "max s", "times as fast as stock"], rows)


def time_decodings(pipe: MnistTextGenerationPipeline, digits: str, rounds: int) -> dict[str, list[float]]:
    """Seconds to draw all the digits, one number per round, for each kind of decoding."""
    seconds = {way: [] for way in (STOCK, *OURS)}
    for seed in range(rounds + 1):
        for way, values in seconds.items():
            value = timed(partial(draw_digits, pipe, digits, way, seed))
            if seed:  # the first round warms up
                values.append(value)
    return seconds


def draw_digits(pipe: MnistTextGenerationPipeline, digits: str, way: str, seed: int, num_candidates: int = 64) -> None:
    for digit in map(int, digits):
        if way == STOCK:
            candidates = sample_stock(pipe, digit, num_candidates)
        else:
            candidates = pipe.sample(digit, num_candidates, seed=seed, decoding=way)
        candidates.choose(digit, pipe.class_names, min(8, num_candidates))


@torch.no_grad()
def sample_stock(pipe: MnistTextGenerationPipeline, label: int, num_candidates: int) -> Candidates:
    prompts = torch.full((num_candidates, 1), label, device=pipe.device)
    how = {"do_sample": True, "temperature": 0.8, "top_k": 0, "max_length": pipe.tokenizer.model_max_length}
    grammar = LogitsProcessorList([MnistTextLogitsProcessor(pipe.tokenizer)])
    ids = pipe.model.generate(prompts, attention_mask=torch.ones_like(prompts), logits_processor=grammar, **how)
    texts = pipe.tokenizer.batch_decode(ids)
    images = pipe.tokenizer.decode_images(texts)
    return Candidates(texts, images, judge_images(pipe.classifier, images), {})


def show_profile(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    """Print the operators that take the most time to generate 64 candidates, from PyTorch's profiler."""
    seed_keys = [(0, 7, 0, index) for index in range(64)]
    key = "self_cpu_time_total" if pipe.device.type == "cpu" else "self_device_time_total"
    for way in OURS:
        with torch.profiler.profile() as profile:
            generate_candidates(pipe.model, pipe.tokenizer, [7] * 64, seed_keys, decoding=way)
        print(f"\nwhere the time of {way} goes\n{profile.key_averages().table(key, row_limit=20)}")


def show_growth(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    rows = []
    for number in GROWTH:
        seeds = range(max(1, args.rounds * 64 // max(number, 64)))
        rows.append([str(number)])
        for way in (STOCK, *OURS):
            seconds = [timed(partial(draw_digits, pipe, "7", way, seed, number)) for seed in seeds]
            rows[-1].append(f"{statistics.median(seconds):.2f}")
    print("\nseconds by number of candidates of one digit")
    show_table(["candidates", STOCK, *OURS], rows)


def show_memory(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    options = ("--model", args.model, "--memory_of")
    rows = [[way, fresh_process(__file__, *options, way).split()[-1]] for way in (STOCK, *OURS)]
    print("\nmemory that drawing 64 candidates adds to a process, at its peak")
    show_table(["way", "MiB"], rows)


def show_start_up(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    rows = []
    for name, code in START_UP.items():
        seconds = [timed(partial(fresh_process, "-c", code)) for _ in range(3)]
        rows.append([name, f"{statistics.median(seconds):.2f}"])
    print("\nseconds from a cold process")
    show_table(["up to", "median s"], rows)


def show_precision(pipe: MnistTextGenerationPipeline, args: Arguments) -> None:
    test = load_images(args.source)["test"].first(NUM_IMAGES, "num_images")
    texts = pipe.tokenizer.encode_images(test.images, test.labels)
    input_ids = pipe.tokenizer(texts, return_tensors="pt")["input_ids"].to(pipe.device)
    total = 640 * NUM_SEEDS
    rows = []
    for way, dtype in DTYPES.items():
        accepted = count_accepted(pipe, way, NUM_SEEDS)
        low, high = binomtest(accepted, total).proportion_ci()
        share = f"{accepted} ({100 * accepted / total:.2f} %, {100 * low:.2f} to {100 * high:.2f})"
        rows.append([way, f"{mean_nats(pipe.model, input_ids, dtype):.3f}", share])
    print()
    show_table(["decoding", f"nats per image, {len(texts)} test images", f"taken for the digit, of {total}"], rows)


@torch.no_grad()
def mean_nats(model, input_ids: torch.LongTensor, dtype: torch.dtype | None) -> float:
    """Nats per image of the 151 tokens after the digit, from the logits that `decode` computes."""
    total = 0.0
    for batch in input_ids.split(50):
        network = CachedGPT2(model, len(batch), batch.shape[1], dtype)
        positions = torch.arange(batch.shape[1] - 1, device=batch.device).expand(len(batch), -1)
        logits = network(batch[:, :-1], positions)  # [B, 151, 75]
        total += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
    return total / len(input_ids)


def count_accepted(pipe: MnistTextGenerationPipeline, way: str, num_seeds: int) -> int:
    """How many of 64 raw candidates per digit and seed the classifier takes for their digit."""
    drawn = ((label, pipe.sample(label, seed=seed, decoding=way)) for seed in range(num_seeds) for label in range(10))
    return sum(int((candidates.probabilities.argmax(axis=1) == label).sum()) for label, candidates in drawn)


def peak_memory() -> int:
    """Peak memory in MiB from /proc, because `getrusage` inherits the peak of the process that started this one."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


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


PARTS = {
    "speed": show_speed,
    "profile": show_profile,
    "growth": show_growth,
    "memory": show_memory,
    "start_up": show_start_up,
    "precision": show_precision,
}


if __name__ == "__main__":
    main()
