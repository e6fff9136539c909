# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments and errors of the commands: dataclasses, a YAML recipe before them, exit status 2 with one line."""

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


# Those of `TrainingArguments` that are paths; a field of ours says so in its metadata, `{"path": True}`.
_PATHS = {"--output_dir", "--resume_from_checkpoint", "--deepspeed", "--fsdp_config", "--accelerator_config"}
_PATHS |= {"--logging_dir"}  # before Transformers 5.11


class CommandParser(HfArgumentParser):
    """`HfArgumentParser` that expands `~`, takes no abbreviations and reports an error in one line."""

    def __init__(self, dataclass_types, **kwargs):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)

    def add_argument(self, *names, path: bool = False, **kwargs):
        if path or _PATHS.intersection(names):
            kwargs["type"] = expand_path
        return super().add_argument(*names, **kwargs)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {show_text(message)}\n")


def expand_path(path: str) -> str:
    """Put the home folder in the place of `~` or `~user`; whatever else is in a path is a part of its name."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ArgumentTypeError(
            f"a path that begins with `~` must go on with `/` or a user of this machine, got {path!r}; a folder of "
            f"this name is {'./' + path!r}"
        )
    return expanded


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str], prog: str, description: str) -> tuple:
    """Parse `[recipe.yaml] [--option value ...]` into one instance a dataclass; an option overrides the recipe.

    A recipe is a YAML mapping of options to values. Values are the text that was written, so that a name such as `no`
    or `007` is one; only mappings are read as YAML reads them. `null`, or nothing, leaves an option `None` that is so
    by default. `base: other.yaml` takes over the options of another recipe, whose name is relative to this one. In
    options that are paths `~` is expanded, here and nowhere else.

    Exits with status 2 for an option, in the recipe or behind it, that none of the dataclasses has.
    """
    parser = CommandParser(dataclass_types, prog=prog, description=description)
    if argv and argv[0].endswith((".yaml", ".yml")):
        optional = {
            field.name for dataclass in dataclass_types for field in fields(dataclass) if field.default is None
        }
        argv = [*_write_options(read_recipe(Path(argv[0]).expanduser()), optional), *argv[1:]]
    return parser.parse_args_into_dataclasses(args=list(argv))


def read_recipe(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a recipe, and the one that it names as its `base`, whose options it overrides.

    Args:
        path (`Path`): of a YAML file.
        above (`tuple[Path, ...]`, *optional*): the recipes that have this one as their base.

    Returns:
        `dict[str, Any]`: option to the text that was written, a list of texts, or a mapping as YAML reads it.

    Raises:
        ValueError: for a file that is no YAML mapping of options, and for one that is its own base.
        OSError: for a file that cannot be read.
    """
    if path.resolve() in above:
        raise ValueError(f"the `base` of a recipe must not lead back to it, got {path} in {above[-1]}")
    try:
        recipe = yaml.load(path.read_text(encoding="utf-8"), _RecipeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} holds a {type(recipe).__name__}; a recipe is a mapping of options to values")
    if "base" not in recipe:
        return recipe
    base = recipe.pop("base")
    if not isinstance(base, str) or not base:
        raise ValueError(f"`base` must be the file name of a recipe, got {base!r} in {path}")
    return read_recipe(path.parent / Path(base).expanduser(), (*above, path.resolve())) | recipe


class _Null(str):
    """What was written for `null`, if anything."""


class _RecipeLoader(yaml.SafeLoader):
    """Reads the values of the outer mapping, and those in lists there, as text."""

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
    """The recipe as a command line has it; `null` leaves an option out that is `None` by default."""
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
    """Run `command(argv)`; what a user can mend (`ValueError`, `OSError`, `MemoryError`) becomes one line and exit
    status 2. Of what the line quotes, no character reaches the terminal that is not printable.

    SIGTERM ends it with status 128 + 15, and not before what it has begun to write is removed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # as stderr always: the encoding of a pipe on Windows lacks most characters that a path may have
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
    """Raise `SystemExit` where SIGTERM would end the process at once, so that `finally` is obeyed."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # Python gives signals to no other
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
