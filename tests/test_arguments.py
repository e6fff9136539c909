# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Recipes and options of the commands, and errors of one line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from transformers import TrainingArguments

from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.commands.arguments import parse_arguments, run_command


RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@dataclass
class Meal:
    dish: str = "soup"
    servings: int = 2
    salt: float = 0.5
    hot: bool = False
    guest: str | None = None
    sides: list[int] = field(default_factory=lambda: [1])
    course: Literal["first", "second"] = "first"


@dataclass
class Table:
    seats: int = 4


def parse(*argv):
    return parse_arguments([Meal, Table], argv, "cook.py", "Cooks.")


@pytest.fixture
def error_of(capsys):
    """Run a command that has to fail with status 2, and give the one line that it wrote to stderr."""

    def run(command, *argv):
        with pytest.raises(SystemExit) as stop:
            run_command("cook.py", command, argv)
        assert stop.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("cook.py: error: ")
        return line

    return run


@pytest.fixture
def recipe(tmp_path):
    def write(content):
        path = tmp_path / "meal.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def cook(argv):
    parse(*argv)


def test_defaults_without_any_option():
    assert parse() == (Meal(), Table())


def test_recipe_sets_options_of_every_dataclass(recipe):
    path = recipe("dish: stew\nservings: 3\nsalt: 1.5e-1\nhot: true\nsides: [5, 6]\ncourse: second\nseats: 9\n")
    assert parse(path) == (Meal("stew", 3, 0.15, True, None, [5, 6], "second"), Table(9))


def test_options_behind_a_recipe_override_it(recipe):
    path = recipe("dish: stew\nhot: true\nsides: [5, 6]\nseats: 9\n")
    meal, table = parse(path, "--dish", "pie", "--hot", "false", "--sides", "7")
    assert (meal.dish, meal.hot, meal.sides, table.seats) == ("pie", False, [7], 9)


def test_recipe_with_the_ending_yml(tmp_path):
    (tmp_path / "meal.yml").write_text("dish: stew\n")
    assert parse(str(tmp_path / "meal.yml"))[0].dish == "stew"


@pytest.mark.parametrize("option", ["--spice", "--dishes", "-d", "--spice=1"])
def test_option_that_does_not_exist_is_named(error_of, option):
    assert option in error_of(cook, option, "curry")


def test_option_that_does_not_exist_in_a_recipe_is_named(error_of, recipe):
    assert "--spice" in error_of(cook, recipe("dish: stew\nspice: curry\n"))


@pytest.mark.parametrize("abbreviation", ["--dis", "--serving", "--seat"])
def test_abbreviations_are_refused(error_of, abbreviation):
    assert abbreviation in error_of(cook, abbreviation, "3")


def test_abbreviations_in_a_recipe_are_refused(error_of, recipe):
    assert "--serving" in error_of(cook, recipe("serving: 3\n"))


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--servings", "many"], ["--servings", "'many'"]),
        (["--servings", "2.5"], ["--servings", "'2.5'"]),
        (["--salt", "much"], ["--salt", "'much'"]),
        (["--hot", "perhaps"], ["perhaps"]),
        (["--course", "third"], ["--course", "third", "first", "second"]),
        (["--dish"], ["--dish"]),
        (["stew"], ["stew"]),
        (["--seats", "1", "meal.yaml"], ["meal.yaml"]),
    ],
)
def test_value_that_does_not_fit_is_named(error_of, argv, found):
    line = error_of(cook, *argv)
    assert [part for part in found if part not in line] == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("dish: [stew\n", "is not YAML"),
        ("dish: stew: soup\n", "is not YAML"),
        ("- dish\n- stew\n", "holds a list; a recipe is a mapping"),
        ("stew\n", "holds a str; a recipe is a mapping"),
        ("", "holds a NoneType; a recipe is a mapping"),
        ("servings: many\n", "--servings"),
        (b"dish: \xff\xfe\n", "decode"),
    ],
)
def test_recipe_that_cannot_be_used_is_refused(error_of, recipe, content, found):
    assert found in error_of(cook, recipe(content))


@pytest.mark.parametrize("content", ["dish: [stew\n", "- dish\n"])
def test_recipe_that_cannot_be_used_is_named(error_of, recipe, content):
    path = recipe(content)
    assert path in error_of(cook, path)


def test_missing_recipe_is_named(error_of, tmp_path):
    path = str(tmp_path / "missing.yaml")
    assert path in error_of(cook, path)


def test_folder_in_place_of_a_recipe_is_named(error_of, tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    assert "folder.yaml" in error_of(cook, str(tmp_path / "folder.yaml"))


@pytest.mark.parametrize(
    "error", [ValueError("salt is -1;\n  allowed is more"), OSError("salt is -1; allowed is more")]
)
def test_errors_that_a_user_can_mend_become_one_line(error_of, error):
    def fail(argv):
        raise error

    assert error_of(fail) == "cook.py: error: salt is -1; allowed is more"


def test_other_errors_keep_their_traceback():
    def fail(argv):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_command("cook.py", fail, [])


def test_run_command_reads_the_command_line_where_no_arguments_are_given(monkeypatch):
    monkeypatch.setattr("sys.argv", ["cook.py", "--dish", "pie"])
    given = []
    run_command("cook.py", given.extend)
    assert given == ["--dish", "pie"]


def test_help_names_every_option_and_exits_with_0(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command("cook.py", cook, ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert [name for name in ("--dish", "--servings", "--sides", "--seats", "Cooks.") if name not in text] == []


def command_of(path):
    return train_classifier if "classifier" in path.stem else train_hf


def parse_recipe(path, output_dir):
    command = command_of(path)
    dataclasses = [command.ModelArguments, command.DataTrainingArguments, TrainingArguments]
    if command is train_hf:
        dataclasses.insert(2, train_hf.OptimizerArguments)
    # use_cpu: the recipe may ask for bf16, which not every machine's accelerator has
    argv = [str(path), "--output_dir", str(output_dir), "--use_cpu", "true"]
    return parse_arguments(dataclasses, argv, command.PROG, "")


def test_there_are_recipes_for_both_commands():
    assert {command_of(path) for path in RECIPES} == {train_hf, train_classifier}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_of_the_repository_is_parsed_to_what_it_says(path, tmp_path):
    parsed = {}
    for instance in parse_recipe(path, tmp_path):
        parsed |= vars(instance)
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert recipe.pop("output_dir") == f"runs/{path.stem}"
    assert {name: parsed[name] for name in recipe} == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_of_the_repository_trains_and_evaluates(path, tmp_path):
    *_, training_args = parse_recipe(path, tmp_path)
    assert training_args.do_train and training_args.do_eval


def test_specification_recipe_is_the_specification(tmp_path):
    path = next(path for path in RECIPES if path.stem == "specification")
    model_args, data_args, optimizer_args, training_args = parse_recipe(path, tmp_path)
    assert model_args == train_hf.ModelArguments(
        model_name_or_path=None, dropout=0.1, activation_function="gelu_new", attn_implementation="sdpa"
    )
    assert data_args == train_hf.DataTrainingArguments(
        dataset_name="ylecun/mnist",
        num_train_samples=10_000,
        num_eval_samples=None,
        layout="sliding",
        augmentation=0,
        num_plain_epochs=0,
    )
    assert optimizer_args.optimizer == "adam"
    expected = {
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "per_device_train_batch_size": 128,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "max_steps": -1,
        "max_grad_norm": 0,
        "weight_decay": 0,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "label_smoothing_factor": 0,
        "bf16": False,
        "fp16": False,
    }
    assert {name: getattr(training_args, name) for name in expected} == expected
