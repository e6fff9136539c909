# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/sampling.py with a tiny model: every table, and what bfloat16 costs against plain sums."""

import itertools
import re
from functools import partial

import pytest
import sampling
import torch


@pytest.mark.slow
def test_every_part_prints_its_table(tiny_files, source, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "DIGITS_TO_DRAW", ("7",))
    monkeypatch.setattr(sampling, "GROWTH", (1, 64))
    monkeypatch.setattr(sampling, "NUM_IMAGES", 5)
    monkeypatch.setattr(sampling, "NUM_SEEDS", 1)
    monkeypatch.setattr(sampling, "count_accepted", lambda *arguments: 512)
    few = partial(sampling.draw_digits, num_candidates=2)  # whatever the tables say
    monkeypatch.setattr(sampling, "draw_digits", lambda pipe, digits, way, seed, *number: few(pipe, digits, way, seed))
    monkeypatch.setattr(sampling, "START_UP", {"import torch": "import torch"})
    monkeypatch.setattr(sampling, "fresh_process", lambda *arguments: f"loading\n{len(arguments)}2\n")
    times = itertools.count(1.0)
    monkeypatch.setattr(sampling, "timed", lambda step: [step(), next(times)][1])
    sampling.main(["--model", str(tiny_files), "--source", source, "--rounds", "2"])
    printed = capsys.readouterr().out
    assert "64 candidates of 7, judged and reranked, 2 rounds" in printed
    # three ways take turns, and the first round, of 1 to 3 seconds, warms up
    for way, first, last in ((sampling.STOCK, 4, 7), ("exact", 5, 8), ("bf16", 6, 9)):
        median = (first + last) / 2
        assert f"| {way} | {median:.2f} | {first:.2f} | {last:.2f} | {5.5 / median:.2f} |" in printed
    assert re.search(r"\| 1 \| [\d.]+ \| [\d.]+ \| [\d.]+ \|\n\| 64 \|", printed)
    assert len(re.findall(r"\| (?:stock generate|exact|bf16) \| \d+ \|\n", printed)) == 3
    assert re.search(r"\| import torch \| [\d.]+ \|", printed)
    assert "nats per image, 5 test images | taken for the digit, of 640 |" in printed
    assert len(re.findall(r"\| \d+\.\d{3} \| 512 \(80\.00 %, 76\.\d\d to 83\.\d\d\) \|", printed)) == 2
    # what the table of memory calls
    sampling.main(["--model", str(tiny_files), "--memory_of", "exact"])
    assert int(capsys.readouterr().out) >= 0


@torch.no_grad()
def test_nats_are_those_of_each_precision(tiny_model, tokenizer, mnist_5k):
    test = mnist_5k["test"].first(3, "")
    ids = tokenizer(tokenizer.encode_images(*test), return_tensors="pt")["input_ids"]
    log_p = tiny_model(ids).logits.double().log_softmax(-1)
    nats = -sum(log_p[row, t, ids[row, t + 1]].item() for row in range(3) for t in range(151)) / 3
    exact = sampling.mean_nats(tiny_model, ids, None)
    assert exact == pytest.approx(nats, rel=1e-5)
    rounded = sampling.mean_nats(tiny_model, ids, torch.bfloat16)
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.05)


def test_other_models_and_parts_are_refused(named_files, refusal_of):
    line = refusal_of(sampling, "--model", named_files)
    assert f"got '{named_files}', of the classes T-shirt/top, Ankle boot, Bag in 12×12 pixels" in line
    assert "`parts` must be some of speed, profile" in refusal_of(sampling, "--parts", "beauty")
