# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Write a page that draws without a server: `mnist-text-gen-page --output_dir page`.

Open `page/index.html`, or put the folder on any static host. The page needs no installation and no network.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnist_text_gen.files import locked_folder, staged_folder
from mnist_text_gen.page import check_model, write_page

from .arguments import parse_arguments, run_command
from .exporting import ExportedModelArguments


PROG = "mnist-text-gen-page"
PIECE = re.compile(r"(fast|exact)-\d+\.js")


@dataclass
class PageArguments(ExportedModelArguments):
    """The model of the page, and its folder."""

    output_dir: str = field(default="page", metadata={"help": "Folder of the page.", "path": True})


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, build, argv)


def build(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([PageArguments], argv, PROG, __doc__)
    pipe = args.load_pipeline()
    check_model(pipe, f"`model_name_or_path` {args.model_name_or_path!r}")
    if Path(args.output_dir).resolve() == Path(args.model_name_or_path).resolve():
        raise ValueError(f"`output_dir` must not be the folder of the model, got {args.output_dir!r}")
    with locked_folder(args.output_dir) as output_dir:
        with staged_folder(output_dir) as folder:
            write_page(pipe, folder)
            written = {path.name for path in folder.joinpath("data").iterdir()}
        sizes = {"fast": 0, "exact": 0}
        for path in output_dir.joinpath("data").iterdir():
            piece = PIECE.fullmatch(path.name)
            if piece and path.name not in written:  # a piece of a larger model that was here before
                path.unlink()
            elif piece:
                sizes[piece[1]] += path.stat().st_size
    size = (sizes["fast"] + Path(output_dir, "index.html").stat().st_size) / 1e6
    print(
        f"The page is {Path(output_dir, 'index.html')}: {size:.1f} MB to load, and {sizes['exact'] / 1e6:.0f} MB more "
        "if float32 is chosen."
    )


if __name__ == "__main__":
    main()
