# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How good drawn images are, as an independent classifier, its features and the real images say.

`benchmarks/quality.py` calls this. A pool of candidates is a data set that `sample_hf.py --num_images` draws: the
digits in turn, so that its first images are raw ones of all digits, and the candidates of a digit, 64 by 64, are what
one call of the pipeline would have drawn and reranked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import torch

from mnist_text_gen import MnistCnnForImageClassification, MnistTextGenerationPipeline, MnistTextTokenizer
from mnist_text_gen.commands import train_classifier
from mnist_text_gen.commands.bulk import BulkArguments, join_processes, write_data_set
from mnist_text_gen.commands.sample_hf import SampleArguments
from mnist_text_gen.corpus import LabelledImages, load_images
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import decode
from mnist_text_gen.tokenizer import binarize_images


ROOT = Path(__file__).parent.parent
JUDGE_RECIPE = ROOT / "recipes" / "classifier_judge.yaml"
NUM_CLASSES = 10
NUM_CANDIDATES, NUM_BEST = 64, 8
BATCH_SIZE = 500


@dataclass(frozen=True)
class Samples:
    """Drawn images, best first where they were chosen.

    Attributes:
        texts (`list[str]`): 152 characters each.
        labels (`np.ndarray`, int64 `[N]`): the wanted digits.
        scores (`np.ndarray`, float32 `[N]`): the reranking classifier's probability of the wanted digit.
    """

    texts: list[str]
    labels: np.ndarray
    scores: np.ndarray

    def take(self, indices: Sequence[int]) -> "Samples":
        return Samples([self.texts[index] for index in indices], self.labels[indices], self.scores[indices])

    @property
    def images(self) -> np.ndarray:
        """uint8 `[N, 30, 30]` in {0, 1}."""
        return MnistTextTokenizer().decode_images(self.texts)


def draw_pool(
    draw: MnistTextGenerationPipeline, model: Path, temperature: float, num_images: int, seed: int, folder: Path
) -> Samples:
    """Draw a pool with `draw`, the pipeline of `model`, or what is missing of it, into `folder`, and read it."""
    args = SampleArguments(model_name_or_path=str(model), temperature=temperature, seed=seed, output_dir=str(folder))
    write_data_set(draw, args, BulkArguments(num_images=num_images), join_processes())
    table = pyarrow.parquet.read_table(folder / "data", columns=["text", "label", "score", "index"])
    table = table.sort_by("index")
    return Samples(table["text"].to_pylist(), table["label"].to_numpy(), table["score"].to_numpy())


def choose_raw(pool: Samples, num_images: int) -> Samples:
    """The first ones, whatever they look like."""
    return pool.take(range(min(num_images, len(pool.texts))))


def choose_best(pool: Samples, num_candidates: int = NUM_CANDIDATES, num_best: int = NUM_BEST) -> Samples:
    """The best of every 64 candidates of a digit; of fewer, those of the first ones of the 64."""
    return pool.take(np.concatenate([_rank(pool, group[:num_candidates])[:num_best] for group in _groups(pool)]))


def choose_worst(pool: Samples, num_worst: int = NUM_BEST) -> Samples:
    """The worst of the first 64 candidates of each digit, worst first."""
    firsts = list(_groups(pool))[:: len(_positions(pool, 0)) // NUM_CANDIDATES]
    return pool.take(np.concatenate([_rank(pool, group)[::-1][:num_worst] for group in firsts]))


def _positions(pool: Samples, label: int) -> np.ndarray:
    return np.flatnonzero(pool.labels == label)


def _groups(pool: Samples) -> Iterator[np.ndarray]:
    """Positions of 64 candidates of one digit each; what is left over at the end is no group."""
    for label in range(NUM_CLASSES):
        positions = _positions(pool, label)
        whole = len(positions) // NUM_CANDIDATES * NUM_CANDIDATES
        yield from positions[:whole].reshape(-1, NUM_CANDIDATES)


def _rank(pool: Samples, group: np.ndarray) -> np.ndarray:
    # stable, as the pipeline's: of equal scores the first one stands first
    return group[np.argsort(-pool.scores[group], kind="stable")]


def train_judge(source: str, folder: Path) -> MnistCnnForImageClassification:
    """The classifier of `recipes/classifier_judge.yaml`, trained into `folder` unless it is there."""
    if not (folder / "config.json").exists():
        train_classifier.train([str(JUDGE_RECIPE), "--dataset_name", source, "--output_dir", str(folder)])
    return MnistCnnForImageClassification.from_pretrained(folder, use_safetensors=True).eval()


@torch.inference_mode()
def look_at(classifier: MnistCnnForImageClassification, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, float32 `[N, 10]`, and what goes into the last layer, float32 `[N, D]`, of `[N, 30, 30]`."""
    logits, features = [], []
    for batch in torch.from_numpy(images)[:, None].split(BATCH_SIZE):
        hidden = classifier.stages(batch.to(classifier.device, classifier.dtype)).flatten(1)
        features.append(hidden.float().cpu())
        logits.append(classifier.classifier(hidden).float().cpu())
    return torch.cat(logits).softmax(dim=-1).numpy(), torch.cat(features).numpy()


@dataclass(frozen=True)
class RealImages:
    """What stands beside the samples, binary `[N, 30, 30]`: training images of the model, test images, and others."""

    train: LabelledImages
    test: LabelledImages
    others: LabelledImages

    @classmethod
    def load(cls, source: str, num_train: int, num_others: int) -> "RealImages":
        """`train` are the first training images, as for the model; `others` the last, which the judge never saw."""
        splits = load_images(source)
        whole = splits["train"]
        return cls(
            *(
                LabelledImages(binarize_images(split.images), split.labels)
                for split in (
                    whole.first(num_train, "num_train"),
                    splits["test"],
                    LabelledImages(whole.images[-num_others:], whole.labels[-num_others:]),
                )
            )
        )


def measure_agreement(judge: MnistCnnForImageClassification, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What `class_agreement` says of images `[N, 30, 30]`, by the judge."""
    probabilities, _ = look_at(judge, images)
    return load_metric("class_agreement").compute(predictions=probabilities.argmax(axis=1), references=labels)


def measure_samples(
    samples: Samples, judge: MnistCnnForImageClassification, real: RealImages, num_folds: int = 20
) -> dict[str, Any]:
    """The metrics of drawn images: what the judge says, the Fréchet distance and the diversity.

    Returns:
        `dict`, plain JSON: `num_samples`, and what the metrics `class_agreement`, `frechet_distance` (between as many
        drawn and test images, the floor between as many test and other training images) and `diversity` return.
    """
    probabilities, features = look_at(judge, samples.images)
    num_compared = min(len(samples.texts), len(real.test.images), len(real.others.images))
    _, test_features = look_at(judge, real.test.images[:num_compared])
    _, other_features = look_at(judge, real.others.images[:num_compared])
    return {
        "num_samples": len(samples.texts),
        "class_agreement": load_metric("class_agreement").compute(
            predictions=probabilities.argmax(axis=1), references=samples.labels
        ),
        "frechet_distance": load_metric("frechet_distance").compute(
            predictions=features[spread(len(features), num_compared)],
            references=test_features,
            floor_references=other_features,
            num_folds=num_folds,
        ),
        "diversity": load_metric("diversity").compute(
            predictions=samples.images,
            labels=samples.labels,
            train_images=real.train.images,
            test_images=real.test.images,
            test_labels=real.test.labels,
        ),
    }


def spread(num_rows: int, num_wanted: int) -> np.ndarray:
    """So many row numbers at equal distances, for rows that are sorted by digit."""
    return np.linspace(0, num_rows - 1, num_wanted).round().astype(int)


def measure_best_of_n(
    pool: Samples, judge: MnistCnnForImageClassification, real: RealImages, numbers: Sequence[int] = (8, 16, 32, 64)
) -> list[dict[str, Any]]:
    """What reranking buys and costs: the best 8 of the first n candidates, of n = 8, which are raw, to 64."""
    return [
        {"num_candidates": number, **measure_samples(choose_best(pool, number), judge, real, num_folds=0)}
        for number in numbers
    ]


def measure_validity(
    draw: Any, temperatures: Sequence[float], num_texts: int, seed: int, block_size: int = 64
) -> dict[str, Any]:
    """Texts that are sampled from all 75 symbols, with no grammar: what `mnist_text_validity` says, by temperature."""
    results = {}
    for temperature in temperatures:
        labels = np.arange(num_texts) % NUM_CLASSES
        texts = []
        for start in range(0, num_texts, block_size):
            block = torch.from_numpy(labels[start : start + block_size]).to(draw.device)[:, None]
            ids = draw.model.generate(
                block,
                attention_mask=torch.ones_like(block),
                custom_generate=decode,
                seeds=[seed * num_texts + start + row for row in range(len(block))],
                temperature=temperature,
            )
            texts += draw.tokenizer.batch_decode(ids)
        # what stands behind the first `)` fills the row up and is not sampled
        texts = [text[: text.index(")") + 1] if ")" in text else text for text in texts]
        results[f"{temperature:g}"] = load_metric("mnist_text_validity").compute(predictions=texts, references=labels)
    return results


def measure_calibration(
    pool: Samples, draw: Any, judge: MnistCnnForImageClassification, real: RealImages, num_bins: int = 15
) -> dict[str, Any]:
    """Whether the reranking classifier's probabilities are shares.

    On real test images: the largest probability against the share that is right, with its logits as they are and
    divided by 0.8. On raw candidates: the score, the probability of the wanted digit, against the share that the judge
    agrees with. The error is the expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 5).
    """
    probabilities, _ = look_at(draw.classifier, real.test.images)
    results = {}
    for name, temperature in (("test images", 1.0), ("test images, logits / 0.8", 0.8)):
        sharpened = probabilities.astype(np.float64) ** (1 / temperature)
        sharpened /= sharpened.sum(axis=1, keepdims=True)
        right = sharpened.argmax(axis=1) == real.test.labels
        results[name] = bin_by_confidence(sharpened.max(axis=1), right, num_bins)
    agrees = look_at(judge, pool.images)[0].argmax(axis=1) == pool.labels
    results["raw candidates, logits / 0.8"] = bin_by_confidence(pool.scores.astype(np.float64), agrees, num_bins)
    return results


def bin_by_confidence(confidence: np.ndarray, right: np.ndarray, num_bins: int) -> dict[str, Any]:
    """Expected calibration error, and for each bin with images their number, mean confidence and share of right."""
    numbers = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    bins = [
        {
            "num_samples": int((numbers == number).sum()),
            "confidence": float(confidence[numbers == number].mean()),
            "share": float(right[numbers == number].mean()),
        }
        for number in np.unique(numbers)
    ]
    error = sum(each["num_samples"] * abs(each["confidence"] - each["share"]) for each in bins) / len(right)
    return {"num_samples": len(right), "calibration_error": error, "bins": bins}
