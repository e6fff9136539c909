# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Arguments and errors of the commands: dataclasses, a YAML recipe before them, exit status 2 with one line."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from transformers import HfArgumentParser


class CommandParser(HfArgumentParser):
    """`HfArgumentParser` that takes no abbreviations and reports an error in one line."""

    def __init__(self, dataclass_types, **kwargs):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {message}\n")


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str], prog: str, description: str) -> tuple:
    """Parse `[recipe.yaml] [--option value ...]` into one instance a dataclass; an option overrides the recipe.

    Exits with status 2 for an option, in the recipe or behind it, that none of the dataclasses has.
    """
    parser = CommandParser(dataclass_types, prog=prog, description=description)
    if argv and argv[0].endswith((".yaml", ".yml")):
        argv = [*_recipe_options(Path(argv[0])), *argv[1:]]
    return parser.parse_args_into_dataclasses(args=list(argv))


def _recipe_options(path: Path) -> list[str]:
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} holds a {type(recipe).__name__}; a recipe is a mapping of options to values")
    options = []
    for name, value in recipe.items():
        values = value if isinstance(value, list) else [value]
        options += [f"--{name}", *(json.dumps(v) if isinstance(v, dict | bool | None) else str(v) for v in values)]
    return options


def run_command(prog: str, command: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> None:
    """Run `command(argv)`; what a user can mend (`ValueError`, `OSError`) becomes one line and exit status 2."""
    try:
        command(sys.argv[1:] if argv is None else argv)
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split())
        sys.stderr.write(f"{prog}: error: {message}\n")
        sys.exit(2)
