# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Bulk generation: `accelerate launch sample_hf.py --num_images 1000000 --output_dir digits`.

A labelled data set in parquet shards. An image depends on the arguments and its own index, never on the number of
processes; process r of w makes the shards s with s % w == r. Started again with the same arguments, a run goes on with
the shards that are missing.
"""

import importlib.util
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from huggingface_hub.utils import validate_repo_id
from PIL import Image
from tqdm import tqdm

from mnist_text_gen.files import check_output_folder, remove_staging_folders, staged_folder
from mnist_text_gen.modeling import (
    BLOCK_SIZE,
    DIGITS,
    MnistTextGenerationPipeline,
    class_word,
    escape_markdown,
    find_class,
    hash_weights,
    open_repository,
    upload_folder,
)
from mnist_text_gen.tokenizer import IMAGE_SIZE, MnistTextTokenizer, get_text_length


if TYPE_CHECKING:
    from .sample_hf import SampleArguments


# Drawing a digit needs neither, so they come with an extra, and are imported where they are used.
PACKAGES = ("accelerate", "datasets")
SETTINGS_FILE = "generation.json"
CARD_FILE = "README.md"
NUM_CLASSES = 10
# What is drawn for an image depends on (seed, stream, index); a contact sheet has its digit, 0 to 9, for the stream.
LABEL_STREAM = NUM_CLASSES
TEXT_STREAM = NUM_CLASSES + 1
# How long processes wait for each other: the slowest may have a shard, or a night, more to do than the others, and
# the default, ten minutes between GPUs, would end a run that is nearly done.
WAITING_TIME = timedelta(days=7)


@dataclass
class BulkArguments:
    """A labelled data set in place of contact sheets."""

    num_images: int | None = field(
        default=None, metadata={"help": "Write a data set of so many images; by default contact sheets are drawn."}
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
    max_attempts: int = field(default=100, metadata={"help": "How often an image is drawn to reach min_score."})
    num_images_per_shard: int = field(default=2048, metadata={"help": "Images in a parquet file."})
    push_to_hub_id: str | None = field(
        default=None, metadata={"help": "Data set on the Hub that the folder is pushed to, if any, e.g. you/digits."}
    )

    def __post_init__(self):
        for name in ("num_images", "max_attempts", "num_images_per_shard"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; allowed is an integer of 1 or more")
        for name in ("class_shares", "min_score", "push_to_hub_id"):
            value = getattr(self, name)
            if value is not None and self.num_images is None:
                raise ValueError(f"{name} is {value}, and num_images is missing; allowed are both")
        if self.min_score is not None and not 0 <= self.min_score < 1:
            raise ValueError(f"min_score is {self.min_score}; allowed is 0 <= min_score < 1")
        if self.push_to_hub_id is not None:
            validate_repo_id(self.push_to_hub_id)


@dataclass(frozen=True)
class Settings:
    """All that a data set depends on, as it stands in `generation.json`; the last two not for 30×30 digits."""

    weights: dict[str, str | None]
    seed: int
    num_images: int
    num_images_per_shard: int
    classes: list[int] | None
    class_shares: list[float] | None
    min_score: float | None
    temperature: float
    classifier_temperature: float
    decoding: str
    class_names: list[str] | None = None
    image_size: int = IMAGE_SIZE

    @property
    def num_shards(self) -> int:
        return -(-self.num_images // self.num_images_per_shard)

    def indices_of(self, shard: int) -> range:
        start = shard * self.num_images_per_shard
        return range(start, min(start + self.num_images_per_shard, self.num_images))

    def path_of(self, shard: int) -> str:
        return f"data/train-{shard:05d}-of-{self.num_shards:05d}.parquet"

    def label_of(self, index: int) -> int:
        if self.class_shares is None:
            return self.classes[index % len(self.classes)]
        # random_raw is the one stream that numpy promises never to change; 53 of its bits are a double below 1
        raw = np.random.Philox(np.random.SeedSequence((self.seed, LABEL_STREAM, index))).random_raw()
        cumulated = np.cumsum(self.class_shares)
        return int(np.searchsorted(cumulated / cumulated[-1], (raw >> 11) * 2.0**-53, side="right"))

    def to_dict(self) -> dict[str, Any]:
        defaults = {"class_names": None, "image_size": IMAGE_SIZE}
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"


def join_processes() -> Any:
    """The `accelerate.PartialState` of this process among those that were launched with it, one or more."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"num_images needs {' and '.join(missing)}, not installed here; the extra 'train' has them")
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Where there is no accelerator and this isn't said, each of several processes takes itself for the only one.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=WAITING_TIME)


def write_data_set(
    draw: MnistTextGenerationPipeline, args: "SampleArguments", bulk_args: BulkArguments, state: Any
) -> None:
    """Write the shards that are missing and fall to this process; the main process does what is done once.

    Args:
        draw (`MnistTextGenerationPipeline`): draws and judges.
        args (`SampleArguments`), bulk_args (`BulkArguments`): what is wanted.
        state (`accelerate.PartialState`): which process this is, and a way to wait for the others.
    """
    start = time.perf_counter()
    settings = build_settings(draw, args, bulk_args)
    output_dir = Path(args.output_dir)
    if state.is_main_process:
        if bulk_args.push_to_hub_id is not None:
            # a missing token is found before a night of drawing, and not after it
            repo_id = open_repository(bulk_args.push_to_hub_id, repo_type="dataset")
        prepare_folder(output_dir, settings)
    state.wait_for_everyone()
    missing = [shard for shard in range(settings.num_shards) if not is_complete(output_dir, settings, shard)]
    # so that all see the same shards missing
    state.wait_for_everyone()
    own = [shard for shard in missing if shard % state.num_processes == state.process_index]
    draw_shards(draw, settings, bulk_args.max_attempts, output_dir, own, show_progress=state.is_main_process)
    state.wait_for_everyone()
    if state.is_main_process:
        finish_folder(output_dir, settings)
        show_summary(output_dir, settings, missing, time.perf_counter() - start)
        if bulk_args.push_to_hub_id is not None:
            push_folder(output_dir, repo_id)


def build_settings(draw: MnistTextGenerationPipeline, args: "SampleArguments", bulk_args: BulkArguments) -> Settings:
    # a class given twice is no reason to draw it twice as often: that is what class_shares is for
    classes = list(dict.fromkeys(choose_classes(draw, args.digits)))
    if bulk_args.class_shares is not None:
        _check_class_shares(bulk_args.class_shares, len(draw.class_names))
    return Settings(
        weights=identify_weights(args.model_name_or_path, draw.commit_hash),
        seed=args.seed,
        num_images=bulk_args.num_images,
        num_images_per_shard=bulk_args.num_images_per_shard,
        classes=classes if bulk_args.class_shares is None else None,
        class_shares=bulk_args.class_shares,
        min_score=bulk_args.min_score,
        temperature=args.temperature,
        classifier_temperature=args.classifier_temperature,
        decoding=args.decoding,
        class_names=None if draw.class_names == DIGITS else list(draw.class_names),
        image_size=draw.tokenizer.image_size,
    )


def choose_classes(draw: MnistTextGenerationPipeline, wanted: Sequence[str] | None) -> list[int]:
    """The numbers of the wanted classes, by name or number, in order; by default of all classes of the pipeline."""
    wanted = range(len(draw.class_names)) if wanted is None else wanted
    return [find_class(name_or_number, draw.class_names) for name_or_number in wanted]


def identify_weights(model_name_or_path: str, commit_hash: str | None) -> dict[str, str | None]:
    """What the weights are, and not where: hashes of the files in a folder, else the Hub's id and commit."""
    folder = Path(model_name_or_path)
    if not folder.is_dir():
        return {"id": model_name_or_path, "commit": commit_hash}
    return hash_weights(folder)


def prepare_folder(output_dir: Path, settings: Settings) -> None:
    """Begin a data set in an empty folder, or go on with the same one."""
    check_output_folder(output_dir)
    path = output_dir / SETTINGS_FILE
    if path.exists():
        _check_same_settings(path, settings)
    remove_staging_folders(output_dir)
    if path.exists():
        return
    # the card would replace another README.md, and other parquet files would count as images
    others = sorted(other.name for other in output_dir.iterdir())
    if others:
        raise ValueError(
            f"output_dir is {str(output_dir)!r}, which has {others[0]!r} and no {SETTINGS_FILE}; allowed is an empty "
            "folder, a new one, or the one of a run that was cut off"
        )
    with staged_folder(output_dir) as folder:
        (folder / SETTINGS_FILE).write_text(settings.to_json(), encoding="utf-8")


def is_complete(output_dir: Path, settings: Settings, shard: int) -> bool:
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_metadata(output_dir / settings.path_of(shard))
    except (OSError, pyarrow.ArrowException):
        # missing, or cut off by a machine that went down: drawn again
        return False
    return metadata.num_rows == len(settings.indices_of(shard))


def draw_shards(
    draw: MnistTextGenerationPipeline,
    settings: Settings,
    max_attempts: int,
    output_dir: Path,
    shards: list[int],
    show_progress: bool,
) -> None:
    num_images = sum(len(settings.indices_of(shard)) for shard in shards)
    with tqdm(total=num_images, unit="image", disable=not (show_progress and shards)) as progress:
        for shard in shards:
            rows = draw_rows(draw, settings, settings.indices_of(shard), max_attempts, progress.update)
            with staged_folder(output_dir) as folder:
                write_rows(rows, folder / settings.path_of(shard), draw.tokenizer, draw.class_names)


def draw_rows(
    draw: MnistTextGenerationPipeline,
    settings: Settings,
    indices: range,
    max_attempts: int,
    show: Callable[[int], Any] = lambda num_images: None,
) -> list[dict[str, Any]]:
    """Draw images, a block at the same time; one whose score is too low goes into the next block.

    Args:
        draw (`MnistTextGenerationPipeline`): draws and judges.
        settings (`Settings`), indices (`range`): of what data set, and which of its images.
        max_attempts (`int`): how often an image is drawn.
        show (`Callable[[int], Any]`, *optional*): called with the number of new images.

    Returns:
        `list[dict]` in order of index, with `label`, `text`, `score` and `index`.

    Raises:
        ValueError: for an image that does not reach `min_score`.
    """
    waiting = [(index, 0) for index in indices]
    rows = {}
    while waiting:
        block, waiting = waiting[:BLOCK_SIZE], waiting[BLOCK_SIZE:]
        rejected = []
        for row, attempt in zip(draw_block(draw, settings, block), (attempt for _, attempt in block), strict=True):
            if settings.min_score is None or row["score"] >= settings.min_score:
                rows[row["index"]] = row
            elif attempt + 1 < max_attempts:
                rejected.append((row["index"], attempt + 1))
            else:
                raise ValueError(
                    f"min_score is {settings.min_score}, and image {row['index']}, a "
                    f"{draw.class_names[row['label']]}, stays below it after max_attempts, {max_attempts}; allowed is "
                    "what the model reaches"
                )
        show(len(block) - len(rejected))
        waiting = rejected + waiting  # still in order of index
    return [rows[index] for index in indices]


def draw_block(
    draw: MnistTextGenerationPipeline, settings: Settings, block: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Draw each `(index, attempt)` once."""
    labels = [settings.label_of(index) for index, _ in block]
    entropies = [(settings.seed, TEXT_STREAM, index, attempt) for index, attempt in block]
    input_ids = draw.generate_texts(
        labels, entropies, temperature=settings.temperature, decoding=settings.decoding
    ).cpu()
    probabilities = draw.classify_candidates(input_ids, settings.classifier_temperature).cpu()
    scores = probabilities[torch.arange(len(labels)), torch.tensor(labels)].tolist()
    texts = draw.tokenizer.batch_decode(input_ids)
    return [
        {"label": label, "text": text, "score": score, "index": index}
        for label, text, score, (index, _) in zip(labels, texts, scores, block, strict=True)
    ]


def write_rows(
    rows: list[dict[str, Any]], path: Path, tokenizer: MnistTextTokenizer, class_names: Sequence[str]
) -> None:
    import datasets

    # the one progress bar is ours
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(class_names)),
            "text": datasets.Value("string"),
            "score": datasets.Value("float32"),
            "index": datasets.Value("int64"),
        }
    )
    images = tokenizer.decode_images([row["text"] for row in rows])
    columns = {name: [row[name] for row in rows] for name in ("label", "text", "score", "index")}
    columns["image"] = [Image.fromarray(image * 255) for image in images]
    path.parent.mkdir(exist_ok=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)


def finish_folder(output_dir: Path, settings: Settings) -> None:
    """Check that every shard is there, and write the card if there is none."""
    counts = count_labels(output_dir, settings)
    if not (output_dir / CARD_FILE).exists():
        with staged_folder(output_dir) as folder:
            (folder / CARD_FILE).write_text(build_card(settings, counts), encoding="utf-8")


def count_labels(output_dir: Path, settings: Settings) -> list[int]:
    import pyarrow.parquet

    num_classes = len(settings.class_names or DIGITS)
    counts = np.zeros(num_classes, dtype=np.int64)
    for shard in range(settings.num_shards):
        path = output_dir / settings.path_of(shard)
        if not is_complete(output_dir, settings, shard):
            raise ValueError(
                f"{path} is missing or does not have {len(settings.indices_of(shard))} rows; the same command draws "
                "it again. Several machines need a folder that all of them see"
            )
        counts += np.bincount(pyarrow.parquet.read_table(path, columns=["label"])["label"], minlength=num_classes)
    return counts.tolist()


def build_card(settings: Settings, counts: list[int]) -> str:
    class_names, size = settings.class_names or DIGITS, settings.image_size
    word = class_word(class_names)
    what, tags = ("handwritten digits", ["mnist"]) if word == "digit" else (f"{len(class_names)} classes", [])
    front_matter = {
        "license": "apache-2.0",
        "task_categories": ["image-classification", "unconditional-image-generation"],
        "size_categories": [size_category(settings.num_images)],
        "tags": ["synthetic", *tags],
        # No `configs`: the names of the shards go before all other files, and with `configs` two folders of one name
        # share a place in the cache of `datasets`, which then gives the images of the first for both.
    }
    selection = (
        "None was left out."
        if settings.min_score is None
        else f"One with a score below {settings.min_score} was drawn again, so the images are what this classifier "
        "recognizes, and it can't be tested with them."
    )
    lines = [
        *("---", yaml.safe_dump(front_matter, sort_keys=False).rstrip(), "---", ""),
        *(f"# Synthetic {'handwritten digits' if word == 'digit' else 'images'}", ""),
        f"{settings.num_images} images of {what}, {size}×{size} pixels, black or white. All of them are drawn by a "
        f"small GPT-2, as text, with mnist-text-gen; none is a {'scan' if word == 'digit' else 'real one'}.",
        "",
        "| column | what it is |",
        "|---|---|",
        f"| `image` | PNG, {size}×{size}, mode L, 0 or 255 |",
        f"| `label` | the {word} that was asked for |",
        f"| `text` | the {get_text_length(size)} characters that are the image |",
        f"| `score` | a classifier's probability of the {word} |",
        "| `index` | which image this is: the same index and settings give the same image |",
        *("", f"{selection} The settings, with the weights' SHA-256 or commit:", ""),
        *("```json", settings.to_json().rstrip(), "```", ""),
        *(f"| {word} | images |", "|---|---|"),
        *(f"| {escape_markdown(name)} | {count} |" for name, count in zip(class_names, counts, strict=True)),
    ]
    return "".join(f"{line}\n" for line in lines)


def size_category(num_images: int) -> str:
    """What the Hub calls a data set of this size."""
    bounds = [(1000, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M")]
    if num_images < bounds[0][0]:
        return "n<1K"
    for (_, low), (bound, high) in itertools.pairwise(bounds):
        if num_images < bound:
            return f"{low}<n<{high}"
    return "100M<n<1B" if num_images < 10**9 else "1B<n<10B"


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
            f"class_shares is {shares}; allowed are {num_classes} finite numbers of 0 or more, with a sum above 0"
        )


def _check_same_settings(path: Path, settings: Settings) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; allowed is what this command wrote")
    wanted = settings.to_dict()
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"{name} is {wanted.get(name)!r}, and the images in {str(path.parent)!r} were begun with "
                f"{found.get(name)!r}; allowed are the same arguments, or another output_dir"
            )
