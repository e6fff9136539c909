# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The arguments that `run.json` names."""

import json

from transformers import TrainingArguments

from mnist_text_gen.commands import train_hf
from mnist_text_gen.training.recipe import describe_arguments


def test_arguments_are_those_that_change_the_weights_and_name_no_folder(tmp_path):
    output_dir = str(tmp_path / "secret")
    schedule = {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 3}}
    schedule |= {"warmup_steps": 5, "seed": 7}
    training_args = TrainingArguments(output_dir, run_name="secret", **schedule)
    places = {"model_name_or_path": output_dir, "classifier_name_or_path": output_dir}
    model_args = train_hf.ModelArguments(**places, dropout=0.25)
    data_args = train_hf.DataTrainingArguments(dataset_name=output_dir, layout="sliding")
    optimizer_args = train_hf.OptimizerArguments(optimizer="muon")
    found = describe_arguments(training_args, model_args, data_args, optimizer_args)
    expected = schedule | {"dropout": 0.25, "layout": "sliding", "optimizer": "muon", "data_seed": None}
    expected["muon_learning_rate"] = 4e-3
    assert expected.items() <= found.items()
    assert "secret" not in json.dumps(found)
    assert "optim" not in found
