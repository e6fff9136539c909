# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Write the text data set: `mnist-text-gen-dataset --output_dir mnist-text --push_to_hub_id you/mnist-text`.

It writes a card, and parquet files with the splits train and test. A row has an image as it is in the source, its
class, and its text. `datasets.load_dataset` reads and streams them, and `train_hf.py --dataset_name` trains on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets
from huggingface_hub.utils import validate_repo_id
from PIL import Image

from mnist_text_gen.data import LabelledImages, identify_source, make_binary
from mnist_text_gen.data.arguments import SourceArguments
from mnist_text_gen.files import is_lock, locked_folder, staged_folder, write_parquet
from mnist_text_gen.publishing import CARD_FILE, open_repository, upload_folder
from mnist_text_gen.publishing.dataset_card import build_text_card
from mnist_text_gen.tokenizer import MnistTextTokenizer

from .arguments import parse_arguments, run_command


PROG = "mnist-text-gen-dataset"
DATA_FOLDER = "data"


@dataclass
class DatasetArguments:
    """Where to write the data set."""

    output_dir: str = field(
        metadata={"help": "Folder of the data set: new, empty, or one that this command overwrites.", "path": True}
    )
    push_to_hub_id: str | None = field(
        default=None,
        metadata={"help": "Also push the folder to this data set on the Hub, e.g. you/mnist-text."},
    )
    private: bool | None = field(default=None, metadata={"help": "Whether a new data set on the Hub is private."})

    def __post_init__(self):
        if self.push_to_hub_id is not None:
            validate_repo_id(self.push_to_hub_id)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, build, argv)


def build(argv: Sequence[str]) -> None:
    source, args = parse_arguments([SourceArguments, DatasetArguments], argv, PROG, __doc__)
    with locked_folder(args.output_dir) as output_dir:
        check_folder(output_dir)
        write_dataset(source, args, output_dir)


def write_dataset(source: SourceArguments, args: DatasetArguments, output_dir: Path) -> None:
    loaded = source.load_images()
    splits = {
        "train": loaded["train"].first(source.num_train_samples, "num_train_samples"),
        "test": loaded["test"].first(source.num_eval_samples, "num_eval_samples"),
    }
    tokenizer = MnistTextTokenizer(source.image_size)
    binary = make_binary(splits, source.image_size, source.binarization, source.threshold)
    texts = {name: tokenizer.encode_images(*split) for name, split in binary.items()}
    if args.push_to_hub_id is not None:
        repo_id = open_repository(args.push_to_hub_id, repo_type="dataset", private=args.private)
    with staged_folder(output_dir) as folder:
        for name, split in splits.items():
            write_parquet(build_rows(split, texts[name]), folder / path_of(name))
        identified = identify_source(source.dataset_name, loaded["train"])
        (folder / CARD_FILE).write_text(build_text_card(source, identified, splits, tokenizer), encoding="utf-8")
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


def check_folder(output_dir: Path) -> None:
    """Refuse a folder with other files, because other parquet files would become part of the data set."""
    own = {CARD_FILE, path_of("train"), path_of("test")}
    files = (path for path in output_dir.rglob("*") if path.is_file() and not is_lock(path))
    others = sorted({path.relative_to(output_dir).as_posix() for path in files} - own)
    if others:
        raise ValueError(
            f"`output_dir` must be a new or empty folder, got {str(output_dir)!r}, which has {others[0]!r}"
        )


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


if __name__ == "__main__":
    main()
