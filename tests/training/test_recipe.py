# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The arguments that `run.json` names."""

import json

from transformers import TrainingArguments

from mnist_text_gen.commands import train_hf
from mnist_text_gen.training.recipe import describe_arguments


def test_arguments_are_those_that_change_the_weights_and_name_no_folder(tmp_path):
    output_dir = str(tmp_path / "secret")
    training_args = TrainingArguments(
        output_dir=output_dir,
        run_name="secret",
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": 3},
        warmup_steps=5,
        seed=7,
    )
    model_args = train_hf.ModelArguments(
        model_name_or_path=output_dir, classifier_name_or_path=output_dir, dropout=0.25
    )
    data_args = train_hf.DataTrainingArguments(dataset_name=output_dir, layout="sliding")
    optimizer_args = train_hf.OptimizerArguments(optimizer="muon")
    found = describe_arguments(training_args, model_args, data_args, optimizer_args)
    expected = {
        "dropout": 0.25,
        "layout": "sliding",
        "optimizer": "muon",
        "muon_learning_rate": 4e-3,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": 3},
        "warmup_steps": 5,
        "seed": 7,
        "data_seed": None,
    }
    assert expected.items() <= found.items()
    assert "secret" not in json.dumps(found)
    assert "optim" not in found
