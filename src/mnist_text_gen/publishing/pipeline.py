# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Card, records and pictures of a saved pipeline, and its upload to the Hub in one commit."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import CommitInfo

from mnist_text_gen.modeling import CLASSIFIER_FOLDER, MnistTextGenerationPipeline

from .hub import open_repository, upload_folder
from .model_card import CARD_FILE, has_own_card, write_model_card
from .records import copy_run


def add_records(pipe: MnistTextGenerationPipeline, folder: Path, tags: Sequence[str] = ()) -> None:
    """Write records, pictures and card into the folder that `pipe.save_pretrained` has just written.

    Args:
        pipe (`MnistTextGenerationPipeline`): records and pictures are copied from where it was loaded from.
        folder (`Path`): the folder.
        tags (`Sequence[str]`, *optional*): more tags for the card.
    """
    source = pipe.model.config.name_or_path
    if source:
        copy_run(source, pipe.commit_hash, folder)
    copy_classifier_run(pipe, folder)
    write_model_card(folder, tags)


def copy_classifier_run(pipe: MnistTextGenerationPipeline, folder: Path) -> None:
    """Copy the record of the classifier's training to its folder in `folder`."""
    source = pipe.classifier.config.name_or_path
    if source:
        revision = pipe.commit_hash if source == pipe.model.config.name_or_path else None
        copy_run(source, revision, folder / CLASSIFIER_FOLDER, CLASSIFIER_FOLDER)


def push_pipeline(
    pipe: MnistTextGenerationPipeline,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str = "50GB",
    tags: Sequence[str] | None = None,
) -> CommitInfo:
    """Publish everything that the pipeline needs on the Hub, in one commit. `pipe.push_to_hub` calls this function.

    A `README.md` there that this function did not write is kept. If nothing has changed, there is no new commit.

    Args:
        pipe (`MnistTextGenerationPipeline`): the pipeline.
        repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token; it is created if it is missing.
        commit_message (`str`, defaults to `"Upload pipeline"`), commit_description (`str`, *optional*):
            Title and text of the commit.
        private (`bool`, *optional*): whether a new repository is private.
        token (`bool` or `str`, *optional*): by default that of `hf auth login` or the environment.
        revision (`str`, *optional*): a branch, which is created if it is missing; `main` by default.
        create_pr (`bool`, defaults to `False`): open a pull request with the commit.
        max_shard_size (`int` or `str`, defaults to `"50GB"`): the largest size of a file of weights.
        tags (`Sequence[str]`, *optional*): more tags for the card.

    Returns:
        `CommitInfo`: the commit, or the last one if nothing has changed.

    Raises:
        ValueError: if the Hub refuses the name, or the token is missing or may not write there.
        ConnectionError: if the Hub cannot be reached or stays busy.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipe.save_pretrained(folder, max_shard_size=max_shard_size)
        # only after saving, so that an error there leaves no empty repository
        repo_id = open_repository(repo_id, private=private, token=token)
        write_model_card(Path(folder), tags or (), repo_id)
        return upload_folder(
            Path(folder),
            repo_id,
            token=token,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message or "Upload pipeline",
            commit_description=commit_description,
            ignore_patterns=[CARD_FILE] if has_own_card(repo_id, revision, token) else None,
        )
