# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/training.py with a tiny model, for a second: what it counts, keeps, and does not do twice."""

import json
import math
import re

import pytest
import training
import yaml
from PIL import Image

from mnist_text_gen.commands import train_hf
from mnist_text_gen.tokenizer import TEXT_LENGTH


TINY = ["--num_train_samples", "16", "--per_device_train_batch_size", "2", "--per_device_eval_batch_size", "8"]


@pytest.fixture
def measure_nats(tmp_path):
    def measure(*changes, num_eval_samples=8):
        settings = ["--source", "mnist-5k", "--minutes", "0.02", "--num_eval_samples", str(num_eval_samples)]
        settings += ["--output_dir", str(tmp_path / "out"), "--marks", "0.005", "0.01", "--shares", "0.5"]
        training.run(["nats", *settings, *changes, "--options", *TINY])
        return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}

    return measure


@pytest.mark.slow
def test_both_recipes_are_measured_and_nothing_twice(measure_nats, tiny_training, tmp_path, capsys, monkeypatch):
    runs = measure_nats()
    assert set(runs) == {"specification", "fast-0.5"} and all(run["finished"] for run in runs.values())
    points = runs["specification"]["points"]
    # measured after the step that passes the mark
    assert [point["seconds"] >= mark for point, mark in zip(points, [0.3, 0.6, 1.2], strict=True)] == [True] * 3
    steps = [point["steps"] for point in points]
    assert steps == sorted(set(steps))
    assert [point["tokens"] for point in points] == [count * 2 * TEXT_LENGTH for count in steps]
    (point,) = runs["fast-0.5"]["points"]
    # the schedule was fitted to the steps that were done
    assert point["steps"] == runs["fast-0.5"]["num_steps"] > 1
    assert math.isfinite(point["nats_per_image"])
    row = f"| fast-0.5 | {point['seconds']:,.0f} | {point['steps']:,} | {point['tokens']:,} | "
    assert row + f"{point['nats_per_image']:.2f} |" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "time_to_nats.png") as picture:
        assert picture.width > 600

    monkeypatch.setattr(train_hf, "train", None)
    assert measure_nats() == runs
    with pytest.raises(ValueError, match=r"`num_eval_samples` must be 8, .*, got 9; remove"):
        measure_nats(num_eval_samples=9)


@pytest.mark.parametrize("option", [("--minutes", "nan"), ("--shares", "0.1", "-1")])
def test_times_that_are_none_are_refused(tmp_path, refusal_of, option):
    line = refusal_of(training, "nats", "--source", "mnist-5k", "--output_dir", tmp_path, *option)
    assert f"`{option[0][2:]}` must be finite and more than 0, got" in line


@pytest.mark.slow
def test_speed_compares_the_stock_trainer_with_ours(tiny_training, capsys, monkeypatch):
    found, original = {}, training.train_steps
    monkeypatch.setattr(training, "train_steps", lambda way, *args: found.setdefault(way, original(way, *args)))
    monkeypatch.setattr(training, "fresh_process", lambda file, *options: f"loading\n{len(options)}00\n")
    training.main(["speed", "--source", "mnist-5k", "--steps", "2", "--rounds", "1", "--options", *TINY])
    printed = capsys.readouterr().out
    for way, times in found.items():
        assert len(times.readings) == 3 and times.batch_size == 2 and times.added_memory >= 0
        first, _, last = times.readings
        speed = f"{2 * 2 * TEXT_LENGTH / (last - first):,.0f}"
        assert f"| {way} | 2 | {speed} | {speed} | {speed} | " in printed
        assert re.search(rf"\| {re.escape(way)} \| \d+00 \|", printed)
    stock, ours = (found[way] for way in (training.STOCK, training.OURS))
    precisions = (stock.training_args.bf16, stock.training_args.learning_rate, ours.training_args.bf16)
    assert precisions == (False, 1e-4, True)
    # all windows over 16 texts, 2 per step
    assert stock.num_recipe_steps == -(-(16 * TEXT_LENGTH - TEXT_LENGTH + 1) // 2)


@pytest.mark.slow
def test_search_changes_one_thing_per_trial_and_does_none_twice(tiny_training, tmp_path, capsys, monkeypatch):
    recipe = yaml.safe_load((training.RECIPES / "fast.yaml").read_text()) | {"num_train_samples": 100}
    (tmp_path / "fast.yaml").write_text(yaml.safe_dump(recipe))
    names = ["the recipe", "batch 16"]
    argv = ["search", "--source", "mnist-5k", "--recipe", str(tmp_path / "fast.yaml"), "--texts", "96"]
    argv += ["--num_eval_samples", "8", "--results", str(tmp_path / "found"), "--trials"]
    calls, train = [], train_hf.train
    monkeypatch.setattr(train_hf, "train", lambda argv, callbacks: calls.append(argv) or train(argv, callbacks))
    training.main([*argv, *names])
    found = [json.loads(line) for line in (tmp_path / "found").read_text().splitlines()]
    assert [(row["name"], row["steps"]) for row in found] == [("the recipe", 3), ("batch 16", 6)]
    assert found[0]["nats"] != found[1]["nats"] and all(row["seconds"] > 0 for row in found)
    first, second = (dict(zip(call[1::2], call[2::2], strict=False)) for call in calls)
    assert json.loads(second["--lr_scheduler_kwargs"])["num_decay_steps"] == round(0.6 * 6)
    assert second["--per_device_train_batch_size"] == "16" and "--per_device_train_batch_size" not in first
    assert f"| batch 16 | {found[1]['nats']:.1f} | 6 |" in capsys.readouterr().out

    monkeypatch.setattr(training, "run_trial", None)
    training.main([*argv, *names])
