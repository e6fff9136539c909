# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Draw digits: `python sample_hf.py --digits 3 7 --output_dir sample_img`.

For each digit, 64 candidates are generated at the same time, the classifier judges them, and a contact sheet shows
the best 8 with their scores. A model of other classes draws those, by name or number, `--digits Sneaker 8`, into files
that are named by the number. With `--num_images` it writes a labelled data set instead, for which it can be launched
with `accelerate launch`.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from mnist_text_gen import MnistCnnForImageClassification, MnistTextGenerationPipeline
from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.drawing import draw_contact_sheet, draw_dots, format_score
from mnist_text_gen.files import check_output_folder, staged_folder
from mnist_text_gen.modeling import DECODINGS, TASK, check_sampling_arguments

from .arguments import parse_arguments, run_command
from .bulk import BulkArguments, choose_classes, join_processes, write_data_set


PROG = "sample_hf.py"


@dataclass
class SampleArguments:
    """What to draw, and where to."""

    digits: list[str] | None = field(
        default=None,
        metadata={
            "help": "The digits, or names or numbers of the model's classes; all of them by default. In a data set "
            "they take turns."
        },
    )
    output_dir: str = field(default="sample_img", metadata={"help": "Folder of the contact sheets or the data set."})
    model_name_or_path: str = field(
        default=str(SHIPPED_CHECKPOINT),
        metadata={"help": "Folder or Hub id of a language model with its classifier; the shipped weights by default."},
    )
    num_candidates: int = field(default=64, metadata={"help": "How many images are generated for a digit."})
    num_return_sequences: int = field(default=8, metadata={"help": "How many of them, the best, are shown."})
    temperature: float = field(default=0.8, metadata={"help": "Divides the logits of the language model."})
    classifier_temperature: float = field(default=0.8, metadata={"help": "Divides the logits of the classifier."})
    seed: int = field(default=0, metadata={"help": "The same seed draws the same digits."})
    decoding: Literal[DECODINGS] = field(
        default="exact",
        metadata={"help": "exact: several tokens a step; bf16: faster, not exact; generate: Transformers' own loop."},
    )
    save_images: bool = field(
        default=False, metadata={"help": "Also write each image, as it is, to its own file, 7_0.png the best of 7."}
    )
    save_texts: Literal["no", "txt", "jsonl"] = field(
        default="no", metadata={"help": "Also write samples.txt (texts) or samples.jsonl (label, text, score)."}
    )

    def __post_init__(self):
        if self.digits is not None and not self.digits:
            raise ValueError("digits is empty; allowed are classes of the model")
        check_sampling_arguments(
            num_candidates=self.num_candidates,
            num_return_sequences=self.num_return_sequences,
            temperature=self.temperature,
            classifier_temperature=self.classifier_temperature,
            seed=self.seed,
        )


@dataclass
class Drawing:
    """The results of one class, and how they came about."""

    name: str
    title: str
    class_word: str
    results: list[dict[str, Any]]
    num_agreeing: int
    generation_seconds: float
    reranking_seconds: float


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, sample, argv)


def sample(argv: Sequence[str]) -> None:
    args, bulk_args = parse_arguments([SampleArguments, BulkArguments], argv, PROG, __doc__)
    if bulk_args.num_images is None:
        draw_contact_sheets(args)
    else:
        state = join_processes()
        write_data_set(load_pipeline(args.model_name_or_path, state.device), args, bulk_args, state)
        state.destroy_process_group()


def draw_contact_sheets(args: SampleArguments) -> None:
    draw = load_pipeline(args.model_name_or_path)
    labels = choose_classes(draw, args.digits)
    output_dir = check_output_folder(args.output_dir)
    drawings = []
    for position, label in enumerate(labels):
        drawing = draw_class(draw, label, labels[:position].count(label), args)
        with staged_folder(output_dir) as folder:
            save_drawing(drawing, folder, args.save_images)
        show_drawing(drawing, args.num_candidates)
        drawings.append(drawing)
    with staged_folder(output_dir) as folder:
        save_texts(drawings, folder, args.save_texts)
    show_summary(drawings, args, output_dir)


def load_pipeline(
    model_name_or_path: str,
    device: torch.device | None = None,
    classifier: MnistCnnForImageClassification | None = None,
) -> MnistTextGenerationPipeline:
    allowed = f"model_name_or_path is {model_name_or_path!r}; allowed is a folder or a Hub id with a language model"
    if Path(model_name_or_path).is_file():
        raise ValueError(f"{allowed}, and this is a file")
    try:
        model = AutoModelForCausalLM.from_pretrained(model_name_or_path, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(model_name_or_path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{allowed}: {error}") from error
    if device is not None:
        # among several processes a pipeline leaves its model where it is, whatever device it is given
        model.to(device)
    # The class is given, so that a checkpoint with its own remote code needs no trust: the code is ours.
    return pipeline(
        TASK,
        model=model,
        tokenizer=tokenizer,
        classifier=classifier,
        pipeline_class=MnistTextGenerationPipeline,
        device=device,
    )


def draw_class(draw: MnistTextGenerationPipeline, label: int, occurrence: int, args: SampleArguments) -> Drawing:
    """What the pipeline does in one call, step by step, to time the steps."""
    start = time.perf_counter()
    input_ids = draw.generate_candidates(
        label, args.num_candidates, args.temperature, args.seed, occurrence, args.decoding
    ).cpu()
    generated = time.perf_counter()
    probabilities = draw.classify_candidates(input_ids, args.classifier_temperature).cpu()
    results = draw.postprocess(draw.rerank(label, input_ids, probabilities, args.num_return_sequences))
    name = str(label) if not occurrence else f"{label}-{occurrence + 1}"
    return Drawing(
        name=name,
        title=name if draw.class_word == "digit" else f"{name} ({draw.class_names[label]})",
        class_word=draw.class_word,
        results=results,
        num_agreeing=int((probabilities.argmax(dim=-1) == label).sum()),
        generation_seconds=generated - start,
        reranking_seconds=time.perf_counter() - generated,
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
        lines = [json.dumps({key: result[key] for key in ("label", "generated_text", "score")}) for result in results]
    else:
        return
    (folder / f"samples.{text_format}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def show_drawing(drawing: Drawing, num_candidates: int) -> None:
    scores = ", ".join(format_score(result["score"]) for result in drawing.results)
    print(draw_dots([result["image"] for result in drawing.results], shutil.get_terminal_size().columns))
    print(
        f"{drawing.title}: {num_candidates} candidates in {drawing.generation_seconds:.2f} s, judged in "
        f"{drawing.reranking_seconds:.2f} s; the classifier takes {drawing.num_agreeing} of them for the "
        f"{drawing.class_word}; best: {scores}\n",
        flush=True,
    )


def show_summary(drawings: Sequence[Drawing], args: SampleArguments, output_dir: Path) -> None:
    num_candidates = args.num_candidates * len(drawings)
    num_agreeing = sum(drawing.num_agreeing for drawing in drawings)
    generation = sum(drawing.generation_seconds for drawing in drawings)
    reranking = sum(drawing.reranking_seconds for drawing in drawings)
    print(
        f"{num_candidates} candidates: generated in {generation:.2f} s, judged in {reranking:.2f} s; the classifier "
        f"takes {num_agreeing} ({num_agreeing / num_candidates:.2%}) for the wanted {drawings[0].class_word}. Contact "
        f"sheets are in {output_dir}."
    )


if __name__ == "__main__":
    sys.exit(main())
