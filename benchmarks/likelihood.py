# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""How likely are real digits? `python benchmarks/likelihood.py --source MNIST`

- `likelihood`: −log p(x | y) of test images under the language model and the simple models of `baselines.py`, which
  are fitted to the first training images. The end token is certain and has no nats for the baselines; the language
  model's figure contains its nats.
- `literature`: −log Σ_y p(y) p(x | y) of test images whose pixels are drawn with their grey value as probability, as
  for published models, under `--sampled_model`, a model of `recipes/sampled.yaml`. p(y) is the share of a class in the
  training images.
- `generation`: classification by Bayes' rule from the ten log p(x | y) of a test image, compared with the classifier;
  and log p(x) as a score that should be higher for test digits than for other images. All digits are equally likely a
  priori.

The models are used at temperature 1 and without the grammar. `--work` keeps fitted baselines and likelihoods, 500
images per file, under a hash of everything that they depend on, so that a run that was killed continues.
`benchmarks/quality.py` records the same figures.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from baselines import BASELINES, Baseline, Examples, baseline_nats, count_parameters, keep, load_or_fit, read_kept
from sampling import check_parts, load_digits, show_table
from scipy import stats
from sklearn.metrics import roc_auc_score
from training import describe_clock
from transformers import GPT2LMHeadModel, PreTrainedModel
from transformers.hf_argparser import HfArg
from transformers.utils import logging

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.data import LabelledImages, identify_source, load_corpus, load_images
from mnist_text_gen.files import check_output_folder
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import (
    CLASSIFIER_FOLDER,
    check_language_model_config,
    class_log_likelihoods,
    load_weights,
    marginal_log_likelihood,
    symbol_nats,
)
from mnist_text_gen.publishing import hash_weights, read_run
from mnist_text_gen.tokenizer import MnistTextTokenizer, binarize_images


PROG = "likelihood.py"
CONFIDENCE = 0.95
MARGIN = float(stats.norm.ppf((1 + CONFIDENCE) / 2))  # in standard errors
NUM_BINS = 15  # as in Guo et al. 2017, section 5
SEED = 0
SHARD_SIZE = 500  # images per file in `--work`
BATCH_SIZE = 100
TEST_DIGITS, FASHION, BLANK = "test digits", "Fashion-MNIST", "a blank image"
UPSIDE_DOWN = "digits turned by 180°"
SYMMETRIC_DIGITS = (0, 1, 8)  # digits that look the same, or nearly, after a turn by 180°
# Nats per image of 28×28 pixels, binarisation, and source. "pytorch-generative" means the reproductions in the README
# of github.com/EugenHotaj/pytorch-generative, which draws the pixels anew in each epoch.
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
class LikelihoodArguments:
    """What is measured."""

    source: str = HfArg(help="MNIST; see mnist_text_gen.data.load_images.")
    model: str = HfArg(default=str(SHIPPED_CHECKPOINT), help="Folder of the model and its classifier.")
    work: str = HfArg(default="runs/quality", help="Folder that keeps what takes long.")
    parts: list[str] = field(default_factory=lambda: ["likelihood", "generation"], metadata={"help": "Which parts."})
    num_train_samples: int = HfArg(default=10_000, help="Number of first training images.")
    num_test_images: int | None = HfArg(default=None, help="Number of first test images; all by default.")
    sampled_model: str | None = HfArg(default=None, help="Folder of a model of recipes/sampled.yaml, for literature.")
    num_outliers: int = HfArg(default=1_000, help="Images of each other kind, for generation.")
    fashion_mnist: str | None = HfArg(
        default=None,
        help="Folder of Fashion-MNIST's IDX files, for generation; Debian's package dataset-fashion-mnist installs "
        "/usr/share/datasets/fashion-mnist. Without it that row is left out.",
    )
    bf16: bool = HfArg(default=False, help="Products in bfloat16, for literature and generation.")

    def __post_init__(self):
        if "literature" in self.parts and self.sampled_model is None:
            raise ValueError("`sampled_model` must be a folder for the part literature, got None")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([LikelihoodArguments], argv, PROG, __doc__)
    check_parts(args.parts, MEASURES)
    rows = [row for part in args.parts for row in list_figures(MEASURES[part](args), part)]
    show_table(["figure", "value", "95 % interval", "images"], rows)


def list_figures(found: dict[str, Any], name: str) -> list[list[str]]:
    """Rows of all figures in a section, at any depth."""
    value = found.get("value", found.get("nats_per_image"))
    if value is not None:
        interval = " to ".join(f"{bound:.4f}" for bound in found.get("interval", []))
        return [[name, f"{value:.4f}", interval, str(found.get("num_samples", ""))]]
    parts = [(key, part) for key, part in found.items() if isinstance(part, dict)]
    return [row for key, part in parts for row in list_figures(part, f"{name}: {key}")]


def measure_share(count: int, total: int) -> dict[str, Any]:
    """A share with its exact interval (Clopper and Pearson 1934)."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return {"value": count / total, "interval": [float(interval.low), float(interval.high)], "num_samples": total}


def measure_mean(values: np.ndarray) -> dict[str, Any]:
    """A mean with the normal interval of its standard error, if there are several values."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    figure = {"value": mean, "num_samples": len(values)}
    if len(values) > 1:
        error = MARGIN * float(stats.sem(values))
        figure["interval"] = [mean - error, mean + error]
    return figure


def measure_likelihood(args: LikelihoodArguments, baselines: Mapping[str, Baseline] = BASELINES) -> dict[str, Any]:
    """Fit the baselines, or read them from `args.work`, and measure them and the language model on test images.

    A row has nats, bits, number of parameters and seconds of training. A baseline's row also has the record of
    [`fit_baseline`]; the language model's row has `None` for values that its `run.json` does not have.
    """
    splits = load_images(args.source)
    train = splits["train"].first(args.num_train_samples, "num_train_samples")
    test = splits["test"].first(args.num_test_images, "num_test_images")
    if len(test.labels) < 2:
        raise ValueError("`num_test_images` must be 2 or more for an interval, got 1")
    cache = check_output_folder(args.work, "work")
    rows = {}
    for name, baseline in baselines.items():
        model, record = load_or_fit(baseline, train, cache, SEED)
        nats = baseline_nats(model, Examples.from_images(test))
        rows[name] = summarize(nats) | {"num_parameters": count_parameters(model)} | record
    rows["this model"] = measure_language_model(Path(args.model), test)
    return {
        "dataset": identify_source(args.source),
        "num_train_samples": len(train.labels),
        "num_samples": len(test.labels),
        "confidence": CONFIDENCE,
        "clock": describe_clock(PartialState().device),
        "rows": rows,
    }


def load_language_model(folder: Path) -> GPT2LMHeadModel:
    model = load_weights(GPT2LMHeadModel, str(folder), dtype=torch.float32).to(PartialState().device).eval()
    check_language_model_config(model.config, MnistTextTokenizer(), str(folder))
    return model


def measure_language_model(folder: Path, test: LabelledImages) -> dict[str, Any]:
    tokenizer, model = MnistTextTokenizer(), load_language_model(folder)
    input_ids = tokenizer(tokenizer.encode_images(*test), return_tensors="pt")["input_ids"]
    stages = read_run(folder).get("training", [])
    totals = {}
    for name in ("train_seconds", "num_steps", "num_tokens"):
        values = [stage.get(name) for stage in stages]
        totals[name] = sum(values) if values and None not in values else None
    of_model = {"num_parameters": model.num_parameters(), **totals}
    of_model["hardware"] = stages[-1].get("hardware") if stages else None
    return summarize(symbol_nats(model, input_ids).numpy()) | of_model


def summarize(losses: np.ndarray) -> dict[str, Any]:
    """Nats per image of losses `[N, T]`, their interval by the normal approximation, and bits per pixel."""
    found = load_metric("image_nats").compute(token_losses=losses)
    return found | {"interval": measure_mean(losses.sum(axis=1, dtype=np.float64))["interval"]}


def measure_literature(args: LikelihoodArguments) -> dict[str, Any]:
    """Nats per image of sampled test images, with and without the class given, and the published figures."""
    folder, tokenizer = Path(args.sampled_model), MnistTextTokenizer()
    weights = read_weights(folder, "sampled_model")
    model = load_language_model(folder)
    test = load_corpus(
        args.source, tokenizer, num_train_samples=1, num_eval_samples=args.num_test_images, binarization="sampled"
    )["test"]
    images, labels = tokenizer.decode_images(test["text"][:]), torch.tensor(test["label"][:])
    cache = check_output_folder(args.work, "work")
    likelihoods = cached_log_likelihoods(model, weights, "sampled digits", images, args.bf16, cache)
    counts = np.bincount(load_images(args.source)["train"].labels, minlength=likelihoods.shape[1])
    log_prior = torch.from_numpy(counts / counts.sum()).log()
    return {
        "unconditional_nats": measure_mean(-marginal_log_likelihood(likelihoods, log_prior)),
        "conditional_nats": measure_mean(-likelihoods.gather(1, labels[:, None])[:, 0]),
        "dtype": "bfloat16" if args.bf16 else "float32",
        "training": read_run(folder).get("training", []),
        "published": [dict(zip(("model", "nats", "binarization", "source"), row, strict=True)) for row in PUBLISHED],
    }


def read_weights(folder: Path, name: str) -> dict[str, str]:
    """SHA-256 of the language model's weights, without the classifier's, which do not influence likelihoods."""
    weights = {path: value for path, value in hash_weights(folder).items() if not path.startswith(CLASSIFIER_FOLDER)}
    if not weights:
        raise ValueError(f"`{name}` must be a folder with the weights of a model, got {str(folder)!r}")
    return weights


def measure_generation(args: LikelihoodArguments) -> dict[str, Any]:
    """Classification by Bayes' rule beside the classifier, where `label_nats` are the mean −log p(y | x) of the right
    y; the mean −log p(x) of each set of images; and the AUROC of each set of other images against the digits."""
    weights = read_weights(Path(args.model), "model")
    test = load_images(args.source)["test"]
    digits = test.first(args.num_test_images, "num_test_images")
    image_sets = build_image_sets(digits, test.first(args.num_outliers, "num_outliers"))
    if args.fashion_mnist is not None:
        fashion = load_images(args.fashion_mnist)["test"].first(args.num_outliers, "num_outliers")
        image_sets[FASHION] = binarize_images(fashion.images)
    cache = check_output_folder(args.work, "work")
    pipe = load_digits(args.model)
    likelihoods = {
        name: cached_log_likelihoods(pipe.model, weights, name, images, args.bf16, cache)
        for name, images in image_sets.items()
    }
    log_posteriors = {
        "language_model": bayes_log_posterior(likelihoods[TEST_DIGITS]),
        "classifier": classifier_log_posterior(pipe.classifier, image_sets[TEST_DIGITS]),
    }
    return {
        "weights": hash_weights(Path(args.model)),
        "dataset": identify_source(args.source),
        "dtype": "bfloat16" if args.bf16 else str(pipe.model.dtype).removeprefix("torch."),
        "prior": "uniform",
        "seed": SEED,
        "classification": compare_classifiers(log_posteriors, torch.from_numpy(digits.labels)),
        "nats": {name: measure_mean(-marginal_log_likelihood(values)) for name, values in likelihoods.items()},
        "detection": measure_detection(likelihoods, digits.labels, test.labels[: args.num_outliers]),
    }


def build_image_sets(digits: LabelledImages, originals: LabelledImages) -> dict[str, np.ndarray]:
    """The digits, noise, and changed `originals`: maps names to uint8 `[N, 30, 30]` in {0, 1}.

    The random numbers of an image depend only on its number. Noise has the mean share of ink of the originals.
    """
    binary, others = binarize_images(digits.images), binarize_images(originals.images)
    ink = others.mean()
    noise = [_generator(number).random(image.shape) < ink for number, image in enumerate(others)]
    shuffled = [_generator(number).permutation(image.ravel()) for number, image in enumerate(others)]
    return {
        TEST_DIGITS: binary,
        "noise, as much ink": np.stack(noise).astype(np.uint8),
        "digits, pixels shuffled": np.stack(shuffled).reshape(others.shape),
        "digits turned by 90°": np.rot90(others, 1, axes=(1, 2)),
        UPSIDE_DOWN: np.rot90(others, 2, axes=(1, 2)),
        BLANK: np.zeros_like(binary[:1]),
    }


def _generator(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([SEED, number], dtype=np.uint64)))


def cached_log_likelihoods(
    model: PreTrainedModel, weights: dict[str, str], name: str, images: np.ndarray, bf16: bool, cache: Path
) -> torch.Tensor:
    """log p(x | y), float64 `[N, 10]`, read from `cache`, or computed and written there."""
    shards = []
    for start in logging.tqdm(range(0, len(images), SHARD_SIZE), desc=name):
        shard = images[start : start + SHARD_SIZE]
        key = {
            "weights": json.dumps(weights, sort_keys=True),
            "images": hashlib.sha256(shard.tobytes()).hexdigest(),
            "dtype": "bfloat16" if bf16 else str(model.dtype),
        }
        path = cache / f"likelihoods-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.safetensors"
        if not path.exists():
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                found = class_log_likelihoods(model, MnistTextTokenizer(), shard, BATCH_SIZE)
            keep(path, {"log_likelihoods": found}, key)
        shards.append(read_kept(path)[0]["log_likelihoods"])
    return torch.cat(shards)


def compare_classifiers(log_posteriors: dict[str, torch.Tensor], labels: torch.Tensor) -> dict[str, dict[str, Any]]:
    """Figures of the language model and the classifier from their log p(y | x), float64 `[N, 10]`, compared."""
    ours, theirs = (values.argmax(dim=1) == labels for values in log_posteriors.values())
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    disagreements = only_ours + only_theirs
    comparison = {
        "both": int((ours & theirs).sum()),
        "only_language_model": only_ours,
        "only_classifier": only_theirs,
        "neither": int((~ours & ~theirs).sum()),
        # McNemar's test (1947) in its exact form: if only one is right, both are equally likely to be the one
        "mcnemar_p": float(stats.binomtest(only_ours, disagreements).pvalue) if disagreements else 1.0,
    }
    measured = {name: measure_classifier(values, labels) for name, values in log_posteriors.items()}
    return measured | {"comparison": comparison}


def bayes_log_posterior(log_likelihoods: torch.Tensor) -> torch.Tensor:
    """log p(y | x) for a uniform prior, float64 `[N, 10]`, because a probability may be too small for a float."""
    log_prior = -math.log(log_likelihoods.shape[1])
    return log_likelihoods + log_prior - marginal_log_likelihood(log_likelihoods)[:, None]


@torch.no_grad()
def classifier_log_posterior(classifier, images: np.ndarray) -> torch.Tensor:
    """log p(y | x) of the classifier at temperature 1, float64 `[N, 10]`."""
    pixel_values = torch.from_numpy(images)[:, None].to(classifier.device, classifier.dtype)
    logits = torch.cat([classifier(batch).logits for batch in pixel_values.split(BATCH_SIZE)])
    return logits.cpu().double().log_softmax(dim=1)


def measure_classifier(log_posterior: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Figures of a classifier from its log p(y | x), float64 `[N, 10]`."""
    predicted = log_posterior.argmax(dim=1)
    agreement = load_metric("class_agreement").compute(predictions=predicted.numpy(), references=labels.numpy())
    confidence, right = log_posterior.amax(dim=1).exp().numpy(), (predicted == labels).numpy()
    error = bin_by_confidence(confidence, right)["calibration_error"]
    return {
        "accuracy": measure_share(int(right.sum()), len(labels)),
        "label_nats": measure_mean(-log_posterior.gather(1, labels[:, None])[:, 0]),
        "calibration_error": {"value": error, "num_samples": len(labels), "num_bins": NUM_BINS},
        "confusion": agreement["confusion"],
    }


def bin_by_confidence(confidence: np.ndarray, right: np.ndarray, num_bins: int = NUM_BINS) -> dict[str, Any]:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 5), and for each bin with images their
    number, mean confidence and share of right."""
    numbers = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    bins = []
    for inside in (numbers == number for number in np.unique(numbers)):
        means = {"confidence": float(confidence[inside].mean()), "share": float(right[inside].mean())}
        bins.append({"num_samples": int(inside.sum()), **means})
    error = sum(each["num_samples"] * abs(each["confidence"] - each["share"]) for each in bins) / len(right)
    return {"num_samples": len(right), "calibration_error": float(error), "bins": bins}


def measure_detection(
    likelihoods: dict[str, torch.Tensor], labels: np.ndarray, original_labels: np.ndarray
) -> dict[str, dict[str, Any]]:
    """AUROC of log p(x) for each set of other images, against the digits with these labels."""
    scores = {name: marginal_log_likelihood(values).numpy() for name, values in likelihoods.items()}
    digits, blank = scores.pop(TEST_DIGITS), scores.pop(BLANK)
    detection = {name: measure_auroc(digits, values) for name, values in scores.items()}
    # against a single image, the area is the share of digits with a higher score
    share = measure_share(int((digits > blank).sum()), len(digits))
    detection[BLANK] = share | {"num_samples": 1, "num_digits": len(digits)}
    kept, kept_originals = (~np.isin(values, SYMMETRIC_DIGITS) for values in (labels, original_labels))
    if kept.any() and kept_originals.any():
        name = f"{UPSIDE_DOWN}, without {', '.join(map(str, SYMMETRIC_DIGITS))}"
        detection[name] = measure_auroc(digits[kept], scores[UPSIDE_DOWN][kept_originals])
    return detection


def measure_auroc(digits: np.ndarray, outliers: np.ndarray) -> dict[str, Any]:
    """Probability that a digit has a higher score than an outlier, with the normal interval.

    The standard error is that of Hanley and McNeil 1982, equation 1, with the approximations of Q1 and Q2 that follow
    it. It assumes that the two sets are independent, and is 0 for an area of 0 or 1.
    """
    scores = np.concatenate([digits, outliers])
    area = float(roc_auc_score(np.arange(len(scores)) < len(digits), scores))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (len(digits) - 1) * (q1 - area**2) + (len(outliers) - 1) * (q2 - area**2)
    error = MARGIN * math.sqrt(max(variance, 0) / len(digits) / len(outliers))
    interval = [max(area - error, 0.0), min(area + error, 1.0)]
    return {"value": area, "interval": interval, "num_samples": len(outliers), "num_digits": len(digits)}


MEASURES = {"likelihood": measure_likelihood, "literature": measure_literature, "generation": measure_generation}


if __name__ == "__main__":
    main()
