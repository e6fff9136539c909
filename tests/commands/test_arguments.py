# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Options of the commands, recipes before them, and errors of one line."""

import io
import json
import re
import signal
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from mnist_text_gen.commands import build_dataset, draw_dataset, export_onnx, sample_hf, train_classifier, train_hf
from mnist_text_gen.commands.arguments import CommandParser, expand_path, parse_arguments, run_command


COMMANDS = [build_dataset, draw_dataset, export_onnx, sample_hf, train_classifier, train_hf]


@dataclass
class Meal:
    dish: str = "soup"
    servings: int = 2
    salt: float = 0.5
    hot: bool = False
    guest: str | None = None
    sides: list[int] = field(default_factory=lambda: [1])
    course: Literal["first", "second"] = "first"
    extras: dict | str | None = None


@dataclass
class Names:
    names: list[str] | None = None


@dataclass
class Table:
    seats: int = 4


@dataclass
class Places:
    output_dir: str = "out"
    cellar: str | None = field(default=None, metadata={"help": "A folder.", "path": True})
    guest: str = "~"


def parse(*argv):
    return parse_arguments([Meal, Table], argv, "cook.py", "Cooks.")


@pytest.fixture
def error_of(refusal_of):
    """Run a function as a command that has to fail, and give the line that it wrote to stderr."""

    def run(command, *argv):
        return refusal_of(SimpleNamespace(PROG="cook.py", main=partial(run_command, "cook.py", command)), *argv)

    return run


@pytest.fixture
def recipe(tmp_path):
    def write(content):
        path = tmp_path / "meal.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def parse_all(argv):
    parse(*argv)


def test_recipe_sets_options_of_every_dataclass(recipe):
    assert parse() == (Meal(), Table())
    path = recipe("dish: stew\nservings: 3\nsalt: 1.5e-1\nhot: true\nsides: [5, 6]\ncourse: second\nseats: 9\n")
    expected = (Meal("stew", 3, 0.15, True, None, [5, 6], "second"), Table(9))
    assert parse(path) == parse(str(Path(path).rename(Path(path).with_suffix(".yml")))) == expected


def test_options_behind_a_recipe_override_it(recipe):
    path = recipe("dish: stew\nhot: true\nsides: [5, 6]\nseats: 9\n")
    meal, table = parse(path, "--dish", "pie", "--hot", "false", "--sides", "7")
    assert (meal.dish, meal.hot, meal.sides, table.seats) == ("pie", False, [7], 9)


@pytest.mark.parametrize("text", ["no", "Yes", "on", "null", "~", "007", "1_000", "0x1F", "1:30", "2024-01-31", "1e3"])
def test_text_in_a_recipe_is_what_was_written(recipe, text):
    assert parse(recipe(f"dish: {text}\n"))[0].dish == text
    assert parse_arguments([Names], [recipe(f"names: [{text}, pie]\n")], "cook.py", "")[0].names == [text, "pie"]


@pytest.mark.parametrize("text", ["null", "~", "", "# nobody"])
def test_null_in_a_recipe_is_none_where_an_option_is_none_by_default(recipe, text):
    meal, _ = parse(recipe(f"guest: {text}\nextras: {text}\n"))
    assert (meal.guest, meal.extras) == (None, None)
    assert parse(recipe('guest: "null"\n'))[0].guest == "null"


def test_mapping_in_a_recipe_is_read_as_yaml(recipe):
    meal, _ = parse(recipe("extras: {spoons: 2, hot: yes, salt: 0.5, dish: null, of: [no, 007]}\n"))
    assert json.loads(meal.extras) == {"spoons": 2, "hot": True, "salt": 0.5, "dish": None, "of": [False, 7]}


def test_recipe_overrides_its_base_and_that_its_own(recipe, tmp_path):
    (tmp_path / "more").mkdir()
    recipe("dish: stew\nservings: 3\nguest: Ada\nseats: 9\n")
    (tmp_path / "more" / "large.yaml").write_text("base: ../meal.yaml\nservings: 30\nseats: 90\n")
    (tmp_path / "huge.yaml").write_text("base: more/large.yaml\nservings: 300\nguest: null\n")
    assert parse(str(tmp_path / "huge.yaml"), "--hot") == (Meal("stew", 300, hot=True), Table(90))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def parse_places(*argv):
    return parse_arguments([Places], argv, "cook.py", "Cooks.")[0]


def test_home_folder_is_put_into_options_that_are_paths_and_nothing_else_is(recipe, home, error_of):
    expected = Places(f"{home}/~/a::b [1] %20", str(home), guest="~/x")
    path = recipe("output_dir: ~/~/a::b [1] %20\ncellar: '~'\nguest: ~/x\n")
    assert parse_places(path) == parse_places("--output_dir=~/~/a::b [1] %20", "--cellar", "~", "--guest", "~/x")
    assert parse_places(path) == expected
    assert parse_places("--cellar", "./~/x").cellar == "./~/x"
    home.mkdir()
    (home / "meal.yaml").write_text(f"base: {path}\noutput_dir: elsewhere\n")
    assert parse_places("~/meal.yaml") == Places("elsewhere", str(home), guest="~/x")
    (home.parent / "other.yaml").write_text("base: ~/meal.yaml\n")
    assert parse_places(str(home.parent / "other.yaml")).output_dir == "elsewhere"
    assert "'~no-such-user/x'" in error_of(lambda argv: parse_places(*argv), "--cellar", "~no-such-user/x")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_that_is_a_path_says_so(command, monkeypatch, home):
    parsers = []
    monkeypatch.setattr(CommandParser, "parse_args_into_dataclasses", lambda self, args: parsers.append(self) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.main([])
    expanded = {name for name, action in parsers[0]._option_string_actions.items() if action.type is expand_path}
    suspects = re.compile("--(.*(_dir|_path|_file|_folder|_checkpoint)|dataset_name)$")
    not_paths = {"--enable_jit_checkpoint", "--restore_callback_states_from_checkpoint"}
    found = {name for name in parsers[0]._option_string_actions if suspects.match(name)}
    assert found - not_paths <= expanded


@pytest.mark.parametrize("command", COMMANDS)
def test_output_dir_that_cannot_be_one_is_refused_and_stays(refusal_of, tmp_path, tiny_files, command):
    (tmp_path / "file").write_text("mine")
    options = {
        build_dataset: ["--dataset_name", tmp_path / "missing"],
        draw_dataset: ["--num_images", 1],
        train_classifier: ["--dataset_name", tmp_path / "missing", "--do_train", "--use_cpu"],
        train_hf: ["--dataset_name", tmp_path / "missing", "--do_train", "--use_cpu"],
    }.get(command, [])
    options += ["--model_name_or_path", tiny_files] if command in (draw_dataset, export_onnx, sample_hf) else []
    for output_dir in (tmp_path / "file", tmp_path / "file" / "below"):
        line = refusal_of(command, "--output_dir", output_dir, *options)
        assert f"`output_dir` must be a folder that can be written to, got {str(output_dir)!r}: " in line
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", [train_classifier, train_hf])
def test_images_and_weights_that_are_not_there_are_named_and_leave_nothing(refusal_of, tmp_path, command):
    (tmp_path / "empty").mkdir()
    options = ["--output_dir", tmp_path / "out", "--do_train", "--use_cpu"]
    line = refusal_of(command, *options, "--dataset_name", tmp_path / "empty")
    assert str(tmp_path / "empty") in line and "got no folder of images" in line
    options += ["--num_train_samples", 4, "--num_eval_samples", 4]
    weights = str(tmp_path / "weights")
    assert weights in refusal_of(command, *options, "--dataset_name", "mnist-5k", "--model_name_or_path", weights)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_sigterm_runs_what_a_command_has_to_do_at_its_end():
    done = []

    def command(argv):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            done.append("cleaned up")

    with pytest.raises(SystemExit) as stop:
        run_command("cook.py", command, [])
    assert stop.value.code == 143 and done == ["cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--servings", "many"], ["--servings", "'many'"]),
        (["--salt", "much"], ["--salt", "'much'"]),
        (["--hot", "perhaps"], ["perhaps"]),
        (["--course", "third"], ["--course", "third", "first", "second"]),
        (["--dish"], ["--dish"]),
        (["stew"], ["stew"]),
        (["--seats", "1", "meal.yaml"], ["meal.yaml"]),
        (["missing.yaml"], ["missing.yaml"]),
        (["folder.yaml"], ["folder.yaml"]),
        (["--spice", "curry"], ["--spice"]),
        # an abbreviation
        (["--serving", "3"], ["--serving"]),
    ],
)
def test_option_or_value_that_does_not_fit_is_named(error_of, tmp_path, monkeypatch, argv, found):
    (tmp_path / "folder.yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    line = error_of(parse_all, *argv)
    assert [part for part in found if part not in line] == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("dish: [stew\n", "meal.yaml must be YAML"),
        ("- dish\n- stew\n", "meal.yaml must be a mapping of options to values, got a list"),
        ("", "must be a mapping of options to values, got a NoneType"),
        (b"dish: \xff\xfe\n", "decode"),
        ("servings: many\n", "--servings"),
        ("dish: stew\nspice: curry\n", "--spice"),
        ("base: meal.yaml\n", "the `base` of a recipe must not lead back to it"),
        ("base: missing.yaml\n", "missing.yaml"),
        ("base: [a.yaml, b.yaml]\n", "`base` must be the file name of a recipe, got ['a.yaml', 'b.yaml']"),
        ("base: list.yaml\n", "list.yaml must be a mapping of options to values, got a list"),
    ],
)
def test_recipe_that_cannot_be_used_is_refused(error_of, recipe, tmp_path, content, found):
    (tmp_path / "list.yaml").write_text("- dish\n")
    assert found in error_of(parse_all, recipe(content))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("salt must be 0 or more,\n  got -1"), "salt must be 0 or more, got -1"),
        # what a terminal would obey, and what looks like a line of its own
        (
            ValueError("a\x1b[31m b\x9b \x1b]0;x\x07.png\nforged: line"),
            "a\\x1b[31m b\\x9b \\x1b]0;x\\x07.png forged: line",
        ),
        (MemoryError(), "there is not enough memory"),
    ],
)
def test_errors_that_a_user_can_mend_become_one_line(error_of, error, line):
    def fail(argv):
        raise error

    assert error_of(fail) == f"cook.py: error: {line}"


def test_other_errors_keep_their_traceback():
    def fail(argv):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_command("cook.py", fail, [])


def test_a_character_that_the_encoding_of_stdout_lacks_is_shown_as_its_escape(monkeypatch):
    """As where Windows writes to a pipe."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    run_command("prog", lambda argv: print("Done, in Ziffern-数字", flush=True), [])
    assert written.getvalue().decode("cp1252").split() == ["Done,", "in", r"Ziffern-\u6570\u5b57"]
