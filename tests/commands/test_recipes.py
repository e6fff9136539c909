# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Recipes and launch files: what they say, as far as it can be checked without a GPU."""

import json
import re
import shlex
import sys
from collections import ChainMap
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands import launch
from processes import run_process

from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.commands.arguments import parse_arguments


ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
LAUNCH_FILES = sorted((ROOT / "recipes" / "accelerate").glob("*.yaml"))
# What a recipe for other hardware may change; nothing of it changes what is learned.
OF_HARDWARE = {
    *("use_cpu", "attn_implementation", "per_device_train_batch_size", "per_device_eval_batch_size", "output_dir"),
    *("dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_persistent_workers"),
    *("dataloader_pin_memory", "ddp_find_unused_parameters"),
}


def command_of(path):
    return train_classifier if "classifier" in path.stem else train_hf


def read(stem):
    recipe = yaml.safe_load((ROOT / "recipes" / f"{stem}.yaml").read_text(encoding="utf-8"))
    base = recipe.pop("base", None)
    return (read(Path(base).stem) if base else {}) | recipe


def parse_recipe(path, *options):
    command = command_of(path)
    return parse_arguments(command.ARGUMENTS, [str(path), *options], command.PROG, "")


@pytest.fixture
def set_gpu(monkeypatch):
    """Have `TrainingArguments` find a GPU with bfloat16, or none, when they are checked; nothing is computed on it."""
    return lambda found: monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: found)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_parsed_to_what_it_says_and_runs_on_a_cpu_too(path, set_gpu):
    set_gpu(True)
    parsed = ChainMap(*map(vars, parse_recipe(path)))
    recipe = read(path.stem)
    assert recipe["output_dir"] == f"runs/{path.stem}"
    assert {name: parsed[name] for name in recipe} == recipe
    set_gpu(False)
    *_, training_args = parse_recipe(path, "--use_cpu", "true")
    assert training_args.do_train and training_args.do_eval
    assert training_args.device == torch.device("cpu")


def test_specification_recipe_is_the_specification(set_gpu):
    set_gpu(False)
    path = next(path for path in RECIPES if path.stem == "specification")
    found = ChainMap(*map(vars, parse_recipe(path)))
    expected = {"model_name_or_path": None, "dropout": 0.1, "activation_function": "gelu_new"}
    expected |= {"initialization": "gpt2", "attn_implementation": "sdpa", "bf16": False, "fp16": False}
    expected |= {"dataset_name": "ylecun/mnist", "num_train_samples": 10_000, "num_eval_samples": None}
    expected |= {"layout": "sliding", "augmentation": 0, "binarization": "rounded"}
    expected |= {"optimizer": "adam", "learning_rate": 1e-4, "lr_scheduler_type": "constant", "warmup_steps": 0}
    expected |= {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "max_grad_norm": 0, "weight_decay": 0}
    expected |= {"per_device_train_batch_size": 128, "gradient_accumulation_steps": 1, "label_smoothing_factor": 0}
    expected |= {"num_train_epochs": 1, "max_steps": -1}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["gpu", "multi_gpu"])
def test_recipe_for_gpus_learns_as_the_fast_one(name):
    fast, recipe = read("fast"), read(name)
    different = {key for key in fast | recipe if fast.get(key) != recipe.get(key)}
    assert different <= OF_HARDWARE


def test_recipe_for_gpus_is_refused_without_one(set_gpu, refusal_of, tmp_path, monkeypatch):
    set_gpu(False)
    monkeypatch.chdir(tmp_path)
    assert "use_cpu" in refusal_of(train_hf, ROOT / "recipes" / "gpu.yaml")
    assert list(tmp_path.iterdir()) == []


def launch_arguments(*argv, script=("train_hf.py",)):
    """What `accelerate launch` makes of its arguments and file; the launcher that gets it is kept in `launcher`."""
    args = launch.launch_command_parser().parse_args([*argv, *script])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for name in ("simple_launcher", "multi_gpu_launcher"):
            patch.setattr(launch, name, lambda args, name=name: setattr(args, "launcher", name))
        launch.launch_command(args)
    return args


def launch_commands():
    page = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- launch commands -->\n```bash\n(.*?)```", page, flags=re.DOTALL).group(1)
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def test_launch_commands_of_the_docs_name_files_that_exist_and_options_that_are_parsed(set_gpu):
    set_gpu(True)
    used = []
    for program, subcommand, *argv in launch_commands():
        assert (program, subcommand) == ("accelerate", "launch")
        script = argv.index("train_hf.py")
        args = launch_arguments(*argv[:script], script=argv[script:])
        recipe, *options = args.training_script_args
        # the launcher of one process would start one of several
        assert args.launcher == ("simple_launcher" if args.num_processes == 1 else "multi_gpu_launcher")
        # the recipe says whether it is bf16; here, it would make the specification's run one
        assert (args.mixed_precision, args.dynamo_backend, args.gpu_ids) == ("no", "no", "all")
        used.append((Path(args.config_file).stem, Path(recipe).stem))
        *_, training_args = parse_recipe(ROOT / recipe, *options)
        if Path(recipe).stem in ("gpu", "multi_gpu"):
            global_batch = training_args.per_device_train_batch_size * args.num_processes
            assert global_batch == read("fast")["per_device_train_batch_size"]
        assert training_args.use_cpu == (args.use_cpu is True)
    assert {name for name, _ in used} == {path.stem for path in LAUNCH_FILES}
    assert {"gpu", "multi_gpu", "specification"} <= {name for _, name in used}


@pytest.mark.slow
def test_launch_file_for_two_cpu_processes_trains_on_two(tiny_files, tmp_path):
    """The command of docs/distributed.md, on another port."""
    (command,) = (command for command in launch_commands() if "recipes/accelerate/two_cpu_processes.yaml" in command)
    script = command.index("train_hf.py")
    run_process(
        *(sys.executable, "-m", "accelerate.commands.launch", *command[2:script], "--main_process_port", "0"),
        *(*command[script:], "--per_device_train_batch_size", "4", "--output_dir", tmp_path / "run"),
        *("--model_name_or_path", tiny_files),
        cwd=ROOT,
    )
    *_, stage = json.loads((tmp_path / "run" / "run.json").read_text())["training"]
    assert (stage["num_processes"], stage["batch_size"]) == (2, 2 * 4)
    assert (tmp_path / "run" / "checkpoint-4" / "rng_state_1.pth").exists()
