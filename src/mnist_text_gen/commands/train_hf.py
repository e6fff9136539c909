# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Train the language model: `accelerate launch train_hf.py recipes/fast.yaml --output_dir runs/fast`.

The first argument may be a YAML recipe; options after it override it. `--do_train false --model_name_or_path FOLDER`
only evaluates. Started again with the same `--output_dir`, a run continues from its last complete checkpoint; SIGTERM
and Ctrl-C save one. `--push_to_hub --hub_model_id you/digits` publishes the model at the end, with its classifier,
code, pictures and card. A missing permission is reported at the start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import evaluate
from datasets import DatasetDict
from transformers import (
    EvalPrediction,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    SchedulerType,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

from mnist_text_gen.data import LabelledImages, Layout, load_corpus
from mnist_text_gen.data.arguments import AugmentedSourceArguments
from mnist_text_gen.files import check_whole
from mnist_text_gen.metrics import METRICS_FOLDER
from mnist_text_gen.modeling import (
    build_generation_config,
    build_language_model_config,
    check_language_model_config,
    label_maps,
    load_weights,
    read_class_names,
    token_losses,
)
from mnist_text_gen.publishing.publication import check_classifier, publish, take_publication
from mnist_text_gen.tokenizer import DIGITS, IMAGE_SIZE, IMAGE_SIZES, TEXT_LENGTH, MnistTextTokenizer, get_text_length
from mnist_text_gen.training.augmentation import AugmentationCallback
from mnist_text_gen.training.causal_attention import AttentionImplementation
from mnist_text_gen.training.checkpoints import staged_model
from mnist_text_gen.training.history import Quantities
from mnist_text_gen.training.initialization import initialize_from_text_form
from mnist_text_gen.training.monitoring import draw_digits
from mnist_text_gen.training.optimizer import OptimizerArguments, build_optimizer
from mnist_text_gen.training.processes import ProcessArguments, check_num_processes, locked_output_dir
from mnist_text_gen.training.recipe import collect_recipe, describe_arguments
from mnist_text_gen.training.run import describe_images, describe_recipe, describe_stage, write_training
from mnist_text_gen.training.trainer import MnistTrainer, check_training_arguments

from .arguments import parse_arguments, run_command


PROG = "train_hf.py"
# maps names in run.json to those of the metrics
RESULT_NAMES = {"image_nats": "nats_per_image", "bits_per_pixel": "bits_per_pixel"}


@dataclass
class ModelArguments:
    """The model, and how it is trained. These arguments do not change the saved `config.json`."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Weights to start from or to evaluate; new ones by default.", "path": True}
    )
    dropout: float = field(default=0.1, metadata={"help": "Dropout during training, in [0, 1)."})
    activation_function: Literal["gelu_new", "gelu_pytorch_tanh"] = field(
        default="gelu_new",
        metadata={"help": "Implementation of the same function; gelu_pytorch_tanh is fused and faster."},
    )
    attn_implementation: AttentionImplementation = field(
        default="sdpa", metadata={"help": "Attention kernel; causal is the fastest one for training on a CPU."}
    )
    initialization: Literal["gpt2", "text_form"] = field(
        default="gpt2",
        metadata={"help": "New weights: gpt2 is random; text_form adds the bits, rows and columns of each symbol."},
    )
    classifier_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Classifier that --push_to_hub publishes with the model: a folder or Hub id, which may also have "
            "it in its folder 'classifier'. By default the one in the output folder, else the shipped one.",
            "path": True,
        },
    )

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1, got {self.dropout}")


@dataclass
class DataTrainingArguments(AugmentedSourceArguments):
    """The training and test texts."""

    num_train_samples: int = field(
        default=10_000, metadata={"help": "How many training images are used, the first ones of the source."}
    )
    layout: Layout = field(
        default="aligned", metadata={"help": "aligned: one text per row; sliding: all windows over the joined texts."}
    )


ARGUMENTS = (ModelArguments, DataTrainingArguments, OptimizerArguments, ProcessArguments, TrainingArguments)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PROG, train, argv)


def train(argv: Sequence[str], callbacks: Sequence[TrainerCallback] = ()) -> None:
    arguments = parse_arguments(ARGUMENTS, argv, PROG, __doc__)
    model_args, data_args, optimizer_args, process_args, training_args = arguments
    own_args, output_dir = (model_args, data_args, optimizer_args), Path(training_args.output_dir)
    check_num_processes(process_args, training_args)
    check_training_arguments(training_args)
    with locked_output_dir(training_args):
        # Data and model
        set_seed(training_args.seed)
        tokenizer = MnistTextTokenizer(data_args.image_size)
        with training_args.main_process_first(desc="corpus"):
            splits = data_args.load_images()
            corpus = build_corpus(data_args, splits, tokenizer, training_args.seed)
        train_images = splits["train"].first(data_args.num_train_samples, "num_train_samples")
        model = build_model(model_args, tokenizer, train_images.class_names)
        if training_args.push_to_hub:
            check_classifier(output_dir, model_args.classifier_name_or_path, model.config, tokenizer)
        publication = take_publication(training_args)

        trainer = MnistTrainer(
            model,
            training_args,
            train_dataset=corpus["train"],
            eval_dataset=corpus["test"],
            processing_class=tokenizer,
            # DataCollatorForLanguageModeling would mask the pad token `)`, and the model would never learn to stop
            data_collator=default_data_collator,
            optimizers=(build_optimizer(model, optimizer_args, training_args), None),
            compute_metrics=build_metrics(tokenizer.image_size**2),
            preprocess_logits_for_metrics=token_losses,
            callbacks=[AugmentationCallback(data_args), *callbacks],
            recipe=collect_recipe(own_args, train_images, training_args, model, tokenizer),
            quantities=build_quantities(tokenizer.model_max_length),
            draw_samples=partial(draw_digits, tokenizer=tokenizer),
        )

        # Train, evaluate, save, publish
        if training_args.do_train:
            trainer.train_from_last_checkpoint()
            if trainer.is_world_process_zero():
                with staged_model(output_dir) as folder:
                    save_language_model(trainer.plain_model, tokenizer, folder)
        metrics = trainer.evaluate_and_save() if training_args.do_eval else {}
        if trainer.is_world_process_zero():
            if training_args.do_train:
                stage = describe_training(trainer, splits["train"], *own_args)
                write_training(trainer, stage, RESULT_NAMES, metrics, model_args.model_name_or_path)
            if publication is not None:
                publish(output_dir, publication, model_args.classifier_name_or_path)


def build_corpus(
    args: DataTrainingArguments, splits: Mapping[str, LabelledImages], tokenizer: MnistTextTokenizer, seed: int
) -> DatasetDict:
    return load_corpus(
        splits,
        tokenizer,
        num_train_samples=args.num_train_samples,
        num_eval_samples=args.num_eval_samples,
        layout=args.layout,
        augmentation=args.augmentation,
        seed=seed,
        binarization=args.binarization,
        threshold=args.threshold,
    )


def build_model(
    args: ModelArguments, tokenizer: MnistTextTokenizer, class_names: Sequence[str] = DIGITS
) -> GPT2LMHeadModel:
    overrides: dict[str, Any] = {
        "resid_pdrop": args.dropout,
        "embd_pdrop": args.dropout,
        "attn_pdrop": args.dropout,
        "activation_function": args.activation_function,
        "attn_implementation": args.attn_implementation,
    }
    if args.model_name_or_path is None:
        model = GPT2LMHeadModel(build_language_model_config(tokenizer, **overrides))
        if args.initialization == "text_form":
            initialize_from_text_form(model, tokenizer)
    else:
        check_whole(args.model_name_or_path)
        model = load_weights(
            GPT2LMHeadModel, args.model_name_or_path, f"model_name_or_path {args.model_name_or_path!r}", **overrides
        )
        check_context(model.config, tokenizer, args.model_name_or_path)
        check_language_model_config(model.config, tokenizer, args.model_name_or_path)
    model.config.update(label_maps(class_names))
    # GPT-2 does not set it, and the Trainer would divide the loss by 152 tokens instead of the 151 predicted ones
    model.loss_type = "ForCausalLM"
    return model


def check_context(config: GPT2Config, tokenizer: MnistTextTokenizer, name: str) -> None:
    """Refuse weights whose context is the length of texts of another image size."""
    sizes = {get_text_length(size): size for size in IMAGE_SIZES}
    size = sizes.get(config.n_positions, tokenizer.image_size)
    if size != tokenizer.image_size:
        raise ValueError(f"`image_size` must be {size}, that of the model {name!r}, got {tokenizer.image_size}")


def build_quantities(text_length: int = TEXT_LENGTH) -> Quantities:
    return Quantities(
        loss="nats_per_image",
        loss_scale=text_length - 1,  # the class digit is given, not predicted
        throughput="tokens_per_second",
        items_per_row=text_length,
        formats={
            "nats_per_image": "{:.2f} nats per image",
            "tokens_per_second": "{:,.0f} tokens/s",
            "eval_nats_per_image": "evaluation {:.2f}",
        },
    )


def build_metrics(num_pixels: int = IMAGE_SIZE**2):
    metric = evaluate.load(str(METRICS_FOLDER / "image_nats"))

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        return metric.compute(token_losses=prediction.predictions, num_pixels=num_pixels)

    return compute_metrics


def describe_training(
    trainer: MnistTrainer,
    source_images: LabelledImages,
    model_args: ModelArguments,
    data_args: DataTrainingArguments,
    optimizer_args: OptimizerArguments,
) -> dict[str, Any]:
    """The entry of a training in `run.json`, without paths of this machine."""
    stage, training_args = describe_stage(trainer, data_args, source_images), trainer.args
    adam = f"{training_args.learning_rate:g}"
    optimizer = (
        f"Adam, {adam}"
        if optimizer_args.optimizer == "adam"
        else f"Muon, {optimizer_args.muon_learning_rate:g}, for the matrices, Adam, {adam}, for the rest"
    )
    recipe = describe_recipe(stage, optimizer)
    return {
        "description": f"{describe_images(stage)}, {data_args.layout} texts; {recipe}; dropout {model_args.dropout:g}"
        f"{', bf16 autocast' if training_args.bf16 else ''}; seed {training_args.seed}",
        "recipe": recipe,
        "layout": data_args.layout,
        "dropout": model_args.dropout,
        "lr_scheduler_type": SchedulerType(training_args.lr_scheduler_type).value,
        "num_tokens": stage["num_steps"] * stage["batch_size"] * trainer.quantities.items_per_row,
        "arguments": describe_arguments(training_args, model_args, data_args, optimizer_args),
        **stage,
    }


def save_language_model(model: PreTrainedModel, tokenizer: MnistTextTokenizer, folder: Path) -> None:
    """Save weights, configuration and tokenizer. `config.json` does not have the options of the training."""
    sizes = {name: getattr(model.config, name) for name in ("n_positions", "n_embd", "n_head", "n_layer", "n_inner")}
    class_names = read_class_names(model.config)
    # the specification's configuration names no classes
    model.config = build_language_model_config(tokenizer, None if class_names == DIGITS else class_names, **sizes)
    model.generation_config = build_generation_config(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
