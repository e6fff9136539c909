# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the likelihoods of the language model know of digits:
`python benchmarks/classification_by_generation.py --source ../shared/mnist`.

Classification: of the ten log p(x | y) of a test image, Bayes' rule makes p(y | x), whose largest is the answer;
beside it the classifier on the same binary images. Detection: log p(x) as a score that should be higher for test
digits than for images that are no digits. Both take all digits for equally likely beforehand, so that they say
something of the model alone. The model is taken as it is: temperature 1, no grammar.

An image takes ten passes; 10,000 in float32 about 45 minutes of one core. They are kept in `--cache`, 500 images a
file, by the SHA-256 of the weights and of the images. So a run that was killed goes on, and another with the same
weights and images has them at once. A file there that cannot be read, or is about something else than its name says,
is made anew.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import CONFIDENCE, measure_mean, measure_share
from generation import load_digits, show_table
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy import stats
from sklearn.metrics import confusion_matrix, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.corpus import LabelledImages, identify_source, load_images
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.modeling import (
    CLASSIFIER_FOLDER,
    class_log_likelihoods,
    class_posterior,
    hash_weights,
    marginal_log_likelihood,
)
from mnist_text_gen.tokenizer import binarize_images


logger = logging.get_logger(__name__)

PROG = "classification_by_generation.py"
NUM_BINS = 15  # as many as Guo et al. 2017 take, section 5
SEED = 0
SHARD_SIZE = 500  # images a file of the cache; also those of which bfloat16 is compared with float32
BATCH_SIZE = 100
DIGITS = "test digits"
FASHION = "Fashion-MNIST"
BLANK = "a blank image"
UPSIDE_DOWN = "digits turned by 180°"
# Turned by 180°, these are themselves, or nearly.
SYMMETRIC_DIGITS = (0, 1, 8)


@dataclass
class Arguments:
    """What is measured."""

    source: str = field(metadata={"help": "MNIST; see mnist_text_gen.corpus.load_images."})
    model: str = field(default=str(SHIPPED_CHECKPOINT), metadata={"help": "Folder of the model and its classifier."})
    num_images: int | None = field(default=None, metadata={"help": "The first test images; all by default."})
    num_outliers: int = field(default=1000, metadata={"help": "Images of each kind that are no digits."})
    fashion_mnist: str | None = field(
        default=None,
        metadata={
            "help": "Folder of Fashion-MNIST's four IDX files; Debian's package dataset-fashion-mnist installs "
            "/usr/share/datasets/fashion-mnist. Without it that row is left out."
        },
    )
    bf16: bool = field(
        default=False, metadata={"help": "Products in bfloat16; the first 500 images are also done in float32."}
    )
    cache: str = field(default="runs/quality", metadata={"help": "Folder that keeps the likelihoods."})


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([Arguments], argv, PROG, __doc__)
    show(measure(**asdict(args)))


def measure(
    source: str,
    model: str | Path = SHIPPED_CHECKPOINT,
    num_images: int | None = None,
    num_outliers: int = 1000,
    fashion_mnist: str | Path | None = None,
    bf16: bool = False,
    cache: str | Path = "runs/quality",
) -> dict[str, Any]:
    """Measure classification and detection.

    Args:
        As the options of the same names, see [`Arguments`].

    Returns:
        `dict`, plain JSON. A figure is a `dict` of `value`, `num_samples` and mostly `interval` (95 %, low and high).
        - `weights` (path to SHA-256), `dataset`, `dtype`, `prior`, `seed`: what was measured, and how.
        - `classification`: for `language_model` and `classifier` the figures `accuracy`, `label_nats` (mean
          −log p(y | x) of the right y) and `calibration_error`, and `confusion` (10 rows, the right digits, of 10
          columns, the answers); `comparison`: images that `both`, `only_language_model`, `only_classifier` and
          `neither` got right, and `mcnemar_p`, the exact p-value of the two in the middle.
        - `nats`: the mean −log p(x) of each set of images.
        - `detection`: the AUROC against the test digits for each set of other images.
        - `bf16_difference`, with `bf16` only: what it changed of the first test images.

    Raises:
        ValueError: for a folder or file that is missing or of another kind, and more images than a source holds.
    """
    cache = check_output_folder(cache, "cache")
    weights = hash_weights(Path(model))
    if not weights:
        raise ValueError(f"model is {str(model)!r}; allowed is a folder with the weights of a model")
    test = load_images(source)["test"]
    digits = test.first(num_images, "num_images")
    image_sets = build_image_sets(digits, test.first(num_outliers, "num_outliers"))
    if fashion_mnist is not None:
        fashion = load_images(str(fashion_mnist))["test"].first(num_outliers, "num_outliers")
        image_sets[FASHION] = binarize_images(fashion.images)
    draw = load_digits(model)
    likelihoods = {
        name: cached_log_likelihoods(draw.model, draw.tokenizer, weights, name, images, bf16, cache)
        for name, images in image_sets.items()
    }
    result = {
        "weights": weights,
        "dataset": identify_source(source),
        "dtype": "bfloat16" if bf16 else str(draw.model.dtype).removeprefix("torch."),
        "prior": "uniform",
        "seed": SEED,
        "classification": compare_classifiers(draw, image_sets[DIGITS], digits.labels, likelihoods[DIGITS]),
        "nats": {name: measure_mean(-marginal_log_likelihood(values)) for name, values in likelihoods.items()},
        "detection": measure_detection(likelihoods, digits.labels, test.labels[:num_outliers]),
    }
    if bf16:
        first = image_sets[DIGITS][:SHARD_SIZE]
        exact = cached_log_likelihoods(draw.model, draw.tokenizer, weights, DIGITS, first, False, cache)
        result["bf16_difference"] = measure_difference(likelihoods[DIGITS][: len(exact)], exact, digits.labels)
    return result


def build_image_sets(digits: LabelledImages, originals: LabelledImages) -> dict[str, np.ndarray]:
    """The digits, and what is made up or made of `originals`: uint8 `[N, 30, 30]` in {0, 1}, by name.

    The random numbers of an image depend on its number alone; noise has the share of ink of all the originals.
    """
    binary, others = binarize_images(digits.images), binarize_images(originals.images)
    ink = others.mean()
    noise = [_generator(number).random(image.shape) < ink for number, image in enumerate(others)]
    shuffled = [
        _generator(number).permutation(image.ravel()).reshape(image.shape) for number, image in enumerate(others)
    ]
    return {
        DIGITS: binary,
        "noise, as much ink": np.stack(noise).astype(np.uint8),
        "digits, pixels shuffled": np.stack(shuffled),
        "digits turned by 90°": np.rot90(others, 1, axes=(1, 2)),
        UPSIDE_DOWN: np.rot90(others, 2, axes=(1, 2)),
        BLANK: np.zeros_like(binary[:1]),
    }


def _generator(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SEED, number], dtype=np.uint64)))


def cached_log_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    weights: dict[str, str],
    name: str,
    images: np.ndarray,
    bf16: bool,
    cache: Path,
) -> torch.Tensor:
    """log p(x | y), float64 `[N, 10]`, read from `cache` where they are there, and put there where they are not."""
    weights = {path: value for path, value in weights.items() if not path.startswith(f"{CLASSIFIER_FOLDER}/")}
    shards = []
    for start in logging.tqdm(range(0, len(images), SHARD_SIZE), desc=name):
        shard = images[start : start + SHARD_SIZE]
        key = {
            "weights": json.dumps(weights, sort_keys=True),
            "images": hashlib.sha256(shard.tobytes()).hexdigest(),
            "dtype": "bfloat16" if bf16 else str(model.dtype),
        }
        path = cache / f"likelihoods-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.safetensors"
        values = read_shard(path, key, len(shard))
        if values is None:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                values = class_log_likelihoods(model, tokenizer, shard, BATCH_SIZE)
            with staged_folder(cache) as staging:
                save_file({"log_likelihoods": values}, staging / path.name, metadata=key)
        shards.append(values)
    return torch.cat(shards)


def read_shard(path: Path, key: dict[str, str], num_images: int) -> torch.Tensor | None:
    """The likelihoods in a file of the cache; `None` where there is none, or one that is damaged or of another key."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            found, values = file.metadata(), file.get_tensor("log_likelihoods")
    except SafetensorError as error:
        logger.warning(f"{path} cannot be read, and is made anew: {error}")
        return None
    fits = values.dtype == torch.float64 and values.shape == (num_images, 10) and bool((values <= 0).all())
    if found != key or not fits or not bool(values.isfinite().all()):
        logger.warning(f"{path} holds something else than its name says, and is made anew")
        return None
    return values


def compare_classifiers(
    draw, images: np.ndarray, labels: np.ndarray, log_likelihoods: torch.Tensor
) -> dict[str, dict[str, Any]]:
    labels = torch.from_numpy(labels)
    # in the logarithm: a probability may be too small for a float
    log_prior = -math.log(log_likelihoods.shape[1])
    log_posteriors = {
        "language_model": log_likelihoods + log_prior - marginal_log_likelihood(log_likelihoods)[:, None],
        "classifier": classifier_log_posterior(draw.classifier, images),
    }
    ours, theirs = (values.argmax(dim=1) == labels for values in log_posteriors.values())
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    disagreements = only_ours + only_theirs
    comparison = {
        "both": int((ours & theirs).sum()),
        "only_language_model": only_ours,
        "only_classifier": only_theirs,
        "neither": int((~ours & ~theirs).sum()),
        # McNemar 1947, in its exact form: either is as likely to be the one that is right
        "mcnemar_p": float(stats.binomtest(only_ours, disagreements).pvalue) if disagreements else 1.0,
    }
    measured = {name: measure_classifier(values, labels) for name, values in log_posteriors.items()}
    return measured | {"comparison": comparison}


@torch.no_grad()
def classifier_log_posterior(classifier, images: np.ndarray) -> torch.Tensor:
    """log p(y | x) of the classifier at temperature 1, float64 `[N, 10]`."""
    pixel_values = torch.from_numpy(images)[:, None].to(classifier.device, classifier.dtype)
    logits = torch.cat([classifier(batch).logits for batch in pixel_values.split(BATCH_SIZE)])
    return logits.cpu().double().log_softmax(dim=1)


def measure_classifier(log_posterior: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Figures of a classifier by its log p(y | x), float64 `[N, 10]`."""
    predicted = log_posterior.argmax(dim=1)
    label_nats = -log_posterior.gather(1, labels[:, None])[:, 0]
    # torchmetrics has a bin of its own for 1.0, where Guo et al. have it in the last
    probabilities = log_posterior.exp().float().clamp(max=1 - 2**-24)
    calibration_error = multiclass_calibration_error(
        probabilities, labels, num_classes=log_posterior.shape[1], n_bins=NUM_BINS, norm="l1"
    )
    return {
        "accuracy": measure_share(int((predicted == labels).sum()), len(labels)),
        "label_nats": measure_mean(label_nats),
        "calibration_error": {"value": float(calibration_error), "num_samples": len(labels), "num_bins": NUM_BINS},
        "confusion": confusion_matrix(labels, predicted, labels=range(log_posterior.shape[1])).tolist(),
    }


def measure_detection(
    likelihoods: dict[str, torch.Tensor], labels: np.ndarray, original_labels: np.ndarray
) -> dict[str, dict[str, Any]]:
    """AUROC of log p(x) for each set of images that are no digits, against the digits with these labels."""
    scores = {name: marginal_log_likelihood(values).numpy() for name, values in likelihoods.items()}
    digits, blank = scores.pop(DIGITS), scores.pop(BLANK)
    detection = {name: measure_auroc(digits, values) for name, values in scores.items()}
    # against a single image, the area is a share of the digits
    share = measure_share(int((digits > blank).sum()), len(digits))
    detection[BLANK] = share | {"num_samples": 1, "num_digits": len(digits)}
    kept, kept_originals = (~np.isin(values, SYMMETRIC_DIGITS) for values in (labels, original_labels))
    if kept.any() and kept_originals.any():
        name = f"{UPSIDE_DOWN}, without {', '.join(map(str, SYMMETRIC_DIGITS))}"
        detection[name] = measure_auroc(digits[kept], scores[UPSIDE_DOWN][kept_originals])
    return detection


def measure_auroc(digits: np.ndarray, outliers: np.ndarray) -> dict[str, Any]:
    """Probability that a digit has a higher score than an outlier, with the normal interval.

    The standard error is that of Hanley and McNeil 1982, equation 1 and the approximations of Q1 and Q2 after it. It
    takes the two sets for independent, and is 0 at an area of 0 or 1.
    """
    scores = np.concatenate([digits, outliers])
    area = float(roc_auc_score(np.arange(len(scores)) < len(digits), scores))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (len(digits) - 1) * (q1 - area**2) + (len(outliers) - 1) * (q2 - area**2)
    error = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(max(variance, 0) / len(digits) / len(outliers))
    return {
        "value": area,
        "interval": [max(area - error, 0.0), min(area + error, 1.0)],
        "num_samples": len(outliers),
        "num_digits": len(digits),
    }


def measure_difference(rounded: torch.Tensor, exact: torch.Tensor, labels: np.ndarray) -> dict[str, Any]:
    """What bfloat16 changes of the same images: mean −log p(x | y), the largest log p(x | y), and the answers."""
    difference = exact - rounded
    index = torch.from_numpy(labels[: len(exact), None])
    return {
        "label_conditional_nats": measure_mean(difference.gather(1, index)[:, 0]),
        "largest": float(difference.abs().max()),
        "changed_answers": int((class_posterior(rounded).argmax(1) != class_posterior(exact).argmax(1)).sum()),
        "num_samples": len(exact),
    }


def show(result: dict[str, Any]) -> None:
    classification = result["classification"]
    comparison = classification["comparison"]
    ways = {"language model": classification["language_model"], "classifier": classification["classifier"]}
    num_images = ways["classifier"]["accuracy"]["num_samples"]
    print(f"{num_images:,} test images, {result['dtype']}, all digits equally likely beforehand\n")
    show_table(
        ["way", "right", "95 %", "nats of the label", "95 %", f"calibration error, {NUM_BINS} bins"],
        [
            [
                way,
                *_show_figure(found["accuracy"], 100, 2, " %"),
                *_show_figure(found["label_nats"], 1, 4),
                f"{found['calibration_error']['value']:.4f}",
            ]
            for way, found in ways.items()
        ],
    )
    print(
        f"\nright: both {comparison['both']:,}, only the language model {comparison['only_language_model']}, only the "
        f"classifier {comparison['only_classifier']}, neither {comparison['neither']}; McNemar's exact p "
        f"{comparison['mcnemar_p']:.3g}"
    )
    for way, found in ways.items():
        print(f"\n{way}: a row is what it is, a column what it was taken for")
        rows = [[str(digit), *map(str, counts)] for digit, counts in enumerate(found["confusion"])]
        show_table(["", *map(str, range(10))], rows)
    show_detection(result)
    if "bf16_difference" in result:
        difference = result["bf16_difference"]
        mean, interval = _show_figure(difference["label_conditional_nats"], 1, 4)
        print(
            f"\nbfloat16 against float32, {difference['num_samples']} images: under the right digit {mean} nats more "
            f"({interval}), at most {difference['largest']:.3f} either way under any digit; other answers: "
            f"{difference['changed_answers']}"
        )


def show_detection(result: dict[str, Any]) -> None:
    print("\nlog p(x) as a detector: how often a test digit has more of it than an image that is none")
    rows = []
    for name in dict.fromkeys([*result["nats"], *result["detection"]]):
        nats, area = result["nats"].get(name), result["detection"].get(name)
        rows.append(
            [
                name,
                f"{(nats or area)['num_samples']:,}",
                *(_show_figure(nats, 1, 2) if nats else ["", ""]),
                *(_show_figure(area, 1, 4) if area else ["", ""]),
            ]
        )
    show_table(["images", "number", "nats, −log p(x)", "95 %", "AUROC", "95 %"], rows)
    if FASHION not in result["nats"]:
        print(f"{FASHION} was left out: --fashion_mnist names its folder")


def _show_figure(figure: dict[str, Any], factor: float, decimals: int, unit: str = "") -> list[str]:
    interval = figure.get("interval")
    value = f"{factor * figure['value']:.{decimals}f}{unit}"
    return [value, f"{factor * interval[0]:.{decimals}f} to {factor * interval[1]:.{decimals}f}" if interval else ""]


if __name__ == "__main__":
    main()
