"""Publishing of models: records of training and quality, model cards, and uploads to the Hub."""

from .hub import open_repository, upload_folder
from .model_card import CARD_FILE, GENERATED, build_model_card, escape_markdown, has_own_card, write_model_card
from .pipeline import add_records, push_pipeline
from .records import (
    PICTURES_FOLDER,
    QUALITY_FILE,
    RUN_FILE,
    copy_run,
    hash_weights,
    read_quality,
    read_run,
    write_quality,
    write_run,
)


__all__ = [
    "CARD_FILE",
    "GENERATED",
    "PICTURES_FOLDER",
    "QUALITY_FILE",
    "RUN_FILE",
    "add_records",
    "build_model_card",
    "copy_run",
    "escape_markdown",
    "has_own_card",
    "hash_weights",
    "open_repository",
    "push_pipeline",
    "read_quality",
    "read_run",
    "upload_folder",
    "write_model_card",
    "write_quality",
    "write_run",
]
