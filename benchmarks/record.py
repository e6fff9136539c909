# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Measure a model and write the figures into its folder: `python benchmarks/record.py --source MNIST`

`run.json` keeps the record of the training and gets these figures: nats of the test images, accuracy of the
classifier, the share of raw candidates that it takes for the wanted digit, valid texts without the grammar, and
seconds. Contact sheets and model card are written again. README has the same table as the card.
"""

import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sampling import STOCK, count_accepted, load_digits, time_decodings
from transformers import set_seed
from transformers.hf_argparser import HfArg

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands import sample_hf, train_classifier, train_hf
from mnist_text_gen.commands.arguments import parse_arguments, run_command
from mnist_text_gen.data import identify_source, load_images
from mnist_text_gen.files import staged_folder
from mnist_text_gen.loading import load_pipeline
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import CLASSIFIER_FOLDER
from mnist_text_gen.publishing import CARD_FILE, PICTURES_FOLDER, hash_weights, read_run, write_run
from mnist_text_gen.training.run import describe_device


PROG = "record.py"
ROOT = Path(__file__).parent.parent


@dataclass
class RecordArguments:
    """What is measured."""

    source: str = HfArg(help="MNIST; see mnist_text_gen.data.load_images.")
    model: str = HfArg(default=str(SHIPPED_CHECKPOINT), help="Folder of the model and its classifier.")
    rounds: int = HfArg(default=5, help="Rounds that are timed.")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, run, argv)


def run(argv: Sequence[str]) -> None:
    (args,) = parse_arguments([RecordArguments], argv, PROG, __doc__)
    model, pipe = Path(args.model), load_digits(args.model)
    classifier_results = evaluate(train_classifier, args.source, model / CLASSIFIER_FOLDER)
    results = evaluate(train_hf, args.source, model)
    accepted = count_accepted(pipe, "exact", num_seeds=1) / 640
    medians = {way: statistics.median(values) for way, values in time_decodings(pipe, "7", args.rounds).items()}
    seconds = {"value": medians["exact"], "bf16": medians["bf16"], "generate": medians[STOCK]}
    seconds |= {"num_rounds": args.rounds, "hardware": describe_device(pipe.device)}
    results |= {
        "class_agreement": {"value": accepted, "num_samples": 640, "temperature": 0.8, "seed": 0},
        "valid_texts": measure_validity(pipe),
        "seconds_of_64_candidates": seconds,
    }
    record(model / CLASSIFIER_FOLDER, classifier_results)
    record(model, results)
    is_shipped = model == SHIPPED_CHECKPOINT
    pictures = (ROOT if is_shipped else model) / PICTURES_FOLDER
    sample_hf.main(["--model_name_or_path", str(model), "--output_dir", str(pictures)])
    # the shipped folder has only weights, configurations and records
    with tempfile.TemporaryDirectory() as saved:
        load_pipeline(model).save_pretrained(saved if is_shipped else model)
        if is_shipped:
            shutil.copyfile(Path(saved, CARD_FILE), ROOT / "model_card.md")


def evaluate(command, source: str, model: Path) -> dict[str, dict]:
    """The results of a training command on the test images, in float32."""
    with tempfile.TemporaryDirectory() as folder:
        places = ["--model_name_or_path", str(model), "--dataset_name", source, "--output_dir", folder]
        options = ["--do_eval", "true", "--num_train_samples", "1", "--per_device_eval_batch_size", "250"]
        command.train([*places, *options])
        metrics = json.loads(Path(folder, "eval_results.json").read_text())
    about = {"num_samples": len(load_images(source)["test"].images), "dataset": identify_source(source)}
    return {name: {"value": metrics[f"eval_{metric}"], **about} for name, metric in command.RESULT_NAMES.items()}


@torch.no_grad()
def measure_validity(pipe, seed: int = 0) -> dict:
    """The share of valid texts among 64 per digit, drawn by stock `generate` without the grammar."""
    set_seed(seed)
    prompts = torch.arange(10, device=pipe.device).repeat_interleave(64)[:, None]  # [640, 1]
    # stock `generate` with the model's own generation configuration
    ids = type(pipe.model).generate(pipe.model, prompts, attention_mask=torch.ones_like(prompts))
    texts = pipe.tokenizer.batch_decode(ids)
    found = load_metric("mnist_text_validity").compute(predictions=texts, references=prompts[:, 0].tolist())
    return {"value": found["validity"], "num_samples": found["num_samples"], "temperature": 0.8, "seed": seed}


def record(folder: Path, results: dict[str, dict]) -> None:
    training = read_run(folder).get("training", [])
    with staged_folder(folder) as staging:
        write_run(staging, hash_weights(folder), training, results)


if __name__ == "__main__":
    main()
