# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The model card, written from the configurations and records in the model's folder."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from transformers import PreTrainedConfig
from transformers.utils import logging

from mnist_text_gen.drawing import show_text
from mnist_text_gen.modeling import CLASSIFIER_FOLDER, class_word, name_classes, read_class_names
from mnist_text_gen.tokenizer import DIGITS, check_class_names

from .records import PICTURES_FOLDER, read_quality, read_run


logger = logging.get_logger(__name__)

CARD_FILE = "README.md"
MNIST = "ylecun/mnist"
THIS_REPOSITORY = "<this repository>"
# A card without this line was written by hand, and is not overwritten.
GENERATED = "<!-- Written by mnist-text-gen from config.json and run.json. Without this line, it is left as it is. -->"


def has_own_card(repo_id: str, revision: str | None = None, token: bool | str | None = None) -> bool:
    """Whether a repository on the Hub has a card that [`write_model_card`] did not write."""
    try:
        path = hf_hub_download(repo_id, CARD_FILE, revision=revision, token=token)
    except RevisionNotFoundError:
        # a new branch starts with the card of `main`
        return revision is not None and has_own_card(repo_id, None, token)
    except EntryNotFoundError:
        return False
    return GENERATED not in Path(path).read_text(encoding="utf-8")


def write_model_card(folder: Path, tags: Sequence[str] = (), repo_id: str = THIS_REPOSITORY) -> None:
    """Write the card of the model in `folder` to `README.md`, unless there is one that was written by hand."""
    path = folder / CARD_FILE
    if not path.exists() or GENERATED in path.read_text(encoding="utf-8"):
        path.write_text(build_model_card(folder, tags, repo_id), encoding="utf-8")


def build_model_card(folder: Path, tags: Sequence[str] = (), repo_id: str = THIS_REPOSITORY) -> str:
    """The card of the model in `folder`, from `config.json`, `quality.json`, and `run.json` of both models.

    Args:
        folder (`Path`): a folder as the pipeline saves it.
        tags (`Sequence[str]`, *optional*): more tags for the front matter.
        repo_id (`str`, *optional*): the repository's id on the Hub, for the examples.

    Returns:
        `str`: Markdown with the front matter for the Hub. Figures that are not in the records are left out.

    Raises:
        ValueError: as in [`read_run`].
    """
    config = _read_config(folder / "config.json")
    class_names, size = _read_classes(folder, config)
    words = _words(class_names, size)
    run = read_run(folder)
    judge = read_run(folder / CLASSIFIER_FOLDER)
    results = {**judge.get("results", {}), **run.get("results", {})}
    quality = _find_quality(read_quality(folder))
    sections = [
        f"---\n{_front_matter(run, judge, results, quality, tags, class_names)}\n---\n{GENERATED}",
        _INTRODUCTION.format(
            num_parameters=_count_parameters(config), pictures=_pictures(folder, class_names) if run else "", **words
        ),
        _USE.format(repo_id=repo_id, **words),
        _tables(config, run, results, words["digit"]),
        _quality(quality),
        _training(run, judge),
        _LIMITS.format(**words),
        _data(run, judge),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _read_config(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _read_classes(folder: Path, config: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    """Names of the classes, from the classifier if it has them, else from the language model, and the image size."""
    classifier = _read_config(folder / CLASSIFIER_FOLDER / "config.json")
    names = read_class_names(PreTrainedConfig(id2label=config.get("id2label"))) or DIGITS
    if "id2label" in classifier:
        names = name_classes(PreTrainedConfig(id2label=classifier["id2label"]))
    return check_class_names(names), _read_config(folder / "tokenizer_config.json").get("image_size", 30)


def _words(class_names: Sequence[str], size: int) -> dict[str, Any]:
    """The words that the sections are filled with."""
    word = class_word(class_names)
    of_digits = word == "digit"
    listed = ", ".join(map(escape_markdown, class_names[:-1])) + f" and {escape_markdown(class_names[-1])}"
    return {
        "digit": word,
        "drawn": "handwritten digits" if of_digits else f"small images of {len(class_names)} classes",
        "classes": "digits 0 to" if of_digits else "classes",
        "names": class_names[-1] if of_digits else listed,
        "prompt": json.dumps("7" if class_names == DIGITS else class_names[0], ensure_ascii=False),
        "num_logits": "ten" if len(class_names) == 10 else len(class_names),
        "size": size,
        "num_symbols": size * size // 6,
        "text_length": 2 + size * size // 6,
    }


def escape_markdown(text: str) -> str:
    """Escape a text for Markdown and its tables, so that it is shown literally: no markup, entity, formula or link.

    Renderers find bare links and addresses even if they are escaped, so an empty comment splits them.
    """
    text = re.sub(r"([\\`*_\[\]<>|&~$])", r"\\\1", show_text(text))
    return re.sub(r":(?=\S)|(?<=www)(?=\.)|@", lambda found: f"{found[0]}<!-- -->", text, flags=re.IGNORECASE)


def _front_matter(
    run: dict, judge: dict, results: dict, quality: Sequence[dict], tags: Sequence[str], class_names: Sequence[str]
) -> str:
    examples: tuple[tuple[str, str], ...] = (("7", "a seven"), ("3", "a three"))
    if class_names != DIGITS:
        examples = tuple((str(label), name) for label, name in enumerate(class_names[:2]))
    of_mnist = ["mnist"] if class_names == DIGITS else []
    # at most five results, and of the selections only the specification's; the tables of the card have all of them
    own = [name for name in _METRICS if name in results and (name in _MAIN_METRICS or not quality)]
    eval_results = [_eval_result(name, results[name]) for name in own]
    main_quality = [found for found in quality if found.get("kind") != "diverse"]
    eval_results += map(_quality_eval_result, main_quality[: 5 - len(_MAIN_METRICS)])
    names = [stage.get("dataset") for stage in [*run.get("training", []), *judge.get("training", [])]]
    return ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="text-generation",
        datasets=sorted({name for name in names if name and "/" in name}) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in eval_results)) or None,
        tags=[*of_mnist, "gpt2", "image-generation", "mnist-text-gen", *tags],
        widget=[{"text": text, "example_title": title} for text, title in examples],
        model_name="mnist-text-gen",
        eval_results=eval_results or None,
    ).to_yaml()


def _eval_result(name: str, result: dict[str, Any]) -> EvalResult:
    task, title = _METRICS[name]
    unnamed = ("drawn", "digits drawn by this model") if name in _OF_DRAWN_TEXTS else ("own", "images of its own")
    dataset = result.get("dataset")
    return EvalResult(
        task_type=task,
        dataset_type=dataset or unnamed[0],
        dataset_name="MNIST" if dataset == MNIST else dataset or unnamed[1],
        dataset_split="test" if dataset == MNIST else None,
        metric_type=name,
        metric_name=title,
        metric_value=result["value"],
    )


def _find_quality(sections: dict[str, Any]) -> list[dict[str, Any]]:
    """The main figures in `quality.json`, each with `metric`, `name`, `value`, `interval` and `num_samples`."""
    found = []
    for temperature, samples in sections.get("samples", {}).items():
        for kind, figures in samples.items():
            agreement = figures["class_agreement"]
            name = "raw candidates" if kind == "raw" else f"{kind} 8 of 64"
            title = f"{name} at temperature {temperature} that an independent classifier takes for the wanted digit"
            value = agreement["class_agreement"]
            found.append({**agreement, "metric": "class_agreement", "kind": kind, "name": title, "value": value})
        distance = samples["raw"]["frechet_distance"]
        beside = "" if distance["floor"] is None else f", real against real {distance['floor']:.4g}"
        title = f"Fréchet distance of raw images at temperature {temperature}{beside}"
        found.append({**distance, "metric": "frechet_distance", "name": title, "value": distance["frechet_distance"]})
    for name, score in sections.get("accuracy_score", {}).items():
        title = f"classification accuracy score, trained on: {name}"
        found.append({**score, "metric": "classification_accuracy_score", "name": title, "value": score["accuracy"]})
    if "generation" in sections:
        accuracy = sections["generation"]["classification"]["language_model"]["accuracy"]
        dataset = sections["generation"].get("dataset")
        title = "test images that the language model's likelihoods classify correctly"
        found.append({**accuracy, "metric": "accuracy_by_generation", "name": title, "dataset": dataset})
    return found


def _quality_eval_result(found: dict[str, Any]) -> EvalResult:
    by_generation = found["metric"] == "accuracy_by_generation"
    dataset = found.get("dataset")
    unnamed = ("own", "images of its own") if by_generation else ("drawn", "digits drawn by this model")
    return EvalResult(
        task_type="image-classification" if by_generation else "text-generation",
        dataset_type=dataset or unnamed[0],
        dataset_name="MNIST" if dataset == MNIST else dataset or unnamed[1],
        dataset_split="test" if dataset == MNIST else None,
        metric_type=found["metric"],
        metric_name=found["name"],
        metric_value=found["value"],
    )


def _quality(quality: Sequence[dict]) -> str:
    if not quality:
        return ""
    lines = []
    for found in quality:
        scale, unit = (1, "") if found["metric"] == "frechet_distance" else (100, " %")
        form = "{:.4g}" if scale == 1 else "{:.2f}"
        value = f"**{form.format(scale * found['value'])}{unit}**"
        interval = " to ".join(form.format(scale * bound) for bound in found["interval"]) if found["interval"] else "–"
        lines.append(f"| {found['name']} | {value} | {interval} | {found['num_samples']:,} |")
    return "\n".join([_QUALITY.strip(), "", "| | | 95 % interval | images |", "|---|---|---|---|", *lines])


def _count_parameters(config: dict[str, Any]) -> str:
    width, depth = config["n_embd"], config["n_layer"]
    inner = config.get("n_inner") or 4 * width
    # two layer norms; then query, key and value, output, and two layers of the perceptron, each with its bias
    block = 4 * width + 3 * width * (width + 1) + width * (width + 1) + inner * (width + 1) + width * (inner + 1)
    return f"{(config['vocab_size'] + config['n_positions']) * width + depth * block + 2 * width:,}"


def _pictures(folder: Path, class_names: Sequence[str]) -> str:
    files = [f"{PICTURES_FOLDER}/{label}.png" for label in range(len(class_names))]
    if not all((folder / file).is_file() for file in files):
        return ""
    cells = [
        f"![the best 8 of 64 for {escape_markdown(name)}]({file})"
        for name, file in zip(class_names, files, strict=True)
    ]
    half = (len(cells) + 1) // 2
    rows = [f"| {left} | {right} |" for left, right in itertools.zip_longest(cells[:half], cells[half:], fillvalue="")]
    caption = f"*The best 8 of 64, with the classifier's probability of the {class_word(class_names)} under each.*"
    return "\n".join(["| | |", "|---|---|", *rows, "", caption])


def _tables(config: dict[str, Any], run: dict, results: dict, word: str) -> str:
    # the configuration keeps the specification's dropout for further training, and a recipe may train with another
    trained = _of_stages(run, "dropout", lambda values: f" ({', '.join(map('{:g}'.format, values))} in training)")
    model = {
        "architecture": (
            "GPT-2, d_model 256, 8 heads, 8 layers, context 152, dropout 0.1",
            f"GPT-2, d_model {config['n_embd']}, {config['n_head']} heads, {config['n_layer']} layers, context "
            f"{config['n_positions']}, dropout {config['resid_pdrop']}{trained or ''}",
        ),
        "training images": ("10,000", _of_stages(run, "num_train_samples", lambda values: f"{max(values):,}")),
        "recipe": ("Adam, 1e-4, batch 128, 1 epoch", _of_stages(run, "recipe", ", then ".join)),
        "training time": ("about 40 minutes on an RTX 3060", _training_time(run)),
        "nats per image": ("–", _nats(results)),
    }
    sampling = {
        f"candidates per {word}, temperature": ("64 at the same time, 0.8", "the same"),
        "classifier": ("a CNN, logits / 0.8", _share(results, "accuracy", "right, of {num_samples:,} images")),
        "shown": (f"the best 8, one picture per {word}", "the same"),
        "64 generations, judged and reranked": ("about 3 s on an RTX 3060", _seconds(results)),
        f"raw candidates that the classifier takes for the wanted {word}": (
            "–",
            _share(results, "class_agreement", "of {num_samples:,}"),
        ),
        f"texts that are an image of their {word}, drawn by stock `generate` without the grammar": (
            "–",
            _share(results, "valid_texts", "of {num_samples:,}"),
        ),
    }
    return "\n\n".join(
        [
            "## What was asked for, and what was measured",
            "Language model:",
            _table(model),
            "Sampling:",
            _table(sampling),
        ]
    )


def _table(rows: dict[str, tuple[str, str | None]]) -> str:
    lines = [f"| {name} | {wanted} | {found} |" for name, (wanted, found) in rows.items() if found]
    return "\n".join(["| | specification | here |", "|---|---|---|", *lines])


def _of_stages(run: dict, name: str, join) -> str | None:
    values = [stage[name] for stage in run.get("training", []) if stage.get(name) is not None]
    return join(values) if values else None


def _training_time(run: dict) -> str | None:
    stages = run.get("training", [])
    if not stages or not all(stage.get("train_seconds") for stage in stages):
        return None
    minutes = [stage["train_seconds"] / 60 for stage in stages]
    parts = f" ({' and '.join(f'{part:.0f}' for part in minutes)})" if len(stages) > 1 else ""
    return f"{sum(minutes):.0f} minutes{parts} on {stages[-1]['hardware']}"


def _nats(results: dict) -> str | None:
    if "image_nats" not in results:
        return None
    bits = f" ({results['bits_per_pixel']['value']:.4f} bits per pixel)" if "bits_per_pixel" in results else ""
    found = results["image_nats"]
    return f"**{found['value']:.2f}**{bits}, {found['num_samples']:,} test images"


def _share(results: dict, name: str, text: str) -> str | None:
    if name not in results:
        return None
    return f"**{100 * results[name]['value']:.2f} %** {text.format(**results[name])}"


def _seconds(results: dict) -> str | None:
    found = results.get("seconds_of_64_candidates")
    if found is None:
        return None
    return (
        f"{found['value']:.2f} s (`bf16` {found['bf16']:.2f} s, stock `generate` {found['generate']:.2f} s) on "
        f"{found['hardware']}"
    )


def _training(run: dict, judge: dict) -> str:
    lines = [
        f"- Language model: {escape_markdown(stage['description'])}{_course(stage)}"
        for stage in run.get("training", [])
    ]
    lines += [f"- Classifier: {escape_markdown(stage['description'])}" for stage in judge.get("training", [])]
    return "\n".join(["## Training", "", *lines]) if lines else ""


def _course(stage: dict[str, Any]) -> str:
    """Tokens, throughput and last training loss of the language model, if they are recorded."""
    nats, speed = stage.get("train_nats_per_image"), stage.get("tokens_per_second")
    if nats is None or speed is None:
        return ""
    return f"; {stage['num_tokens']:,} tokens, {speed:,.0f} per second, {nats:.2f} nats per training image at the end"


def _data(run: dict, judge: dict) -> str:
    names = {stage.get("dataset") for stage in [*run.get("training", []), *judge.get("training", [])]}
    if not names & {MNIST, "mnist-5k"}:
        return ""
    return _MNIST_DATA


# The metrics of the model index: the Hub's name for the task, and a title.
_METRICS = {
    "image_nats": ("text-generation", "nats per image"),
    "bits_per_pixel": ("text-generation", "bits per pixel"),
    "accuracy": ("image-classification", "accuracy of the classifier"),
    "class_agreement": ("text-generation", "raw candidates that the classifier takes for the wanted digit"),
    "valid_texts": ("text-generation", "valid texts without the grammar"),
}

# if there is a `quality.json`, its first figures follow: agreement, raw and of the best, and Fréchet distance
_MAIN_METRICS = ("image_nats", "accuracy")
_OF_DRAWN_TEXTS = ("class_agreement", "valid_texts")

_INTRODUCTION = """
# mnist-text-gen

A GPT-2 with {num_parameters} parameters that draws {drawn} as text, and a CNN that judges what it draws. An image
has {size}×{size} pixels in {{0, 1}}, and six pixels are one symbol. A text has {text_length} tokens: the class \
digit, {num_symbols} symbols, and `)`.

{pictures}
"""

_USE = """
## Use

```python
from transformers import pipeline

draw = pipeline("mnist-text-gen", model="{repo_id}", trust_remote_code=True)
draw({prompt}, seed=0)[0]["image"]
```

This generates 64 candidates at temperature 0.8, under a grammar that makes every text a valid image. The classifier
judges them, with its logits divided by 0.8, and the 8 with the highest probability of the wanted {digit} are returned,
best first. `draw.complete` completes an image of which some pixels are known. `draw.log_likelihood`, `draw.classify`
and `draw.surprise` score given images.

If the package `mnist_text_gen` is installed, `mnist_text_gen.load_pipeline("{repo_id}")` loads
the pipeline without trusting code from here. Without package or trusted code, `AutoModelForCausalLM`, `AutoTokenizer`
and `pipeline("text-generation")` load stock classes. They sample at temperature 0.8 without the grammar, so a text may
end early or have a symbol in the wrong place.

The classifier takes pixels, float `[N, 1, {size}, {size}]` in {{0, 1}}, and returns {num_logits} logits:

```python
from transformers import AutoModelForImageClassification

AutoModelForImageClassification.from_pretrained("{repo_id}", subfolder="classifier", trust_remote_code=True)
```
"""

_QUALITY = """
## How good the digits are

Raw candidates are all that are generated, without ranking. The independent classifier is another one than the
classifier that ranks. The Fréchet distance compares its features of drawn images and of real images. A classification
accuracy score is the accuracy, on real test images, of a CNN that was trained only on the named images.
"""

_LIMITS = """
## Intended use and limits

The model is for learning, teaching, and small experiments with tokenizers, decoding rules and reranking. It draws only
the {classes} {names}, in the style of its training images. In the table of sampling, the classifier that ranks
candidates also judges raw ones, so that agreement is not independent. The best 8 of 64 are less varied than raw
candidates. Scores are probabilities of a classifier that was trained on real images; they are not calibrated for drawn
ones.
"""

_MNIST_DATA = """
## Training data

[MNIST](https://huggingface.co/datasets/ylecun/mnist), Yann LeCun and Corinna Cortes, CC BY-SA 3.0. No image of it is
part of this repository.
"""
