# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments and errors of the commands: dataclasses, YAML recipes, and one-line errors with exit status 2."""

import io
import json
import os
import signal
import sys
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from mnist_text_gen.drawing import show_text


# The paths among `TrainingArguments`, of which Transformers 5.15 has no `logging_dir`. Fields of this package have
# `{"path": True}` in their metadata instead.
_PATHS = {
    "--output_dir",
    "--logging_dir",
    "--resume_from_checkpoint",
    "--deepspeed",
    "--fsdp_config",
    "--accelerator_config",
}


class CommandParser(HfArgumentParser):
    """`HfArgumentParser` that expands `~`, accepts no abbreviations and reports an error in one line."""

    def __init__(self, dataclass_types, **kwargs):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)

    def add_argument(self, *names, path: bool = False, **kwargs):
        if path or _PATHS.intersection(names):
            kwargs["type"] = expand_path
        return super().add_argument(*names, **kwargs)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {show_text(message)}\n")


def expand_path(path: str) -> str:
    """Replace `~` or `~user` at the beginning of a path by the home folder."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ArgumentTypeError(
            f"a path that begins with `~` must continue with `/` or a user of this machine, got {path!r}; write "
            f"{'./' + path!r} for a folder of this name"
        )
    return expanded


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str], prog: str, description: str) -> tuple:
    """Parse `[recipe.yaml] [--option value ...]` into one instance per dataclass. Options override the recipe.

    A recipe is a YAML mapping of options to values. A value stays the text that was written, so `no` and `007` can be
    names; only nested mappings are parsed as YAML. An empty value or `null` keeps a default of `None`. The value of
    `base` is the path of another recipe, relative to this one, whose options are included. `~` is expanded in options
    that are paths.

    Exits with status 2 if none of the dataclasses has an option of the recipe or the command line.
    """
    parser = CommandParser(dataclass_types, prog=prog, description=description)
    if argv and argv[0].endswith((".yaml", ".yml")):
        optional = {
            field.name for dataclass in dataclass_types for field in fields(dataclass) if field.default is None
        }
        argv = [*_write_options(read_recipe(Path(argv[0]).expanduser()), optional), *argv[1:]]
    return parser.parse_args_into_dataclasses(args=list(argv))


def read_recipe(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a recipe, and its `base`, whose options it overrides.

    Args:
        path (`Path`): a YAML file.
        above (`tuple[Path, ...]`, *optional*): the recipes that have this one as their base.

    Returns:
        `dict[str, Any]`: the value of each option: a text, a list of texts, or a mapping.

    Raises:
        ValueError: if a file is not a YAML mapping of options, or is its own base.
        OSError: if a file cannot be read.
    """
    if path.resolve() in above:
        raise ValueError(f"the `base` of a recipe must not lead back to it, got {path} in {above[-1]}")
    try:
        recipe = yaml.load(path.read_text(encoding="utf-8"), _RecipeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML, got an error: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} must be a mapping of options to values, got a {type(recipe).__name__}")
    if "base" not in recipe:
        return recipe
    base = recipe.pop("base")
    if not isinstance(base, str) or not base:
        raise ValueError(f"`base` must be the file name of a recipe, got {base!r} in {path}")
    return read_recipe(path.parent / Path(base).expanduser(), (*above, path.resolve())) | recipe


class _Null(str):
    """The text that was written for a null value, which may be empty."""


class _RecipeLoader(yaml.SafeLoader):
    """Reads the values of the outer mapping, and of lists in it, as text."""

    def construct_document(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_document(node)
        return {self.construct_scalar(name): self._construct_option(value) for name, value in node.value}

    def _construct_option(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self._construct_option(part) for part in node.value]
        if isinstance(node, yaml.ScalarNode):
            return _Null(node.value) if node.tag == "tag:yaml.org,2002:null" else node.value
        return super().construct_document(node)


def _write_options(recipe: dict[str, Any], optional: set[str]) -> list[str]:
    """The recipe as options of a command line, without null values of options whose default is `None`."""
    options = []
    for name, value in recipe.items():
        if isinstance(value, _Null) and name in optional:
            continue
        values = value if isinstance(value, list) else [value]
        options += [
            f"--{name}",
            *(part if isinstance(part, str) else json.dumps(part, default=str) for part in values),
        ]
    return options


def run_command(prog: str, command: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> None:
    """Run `command(argv)`. A `ValueError`, `OSError` or `MemoryError` becomes one line and exit status 2.

    Characters of the line that are not printable are escaped. SIGTERM ends the command with status 128 + 15, after its
    unfinished files are removed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # as stderr does: the encoding of a pipe on Windows does not have most characters that a path may have
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _exit_on_sigterm():
            command(sys.argv[1:] if argv is None else argv)
    except (ValueError, OSError, MemoryError) as error:
        message = " ".join(str(error).split()) or "there is not enough memory"
        sys.stderr.write(f"{prog}: error: {show_text(message)}\n")
        sys.exit(2)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into `SystemExit`, so that `finally` clauses run."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # only this thread can handle signals
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
