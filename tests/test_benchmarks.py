# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The benchmarks of training, with a tiny model, for a second: what they count, keep, and do not do twice."""

import json
import math
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers.utils import logging

from mnist_text_gen.commands import train_hf
from mnist_text_gen.modeling import build_language_model_config
from mnist_text_gen.tokenizer import TEXT_LENGTH


ROOT = Path(__file__).parents[1]
TINY = ["--num_train_samples", "16", "--per_device_train_batch_size", "2", "--per_device_eval_batch_size", "8"]


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules, which import each other by their names alone."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import recipe_search
    import time_to_nats
    import train_speed

    verbosity = logging.get_verbosity()
    yield SimpleNamespace(train_speed=train_speed, time_to_nats=time_to_nats, recipe_search=recipe_search)
    logging.set_verbosity(verbosity)


@pytest.fixture
def tiny_training(monkeypatch):
    sizes = {"n_embd": 48, "n_head": 2, "n_layer": 1}
    monkeypatch.setattr(train_hf, "build_language_model_config", partial(build_language_model_config, **sizes))


@pytest.fixture
def time_to_nats(benchmarks, tmp_path):
    def measure(*changes, minutes=0.02, num_eval_samples=8):
        settings = {"source": "mnist-5k", "minutes": minutes, "num_eval_samples": num_eval_samples}
        argv = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        argv += ["--output_dir", str(tmp_path / "out"), "--marks", "0.005", "0.01", "--shares", "0.5"]
        benchmarks.time_to_nats.measure([*argv, *changes, "--options", *TINY])
        return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}

    return measure


@pytest.mark.slow
def test_time_to_nats_measures_both_recipes_and_nothing_twice(
    time_to_nats, tiny_training, tmp_path, capsys, monkeypatch
):
    runs = time_to_nats("--only", "specification")
    assert set(runs) == {"specification"}
    points = runs["specification"]["points"]
    marks = [0.3, 0.6, 1.2]
    assert len(points) == len(marks)
    # measured after the step that passes the mark
    assert [point["seconds"] >= mark for point, mark in zip(points, marks, strict=True)] == [True] * 3
    steps = [point["steps"] for point in points]
    assert steps == sorted(set(steps))
    assert [point["tokens"] for point in points] == [count * 2 * TEXT_LENGTH for count in steps]

    whole = (tmp_path / "out" / "specification.json").read_bytes()
    runs = time_to_nats()
    assert (tmp_path / "out" / "specification.json").read_bytes() == whole
    assert set(runs) == {"specification", "fast-0.5"}
    assert all(run["finished"] for run in runs.values())
    (point,) = runs["fast-0.5"]["points"]
    # the schedule was fitted to the steps that were done
    assert point["steps"] == runs["fast-0.5"]["num_steps"] > 1
    assert math.isfinite(point["nats_per_image"])
    printed = capsys.readouterr().out
    assert f"specification: {points[-1]['nats_per_image']:.2f} nats an image after 1 s" in printed
    with Image.open(tmp_path / "out" / "time_to_nats.png") as picture:
        assert picture.width > 600

    monkeypatch.setattr(train_hf, "train", None)
    assert time_to_nats() == runs


def test_time_to_nats_refuses_a_folder_of_another_measurement(time_to_nats, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fast-0.1.json").write_text(json.dumps({"dataset": "mnist-5k", "num_eval_samples": 9}))
    with pytest.raises(ValueError, match=r"fast-0.1.json was measured with another num_eval_samples, 9; this is 8"):
        time_to_nats()


@pytest.mark.parametrize("finished", [True, False])
def test_only_whole_trainings_of_the_same_settings_are_taken_over(benchmarks, tmp_path, finished):
    settings = {"budget_seconds": 60.0, "recipe": {"learning_rate": 1e-4}}
    run = settings | {"finished": finished, "points": [{"nats_per_image": 50.0, "seconds": 9.0}]}
    benchmarks.time_to_nats.write_run(tmp_path, "specification", run)
    assert benchmarks.time_to_nats.is_measured(tmp_path, "specification", settings) is finished
    assert not benchmarks.time_to_nats.is_measured(tmp_path, "fast-0.1", settings)
    with pytest.raises(ValueError, match="another recipe"):
        benchmarks.time_to_nats.is_measured(tmp_path, "specification", settings | {"recipe": {}})


@pytest.mark.parametrize("option", [("--minutes", "0"), ("--minutes", "nan"), ("--shares", "0.1", "-1")])
def test_time_to_nats_refuses_times_that_are_none(benchmarks, tmp_path, option):
    with pytest.raises(ValueError, match=f"{option[0][2:]} is .*; allowed is more than 0"):
        benchmarks.time_to_nats.parse(["--source", "mnist-5k", "--output_dir", str(tmp_path), *option])


def test_schedule_is_shortened_with_its_warm_up_and_decay(benchmarks):
    args = SimpleNamespace(warmup_steps=60, lr_scheduler_kwargs={"num_decay_steps": 1875, "decay_type": "linear"})
    step = SimpleNamespace(training_args=args, num_recipe_steps=3125)
    options = benchmarks.time_to_nats.fit_schedule(step, 625)
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--max_steps": "625",
        "--warmup_steps": "12",
        "--lr_scheduler_kwargs": '{"num_decay_steps": 375, "decay_type": "linear"}',
    }
    args.warmup_steps, args.lr_scheduler_kwargs = 0.05, None
    assert benchmarks.time_to_nats.fit_schedule(step, 625) == ["--max_steps", "625"]


def test_ratio_is_that_of_the_first_training_that_reaches_the_specification(benchmarks, capsys):
    def run(seconds, nats):
        return {"finished": True, "points": [{"seconds": seconds, "nats_per_image": nats}]}

    runs = {"specification": run(1800.0, 80.0), "a": run(45.0, 81.0), "b": run(90.0, 79.0), "c": run(180.0, 70.0)}
    benchmarks.time_to_nats.show_ratio(runs)
    assert "ours: 79.00 after 90 s, in 1/20.0 of the time" in capsys.readouterr().out
    benchmarks.time_to_nats.show_ratio({"specification": run(1800.0, 80.0), "a": run(45.0, 81.0)})
    assert "none of ours reaches it" in capsys.readouterr().out


@pytest.fixture
def now(benchmarks, monkeypatch):
    """Seconds that the clock is given."""
    now = {"processor": 10.0, "wall": 100.0}
    clocks = SimpleNamespace(process_time=lambda: now["processor"], perf_counter=lambda: now["wall"])
    monkeypatch.setattr(benchmarks.train_speed, "time", clocks)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    return now


def test_clock_stands_still_while_it_is_paused(benchmarks, now):
    clock = benchmarks.train_speed.Clock(torch.device("cpu"))
    now |= {"processor": 14.0, "wall": 103.0}
    assert clock.read() == (1.0, 3.0)
    clock.pause()
    now |= {"processor": 50.0, "wall": 150.0}
    assert clock.read() == (1.0, 3.0)
    clock.resume()
    now |= {"processor": 58.0, "wall": 151.0}
    assert clock.read() == (3.0, 4.0)
    clock.resume()  # was running
    assert clock.read() == (3.0, 4.0)


def test_measuring_is_no_time_of_training(benchmarks, now):
    args = SimpleNamespace(
        device=torch.device("cpu"),
        dataloader_num_workers=0,
        train_batch_size=2,
        gradient_accumulation_steps=1,
        world_size=1,
    )
    state = SimpleNamespace(max_steps=9, global_step=0)
    points = benchmarks.time_to_nats.Points(lambda run: None, [2.0, 3.0, 7.0])
    points.on_train_begin(args, state, None)
    found = []
    for _ in range(4):
        control = SimpleNamespace(should_evaluate=False, should_training_stop=False)
        points.on_step_begin(args, state, control)
        now["processor"] += 4 * 2.0  # a step
        state.global_step += 1
        points.on_step_end(args, state, control)
        found.append((control.should_evaluate, control.should_training_stop))
        if control.should_evaluate:
            now["processor"] += 4 * 100.0
            points.on_evaluate(args, state, control, {"eval_nats_per_image": 50.0})
            now["processor"] += 4 * 100.0
    assert found == [(True, False), (True, False), (False, False), (True, True)]
    assert [point["seconds"] for point in points.run["points"]] == [2.0, 4.0, 8.0]
    assert [point["steps"] for point in points.run["points"]] == [1, 2, 4]


def test_workers_are_refused_on_a_cpu(benchmarks):
    args = SimpleNamespace(device=torch.device("cpu"), dataloader_num_workers=2)
    with pytest.raises(ValueError, match="dataloader_num_workers is 2; allowed is 0"):
        benchmarks.train_speed.check_workers(args)


@pytest.mark.slow
def test_train_speed_compares_the_stock_trainer_with_ours(benchmarks, tiny_training, capsys, monkeypatch):
    train_speed = benchmarks.train_speed
    found = {}

    def train(way, *args):
        found[way] = original(way, *args)
        return found[way]

    original = train_speed.train
    monkeypatch.setattr(train_speed, "train", train)
    train_speed.compare(ROOT / "recipes" / "fast.yaml", 2, 1, ["--dataset_name", "mnist-5k", *TINY])
    for times in found.values():
        assert len(times.readings) == 3 and times.batch_size == 2
        first, _, last = (wall for _, wall in times.readings)
        assert train_speed.tokens_per_second(times)[1] == pytest.approx(2 * 2 * TEXT_LENGTH / (last - first))
        assert times.added_memory >= 0
    stock, ours = (found[way] for way in (train_speed.STOCK, train_speed.OURS))
    assert (stock.training_args.bf16, stock.training_args.learning_rate, ours.training_args.bf16) == (
        False,
        1e-4,
        True,
    )
    # all windows over 16 texts, 2 a step
    assert stock.num_recipe_steps == -(-(16 * TEXT_LENGTH - TEXT_LENGTH + 1) // 2)
    rows = re.findall(r"^\| (.+?) \|.* ([\d,]+) \|$", capsys.readouterr().out, flags=re.MULTILINE)
    expected = {way: f"{train_speed.tokens_per_second(times)[1]:,.0f}" for way, times in found.items()}
    assert dict(rows) == expected


@pytest.mark.parametrize(
    ("growth", "sizes"), [(0, [16] * 6), (1, [16, 16, 16, 32]), (2, [16, 16, 32]), (5, [16]), (6, [])]
)
def test_batches_that_grow_have_as_many_texts_at_each_size(benchmarks, growth, sizes):
    assert benchmarks.recipe_search.split_batches(96, 16, growth) == sizes


def test_average_of_the_weights_follows_them_and_is_put_in(benchmarks):
    model = torch.nn.Linear(1, 1, bias=False)
    average = benchmarks.recipe_search.WeightAverage(model, decay=0.5)
    expected = model.weight.item()
    for step, value in enumerate((3.0, 5.0, 4.0), start=1):
        model.weight.data.fill_(value)
        average.on_step_end(None, SimpleNamespace(global_step=step), None)
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * value
    average.put_in()
    assert model.weight.item() == pytest.approx(expected)


@pytest.mark.slow
def test_recipe_search_changes_one_thing_a_trial_and_does_none_twice(
    benchmarks, tiny_training, tmp_path, capsys, monkeypatch
):
    names = ["the recipe", "z-loss 1e-4", "batch 16, then 32, then 64", "no cooldown, average of the weights (0.95)"]
    sizes = ["--texts", "96", "--train_images", "100", "--eval_images", "8"]
    argv = [
        "recipe_search.py",
        "--source",
        "mnist-5k",
        *sizes,
        "--results",
        str(tmp_path / "found"),
        "--trials",
        *names,
    ]
    monkeypatch.setattr("sys.argv", argv)
    benchmarks.recipe_search.main()
    found = benchmarks.recipe_search.read_results(tmp_path / "found")
    assert list(found) == sorted(names, key=[trial.name for trial in benchmarks.recipe_search.TRIALS].index)
    assert {name: result["steps"] for name, result in found.items()} == dict.fromkeys(names, 3)
    assert found["the recipe"]["nats"] != found["no cooldown, average of the weights (0.95)"]["nats"]
    assert f"| z-loss 1e-4 | {found['z-loss 1e-4']['nats']:.1f} | 3 |" in capsys.readouterr().out

    monkeypatch.setattr(benchmarks.recipe_search, "run", None)
    benchmarks.recipe_search.main()


@pytest.mark.parametrize("z_loss", [0.0, 0.5])
def test_z_loss_is_the_mean_squared_log_partition_of_the_predicting_positions(
    benchmarks, tmp_path, tiny_model, z_loss
):
    args = train_hf.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    trainer = benchmarks.recipe_search.TrialTrainer(model=tiny_model.eval(), args=args)
    inputs = {"input_ids": torch.arange(20, 52).view(2, 16), "labels": torch.arange(20, 52).view(2, 16)}
    plain = trainer.compute_loss(tiny_model, inputs)
    trainer.z_loss = z_loss
    assert trainer.compute_loss(tiny_model, inputs) == plain  # not what is measured
    squares = tiny_model(inputs["input_ids"]).logits[:, :-1].logsumexp(-1) ** 2
    tiny_model.training = True  # without its dropout
    torch.testing.assert_close(trainer.compute_loss(tiny_model, inputs), plain + z_loss * squares.mean())
