# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How good are the drawn digits? `python benchmarks/quality.py --source MNIST`

It measures a model in parts, and writes each as a section of `quality.json` beside the weights, with their SHA-256.
The model card and `benchmarks/quality_report.py` read this file. `--work` keeps drawn images, the judge and
likelihoods, so that a run that was killed continues. With the default numbers, it takes hours on two cores.

- `judge`: the share of the real test images that the judge takes for their digit.
- `samples`: the metrics of `metrics/` for raw candidates and for 8 of 64 by each selection, at each temperature.
- `best_of_n`: the best 8 of n candidates, at the first temperature.
- `validity`: texts that are sampled without the grammar.
- `calibration`: how well the probabilities of the reranking classifier agree with shares of right answers.
- `accuracy_score`: the accuracy on real images of a CNN that was trained on drawn ones.
- `synthetic_data`: that accuracy by number of images at temperature 1, all or good ones, with or without real ones.
- `likelihood`, `literature`, `generation`: see `benchmarks/likelihood.py`.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch
from likelihood import MEASURES, LikelihoodArguments, bin_by_confidence, measure_share
from sampling import check_parts, load_digits
from transformers import Trainer, TrainingArguments, default_data_collator, set_seed
from transformers.hf_argparser import HfArg

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification, MnistTextTokenizer
from mnist_text_gen.commands import train_classifier
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.commands.draw_dataset import DatasetArguments, join_processes, write_dataset
from mnist_text_gen.commands.sampling import SamplingArguments
from mnist_text_gen.data import LabelledImages, load_images
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import DEFAULTS, SELECTIONS, decode, select_best, select_diverse
from mnist_text_gen.publishing import hash_weights, read_quality, write_quality
from mnist_text_gen.tokenizer import binarize_images


PROG = "quality.py"
JUDGE_RECIPE = Path(__file__).parent.parent / "recipes" / "classifier_judge.yaml"
NUM_CLASSES = 10
NUM_CANDIDATES, NUM_BEST, MIN_SCORE = 64, 8, DEFAULTS["min_score"]
BATCH_SIZE = 500


@dataclass
class QualityArguments(LikelihoodArguments):
    """What is measured."""

    parts: list[str] = field(
        default_factory=lambda: [part for part in PARTS if part != "literature"],
        metadata={"help": "What is measured; by default all but literature, which needs sampled_model."},
    )
    temperatures: list[float] = field(
        default_factory=lambda: [0.8, 0.6, 1.0], metadata={"help": "The first one also serves the other parts."}
    )
    num_candidates: list[int] = field(
        default_factory=lambda: [80_000], metadata={"help": "One number for all temperatures, or one for each."}
    )
    num_images: int = HfArg(default=10_000, help="Raw images that are measured, at most.")
    num_other_samples: int = HfArg(default=10_000, help="Last training images, for the floor of the distance.")
    num_synthetic: list[int] = field(
        default_factory=lambda: [10_000, 30_000, 60_000], metadata={"help": "Numbers of images for synthetic_data."}
    )
    num_free_texts: int = HfArg(default=2_560, help="Texts without the grammar, at each temperature.")
    seed: int = HfArg(default=1, help="Seed of the samples.")

    def __post_init__(self):
        super().__post_init__()
        if len(self.num_candidates) not in (1, len(self.temperatures)):
            raise ValueError(
                f"`num_candidates` must be one number, or one per temperature, got {len(self.num_candidates)} numbers "
                f"for {len(self.temperatures)} temperatures"
            )


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([QualityArguments], argv, PROG, __doc__)
    check_parts(args.parts, PARTS)
    model, measurement = Path(args.model), Measurement(args)
    for part in args.parts:
        section = MEASURES[part](args) if part in MEASURES else PARTS[part](measurement)
        sections = {**read_quality(model), part: section}  # none of other weights
        with staged_folder(model) as folder:
            write_quality(folder, hash_weights(model), sections)


@dataclass(frozen=True)
class Samples:
    """Drawn images; selected ones are in the order of their scores.

    In a pool of candidates the digits take turns, so that its first images are raw images of all digits. Each 64
    candidates of a digit are like those of one call of the pipeline.
    """

    texts: list[str]
    labels: np.ndarray  # int64 [N], the wanted digits
    scores: np.ndarray  # float32 [N], the reranking classifier's probability of the wanted digit

    @classmethod
    def read(cls, folder: Path) -> "Samples":
        columns = pyarrow.parquet.read_table(folder / "data", columns=["text", "label", "score", "index"])
        columns = columns.sort_by("index")
        return cls(columns["text"].to_pylist(), columns["label"].to_numpy(), columns["score"].to_numpy())

    def take(self, indices: Sequence[int]) -> "Samples":
        return Samples([self.texts[index] for index in indices], self.labels[indices], self.scores[indices])

    @property
    def images(self) -> np.ndarray:
        """uint8 `[N, 30, 30]` in {0, 1}."""
        return MnistTextTokenizer().decode_images(self.texts)

    def raw(self, num_images: int) -> "Samples":
        """The first images, without selection."""
        return self.take(range(min(num_images, len(self.texts))))

    def best(self, num_candidates: int = NUM_CANDIDATES) -> "Samples":
        """The best 8 of every 64 candidates of a digit, or of the first `num_candidates` of the 64."""
        return self.take(np.concatenate([self._rank(g[:num_candidates])[:NUM_BEST] for g in self._groups()]))

    def diverse(self) -> "Samples":
        """The 8 of every 64 candidates of a digit that the pipeline selects as `diverse`."""
        images = self.images
        passed = (self.scores >= MIN_SCORE) & images.any(axis=(1, 2))  # as in `Candidates.passed`
        selected = (g[select_diverse(self.scores[g], images[g], passed[g], NUM_BEST)] for g in self._groups())
        return self.take(np.concatenate(list(selected)))

    def worst(self) -> "Samples":
        """The worst 8 of the first 64 candidates of each digit, worst first."""
        firsts = {self.labels[group[0]]: group for group in reversed(list(self._groups()))}
        return self.take(np.concatenate([self._rank(firsts[k])[::-1][:NUM_BEST] for k in sorted(firsts)]))

    def _groups(self) -> Iterator[np.ndarray]:
        """Positions of groups of 64 candidates of a digit, without an incomplete group at the end."""
        for label in range(NUM_CLASSES):
            positions = np.flatnonzero(self.labels == label)
            whole = len(positions) // NUM_CANDIDATES * NUM_CANDIDATES
            yield from positions[:whole].reshape(-1, NUM_CANDIDATES)

    def _rank(self, group: np.ndarray) -> np.ndarray:
        return group[select_best(self.scores[group])]


@dataclass(frozen=True)
class RealImages:
    """Real binary images `[N, 30, 30]`, for comparison with the samples."""

    train: LabelledImages  # the first training images, which the model was trained on
    test: LabelledImages
    others: LabelledImages  # the last training images, which the judge never saw

    @classmethod
    def load(cls, source: str, num_train: int, num_others: int) -> "RealImages":
        splits = load_images(source)
        whole = splits["train"]
        others = LabelledImages(whole.images[-num_others:], whole.labels[-num_others:])
        parts = (whole.first(num_train, "num_train_samples"), splits["test"], others)
        return cls(*(LabelledImages(binarize_images(part.images), part.labels) for part in parts))


class Measurement:
    """Objects that several parts need, each made once, when it is first needed."""

    def __init__(self, args: QualityArguments):
        self.args = args
        self.work = check_output_folder(args.work, "work")
        self.pipe = load_digits(args.model)
        self.pools = {}

    @cached_property
    def real(self) -> RealImages:
        return RealImages.load(self.args.source, self.args.num_train_samples, self.args.num_other_samples)

    @cached_property
    def judge(self) -> MnistCnnForImageClassification:
        folder = self.work / "judge"
        if not (folder / "config.json").exists():
            options = ["--dataset_name", self.args.source, "--output_dir", str(folder)]
            train_classifier.train([str(JUDGE_RECIPE), *options])
        return MnistCnnForImageClassification.from_pretrained(folder, use_safetensors=True).eval()

    def pool(self, temperature: float) -> Samples:
        """The candidates at a temperature; missing ones are drawn."""
        if temperature not in self.pools:
            args = self.args
            numbers = args.num_candidates * (len(args.temperatures) // len(args.num_candidates))
            folder = self.work / f"samples-{temperature:g}"
            how = SamplingArguments(model_name_or_path=args.model, temperature=temperature, seed=args.seed)
            number = numbers[args.temperatures.index(temperature)]
            write_dataset(self.pipe, how, DatasetArguments(number, str(folder)), join_processes())
            self.pools[temperature] = Samples.read(folder)
        return self.pools[temperature]

    @property
    def first_pool(self) -> Samples:
        return self.pool(self.args.temperatures[0])


@torch.inference_mode()
def look_at(classifier: MnistCnnForImageClassification, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, float32 `[N, 10]`, and inputs of the last layer, float32 `[N, D]`, for images `[N, 30, 30]`."""
    logits, features = [], []
    for batch in torch.from_numpy(images)[:, None].split(BATCH_SIZE):
        hidden = classifier.stages(batch.to(classifier.device, classifier.dtype)).flatten(1)  # [B, D]
        features.append(hidden.float().cpu())
        logits.append(classifier.classifier(hidden).float().cpu())
    return torch.cat(logits).softmax(dim=-1).numpy(), torch.cat(features).numpy()


def measure_judge(m: Measurement) -> dict[str, Any]:
    return measure_agreement(look_at(m.judge, m.real.test.images)[0], m.real.test.labels)


def measure_agreement(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return load_metric("class_agreement").compute(predictions=probabilities.argmax(axis=1), references=labels)


def measure_temperatures(m: Measurement) -> dict[str, Any]:
    results = {}
    for temperature in m.args.temperatures:
        pool = m.pool(temperature)
        kinds = {"raw": pool.raw(m.args.num_images)} | {kind: getattr(pool, kind)() for kind in SELECTIONS}
        results[f"{temperature:g}"] = {kind: measure_samples(each, m.judge, m.real) for kind, each in kinds.items()}
    return results


def measure_samples(
    samples: Samples, judge: MnistCnnForImageClassification, real: RealImages, num_folds: int = 20
) -> dict[str, Any]:
    """The results of the metrics. The Fréchet distance compares equal numbers of drawn and test images, and its floor
    test images and other training images."""
    probabilities, features = look_at(judge, samples.images)
    number = min(len(samples.texts), len(real.test.images), len(real.others.images))
    _, test_features = look_at(judge, real.test.images[:number])
    _, other_features = look_at(judge, real.others.images[:number])
    rows = np.linspace(0, len(features) - 1, number).round().astype(int)  # at equal distances, for all digits
    test = {"test_images": real.test.images, "test_labels": real.test.labels}
    return {
        "num_samples": len(samples.texts),
        "class_agreement": measure_agreement(probabilities, samples.labels),
        "frechet_distance": load_metric("frechet_distance").compute(
            predictions=features[rows], references=test_features, floor_references=other_features, num_folds=num_folds
        ),
        "diversity": load_metric("diversity").compute(
            predictions=samples.images, labels=samples.labels, train_images=real.train.images, **test
        ),
    }


def measure_best_of_n(m: Measurement, numbers: Sequence[int] = (8, 16, 32, 64)) -> list[dict[str, Any]]:
    """The effect of reranking: the best 8 of the first n candidates, from n = 8, which are all, to 64."""
    measured = (measure_samples(m.first_pool.best(number), m.judge, m.real, num_folds=0) for number in numbers)
    return [{"num_candidates": number, **found} for number, found in zip(numbers, measured, strict=True)]


def measure_validity(m: Measurement, block_size: int = 64) -> dict[str, Any]:
    """`mnist_text_validity` by temperature of texts that are sampled from all 75 symbols, without the grammar."""
    pipe, num_texts = m.pipe, m.args.num_free_texts
    results = {}
    for temperature in m.args.temperatures:
        labels = np.arange(num_texts) % NUM_CLASSES
        texts = []
        for start in range(0, num_texts, block_size):
            block = torch.from_numpy(labels[start : start + block_size]).to(pipe.device)[:, None]
            seeds = [m.args.seed * num_texts + start + row for row in range(len(block))]
            how = {"attention_mask": torch.ones_like(block), "seeds": seeds, "temperature": temperature}
            texts += pipe.tokenizer.batch_decode(pipe.model.generate(block, custom_generate=decode, **how))
        # characters after the first `)` are padding and not sampled
        texts = [text[: text.index(")") + 1] if ")" in text else text for text in texts]
        results[f"{temperature:g}"] = load_metric("mnist_text_validity").compute(predictions=texts, references=labels)
    return results


def measure_calibration(m: Measurement) -> dict[str, Any]:
    """Compare the reranking classifier's probabilities with shares.

    On real test images, the largest probability is compared with the share of right answers, for its plain logits and
    for logits divided by 0.8. On raw candidates, the probability of the wanted digit is compared with the share that
    the judge agrees with.
    """
    probabilities, _ = look_at(m.pipe.classifier, m.real.test.images)
    results = {}
    for name, temperature in (("test images", 1.0), ("test images, logits / 0.8", 0.8)):
        sharpened = probabilities.astype(np.float64) ** (1 / temperature)
        sharpened /= sharpened.sum(axis=1, keepdims=True)
        right = sharpened.argmax(axis=1) == m.real.test.labels
        results[name] = bin_by_confidence(sharpened.max(axis=1), right)
    pool = m.first_pool
    agrees = look_at(m.judge, pool.images)[0].argmax(axis=1) == pool.labels
    results["raw candidates, logits / 0.8"] = bin_by_confidence(pool.scores.astype(np.float64), agrees)
    return results


def measure_accuracy_scores(m: Measurement) -> dict[str, Any]:
    """How good a CNN becomes that has only seen drawn images, beside the same CNN, trained on real ones (Ravuri and
    Vinyals 2019, arXiv:1905.10887, section 3). What drawn images lack, in quality or in variety, it can't know."""
    sets = {f"{len(m.real.train.labels):,} real images": m.real.train}
    for temperature in m.args.temperatures:
        sets[f"raw, temperature {temperature:g}"] = m.pool(temperature).raw(m.args.num_images)
    for kind in SELECTIONS:
        sets[f"{kind} 8 of 64, temperature {m.args.temperatures[0]:g}"] = getattr(m.first_pool, kind)()
    return {name: measure_accuracy_score(train.images, train.labels, m.real.test) for name, train in sets.items()}


def measure_synthetic_data(
    m: Measurement, min_scores: Sequence[float] = (0, 0.5, MIN_SCORE), num_steps: int = 3_600
) -> dict[str, Any]:
    """The accuracy score by number of drawn images, all or good, alone or with real ones, in equally many steps."""
    real, test, pool, rows = m.real.train, m.real.test, m.pool(1.0), []
    measure = partial(measure_accuracy_score, test=test, num_steps=num_steps)
    for min_score in min_scores:
        good = pool.take(np.flatnonzero(pool.scores >= min_score))
        for number in m.args.num_synthetic:
            drawn = good.images[:number], good.labels[:number]
            both = (np.concatenate(columns) for columns in zip(real, drawn, strict=True))
            found = {"alone": measure(*drawn), "beside_real": measure(*both)}
            rows.append({"min_score": min_score, "num_images": len(drawn[1]), **found})
    return {"num_steps": num_steps, "real": measure(*real), "rows": rows}


def measure_accuracy_score(
    images: np.ndarray, labels: np.ndarray, test: LabelledImages, num_steps: int = -1, seeds: Sequence[int] = (0, 1, 2)
) -> dict[str, Any]:
    """The accuracy on test images of CNNs that are trained on images `[N, 30, 30]` in {0, 1}, one CNN per seed.

    `interval` is the exact binomial 95 % interval for the mean number of right answers, which covers the choice of
    test images. The spread of `accuracies` covers the trainings.
    """
    accuracies = []
    for seed in seeds:
        probabilities, _ = look_at(train_small_classifier(images, labels, seed, num_steps), test.images)
        accuracies.append(float((probabilities.argmax(axis=1) == test.labels).mean()))
    accuracy, number = float(np.mean(accuracies)), len(test.labels)
    return {
        "num_train_samples": len(labels),
        "accuracy": accuracy,
        "accuracies": accuracies,
        "num_samples": number,
        "interval": measure_share(round(accuracy * number), number)["interval"],
    }


def train_small_classifier(
    images: np.ndarray, labels: np.ndarray, seed: int, num_steps: int
) -> MnistCnnForImageClassification:
    """Train a classifier smaller than the shipped one, for `num_steps` of 50 images; -1 stands for six epochs."""
    set_seed(seed)
    model = MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=[16, 32, 64]))
    pixels = images[:, None].astype(np.float32)  # [N, 1, 30, 30]
    rows = [{"pixel_values": image, "labels": int(label)} for image, label in zip(pixels, labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        schedule = {"learning_rate": 2e-3, "lr_scheduler_type": "cosine", "warmup_steps": 0.05, "weight_decay": 0.01}
        quiet = {"save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
        args = TrainingArguments(
            folder,
            per_device_train_batch_size=50,
            num_train_epochs=6,
            max_steps=num_steps,
            seed=seed,
            bf16=True,
            use_cpu=not torch.accelerator.is_available(),
            **schedule,
            **quiet,
        )
        Trainer(model, args, train_dataset=rows, data_collator=default_data_collator).train()
    return model.eval()


PARTS: dict[str, Callable] = {
    "judge": measure_judge,
    "samples": measure_temperatures,
    "best_of_n": measure_best_of_n,
    "validity": measure_validity,
    "calibration": measure_calibration,
    "accuracy_score": measure_accuracy_scores,
    "synthetic_data": measure_synthetic_data,
    **MEASURES,
}


if __name__ == "__main__":
    main()
