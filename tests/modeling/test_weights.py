# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
import json
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel, pipeline

from mnist_text_gen import MnistTextGenerationPipeline, load_pipeline
from mnist_text_gen.modeling import judge_images, load_classifier, load_weights, log_likelihood


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file(change(weights), path, metadata={"format": "pt"})


def loaders(folder):
    yield lambda: load_pipeline(folder)
    yield lambda: load_weights(GPT2LMHeadModel, str(folder))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_layer": 1}, "which the model does not have"),
        ({"n_layer": 3}, r"got no h\.2\."),
        ({"n_layer": 10**9}, "weights for 1000000000 layers"),
        ({"n_embd": 32}, "of shape"),
        ({"n_positions": 10**12}, "of shape"),
        ({"n_head": 0}, "ZeroDivisionError"),
        ({"n_layer": "two"}, "must"),
    ],
    ids=str,
)
def test_a_language_model_whose_weights_do_not_fit_is_refused_at_once(tiny_checkpoint, values, message):
    change_config(tiny_checkpoint, **values)
    for load in loaders(tiny_checkpoint):
        start = time.perf_counter()
        with pytest.raises(ValueError, match=message):
            load()
        assert time.perf_counter() - start < 60


@pytest.mark.parametrize("values", [{"n_layer": 1}, {"n_layer": 3}], ids=str)
def test_transformers_own_loading_is_checked_afterwards(tiny_checkpoint, values):
    change_config(tiny_checkpoint, **values)
    with pytest.raises(ValueError, match="fit its configuration"):
        pipeline("mnist-text-gen", model=str(tiny_checkpoint), pipeline_class=MnistTextGenerationPipeline)


def test_weights_without_their_prefix_and_with_both_of_tied_names_are_taken(tiny_checkpoint):
    def rename(weights):
        renamed = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
        return renamed | {"lm_head.weight": renamed["wte.weight"].clone()}

    change_weights(tiny_checkpoint, rename)
    assert len(load_pipeline(tiny_checkpoint)("7", num_candidates=1, num_return_sequences=1)) == 1


@pytest.mark.parametrize("folder", ["", "classifier"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tiny_checkpoint, folder, value):
    def spoil(weights):
        name = next(name for name, weight in weights.items() if weight.is_floating_point())
        return weights | {name: torch.full_like(weights[name], value)}

    change_weights(tiny_checkpoint / folder, spoil)
    with pytest.raises(ValueError, match="must have finite weights, got NaN or infinity in "):
        load_pipeline(tiny_checkpoint)


def test_a_model_that_gives_nan_is_refused_at_its_first_score(tiny_model, tiny_classifier, tokenizer):
    images = torch.zeros(2, 30, 30, dtype=torch.uint8).numpy()
    pipe = MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier)
    with torch.no_grad():
        tiny_classifier.classifier.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="the classifier must return finite logits, got NaN"):
        judge_images(tiny_classifier, images)
    with torch.no_grad():
        tiny_model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="the language model must return finite logits, got NaN"):
        log_likelihood(
            tiny_model, tokenizer(tokenizer.encode_images(images, [0, 1]), return_tensors="pt")["input_ids"]
        )
    for decoding in ("exact", "generate"):
        with pytest.raises(ValueError, match="NaN"):
            pipe("7", num_candidates=1, num_return_sequences=1, decoding=decoding)


@pytest.mark.parametrize("values", [{"hidden_sizes": [4, 6]}, {"hidden_sizes": [4]}, {"image_size": 10**6}], ids=str)
def test_a_classifier_is_refused_by_the_same_function(tiny_checkpoint, values):
    change_config(tiny_checkpoint / "classifier", **values)
    with pytest.raises(ValueError, match=r"the classifier of .* fit its configuration"):
        load_classifier(str(tiny_checkpoint))
