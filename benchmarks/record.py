# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Measure a model, and write what was found into its folder: `python benchmarks/record.py --source ../shared/mnist`.

`run.json` keeps how the weights were trained, and gets the figures: nats of the test images, accuracy of the
classifier, raw candidates taken for the wanted digit, valid texts without the grammar, and seconds. The contact
sheets, the model card and the code beside the weights are written anew; README's tables are the card's (a test
compares them).
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from generation import STOCK, compare, load_digits
from reduced_precision import num_accepted
from transformers import set_seed

from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.commands import sample_hf, train_classifier, train_hf
from mnist_text_gen.commands.training import describe_device, name_results
from mnist_text_gen.corpus import identify_source, load_images
from mnist_text_gen.files import staged_folder
from mnist_text_gen.metrics import load_metric
from mnist_text_gen.modeling import CARD_FILE, CLASSIFIER_FOLDER, PICTURES_FOLDER, hash_weights, read_run, write_run


ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED_CHECKPOINT, help="folder of the model")
    parser.add_argument("--source", required=True, help="MNIST; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the seconds")
    args = parser.parse_args()
    draw = load_digits(args.model)
    classifier_results = evaluate(train_classifier, args.source, args.model / CLASSIFIER_FOLDER)
    results = evaluate(train_hf, args.source, args.model)
    results |= {
        "class_agreement": class_agreement(draw),
        "valid_texts": valid_texts(draw),
        "seconds_of_64_candidates": seconds(draw, args.rounds),
    }
    record(args.model / CLASSIFIER_FOLDER, classifier_results)
    record(args.model, results)
    sample_hf.main(["--model_name_or_path", str(args.model), "--output_dir", str(args.model / PICTURES_FOLDER)])
    # code and card
    sample_hf.load_pipeline(str(args.model)).save_pretrained(args.model)
    if args.model == SHIPPED_CHECKPOINT:
        shutil.copyfile(args.model / CARD_FILE, ROOT / "model_card.md")
        shutil.copytree(args.model / PICTURES_FOLDER, ROOT / PICTURES_FOLDER, dirs_exist_ok=True)


def evaluate(command, source: str, model: Path) -> dict[str, dict]:
    """What a training command finds on the test images, in float32."""
    with tempfile.TemporaryDirectory() as folder:
        places = ["--model_name_or_path", str(model), "--dataset_name", source, "--output_dir", folder]
        command.train([*places, "--do_eval", "true", "--per_device_eval_batch_size", "250"])
        metrics = json.loads(Path(folder, "eval_results.json").read_text())
    num_samples = len(load_images(source)["test"].images)
    return name_results(metrics, command.RESULT_NAMES, num_samples, identify_source(source))


def class_agreement(draw) -> dict:
    """Of 64 raw candidates a digit."""
    return {"value": num_accepted(draw, "exact", 1) / 640, "num_samples": 640, "temperature": 0.8, "seed": 0}


@torch.no_grad()
def valid_texts(draw, seed: int = 0) -> dict:
    """Of 64 texts a digit, as `pipeline("text-generation")` draws them: stock `generate`, without the grammar."""
    set_seed(seed)
    prompts = torch.arange(10, device=draw.device).repeat_interleave(64)[:, None]
    # the method of the class, and the model's own generation configuration
    ids = type(draw.model).generate(draw.model, prompts, attention_mask=torch.ones_like(prompts))
    texts = draw.tokenizer.batch_decode(ids)
    found = load_metric("mnist_text_validity").compute(predictions=texts, references=prompts[:, 0].tolist())
    return {"value": found["validity"], "num_samples": found["num_samples"], "temperature": 0.8, "seed": seed}


def seconds(draw, rounds: int) -> dict:
    medians = compare(draw, "7", rounds)
    return {
        "value": medians["exact"],
        "bf16": medians["bf16"],
        "generate": medians[STOCK],
        "num_rounds": rounds,
        "hardware": describe_device(draw.device),
    }


def record(folder: Path, results: dict[str, dict]) -> None:
    training = read_run(folder).get("training", [])
    with staged_folder(folder) as staging:
        write_run(staging, hash_weights(folder), training, results)


if __name__ == "__main__":
    main()
