# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draw digits: `python sample_hf.py --digits 3 7 --output_dir sample_img`.

For each digit, 64 candidates are generated at the same time, the classifier judges them, and a contact sheet shows the
best 8 with their scores, or with `--selection diverse` 8 good ones that differ most. With a model of other classes,
`--digits Sneaker 8` draws classes by name or number; files are named by the number. To draw a labelled data set of any
size, use `mnist-text-gen-draw-dataset`.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnist_text_gen.drawing import draw_contact_sheet, draw_dots, format_score, show_text
from mnist_text_gen.files import locked_folder, staged_folder
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.modeling import DEFAULTS, MnistTextGenerationPipeline, Selection, check_sampling_arguments

from .arguments import parse_arguments, run_command
from .sampling import SamplingArguments


PROG = "sample_hf.py"


@dataclass
class SheetArguments:
    """Which candidates to show, and where to write them."""

    output_dir: str = field(default="sample_img", metadata={"help": "Folder of the contact sheets.", "path": True})
    num_candidates: int = field(default=64, metadata={"help": "How many images are generated per digit."})
    num_return_sequences: int = field(default=8, metadata={"help": "How many of them are shown."})
    selection: Selection = field(
        default="best", metadata={"help": "best: those with the highest scores; diverse: good ones that differ most."}
    )
    min_score: float = field(
        default=DEFAULTS["min_score"], metadata={"help": "With diverse, the lowest score of a good candidate."}
    )
    save_images: bool = field(
        default=False, metadata={"help": "Also write one file per image; 7_0.png is the best 7."}
    )
    save_texts: Literal["no", "txt", "jsonl"] = field(
        default="no", metadata={"help": "Also write samples.txt (texts) or samples.jsonl (label, text, score, rank)."}
    )

    def __post_init__(self):
        check_sampling_arguments(
            num_candidates=self.num_candidates,
            num_return_sequences=self.num_return_sequences,
            min_score=self.min_score,
        )


@dataclass
class Drawing:
    """The results of one class, with counts and times for the summary."""

    name: str
    title: str
    class_word: str
    results: list[dict[str, Any]]
    num_agreeing: int
    seconds: dict[str, float]


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, sample, argv)


def sample(argv: Sequence[str]) -> None:
    for option in argv:
        if option.split("=")[0] == "--num_images":
            raise ValueError("`num_images` must not be given; mnist-text-gen-draw-dataset draws any number of images")
    args, sheet_args = parse_arguments([SamplingArguments, SheetArguments], argv, PROG, __doc__)
    pipe = load_pipeline(args.model_name_or_path)
    labels = args.choose_classes(pipe)
    drawings = []
    with locked_folder(sheet_args.output_dir) as output_dir, staged_folder(output_dir) as folder:
        for position, label in enumerate(labels):
            drawing = draw_class(pipe, label, labels[:position].count(label), args, sheet_args)
            save_drawing(drawing, folder, sheet_args.save_images)
            show_drawing(drawing, sheet_args)
            drawings.append(drawing)
        save_texts(drawings, folder, sheet_args.save_texts)
    show_summary(drawings, sheet_args.num_candidates * len(drawings), output_dir)


def draw_class(
    pipe: MnistTextGenerationPipeline,
    label: int,
    occurrence: int,
    args: SamplingArguments,
    sheet_args: SheetArguments,
) -> Drawing:
    candidates = pipe.sample(
        label,
        sheet_args.num_candidates,
        temperature=args.temperature,
        classifier_temperature=args.classifier_temperature,
        seed=args.seed,
        occurrence=occurrence,
        decoding=args.decoding,
    )
    choice = (sheet_args.num_return_sequences, sheet_args.selection, sheet_args.min_score)
    name = str(label) if not occurrence else f"{label}-{occurrence + 1}"
    return Drawing(
        name=name,
        title=name if pipe.class_word == "digit" else f"{name} ({pipe.class_names[label]})",
        class_word=pipe.class_word,
        results=candidates.choose(label, pipe.class_names, *choice),
        num_agreeing=int((candidates.probabilities.argmax(axis=1) == label).sum()),
        seconds=candidates.seconds,
    )


def save_drawing(drawing: Drawing, folder: Path, save_images: bool) -> None:
    draw_contact_sheet(drawing.results).save(folder / f"{drawing.name}.png")
    if save_images:
        for rank, result in enumerate(drawing.results):
            result["image"].save(folder / f"{drawing.name}_{rank}.png")


def save_texts(drawings: Sequence[Drawing], folder: Path, text_format: str) -> None:
    results = [result for drawing in drawings for result in drawing.results]
    if text_format == "txt":
        lines = [result["generated_text"] for result in results]
    elif text_format == "jsonl":
        lines = [
            json.dumps({key: result[key] for key in ("label", "generated_text", "score", "rank")})
            for result in results
        ]
    else:
        return
    (folder / f"samples.{text_format}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def show_drawing(drawing: Drawing, sheet_args: SheetArguments) -> None:
    scores = ", ".join(format_score(result["score"]) for result in drawing.results)
    dots = draw_dots([result["image"] for result in drawing.results], shutil.get_terminal_size().columns)
    show(dots, only_as_it_is=True)
    show(
        f"{drawing.title}: {sheet_args.num_candidates} candidates in {drawing.seconds['generate']:.2f} s, judged in "
        f"{drawing.seconds['judge']:.2f} s; the classifier recognizes {drawing.num_agreeing} of them as the wanted "
        f"{drawing.class_word}; {sheet_args.selection}: {scores}\n"
    )


def show_summary(drawings: Sequence[Drawing], num_candidates: int, output_dir: Path) -> None:
    num_agreeing = sum(drawing.num_agreeing for drawing in drawings)
    generation, reranking = (sum(drawing.seconds[step] for drawing in drawings) for step in ("generate", "judge"))
    show(
        f"{num_candidates} candidates: generated in {generation:.2f} s, judged in {reranking:.2f} s; the classifier "
        f"recognizes {num_agreeing} ({100 * num_agreeing / num_candidates:.2f} %) as the wanted "
        f"{drawings[0].class_word}. Contact sheets are in {show_text(str(output_dir))}."
    )


def show(text: str, only_as_it_is: bool = False) -> None:
    """Print a text. It is no error if the terminal does not have its characters, or if nobody reads the output."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    if only_as_it_is and shown != text:
        return
    try:
        print(shown, flush=True)
    except OSError:
        # discard what is still in the buffer, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
