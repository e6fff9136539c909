# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draw a labelled data set: `accelerate launch -m mnist_text_gen.commands.draw_dataset --num_images 1000000 ...`.

On one process: `mnist-text-gen-draw-dataset --num_images 20000 --output_dir digits`. It writes parquet shards. An
image depends on the arguments and its own index, never on the number of processes; process r of w draws the shards s
with s % w == r. The last bits of a score also depend on the number of threads, so a data set keeps the number that it
was started with, whatever a launcher sets. Started again with the same arguments, a run draws the shards that are
missing or damaged. `.sha256/` has the hashes of all shards, which `sha256sum --check .sha256/*` compares, too.
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
# from the extra "train", and imported where they are used, because drawing a digit needs neither
PACKAGES = ("accelerate", "datasets")
SETTINGS_FILE = "generation.json"
# How long processes wait for each other. The slowest may need hours more than the others, and the default, ten minutes
# between GPUs, would end a run that is nearly done.
WAITING_TIME = timedelta(days=7)


@dataclass
class DatasetArguments:
    """What to draw, and where to write it."""

    num_images: int = field(metadata={"help": "How many images are drawn."})
    output_dir: str = field(
        metadata={
            "help": "Folder of the data set: new, empty, or that of a run that was interrupted.",
            "path": True,
        }
    )
    class_shares: list[float] | None = field(
        default=None,
        metadata={
            "help": "One number per class, ten for digits: how often it is drawn relative to the others. Overrides "
            "--digits. By default the classes take turns."
        },
    )
    min_score: float | None = field(
        default=None, metadata={"help": "Images with a lower score are drawn again. By default none are."}
    )
    selection: Selection | None = field(
        default=None,
        metadata={
            "help": "Keep 8 of every 64 images of a class: those with the highest scores (best), or good ones that "
            "differ most (diverse). It takes 8 times as long. By default all images are kept."
        },
    )
    max_attempts: int = field(default=100, metadata={"help": "How often an image is drawn to reach min_score."})
    num_images_per_shard: int = field(default=2048, metadata={"help": "Images per parquet file."})
    push_to_hub_id: str | None = field(
        default=None, metadata={"help": "Also push the folder to this data set on the Hub, e.g. you/digits."}
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
    """The `accelerate.PartialState` of this process, which knows the other processes of the run."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} must be installed to draw a data set; "
            'pip install "mnist-text-gen[train]" installs what is needed'
        )
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # without an accelerator and without `cpu`, each of several processes would take itself for the only one
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=WAITING_TIME)


def write_dataset(
    pipe: MnistTextGenerationPipeline, args: SamplingArguments, dataset_args: DatasetArguments, state: Any
) -> None:
    """Write the missing shards of this process. The main process also prepares and finishes the folder.

    Args:
        pipe (`MnistTextGenerationPipeline`): draws and judges.
        args (`SamplingArguments`), dataset_args (`DatasetArguments`): the arguments of the command.
        state (`accelerate.PartialState`): the rank of this process, and a way to wait for the others.
    """
    start = time.perf_counter()
    settings = build_settings(pipe, args, dataset_args)
    output_dir = Path(dataset_args.output_dir)
    if state.is_main_process and dataset_args.push_to_hub_id is not None:
        # finds a missing token before a night of drawing instead of after it
        repo_id = open_repository(dataset_args.push_to_hub_id, repo_type="dataset")
    with prepared_folder(output_dir, settings, state) as settings:
        missing = [shard for shard in range(settings.num_shards) if not is_complete(output_dir, settings, shard)]
        # wait, so that all processes see the same shards as missing
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
    # a class that is given twice is not drawn twice as often, which is what class_shares does
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
    """The identity of the weights, without their path: hashes of the files in a folder, or a Hub id and its commit."""
    folder = Path(model_name_or_path)
    if not folder.is_dir():
        return {"id": model_name_or_path, "commit": commit_hash}
    return hash_weights(folder)


@contextmanager
def prepared_folder(output_dir: Path, settings: Settings, state: Any) -> Iterator[Settings]:
    """Lock the folder inside the block, and compute with the number of threads that the data set was started with."""
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
    """Let PyTorch compute with `number` threads inside the block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


def begin_data_set(output_dir: Path, settings: Settings) -> None:
    """Start a data set in an empty folder, or continue one with the same settings."""
    if (output_dir / SETTINGS_FILE).exists():
        _check_same_settings(output_dir, settings)
        return
    # the card would replace another README.md, and other parquet files would count as images
    others = sorted(other.name for other in output_dir.iterdir() if not is_lock(other))
    if others:
        raise ValueError(
            "`output_dir` must be a new or empty folder, or that of a run that was interrupted, got "
            f"{str(output_dir)!r}, which has {others[0]!r} and no {SETTINGS_FILE}"
        )
    with staged_folder(output_dir) as folder:
        (folder / SETTINGS_FILE).write_text(json.dumps(settings.to_dict(), indent=2) + "\n", encoding="utf-8")


def is_complete(output_dir: Path, settings: Settings, shard: int) -> bool:
    """Whether a shard and its hash exist and agree; otherwise the shard is drawn again."""
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

    # this command has its own progress bar
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(class_names)),
            "text": datasets.Value("string"),
            "score": datasets.Value("float64"),  # as the score that was compared with min_score
            "index": datasets.Value("int64"),
        }
    )
    columns = {name: [row[name] for row in rows] for name in ("label", "text", "score", "index")}
    columns["image"] = [Image.fromarray(row["image"] * 255) for row in rows]
    write_parquet(datasets.Dataset.from_dict(columns, features=features), path)


def finish_folder(output_dir: Path, settings: Settings) -> None:
    """Check that settings and shards are complete, and write the card if there is none."""
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
                f"{path} is missing or differs from what was written; the same command draws it again. Several "
                "machines need a folder that all of them can read"
            )
        with path.open("rb") as file:
            labels = pyarrow.parquet.ParquetFile(file).read(columns=["label"])["label"]
        counts += np.bincount(labels, minlength=num_classes)
    return counts.tolist()


def show_summary(output_dir: Path, settings: Settings, drawn_shards: list[int], seconds: float) -> None:
    num_drawn = sum(len(settings.indices_of(shard)) for shard in drawn_shards)
    drawn = (
        f"{num_drawn} drawn now in {seconds:.1f} s, {num_drawn / seconds:.1f} per second" if num_drawn else "none new"
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
            f"`class_shares` must be {num_classes} finite numbers of 0 or more, whose sum is above 0, got {shares}"
        )


def read_settings(output_dir: Path) -> dict[str, Any]:
    """The settings that a data set was started with."""
    path = output_dir / SETTINGS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, got an error: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must be a mapping, as this command wrote it, got a {type(found).__name__}")
    num_threads = found.get("num_threads")
    if type(num_threads) is not int or num_threads < 1:
        raise ValueError(f"`num_threads` in {path} must be an integer of 1 or more, got {num_threads!r}")
    return found


def _check_same_settings(output_dir: Path, settings: Settings) -> None:
    found = read_settings(output_dir)
    wanted = settings.to_dict() | {"num_threads": found["num_threads"]}  # the data set keeps its own number
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"`{name}` must be {found.get(name)!r}, as for the images that are in {str(output_dir)!r}, got "
                f"{wanted.get(name)!r}; give the same arguments, or another `output_dir`"
            )


if __name__ == "__main__":
    main()
