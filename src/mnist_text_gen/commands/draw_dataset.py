# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draw a labelled data set: `accelerate launch -m mnist_text_gen.commands.draw_dataset --num_images 1000000 ...`.

As a command, `mnist-text-gen-draw-dataset --num_images 20000 --output_dir digits`. It writes parquet shards. An image
depends on the arguments and its own index, never on the number of processes; process r of w makes the shards s with
s % w == r. The last bits of a score depend on the number of threads too, so that a set keeps those that it was begun
with, whatever a launcher sets. Started again with the same arguments, a run goes on with the shards that are missing,
or are not what was written: `.sha256/` has their hashes, which `sha256sum --check .sha256/*` compares, too.
"""

import importlib.util
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import validate_repo_id
from PIL import Image
from tqdm import tqdm

from mnist_text_gen.files import check_lock, hash_file, is_lock, locked_folder, staged_folder, write_parquet
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import MnistTextGenerationPipeline, Selection
from mnist_text_gen.publishing import CARD_FILE, hash_weights, open_repository, upload_folder
from mnist_text_gen.publishing.dataset_card import build_drawn_card
from mnist_text_gen.tokenizer import DIGITS

from .arguments import parse_arguments, run_command
from .drawn_rows import Settings, draw_rows
from .sampling import SamplingArguments


PROG = "mnist-text-gen-draw-dataset"
# Drawing a digit needs neither, so they come with an extra, and are imported where they are used.
PACKAGES = ("accelerate", "datasets")
SETTINGS_FILE = "generation.json"
# How long processes wait for each other: the slowest may have a shard, or a night, more to do than the others, and
# the default, ten minutes between GPUs, would end a run that is nearly done.
WAITING_TIME = timedelta(days=7)


@dataclass
class DatasetArguments:
    """The data set."""

    num_images: int = field(metadata={"help": "How many images are drawn."})
    output_dir: str = field(
        metadata={
            "help": "Folder of the data set: an empty or a new one, or that of a run that was cut off.",
            "path": True,
        }
    )
    class_shares: list[float] | None = field(
        default=None,
        metadata={
            "help": "A number for each class, ten for digits: how often it is drawn, beside the others. Goes before "
            "--digits; by default the classes take turns."
        },
    )
    min_score: float | None = field(
        default=None, metadata={"help": "An image with a lower score is drawn again. By default none is."}
    )
    selection: Selection | None = field(
        default=None,
        metadata={
            "help": "Keep 8 of every 64 images of a class: best, the highest scores, or diverse, good ones that "
            "differ most. Takes 8 times as long. By default all are kept."
        },
    )
    max_attempts: int = field(default=100, metadata={"help": "How often an image is drawn to reach min_score."})
    num_images_per_shard: int = field(default=2048, metadata={"help": "Images in a parquet file."})
    push_to_hub_id: str | None = field(
        default=None, metadata={"help": "Data set on the Hub that the folder is pushed to, if any, e.g. you/digits."}
    )

    def __post_init__(self):
        for name in ("num_images", "max_attempts", "num_images_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be an integer of 1 or more, got {getattr(self, name)}")
        if self.min_score is not None and not 0 <= self.min_score < 1:
            raise ValueError(f"`min_score` must be at least 0 and below 1, got {self.min_score}")
        if self.push_to_hub_id is not None:
            validate_repo_id(self.push_to_hub_id)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, draw_dataset, argv)


def draw_dataset(argv: Sequence[str]) -> None:
    args, dataset_args = parse_arguments([SamplingArguments, DatasetArguments], argv, PROG, __doc__)
    state = join_processes()
    write_dataset(load_pipeline(args.model_name_or_path, state.device), args, dataset_args, state)
    state.destroy_process_group()


def join_processes() -> Any:
    """The `accelerate.PartialState` of this process among those that were launched with it, one or more."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"drawing a data set needs {' and '.join(missing)}, not installed here; the extra 'train' has them"
        )
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Where there is no accelerator and this isn't said, each of several processes takes itself for the only one.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=WAITING_TIME)


def write_dataset(
    pipe: MnistTextGenerationPipeline, args: SamplingArguments, dataset_args: DatasetArguments, state: Any
) -> None:
    """Write the shards that are missing and fall to this process; the main process does what is done once.

    Args:
        pipe (`MnistTextGenerationPipeline`): draws and judges.
        args (`SamplingArguments`), dataset_args (`DatasetArguments`): what is wanted.
        state (`accelerate.PartialState`): which process this is, and a way to wait for the others.
    """
    start = time.perf_counter()
    settings = build_settings(pipe, args, dataset_args)
    output_dir = Path(dataset_args.output_dir)
    if state.is_main_process and dataset_args.push_to_hub_id is not None:
        # a missing token is found before a night of drawing, and not after it
        repo_id = open_repository(dataset_args.push_to_hub_id, repo_type="dataset")
    with prepared_folder(output_dir, settings, state) as settings:
        missing = [shard for shard in range(settings.num_shards) if not is_complete(output_dir, settings, shard)]
        # so that all see the same shards missing
        state.wait_for_everyone()
        own = [shard for shard in missing if shard % state.num_processes == state.process_index]
        draw_shards(pipe, settings, dataset_args.max_attempts, output_dir, own, show_progress=state.is_main_process)
        state.wait_for_everyone()
        if state.is_main_process:
            finish_folder(output_dir, settings)
            show_summary(output_dir, settings, missing, time.perf_counter() - start)
            if dataset_args.push_to_hub_id is not None:
                push_folder(output_dir, repo_id)


def build_settings(
    pipe: MnistTextGenerationPipeline, args: SamplingArguments, dataset_args: DatasetArguments
) -> Settings:
    # a class given twice is no reason to draw it twice as often: that is what class_shares is for
    classes = list(dict.fromkeys(args.choose_classes(pipe)))
    if dataset_args.class_shares is not None:
        _check_class_shares(dataset_args.class_shares, len(pipe.class_names))
    return Settings(
        weights=identify_weights(args.model_name_or_path, pipe.commit_hash),
        seed=args.seed,
        num_images=dataset_args.num_images,
        num_images_per_shard=dataset_args.num_images_per_shard,
        classes=classes if dataset_args.class_shares is None else None,
        class_shares=dataset_args.class_shares,
        min_score=dataset_args.min_score,
        temperature=args.temperature,
        classifier_temperature=args.classifier_temperature,
        decoding=args.decoding,
        num_threads=torch.get_num_threads(),
        selection=dataset_args.selection,
        class_names=None if pipe.class_names == DIGITS else list(pipe.class_names),
        image_size=pipe.tokenizer.image_size,
    )


def identify_weights(model_name_or_path: str, commit_hash: str | None) -> Mapping[str, str | None]:
    """What the weights are, and not where: hashes of the files in a folder, else the Hub's id and commit."""
    folder = Path(model_name_or_path)
    if not folder.is_dir():
        return {"id": model_name_or_path, "commit": commit_hash}
    return hash_weights(folder)


@contextmanager
def prepared_folder(output_dir: Path, settings: Settings, state: Any) -> Iterator[Settings]:
    """Keep the folder from other runs inside the block, and compute with the threads that the set was begun with."""
    with ExitStack() as stack:
        if state.is_main_process:
            stack.enter_context(locked_folder(output_dir))
            begin_data_set(output_dir, settings)
        state.wait_for_everyone()
        if not state.is_main_process:
            stack.enter_context(locked_folder(output_dir, rank=state.process_index))
        num_threads = read_settings(output_dir)["num_threads"]
        stack.enter_context(threads(num_threads))
        yield replace(settings, num_threads=num_threads)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have PyTorch compute with `number` threads inside the block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


def begin_data_set(output_dir: Path, settings: Settings) -> None:
    """Begin a data set in an empty folder, or go on with the same one."""
    if (output_dir / SETTINGS_FILE).exists():
        _check_same_settings(output_dir, settings)
        return
    # the card would replace another README.md, and other parquet files would count as images
    others = sorted(other.name for other in output_dir.iterdir() if not is_lock(other))
    if others:
        raise ValueError(
            "`output_dir` must be an empty folder, a new one, or that of a run that was cut off, got "
            f"{str(output_dir)!r}, which has {others[0]!r} and no {SETTINGS_FILE}"
        )
    with staged_folder(output_dir) as folder:
        (folder / SETTINGS_FILE).write_text(json.dumps(settings.to_dict(), indent=2) + "\n", encoding="utf-8")


def is_complete(output_dir: Path, settings: Settings, shard: int) -> bool:
    """Whether a shard is what was written, by its hash; one that is not, or has none, is drawn again."""
    path, hash_path = (output_dir / name for name in (settings.path_of(shard), settings.hash_path_of(shard)))
    if not path.is_file() or not hash_path.is_file():
        return False
    return hash_path.read_bytes() == describe_hash(path, settings, shard).encode()


def describe_hash(path: Path, settings: Settings, shard: int) -> str:
    """The line that `sha256sum` writes for the shard at `path`."""
    return f"{hash_file(path)}  {settings.path_of(shard)}\n"


def draw_shards(
    pipe: MnistTextGenerationPipeline,
    settings: Settings,
    max_attempts: int,
    output_dir: Path,
    shards: list[int],
    show_progress: bool,
) -> None:
    num_images = sum(len(settings.indices_of(shard)) for shard in shards)
    with tqdm(total=num_images, unit="image", disable=not (show_progress and shards)) as progress:
        for shard in shards:
            rows = draw_rows(pipe, settings, settings.indices_of(shard), max_attempts, progress.update)
            with staged_folder(output_dir) as folder:
                path, hash_path = folder / settings.path_of(shard), folder / settings.hash_path_of(shard)
                write_rows(rows, path, pipe.class_names)
                hash_path.parent.mkdir()
                hash_path.write_text(describe_hash(path, settings, shard), encoding="utf-8")


def write_rows(rows: list[dict[str, Any]], path: Path, class_names: Sequence[str]) -> None:
    import datasets

    # the one progress bar is ours
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(class_names)),
            "text": datasets.Value("string"),
            "score": datasets.Value("float64"),  # so that 0.9 is not below 0.9
            "index": datasets.Value("int64"),
        }
    )
    columns = {name: [row[name] for row in rows] for name in ("label", "text", "score", "index")}
    columns["image"] = [Image.fromarray(row["image"] * 255) for row in rows]
    write_parquet(datasets.Dataset.from_dict(columns, features=features), path)


def finish_folder(output_dir: Path, settings: Settings) -> None:
    """Check that settings and shards are there, and write the card if there is none."""
    check_lock(output_dir)
    _check_same_settings(output_dir, settings)
    counts = count_labels(output_dir, settings)
    if not (output_dir / CARD_FILE).exists():
        card = build_drawn_card(settings.to_dict(), settings.class_names or DIGITS, settings.image_size, counts)
        with staged_folder(output_dir) as folder:
            (folder / CARD_FILE).write_text(card, encoding="utf-8")


def count_labels(output_dir: Path, settings: Settings) -> list[int]:
    import pyarrow.parquet

    num_classes = len(settings.class_names or DIGITS)
    counts = np.zeros(num_classes, dtype=np.int64)
    for shard in range(settings.num_shards):
        path = output_dir / settings.path_of(shard)
        if not is_complete(output_dir, settings, shard):
            raise ValueError(
                f"{path} is missing or is not what was written; the same command draws it again. Several machines "
                "need a folder that all of them see"
            )
        with path.open("rb") as file:
            labels = pyarrow.parquet.ParquetFile(file).read(columns=["label"])["label"]
        counts += np.bincount(labels, minlength=num_classes)
    return counts.tolist()


def show_summary(output_dir: Path, settings: Settings, drawn_shards: list[int], seconds: float) -> None:
    num_drawn = sum(len(settings.indices_of(shard)) for shard in drawn_shards)
    drawn = (
        f"{num_drawn} drawn now, in {seconds:.1f} s, {num_drawn / seconds:.1f} a second" if num_drawn else "none new"
    )
    print(f"{settings.num_images} images in {settings.num_shards} shards: {drawn}. They are in {output_dir}.")


def push_folder(output_dir: Path, repo_id: str) -> None:
    commit = upload_folder(
        output_dir,
        repo_id,
        repo_type="dataset",
        commit_message="Upload data set",
        allow_patterns=[CARD_FILE, SETTINGS_FILE, "data/*.parquet"],
    )
    print(f"Published: {commit.repo_url}")


def _check_class_shares(shares: list[float], num_classes: int) -> None:
    finite = all(share >= 0 for share in shares) and 0 < sum(shares) < math.inf
    if len(shares) != num_classes or not finite:
        raise ValueError(
            f"`class_shares` must be {num_classes} finite numbers of 0 or more, with a sum above 0, got {shares}"
        )


def read_settings(output_dir: Path) -> dict[str, Any]:
    """What a data set was begun with."""
    path = output_dir / SETTINGS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold what this command wrote, got a {type(found).__name__}")
    num_threads = found.get("num_threads")
    if type(num_threads) is not int or num_threads < 1:
        raise ValueError(f"`num_threads` in {path} must be an integer of 1 or more, got {num_threads!r}")
    return found


def _check_same_settings(output_dir: Path, settings: Settings) -> None:
    found = read_settings(output_dir)
    wanted = settings.to_dict() | {"num_threads": found["num_threads"]}  # any: the set goes on with its own
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"`{name}` must be {found.get(name)!r}, with which the images in {str(output_dir)!r} were begun, got "
                f"{wanted.get(name)!r}; give the same arguments, or another `output_dir`"
            )


if __name__ == "__main__":
    main()
