# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The training command of the language model: what it saves, measures, resumes and refuses."""

import json
import math
import shutil
from importlib.metadata import version

import pytest
import torch
from run_folders import differing, names
from safetensors.torch import load_file
from small_trainings import small_options
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, TrainingArguments

from mnist_text_gen.commands import train_hf
from mnist_text_gen.modeling import build_language_model_config


def train(output_dir, **changes):
    train_hf.train(small_options(output_dir, **changes))
    return output_dir


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a run whose training differs from the specification where it may."""
    how = {"dropout": 0, "activation_function": "gelu_pytorch_tanh", "attn_implementation": "causal"}
    how |= {"optimizer": "muon", "augmentation": 1, "save_strategy": "steps", "save_steps": 2}
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, do_train=True, do_eval=True, per_device_train_batch_size=2, **how)


@pytest.fixture(scope="module")
def texts_of_test(mnist_5k, tokenizer):
    """The ids of the texts that are evaluated, `[8, 152]`."""
    texts = tokenizer.encode_images(mnist_5k["test"].images[:8], mnist_5k["test"].labels[:8])
    return tokenizer(texts, return_tensors="pt")["input_ids"]


@pytest.mark.slow
def test_output_folder_holds_model_tokenizer_and_metrics(trained):
    results = {"all_results.json", "eval_results.json", "train_results.json", "run.json", "training_curve.png"}
    tokenizer = {"tokenizer.json", "tokenizer_config.json", "binary_images.py", "tokenization_mnist_text.py"}
    model = {"config.json", "generation_config.json", "model.safetensors"}
    assert names(trained) == {"checkpoint-2", "samples", *results, *tokenizer, *model}
    assert names(trained / "samples") == {"step-000002.png"}


@pytest.mark.slow
def test_record_says_how_it_was_trained_and_what_came_out(trained):
    text = (trained / "run.json").read_text()
    run = json.loads(text)
    (stage,) = run["training"]
    assert stage["arguments"]["optimizer"] == "muon" and stage["arguments"]["attn_implementation"] == "causal"
    assert (stage["seed"], stage["num_tokens"], stage["num_steps"]) == (42, 2 * 2 * 152, 2)
    assert stage["versions"]["torch"] == version("torch")
    assert stage["train_seconds"] > 0 and stage["tokens_per_second"] > 0
    assert stage["curve"]["step"] == [2] and stage["train_nats_per_image"] == stage["curve"]["nats_per_image"][-1]
    found = run["results"]["image_nats"]
    assert found["num_samples"] == 8
    assert stage["evaluations"] == {"step": [2], "nats_per_image": [pytest.approx(found["value"], rel=1e-5)]}
    assert str(trained) not in text and trained.parent.name not in text


@pytest.mark.slow
def test_saved_config_is_the_specification_however_it_was_trained(trained, tokenizer):
    saved = json.loads((trained / "config.json").read_text())
    expected = json.loads(build_language_model_config(tokenizer).to_json_string(use_diff=True))
    for made_by_saving in ("architectures", "dtype", "transformers_version"):
        saved.pop(made_by_saving, None)
        expected.pop(made_by_saving, None)
    assert saved == expected
    assert (saved["resid_pdrop"], saved["embd_pdrop"], saved["attn_pdrop"]) == (0.1, 0.1, 0.1)
    assert saved["activation_function"] == "gelu_new"
    how = json.loads((trained / "generation_config.json").read_text())
    expected = {"do_sample": True, "temperature": 0.8, "top_k": 0, "max_length": 152}
    assert expected.items() <= how.items()


def nats_of(model, input_ids):
    """Mean over images of the summed negative log-probabilities of the 151 tokens after the class digit."""
    with torch.no_grad():
        log_probabilities = model(input_ids).logits.double().log_softmax(-1)  # [N, 152, 75]
    of_next = log_probabilities[:, :-1].gather(2, input_ids[:, 1:, None])  # [N, 151, 1]
    return -of_next.sum(dim=(1, 2)).mean().item()


@pytest.mark.slow
def test_measured_figures_are_those_of_the_saved_model(trained, texts_of_test):
    model = AutoModelForCausalLM.from_pretrained(trained)
    assert model.num_parameters() == 6_376_704
    expected = nats_of(model, texts_of_test)
    metrics = json.loads((trained / "eval_results.json").read_text())
    assert metrics["eval_nats_per_image"] == pytest.approx(expected, rel=1e-3)
    assert metrics["eval_bits_per_pixel"] == pytest.approx(expected / math.log(2) / 900, rel=1e-3)
    assert metrics["eval_loss"] == pytest.approx(expected / 151, rel=1e-3)


def test_logged_loss_is_that_of_all_predicted_tokens_with_the_weights_that_were_named(
    tiny_files, tmp_path, mnist_5k, tokenizer
):
    how = {"max_steps": 1, "num_train_samples": 4, "learning_rate": 0, "dropout": 0}
    train(tmp_path / "out", do_train=True, model_name_or_path=tiny_files, **how)
    assert differing(tiny_files, tmp_path / "out") == []
    texts = tokenizer.encode_images(*mnist_5k["train"].first(4, "train"))
    input_ids = tokenizer(texts, return_tensors="pt")["input_ids"]
    (stage,) = json.loads((tmp_path / "out" / "run.json").read_text())["training"][-1:]
    expected = nats_of(AutoModelForCausalLM.from_pretrained(tiny_files), input_ids)
    assert stage["train_nats_per_image"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "muon", "layout": "sliding"}])
def test_training_changes_every_weight(tiny_files, tmp_path, changes):
    train(tmp_path / "out", do_train=True, max_steps=1, model_name_or_path=tiny_files, **changes)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert set(differing(tiny_files, tmp_path / "out")) == set(weights)
    assert [name for name, weight in weights.items() if not weight.isfinite().all()] == []
    saved, start = (GPT2Config.from_pretrained(folder) for folder in (tmp_path / "out", tiny_files))
    for name in ("n_positions", "n_embd", "n_head", "n_layer"):
        assert getattr(saved, name) == getattr(start, name)


def test_evaluation_alone_measures_named_weights_and_saves_no_model(tiny_files, tmp_path, texts_of_test):
    output_dir = train(tmp_path / "evaluated", do_eval=True, model_name_or_path=tiny_files)
    assert names(output_dir) == {"all_results.json", "eval_results.json", "samples"}
    found = json.loads((output_dir / "eval_results.json").read_text())["eval_nats_per_image"]
    expected = nats_of(AutoModelForCausalLM.from_pretrained(tiny_files), texts_of_test)
    assert found == pytest.approx(expected, rel=1e-4)


def test_resumed_muon_ends_with_the_same_bits_as_an_uninterrupted_one(tiny_files, tmp_path):
    settings = {"do_train": True, "optimizer": "muon", "dropout": 0.1, "model_name_or_path": tiny_files}
    settings |= {"save_strategy": "steps", "save_steps": 1}
    train(tmp_path / "run", max_steps=2, **settings)
    half = shutil.copytree(tmp_path / "run" / "checkpoint-1", tmp_path / "resumed" / "checkpoint-1").parent
    train(half, max_steps=2, **settings)
    assert differing(half, tmp_path / "run") == []
    assert "transformer.wte.weight" in differing(half, half / "checkpoint-1")


def test_muon_takes_the_matrices_of_the_blocks_and_adam_the_rest(tiny_model, tmp_path):
    training_args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, learning_rate=1e-3, weight_decay=0.01)
    optimizer_args = train_hf.OptimizerArguments(optimizer="muon", muon_learning_rate=3e-3)
    muon, adam = train_hf.build_optimizer(tiny_model, optimizer_args, training_args).param_groups
    assert (muon["use_muon"], adam["use_muon"]) == (True, False)
    assert (muon["lr"], adam["lr"], muon["weight_decay"]) == (3e-3, 1e-3, 0.01)
    name_of = {id(parameter): name for name, parameter in tiny_model.named_parameters()}
    of_muon, of_adam = ([name_of[id(parameter)] for parameter in group["params"]] for group in (muon, adam))
    matrices = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert set(of_muon) == {f"transformer.h.{layer}.{name}.weight" for layer in range(2) for name in matrices}
    assert sorted(of_muon + of_adam) == sorted(name_of.values())


def test_adam_is_torchs_own_with_the_arguments_of_the_trainer(tiny_model, tmp_path):
    of_adam = {"learning_rate": 1e-4, "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-7}
    training_args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **of_adam)
    optimizer = train_hf.build_optimizer(tiny_model, train_hf.OptimizerArguments(optimizer="adam"), training_args)
    (group,) = optimizer.param_groups
    assert type(optimizer) is torch.optim.Adam and len(group["params"]) == len(list(tiny_model.parameters()))
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (1e-4, (0.8, 0.95), 1e-7, 0)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"dropout": 1}, ["`dropout` must be at least 0 and below 1, got 1.0"]),
        ({"muon_learning_rate": "nan"}, ["`muon_learning_rate` must be above 0, got nan"]),
        ({"optimizer": "sgd"}, ["--optimizer", "'sgd'", "adam", "muon"]),
        ({"initialization": "zero"}, ["--initialization", "'zero'", "text_form"]),
        ({"augmentation": "inf"}, ["`augmentation` must be finite and 0 or more, got inf"]),
        ({"num_plain_epochs": -1}, ["`num_plain_epochs` must be 0 or more, got -1"]),
        ({"augmentation": 1, "layout": "sliding"}, ["`augmentation` must be 0 or more, and 0 in the sliding"]),
    ],
)
def test_bad_option_is_refused_by_name_and_leaves_nothing(refusal_of, tmp_path, changes, found):
    line = refusal_of(train_hf, *small_options(tmp_path / "out", do_train=True, **changes))
    assert [part for part in found if part not in line] == []
    assert names(tmp_path) == set()


def test_weights_that_do_not_fit_are_refused_and_leave_nothing(refusal_of, tmp_path):
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_head=1, n_layer=1, vocab_size=75, n_positions=100))
    model.save_pretrained(tmp_path / "weights")
    line = refusal_of(
        train_hf, *small_options(tmp_path / "out", do_train=True, model_name_or_path=tmp_path / "weights")
    )
    assert (
        str(tmp_path / "weights") in line and "must have a context of 152 tokens (one text) or more, got 100" in line
    )
    assert names(tmp_path) == {"weights"}
