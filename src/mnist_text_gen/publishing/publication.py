# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""`train_hf.py --push_to_hub`: publish a trained model with its classifier, code, pictures and card."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedConfig, TrainingArguments
from transformers.trainer_utils import HubStrategy

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.drawing import draw_contact_sheet
from mnist_text_gen.files import staged_folder
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import (
    CLASSIFIER_FOLDER,
    MnistCnnConfig,
    MnistCnnForImageClassification,
    load_classifier,
    read_classes,
)
from mnist_text_gen.tokenizer import MnistTextTokenizer

from .hub import open_repository
from .pipeline import copy_classifier_run
from .records import PICTURES_FOLDER


@dataclass(frozen=True)
class Publication:
    """Where to publish, from `TrainingArguments`."""

    repo_id: str
    private: bool | None
    token: str | None
    revision: str | None


def take_publication(args: TrainingArguments) -> Publication | None:
    """Turn off the Trainer's own publishing, which would also upload pickles, and check the repository.

    Raises:
        ValueError, ConnectionError: before the training, if the repository cannot be created or written to.
    """
    if not args.push_to_hub:
        return None
    args.push_to_hub = False
    if args.hub_strategy in ("checkpoint", "all_checkpoints"):
        raise ValueError(
            f"`hub_strategy` must not publish checkpoints, got '{HubStrategy(args.hub_strategy).value}': they contain "
            "pickles, and the model is published once, at the end"
        )
    assert args.output_dir is not None  # `TrainingArguments` has a default
    repo_id = args.hub_model_id or Path(args.output_dir).resolve().name
    publication = Publication(repo_id, args.hub_private_repo, args.hub_token, args.hub_revision)
    if args.process_index == 0:
        open_repository(repo_id, private=publication.private, token=publication.token)
    return publication


def check_classifier(
    output_dir: Path, classifier_name_or_path: str | None, config: PreTrainedConfig, tokenizer: MnistTextTokenizer
) -> None:
    """Raise a `ValueError`, before the training, unless a classifier of the model's classes and image size exists."""
    classifier = find_classifier(output_dir, classifier_name_or_path) or load_classifier(str(output_dir))
    read_classes(classifier.config, config, tokenizer)


def publish(output_dir: Path, publication: Publication, classifier_name_or_path: str | None) -> None:
    """Draw pictures of all classes with the model in `output_dir`, and publish model and pictures.

    If the folder has no classifier, the one that is published is saved there too.
    """
    pipe = load_pipeline(str(output_dir), classifier=find_classifier(output_dir, classifier_name_or_path))
    with staged_folder(output_dir) as folder:
        (folder / PICTURES_FOLDER).mkdir()
        for label, results in enumerate(pipe(list(range(len(pipe.class_names))), seed=0)):
            draw_contact_sheet(results).save(folder / PICTURES_FOLDER / f"{label}.png")
        if not (output_dir / CLASSIFIER_FOLDER).exists():
            pipe.classifier.save_pretrained(folder / CLASSIFIER_FOLDER)
            copy_classifier_run(pipe, folder)
    commit = pipe.push_to_hub(
        publication.repo_id, private=publication.private, token=publication.token, revision=publication.revision
    )
    print(f"Published: {commit.repo_url}, commit {commit.oid}")


def find_classifier(output_dir: Path, name_or_path: str | None) -> MnistCnnForImageClassification | None:
    """The named classifier, else the shipped one; `None` if the output folder has one, which the pipeline loads."""
    if name_or_path is None:
        if (output_dir / CLASSIFIER_FOLDER / "config.json").is_file():
            return None
        name_or_path = str(SHIPPED_CHECKPOINT)
    try:
        model_type = PreTrainedConfig.get_config_dict(name_or_path)[0].get("model_type")
    except OSError as error:
        raise ValueError(
            "`classifier_name_or_path` must be a folder or Hub id with a classifier, there or in its folder "
            f"{CLASSIFIER_FOLDER!r}, got {name_or_path!r}: {error}"
        ) from error
    return load_classifier(
        name_or_path, subfolder="" if model_type == MnistCnnConfig.model_type else CLASSIFIER_FOLDER
    )
