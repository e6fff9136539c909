# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What one sees of a training: logs, progress, samples, trackers."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from small_trainings import StopAt
from transformers import GPT2LMHeadModel, TrainingArguments, default_data_collator
from transformers.integrations import integration_utils

from mnist_text_gen import MnistTextTokenizer
from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.modeling import build_language_model_config, token_losses
from mnist_text_gen.training import monitoring
from mnist_text_gen.training.history import read_history
from mnist_text_gen.training.monitoring import ThroughputMeter, draw_digits
from mnist_text_gen.training.trainer import MnistTrainer


@pytest.fixture
def build_trainer(tiny_model, tokenizer, mnist_5k, tmp_path):
    """Make a trainer of the tiny model over 8 real texts, 2 per step, evaluated at every second step."""
    images, labels = mnist_5k["train"].first(8, "samples")
    batch = tokenizer(tokenizer.encode_images(images, labels), return_tensors="pt")
    rows = [{**{name: batch[name][row] for name in batch}, "labels": batch["input_ids"][row]} for row in range(8)]
    tiny_model.loss_type = "ForCausalLM"

    def build(draw_samples=lambda model: draw_digits(model, tokenizer), callbacks=None, **changes):
        settings = {"output_dir": str(tmp_path / "run"), "max_steps": 4, "per_device_train_batch_size": 2}
        settings |= {"logging_steps": 1, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no"}
        settings |= {"report_to": "none", "disable_tqdm": False, "use_cpu": True, "learning_rate": 1e-2}
        return MnistTrainer(
            model=tiny_model,
            args=TrainingArguments(**{**settings, **changes}),
            train_dataset=rows,
            eval_dataset=rows[:4],
            data_collator=default_data_collator,
            compute_metrics=train_hf.build_metrics(),
            preprocess_logits_for_metrics=token_losses,
            callbacks=callbacks,
            recipe={},
            quantities=train_hf.build_quantities(),
            draw_samples=draw_samples,
        )

    return build


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("how_often", "steps"),
    # the last step is logged however seldom logs are
    [({"logging_steps": 1}, [1, 2, 3, 4]), ({"logging_steps": 3}, [3, 4]), ({"logging_strategy": "no"}, [])],
)
def test_logs_and_the_lines_of_a_pipe_have_nats_per_image_and_tokens_per_second(
    build_trainer, capsys, how_often, steps
):
    trainer = build_trainer(draw_samples=None, eval_steps=4, **how_often)
    trainer.train()
    records = [record for record in trainer.state.log_history if "loss" in record]
    assert [record["step"] for record in records] == steps
    for record in records:
        assert record["nats_per_image"] == pytest.approx(151 * record["loss"])
        assert record["tokens_per_second"] > 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if "evaluation" not in line]
    assert [line.split(":")[0] for line in lines] == [f"step {step} of 4" for step in steps]
    assert all(" nats per image, " in line and " tokens/s" in line for line in lines)
    assert "\r" not in err and "it/s" not in err


def test_throughput_is_of_training_since_the_last_reading_and_nothing_else(monkeypatch):
    meter, clock = ThroughputMeter(), [100.0]
    monkeypatch.setattr(monitoring.time, "perf_counter", lambda: sum(clock))
    args = TrainingArguments(output_dir="unused", per_device_train_batch_size=3, gradient_accumulation_steps=2)
    state = type("State", (), {"global_step": 1, "max_steps": 9})()

    def step(seconds):
        meter.on_step_begin(args, state, None)
        clock.append(seconds)
        meter.on_step_end(args, state, None)

    meter.on_train_begin(args, state, None)
    clock.append(1000)  # rows that a resumed run passes over
    step(2)
    clock.append(1)  # the next batch is loaded
    step(3)
    assert meter.read() == 12 / 6
    clock.append(500)
    meter.on_save(args, state, None)
    step(2)
    clock.append(500)
    meter.restart()
    step(1)
    assert meter.read() == 12 / 3


def test_grid_has_a_sample_of_each_class_that_the_model_names():
    tokenizer = MnistTextTokenizer(image_size=24)
    config = build_language_model_config(tokenizer, ["Bag", "T-shirt/top", "Coat"], n_embd=16, n_head=2, n_layer=1)
    torch.manual_seed(0)
    grid = draw_digits(GPT2LMHeadModel(config), tokenizer)
    # three images of 24 pixels, five times as large, over their names
    assert grid.size == (3 * 130 + 10, 10 + 120 + 32)
    images = np.asarray(grid)[10:130:5, 10:].reshape(24, 3, 130)[:, :, :120:5]
    assert set(np.unique(images)) == {0, 255}
    assert not np.array_equal(images[:, 0], images[:, 1])


def test_drawing_in_between_changes_no_bit_of_a_training(build_trainer, tiny_model, tokenizer):
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    ends = []
    for draw_samples in (lambda model: draw_digits(model, tokenizer), None):
        tiny_model.load_state_dict(start)
        build_trainer(draw_samples=draw_samples, eval_steps=1).train()
        ends.append({name: value.clone() for name, value in tiny_model.state_dict().items()})
    assert [name for name in start if not torch.equal(ends[0][name], ends[1][name])] == []
    assert not torch.equal(start["transformer.wte.weight"], ends[0]["transformer.wte.weight"])


def test_bar_shows_the_last_figures(build_trainer, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    trainer = build_trainer(draw_samples=None)
    trainer.train()
    last = terminal.getvalue().split("\r")[-1]
    logs = trainer.state.log_history
    nats = [record["nats_per_image"] for record in logs if "nats_per_image" in record][-1]
    found = [record["eval_nats_per_image"] for record in logs if "eval_nats_per_image" in record][-1]
    assert "4/4" in last and f"{nats:.2f} nats per image, " in last and f" tokens/s, evaluation {found:.2f}" in last
    assert capsys.readouterr().out == ""


def test_resumed_run_goes_on_in_bar_and_history(build_trainer, monkeypatch):
    settings = {"draw_samples": None, "save_strategy": "steps", "save_steps": 2}
    build_trainer(callbacks=[StopAt(2)], **settings).train()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    trainer = build_trainer(**settings)
    trainer.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-2")
    assert "2/4" in terminal.getvalue() and "0/4" not in terminal.getvalue()
    history = read_history(trainer.state.log_history, train_hf.build_quantities(), 2)
    assert (history.steps.tolist(), history.evaluation_steps.tolist()) == ([1, 2, 3, 4], [2, 4])
    assert (np.diff(history.seconds) > 0).all()


def test_trackers_get_figures_and_samples(build_trainer, tmp_path):
    trackio = pytest.importorskip("trackio")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from trackio.utils import MEDIA_DIR

    trainer = build_trainer(report_to=["tensorboard", "trackio"], project="tests")
    trainer.train()
    trainer.evaluate()
    trackio.finish()
    logged = {record["step"]: record for record in trainer.state.log_history if "nats_per_image" in record}

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    for name in ("nats_per_image", "tokens_per_second"):
        found = {event.step: event.value for event in events.Scalars(f"train/{name}")}
        assert found == pytest.approx({step: record[name] for step, record in logged.items()}, rel=1e-5)
    assert {event.step for event in events.Scalars("eval/nats_per_image")} == {2, 4}

    (run,) = trackio.Api().runs("tests")
    assert run.name == "run"  # one, also after a resume
    history = trackio.sqlite_storage.SQLiteStorage.get_logs("tests", "run")
    nats = [record["train/nats_per_image"] for record in history if "train/nats_per_image" in record]
    assert nats == pytest.approx([record["nats_per_image"] for record in logged.values()])
    assert len([record for record in history if "eval/nats_per_image" in record]) == 3

    of_tensorboard = {event.step: io.BytesIO(event.encoded_image_string) for event in events.Images("samples")}
    of_trackio = {
        record["train/global_step"]: MEDIA_DIR / record["samples"]["file_path"]
        for record in history
        if "samples" in record
    }
    for pictures in (of_tensorboard, of_trackio):
        assert set(pictures) == {2, 4}
        for step, picture in pictures.items():
            expected = Image.open(tmp_path / "run" / "samples" / f"step-{step:06d}.png")
            assert Image.open(picture).convert("L").tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("command", "tracker", "how"),
    [
        (train_hf, "tensorboard", 'pip install "mnist-text-gen[tensorboard]"'),
        (train_hf, "wandb", "pip install wandb"),
        (train_hf, "abacus", "abacus is not supported"),
        (train_classifier, "trackio", 'pip install "mnist-text-gen[trackio]"'),
    ],
)
def test_tracker_that_cannot_be_used_is_named_at_the_start(refusal_of, monkeypatch, tmp_path, command, tracker, how):
    monkeypatch.setattr(f"{integration_utils.__name__}.is_{tracker}_available", lambda: False, raising=False)
    options = ["--dataset_name", tmp_path / "missing", "--do_train", "--use_cpu", "--output_dir", tmp_path / "out"]
    line = refusal_of(command, *options, "--report_to", tracker)
    assert tracker in line and how in line
    assert list(tmp_path.iterdir()) == []
