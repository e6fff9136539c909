# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How good the digits are: `python benchmarks/quality.py --source ../shared/mnist`.

Measures a model in parts, and keeps each as a section of `quality.json` beside the weights, with their SHA-256; then
writes `docs/quality.md` with its pictures from it. The model card reads the same file. What takes long is kept in
`--work` and gone on with where a run was killed: pools of candidates, the judge, likelihoods.

- `judge`: what the judge itself gets right of the real test images.
- `samples`: raw candidates and the best 8 of 64, at each temperature, under the metrics of `metrics/`.
- `best_of_n`: the best 8 of n candidates, at the first temperature.
- `validity`: texts that are sampled without the grammar.
- `calibration`: of the classifier that reranks.
- `accuracy_score`: a CNN trained on drawn images, tested on real ones.
- `likelihood`: nats of the test images, beside baselines and other trainings (`--others`).
- `literature`: nats of sampled test images under a model of `recipes/sampled.yaml` (`--sampled_model`).
- `generation`: classification by the likelihoods of the ten digits, and likelihoods as a detector.

With the default numbers it takes hours on two cores; `--parts`, `--temperatures`, `--num_candidates` and
`--num_test_images` make it less.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import classification_by_generation
import likelihood
import literature
from accuracy_score import measure_accuracy_scores
from generation import load_digits
from quality_report import write_report
from sample_quality import (
    NUM_CANDIDATES,
    NUM_CLASSES,
    RealImages,
    Samples,
    choose_best,
    choose_raw,
    draw_pool,
    measure_agreement,
    measure_best_of_n,
    measure_calibration,
    measure_samples,
    measure_validity,
    train_judge,
)

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.corpus import LabelledImages
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.modeling import hash_weights, read_quality, write_quality


PROG = "quality.py"
PARTS = (
    "judge",
    "samples",
    "best_of_n",
    "validity",
    "calibration",
    "accuracy_score",
    "likelihood",
    "literature",
    "generation",
)
REPORT_FOLDER = Path(__file__).parent.parent / "docs"


@dataclass
class Arguments:
    """What is measured."""

    source: str = field(metadata={"help": "MNIST; see mnist_text_gen.corpus.load_images."})
    model: str = field(default=str(SHIPPED_CHECKPOINT), metadata={"help": "Folder of the model and its classifier."})
    work: str = field(default="runs/quality", metadata={"help": "Folder that keeps what takes long."})
    judge: str | None = field(
        default=None,
        metadata={
            "help": "Folder of the judge; by default recipes/classifier_judge.yaml trains it in the work folder."
        },
    )
    report: str = field(default=str(REPORT_FOLDER), metadata={"help": "Folder of quality.md and its pictures."})
    parts: list[str] = field(
        default_factory=lambda: list(PARTS), metadata={"help": "The sections that are measured; all by default."}
    )
    temperatures: list[float] = field(
        default_factory=lambda: [0.8, 0.6, 1.0],
        metadata={"help": "Of the samples; of the first one come the best of n, calibration and pictures."},
    )
    num_candidates: list[int] = field(
        default_factory=lambda: [80_000],
        metadata={"help": "Candidates at each temperature, or one number for all; of 80,000 come 10,000 best of 64."},
    )
    num_images: int = field(default=10_000, metadata={"help": "Raw images that are measured, at most."})
    num_train_samples: int = field(default=10_000, metadata={"help": "Training images of the model, the first ones."})
    num_other_samples: int = field(
        default=10_000, metadata={"help": "Training images of the floor, the last ones, which the judge never saw."}
    )
    num_free_texts: int = field(default=2_560, metadata={"help": "Texts without the grammar, at each temperature."})
    seed: int = field(default=1, metadata={"help": "Of the samples."})
    others: list[str] = field(
        default_factory=list, metadata={"help": "NAME=FOLDER of other language models for the table of likelihoods."}
    )
    sampled_model: str | None = field(
        default=None, metadata={"help": "Folder of a model of recipes/sampled.yaml, which the literature needs."}
    )
    num_test_images: int | None = field(
        default=None, metadata={"help": "Test images of what takes ten passes an image; all by default."}
    )
    num_outliers: int = field(default=1_000, metadata={"help": "Images of each kind that are no digits."})
    fashion_mnist: str | None = field(
        default=None, metadata={"help": "Folder of Fashion-MNIST's IDX files; see classification_by_generation.py."}
    )
    bf16: bool = field(default=False, metadata={"help": "Products in bfloat16 for what takes ten passes an image."})

    def __post_init__(self):
        for part in self.parts:
            if part not in PARTS:
                raise ValueError(f"parts has {part!r}; allowed are {', '.join(PARTS)}")
        if len(self.num_candidates) not in (1, len(self.temperatures)):
            raise ValueError(
                f"num_candidates has {len(self.num_candidates)} numbers; allowed are 1 and {len(self.temperatures)}, "
                "one a temperature"
            )
        if "literature" in self.parts and self.sampled_model is None:
            raise ValueError("sampled_model is missing; allowed with the part literature is a folder")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([Arguments], argv, PROG, __doc__)
    check_output_folder(args.report)
    measure = Measurement(args)
    for part in args.parts:
        record(Path(args.model), part, getattr(measure, part)())
    # the grids need 64 of each digit
    raw = choose_raw(measure.first_pool, max(args.num_images, NUM_CLASSES * NUM_CANDIDATES))
    write_report(Path(args.model), raw, measure.real, Path(args.report))


def record(model: Path, part: str, section: Any) -> None:
    """Put a section into `quality.json`; those of other weights go."""
    sections = read_quality(model)
    with staged_folder(model) as folder:
        write_quality(folder, hash_weights(model), {**sections, part: section})


class Measurement:
    """The parts, each a method of its name that returns its section; what several need is made once."""

    def __init__(self, args: Arguments):
        self.args = args
        self.work = check_output_folder(args.work)
        self.real = RealImages.load(args.source, args.num_train_samples, args.num_other_samples)
        self.draw = load_digits(args.model)
        self.judge_model = train_judge(args.source, Path(args.judge or self.work / "judge"))
        self.pools = {}

    def pool(self, temperature: float) -> Samples:
        if temperature not in self.pools:
            numbers = self.args.num_candidates * (len(self.args.temperatures) // len(self.args.num_candidates))
            number = numbers[self.args.temperatures.index(temperature)]
            folder = self.work / f"samples-{temperature:g}"
            self.pools[temperature] = draw_pool(
                self.draw, Path(self.args.model), temperature, number, self.args.seed, folder
            )
        return self.pools[temperature]

    @property
    def first_pool(self) -> Samples:
        return self.pool(self.args.temperatures[0])

    def judge(self) -> dict[str, Any]:
        return measure_agreement(self.judge_model, self.real.test.images, self.real.test.labels)

    def samples(self) -> dict[str, Any]:
        results = {}
        for temperature in self.args.temperatures:
            pool = self.pool(temperature)
            chosen = {"raw": choose_raw(pool, self.args.num_images), "best": choose_best(pool)}
            results[f"{temperature:g}"] = {
                name: measure_samples(samples, self.judge_model, self.real) for name, samples in chosen.items()
            }
        return results

    def best_of_n(self) -> list[dict[str, Any]]:
        return measure_best_of_n(self.first_pool, self.judge_model, self.real)

    def validity(self) -> dict[str, Any]:
        return measure_validity(self.draw, self.args.temperatures, self.args.num_free_texts, self.args.seed)

    def calibration(self) -> dict[str, Any]:
        return measure_calibration(self.first_pool, self.draw, self.judge_model, self.real)

    def accuracy_score(self) -> dict[str, Any]:
        sets = {f"{len(self.real.train.labels):,} real images": self.real.train}
        for temperature in self.args.temperatures:
            drawn = choose_raw(self.pool(temperature), self.args.num_images)
            sets[f"raw, temperature {temperature:g}"] = LabelledImages(drawn.images, drawn.labels)
        best = choose_best(self.first_pool)
        sets[f"best 8 of 64, temperature {self.args.temperatures[0]:g}"] = LabelledImages(best.images, best.labels)
        return measure_accuracy_scores(sets, self.real.test)

    def likelihood(self) -> dict[str, Any]:
        return likelihood.measure(
            self.args.source,
            self.args.model,
            others=likelihood.parse_others(self.args.others),
            num_train_samples=self.args.num_train_samples,
            cache=self.work,
        )

    def literature(self) -> dict[str, Any]:
        return literature.measure(
            self.args.source, self.args.sampled_model, self.args.bf16, self.work, self.args.num_test_images
        )

    def generation(self) -> dict[str, Any]:
        return classification_by_generation.measure(
            self.args.source,
            self.args.model,
            num_images=self.args.num_test_images,
            num_outliers=self.args.num_outliers,
            fashion_mnist=self.args.fashion_mnist,
            bf16=self.args.bf16,
            cache=self.work,
        )


if __name__ == "__main__":
    sys.exit(main())
