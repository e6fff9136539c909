# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Change one thing of a recipe at a time: `python benchmarks/recipe_search.py --source ../shared/mnist`.

Every trial trains a new model through the real Trainer on as many texts, with the schedule fitted to them, and is
judged by the nats of the first test images. The table has one row a trial; `--results` keeps them, and a trial that is
there is not run again. Seconds are processor seconds divided by the number of threads, for these machines are shared.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from generation import show_table
from transformers import Trainer, TrainerCallback, default_data_collator, set_seed

from mnist_text_gen.commands import train_hf
from mnist_text_gen.commands.arguments import parse_arguments
from mnist_text_gen.commands.augmented_source import AugmentationCallback
from mnist_text_gen.modeling import token_losses
from mnist_text_gen.tokenizer import MnistTextTokenizer


ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Trial:
    """What differs from the recipe: options of `train_hf.py`, and what is only tried here.

    `ema` is the decay of an exponential moving average of the weights, which is what is judged; `z_loss` the weight of
    the squared log-partition (Chowdhery et al. 2022, arXiv:2204.02311, section 5); `growth` how often the batch is
    doubled, after equal numbers of texts.
    """

    name: str
    options: dict = field(default_factory=dict)
    ema: float = 0.0
    z_loss: float = 0.0
    growth: int = 0


CONSTANT = {"lr_scheduler_type": "constant_with_warmup", "lr_scheduler_kwargs": "{}"}
ADAM = {"optimizer": "adam", "adam_beta2": 0.999}
FEW = {"num_train_samples": 1000}
TRIALS = [
    Trial("the recipe"),
    Trial("initialisation: GPT-2's", {"initialization": "gpt2"}),
    Trial("Adam, 1e-4, constant (the specification's)", ADAM | CONSTANT | {"learning_rate": 1e-4, "warmup_steps": 0}),
    Trial("Adam, 1e-3", ADAM | {"learning_rate": 1e-3}),
    Trial("Adam, 2e-3", ADAM | {"learning_rate": 2e-3}),
    Trial("Muon, half the rate", {"muon_learning_rate": 2e-3}),
    Trial("Muon, twice the rate", {"muon_learning_rate": 8e-3}),
    Trial("Adam for the rest, twice the rate", {"learning_rate": 4e-3}),
    Trial("no cooldown", CONSTANT),
    Trial("no cooldown, average of the weights (0.95)", CONSTANT, ema=0.95),
    Trial("average of the weights (0.95)", ema=0.95),
    Trial("batch 16", {"per_device_train_batch_size": 16}),
    Trial("batch 64", {"per_device_train_batch_size": 64}),
    Trial("batch 16, then 32, then 64", {"per_device_train_batch_size": 16}, growth=2),
    Trial("dropout 0.1", {"dropout": 0.1}),
    Trial("label smoothing 0.01", {"label_smoothing_factor": 0.01}),
    Trial("z-loss 1e-4", z_loss=1e-4),
    Trial("no distortions", {"augmentation": 0}),
    Trial("1,000 images, as the recipe", FEW),
    Trial("1,000 images, no distortions", FEW | {"augmentation": 0}),
    Trial("1,000 images, no distortions, dropout 0.1", FEW | {"augmentation": 0, "dropout": 0.1}),
    Trial("1,000 images, half the distortions", FEW | {"augmentation": 0.5}),
    Trial("1,000 images, 1.5 times the distortions", FEW | {"augmentation": 1.5}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="MNIST; see mnist_text_gen.corpus.load_images")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "fast.yaml", help="what is changed")
    parser.add_argument("--texts", type=int, default=3_840, help="texts that a trial trains on")
    parser.add_argument("--train_images", type=int, help="the first training images, in place of the recipe's")
    parser.add_argument("--eval_images", type=int, default=1_000, help="test images that it is judged by")
    parser.add_argument("--trials", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "runs" / "recipe_search.jsonl", help="where they are kept"
    )
    args = parser.parse_args()
    found = read_results(args.results)
    for trial in TRIALS:
        if trial.name not in found and trial.name in (args.trials or [trial.name]):
            found[trial.name] = run(trial, args)
            args.results.parent.mkdir(parents=True, exist_ok=True)
            with args.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": trial.name} | found[trial.name]) + "\n")
    rows = [[name, f"{r['nats']:.1f}", str(r["steps"]), f"{r['seconds']:.0f}"] for name, r in found.items()]
    print(f"\nnats an image after {args.texts:,} texts, on {args.eval_images:,} test images")
    show_table(["changed", "nats", "steps", "seconds"], rows)


def read_results(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    return {row.pop("name"): row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def run(trial: Trial, args: argparse.Namespace) -> dict:
    """Train and judge; seconds are of the training alone."""
    model_args, data_args, optimizer_args, _, training_args = parse(trial, args)
    set_seed(training_args.seed)
    tokenizer = MnistTextTokenizer()
    corpus = train_hf.build_corpus(data_args, data_args.load_images(), tokenizer, training_args.seed)
    model = train_hf.build_model(model_args, tokenizer)
    average = WeightAverage(model, trial.ema)
    trainer = TrialTrainer(
        model=model,
        args=training_args,
        train_dataset=corpus["train"],
        eval_dataset=corpus["test"],
        data_collator=default_data_collator,
        optimizers=(train_hf.build_optimizer(model, optimizer_args, training_args), None),
        compute_metrics=train_hf.build_metrics(),
        preprocess_logits_for_metrics=token_losses,
        callbacks=[AugmentationCallback(data_args, training_args), average],
    )
    trainer.z_loss = trial.z_loss
    if trial.growth:
        trainer.batch_sizes = split_batches(args.texts, training_args.per_device_train_batch_size, trial.growth)
    start = time.process_time()
    trainer.train()
    seconds = (time.process_time() - start) / torch.get_num_threads()
    average.put_in()
    nats = trainer.evaluate()["eval_nats_per_image"]
    return {"nats": nats, "steps": trainer.state.global_step, "seconds": seconds}


def parse(trial: Trial, args: argparse.Namespace) -> tuple:
    """The recipe's arguments with the trial's, and a schedule that fits the texts."""
    batch_size = trial.options.get("per_device_train_batch_size", 32)
    steps = len(split_batches(args.texts, batch_size, trial.growth))
    schedule = {"num_decay_steps": round(0.6 * steps), "decay_type": "linear", "min_lr_ratio": 0.0}
    options = {
        "dataset_name": args.source,
        "num_eval_samples": args.eval_images,
        "max_steps": steps,
        "warmup_steps": round(0.05 * steps),
        "lr_scheduler_kwargs": json.dumps(schedule),
        "num_plain_epochs": 0,
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    } | trial.options
    if args.train_images is not None:
        options["num_train_samples"] = args.train_images
    parts = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return parse_arguments(train_hf.ARGUMENTS, [str(args.recipe), *parts], "recipe_search.py", "")


def split_batches(num_texts: int, batch_size: int, growth: int) -> list[int]:
    """Sizes of the batches: as many texts at each size, which doubles `growth` times."""
    part = num_texts // (1 + growth)
    sizes = [batch_size * 2**level for level in range(1 + growth)]
    return [size for size in sizes for _ in range(part // size)]


class TrialTrainer(Trainer):
    """The Trainer, with a z-loss and with batches that grow."""

    z_loss = 0.0
    batch_sizes: list[int] | None = None

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if self.z_loss and model.training:
            loss = loss + self.z_loss * outputs.logits[:, :-1].float().logsumexp(-1).square().mean()
        return (loss, outputs) if return_outputs else loss

    def get_train_dataloader(self):
        if self.batch_sizes is None:
            return super().get_train_dataloader()
        order = torch.randperm(len(self.train_dataset), generator=torch.Generator().manual_seed(self.args.seed))
        batches = [batch.tolist() for batch in order[: sum(self.batch_sizes)].split(self.batch_sizes)]
        loader = torch.utils.data.DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)


class WeightAverage(TrainerCallback):
    """An exponential moving average of the weights after each step, shorter while there are few."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.parameters, self.decay = list(model.parameters()), decay
        self.average = [parameter.detach().clone() for parameter in self.parameters]

    def on_step_end(self, args, state, control, **kwargs):
        weight = 1 - min(self.decay, state.global_step / (state.global_step + 10))
        torch._foreach_lerp_(self.average, [parameter.detach() for parameter in self.parameters], weight)

    @torch.no_grad()
    def put_in(self) -> None:
        if self.decay:
            torch._foreach_copy_(self.parameters, self.average)


if __name__ == "__main__":
    main()
