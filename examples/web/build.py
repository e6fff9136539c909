# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Assemble the page that draws without a server: `python examples/web/build.py --onnx_dir onnx`.

`mnist-text-gen-export-onnx` makes that folder, `npm ci --prefix examples/web` brings ONNX Runtime Web. The page,
`examples/web/dist` where no `--output_dir` says otherwise, works from where it is, opened as a file, and on any static
host.
"""

import base64
import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import GPT2Config

from mnist_text_gen import MnistCnnConfig, MnistTextTokenizer
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.commands.export_onnx import MODEL_FILE
from mnist_text_gen.files import staged_folder
from mnist_text_gen.modeling import CLASSIFIER_FOLDER, name_classes


PROG = "build.py"
FOLDER = Path(__file__).parent
RUNTIME = FOLDER / "node_modules" / "onnxruntime-web" / "dist"
GLUE = "ort-wasm-simd-threaded"


@dataclass
class BuildArguments:
    """What the page draws with, and where to."""

    onnx_dir: str = field(default="onnx", metadata={"help": "Folder that mnist-text-gen-export-onnx wrote."})
    output_dir: str = field(default=str(FOLDER / "dist"), metadata={"help": "Folder of the page."})


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, build, argv)


def build(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([BuildArguments], argv, PROG, __doc__)
    onnx_dir = Path(args.onnx_dir)
    models = {
        "language_model": onnx_dir / MODEL_FILE,
        "classifier": onnx_dir / CLASSIFIER_FOLDER / MODEL_FILE,
    }
    for path in models.values():
        if not path.is_file():
            raise ValueError(
                f"onnx_dir is {args.onnx_dir!r}, which has no {path.relative_to(onnx_dir)}; allowed is a folder that "
                "mnist-text-gen-export-onnx wrote"
            )
    if not RUNTIME.is_dir():
        raise ValueError(f"there is no {RUNTIME}; `npm ci --prefix examples/web` brings it")
    worker = [path.read_bytes() for path in (RUNTIME / "ort.wasm.min.js", FOLDER / "worker.js")]
    files = {
        "worker": b"\n".join(worker),
        "glue": (RUNTIME / f"{GLUE}.mjs").read_bytes(),
        "wasm": (RUNTIME / f"{GLUE}.wasm").read_bytes(),
        **{name: path.read_bytes() for name, path in models.items()},
    }
    with staged_folder(args.output_dir) as folder:
        for name in ("index.html", "page.css", "page.js"):
            shutil.copyfile(FOLDER / name, folder / name)
        (folder / "data").mkdir()
        write_data(folder, "settings", read_settings(onnx_dir))
        for name, content in files.items():
            # without the time, so that the same files give the same bytes
            write_data(folder, name, base64.b64encode(gzip.compress(content, mtime=0)).decode())
    size = sum(path.stat().st_size for path in Path(args.output_dir).rglob("*") if path.is_file())
    print(f"The page is {Path(args.output_dir, 'index.html')}, {size / 1e6:.0f} MB with its files.")


def read_settings(onnx_dir: Path) -> dict[str, Any]:
    """What the page has to know of the text form, the language model and the classes."""
    tokenizer = MnistTextTokenizer.from_pretrained(onnx_dir)
    model = GPT2Config.from_pretrained(onnx_dir)
    classifier = MnistCnnConfig.from_pretrained(onnx_dir / CLASSIFIER_FOLDER)
    return {
        "symbols": tokenizer.convert_ids_to_tokens(range(len(tokenizer))),
        "endSymbol": tokenizer.eos_token,
        "firstPixelId": tokenizer.pixel_ids.start,
        "endPixelId": tokenizer.pixel_ids.stop,
        "numPixelSymbols": tokenizer.num_pixel_symbols,
        "imageSize": tokenizer.image_size,
        "classNames": list(name_classes(classifier)),
        "numHeads": model.n_head,
        "headSize": model.n_embd // model.n_head,
    }


def write_data(folder: Path, name: str, value: Any) -> None:
    """Write a script that gives the page a value: a page that was opened as a file may read no other kind of file."""
    (folder / "data" / f"{name}.js").write_text(f"packed.{name} = {json.dumps(value)};\n", encoding="utf-8")


if __name__ == "__main__":
    main()
