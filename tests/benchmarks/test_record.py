# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/record.py with a tiny model: which figures go where."""

import numpy as np
import pytest
import record
import torch

from mnist_text_gen import load_pipeline
from mnist_text_gen.modeling import judge_images, symbol_nats
from mnist_text_gen.publishing import hash_weights, read_run, write_run


@pytest.mark.slow
def test_figures_go_to_the_folders_of_their_models(tiny_checkpoint, source, tokenizer, tiny_model, monkeypatch):
    seconds = {record.STOCK: [9.0, 7.0, 8.0], "exact": [1.0, 4.0, 2.0], "bf16": [1.0, 0.0, 2.0]}
    monkeypatch.setattr(record, "time_decodings", lambda pipe, digits, rounds: seconds)
    write_run(tiny_checkpoint, hash_weights(tiny_checkpoint), [{"description": "a training"}], {})
    record.main(["--source", source, "--model", str(tiny_checkpoint), "--rounds", "3"])
    run, classifier_run = (read_run(folder) for folder in (tiny_checkpoint, tiny_checkpoint / "classifier"))
    assert run["training"] == [{"description": "a training"}]
    test = record.load_images(source)["test"]
    ids = tokenizer(tokenizer.encode_images(*test), return_tensors="pt")["input_ids"]
    nats = run["results"]["image_nats"]
    assert nats["value"] == pytest.approx(symbol_nats(tiny_model, ids).sum(1).mean().item(), rel=1e-5)
    assert nats["num_samples"] == 40
    pipe = load_pipeline(tiny_checkpoint)
    probabilities = judge_images(pipe.classifier, tokenizer.decode_images(tokenizer.encode_images(*test)))
    right = (probabilities.argmax(1) == test.labels).mean()
    assert classifier_run["results"]["accuracy"]["value"] == pytest.approx(right)
    agreement = np.mean([(pipe.sample(label).probabilities.argmax(1) == label).mean() for label in range(10)])
    assert run["results"]["class_agreement"]["value"] == pytest.approx(agreement)
    seconds = run["results"]["seconds_of_64_candidates"]
    assert (seconds["value"], seconds["bf16"], seconds["generate"], seconds["num_rounds"]) == (2.0, 1.0, 8.0, 3)
    torch.manual_seed(0)
    assert record.measure_validity(pipe) == run["results"]["valid_texts"]
    assert sorted(path.name for path in (tiny_checkpoint / "sample_img").iterdir())[::9] == ["0.png", "9.png"]
    assert f"{nats['value']:.2f}" in (tiny_checkpoint / "README.md").read_text()
