# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Train the classifier: `accelerate launch train_classifier.py recipes/classifier.yaml --output_dir runs/classifier`.

The first argument may be a YAML recipe; options after it override it. `--do_train false --model_name_or_path FOLDER`
only evaluates. Put the weights in the folder `classifier` beside a language model, and they judge what it draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from transformers import EvalPrediction, TrainingArguments, default_data_collator, set_seed
from transformers.modeling_outputs import ImageClassifierOutput

from mnist_text_gen.data import LabelledImages, load_image_corpus
from mnist_text_gen.data.arguments import AugmentedSourceArguments
from mnist_text_gen.files import check_whole
from mnist_text_gen.modeling import MnistCnnConfig, MnistCnnForImageClassification, label_maps, load_weights
from mnist_text_gen.training.augmentation import AugmentationCallback
from mnist_text_gen.training.checkpoints import staged_model
from mnist_text_gen.training.history import Quantities
from mnist_text_gen.training.processes import ProcessArguments, check_num_processes, locked_output_dir
from mnist_text_gen.training.recipe import collect_recipe, describe_arguments
from mnist_text_gen.training.run import describe_images, describe_recipe, describe_stage, write_training
from mnist_text_gen.training.trainer import MnistTrainer, check_training_arguments

from .arguments import parse_arguments, run_command


PROG = "train_classifier.py"
# maps names in run.json to those of the metrics
RESULT_NAMES = {"accuracy": "accuracy"}
QUANTITIES = Quantities(
    loss="loss",
    loss_scale=1,
    throughput="images_per_second",
    items_per_row=1,
    formats={"loss": "loss {:.4f}", "images_per_second": "{:,.0f} images/s", "eval_accuracy": "{:.2%} right"},
)


@dataclass
class ModelArguments:
    """The classifier."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Weights to start from or to evaluate; new ones by default.", "path": True}
    )
    hidden_sizes: list[int] = field(
        default_factory=lambda: [32, 64, 128], metadata={"help": "Channels of each stage of convolutions."}
    )
    dropout: float = field(default=0.3, metadata={"help": "Dropout before the last layer, in [0, 1)."})


ARGUMENTS = (ModelArguments, AugmentedSourceArguments, ProcessArguments, TrainingArguments)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, train, argv)


def train(argv: Sequence[str]) -> None:
    model_args, data_args, process_args, training_args = parse_arguments(ARGUMENTS, argv, PROG, __doc__)
    check_num_processes(process_args, training_args)
    check_training_arguments(training_args)
    if training_args.push_to_hub:
        raise ValueError(
            "`push_to_hub` must be false, got true; train_hf.py --push_to_hub publishes a classifier with its model"
        )
    with locked_output_dir(training_args):
        # Data and model
        set_seed(training_args.seed)
        with training_args.main_process_first(desc="images"):
            splits = data_args.load_images()
            corpus = build_corpus(data_args, splits, training_args.seed)
        train_images = splits["train"].first(data_args.num_train_samples, "num_train_samples")
        model = build_model(model_args, data_args.image_size, train_images.class_names)

        trainer = MnistTrainer(
            model,
            training_args,
            train_dataset=corpus["train"],
            eval_dataset=corpus["test"],
            data_collator=default_data_collator,
            compute_loss_func=mean_loss,
            compute_metrics=compute_accuracy,
            callbacks=[AugmentationCallback(data_args)],
            recipe=collect_recipe([model_args, data_args], train_images, training_args, model),
            quantities=QUANTITIES,
        )

        # Train, evaluate, save
        if training_args.do_train:
            trainer.train_from_last_checkpoint()
            if trainer.is_world_process_zero():
                with staged_model(training_args.output_dir) as folder:
                    trainer.plain_model.save_pretrained(folder)
        metrics = trainer.evaluate_and_save() if training_args.do_eval else {}
        if training_args.do_train and trainer.is_world_process_zero():
            stage = describe_training(trainer, splits["train"], model_args, data_args)
            write_training(trainer, stage, RESULT_NAMES, metrics, model_args.model_name_or_path)


def build_corpus(args: AugmentedSourceArguments, splits: Mapping[str, LabelledImages], seed: int) -> DatasetDict:
    return load_image_corpus(
        splits,
        num_train_samples=args.num_train_samples,
        num_eval_samples=args.num_eval_samples,
        augmentation=args.augmentation,
        seed=seed,
        binarization=args.binarization,
        threshold=args.threshold,
        image_size=args.image_size,
    )


def build_model(args: ModelArguments, image_size: int, class_names: Sequence[str]) -> MnistCnnForImageClassification:
    if args.model_name_or_path is None:
        config = MnistCnnConfig(
            image_size=image_size,
            hidden_sizes=args.hidden_sizes,
            hidden_dropout_prob=args.dropout,
            **label_maps(class_names),
        )
        return MnistCnnForImageClassification(config)
    check_whole(args.model_name_or_path)
    name = f"model_name_or_path {args.model_name_or_path!r}"
    model = load_weights(MnistCnnForImageClassification, args.model_name_or_path, name)
    found, wanted = (model.config.image_size, model.config.num_labels), (image_size, len(class_names))
    if found != wanted:
        raise ValueError(
            f"`model_name_or_path` must be a classifier of {wanted[0]}×{wanted[0]} images with {wanted[1]} classes, "
            f"got {args.model_name_or_path!r}, of {found[0]}×{found[0]} images with {found[1]} classes"
        )
    model.config.update(label_maps(class_names))
    return model


def describe_training(
    trainer: MnistTrainer,
    source_images: LabelledImages,
    model_args: ModelArguments,
    data_args: AugmentedSourceArguments,
) -> dict[str, Any]:
    """The entry of a training in `run.json`, without paths of this machine."""
    stage, training_args = describe_stage(trainer, data_args, source_images), trainer.args
    recipe = describe_recipe(stage, f"AdamW, {training_args.learning_rate:g}")
    description = f"{describe_images(stage)}; {recipe}; seed {training_args.seed}"
    arguments = describe_arguments(training_args, model_args, data_args)
    return {"description": description, "recipe": recipe, "arguments": arguments, **stage}


def mean_loss(outputs: ImageClassifierOutput, labels: torch.Tensor, num_items_in_batch=None) -> torch.Tensor:
    """Sum of cross-entropies, divided by the number of images of the whole step (all processes and batches of it)."""
    loss = torch.nn.functional.cross_entropy(outputs["logits"].float(), labels, reduction="sum")
    return loss / (len(labels) if num_items_in_batch is None else num_items_in_batch)


def compute_accuracy(prediction: EvalPrediction) -> dict[str, float]:
    # evaluate's own "accuracy" would be downloaded from the Hub
    return {"accuracy": float((np.argmax(prediction.predictions, axis=-1) == prediction.label_ids).mean())}


if __name__ == "__main__":
    main()
