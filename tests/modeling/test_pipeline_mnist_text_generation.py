# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
import functools
import inspect
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2LMHeadModel, PreTrainedTokenizerFast, pipeline
from transformers.utils import logging

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification, MnistTextGenerationPipeline
from mnist_text_gen.modeling import candidates as candidates_module
from mnist_text_gen.modeling import decode, generate_candidates, gumbel_noise
from mnist_text_gen.tokenizer import binarize_images, check_text


@pytest.fixture
def pipe(tiny_model, tiny_classifier, tokenizer):
    parts = (tiny_model, tokenizer, tiny_classifier)
    return MnistTextGenerationPipeline(*parts, device="cpu", num_candidates=6, num_return_sequences=3)


def refuse_batches(monkeypatch, limit, error):
    """Let generation fail for batches above a limit; gives the sizes that were tried."""
    sizes, generate = [], GPT2LMHeadModel.generate

    def generate_few(self, inputs, **kwargs):
        sizes.append(len(inputs))
        if len(inputs) > limit:
            raise error
        return generate(self, inputs, **kwargs)

    monkeypatch.setattr(GPT2LMHeadModel, "generate", generate_few)
    return sizes


def texts_of(results):
    return [result["generated_text"] for result in results]


def test_a_result_holds_label_text_image_and_score(pipe, tokenizer):
    results = pipe("7", seed=0)
    assert len(results) == 3
    for result in results:
        assert list(result) == ["label", "generated_text", "image", "score", "rank", "passed"]
        assert result["label"] == "7" and result["generated_text"][0] == "7"
        check_text(result["generated_text"])
        assert (result["image"].mode, result["image"].size) == ("L", (30, 30))
        pixels = np.asarray(result["image"])
        np.testing.assert_array_equal(pixels, tokenizer.decode_images([result["generated_text"]])[0] * 255)
        assert isinstance(result["score"], float) and 0 <= result["score"] <= 1
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)


def test_the_best_of_all_candidates_are_returned(small_pipe):
    everything = small_pipe(3, seed=1, num_candidates=10, num_return_sequences=10)
    assert texts_of(small_pipe(3, seed=1, num_candidates=10)) == texts_of(everything)[:3]
    images = torch.from_numpy(small_pipe.tokenizer.decode_images(texts_of(everything)))[:, None].float()
    with torch.no_grad():
        probabilities = (small_pipe.classifier(images).logits / 0.8).softmax(-1)[:, 3]
    assert [result["score"] for result in everything] == pytest.approx(probabilities.tolist(), abs=1e-6)


def test_default_arguments_are_those_of_the_specification(small_pipe):
    pipe = MnistTextGenerationPipeline(small_pipe.model, small_pipe.tokenizer, small_pipe.classifier, device="cpu")
    how = {"num_candidates": 64, "num_return_sequences": 8, "temperature": 0.8, "classifier_temperature": 0.8}
    assert len(pipe("1", seed=5, **how)) == 8
    assert pipe("1", seed=5) == pipe("1", seed=5, **how)


def test_candidates_are_those_of_a_loop_without_cache(pipe, tiny_model, tokenizer):
    candidates = pipe.sample(4, num_candidates=3, temperature=0.7, seed=9, occurrence=2)
    noise = gumbel_noise([(9, 4, 2, index) for index in range(3)], 150, 64)
    ids = torch.full((3, 1), 4)
    with torch.no_grad():
        for step in range(150):
            logits = tiny_model(ids, use_cache=False).logits[:, -1, 10:74]
            ids = torch.cat([ids, 10 + (logits / 0.7 + noise[:, step]).argmax(-1, keepdim=True)], dim=1)
    ids = torch.cat([ids, torch.full((3, 1), 74)], dim=1)
    assert candidates.texts == tokenizer.batch_decode(ids)


def test_a_digit_gives_the_same_alone_and_in_a_list(small_pipe):
    several = small_pipe(["3", 7, "3", 7], seed=2)
    assert texts_of(several[1]) == texts_of(small_pipe("7", seed=2)) == texts_of(small_pipe(7, seed=2))
    assert texts_of(several[0]) == texts_of(small_pipe("3", seed=2))
    assert set(texts_of(several[0])).isdisjoint(texts_of(several[2]))
    assert texts_of(small_pipe(["7", "7"], seed=2)[1]) == texts_of(several[3])


def test_a_seed_gives_the_same_whatever_was_drawn_before(small_pipe):
    first = small_pipe("5", seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    state = torch.random.get_rng_state()
    small_pipe("6", seed=4)
    assert small_pipe("5", seed=3) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert texts_of(small_pipe("5", seed=4)) != texts_of(first)
    assert texts_of(small_pipe("5", seed=2**64 - 1)) != texts_of(first)
    # without a seed, torch's global one decides
    torch.manual_seed(1)
    first, second = small_pipe("5"), small_pipe("5")
    torch.manual_seed(1)
    assert small_pipe("5") == first != second


@pytest.fixture
def batch_sizes(monkeypatch):
    """How many texts were generated at the same time, each time."""
    return refuse_batches(monkeypatch, 64, None)


def test_the_first_64_of_more_candidates_are_the_64(small_pipe, batch_sizes):
    many = small_pipe.sample(2, num_candidates=70, seed=0)
    assert len(set(many.texts)) == 70
    for num_candidates in (3, 64):
        few = small_pipe.sample(2, num_candidates=num_candidates, seed=0)
        assert few.texts == many.texts[:num_candidates]
    # the last bits of a product depend on its shape, and with them, now and then, a token of larger models
    assert batch_sizes == [64, 64, 64, 64]


def test_a_list_is_checked_before_anything_is_drawn(small_pipe, monkeypatch):
    monkeypatch.setattr(small_pipe, "sample", lambda *args, **kwargs: pytest.fail("drew an image"))
    with pytest.raises(ValueError, match="'x'"):
        small_pipe(["1", "x"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("num_candidates", value) for value in (0, 1.5, "8", True)],
        *[("num_return_sequences", value) for value in (0, 7)],
        *[("temperature", value) for value in (0, -0.5, math.nan, math.inf, "1")],
        ("classifier_temperature", 0),
        *[("seed", value) for value in (-1, 2**64, 0.5, "0", True)],
        *[("decoding", value) for value in ("fast", "Exact", 1)],
        *[("callback", value) for value in ("print", [print])],
        *[("batch_size", value) for value in (0, 1.5, "4")],
        *[("num_workers", value) for value in (-1, True)],
        *[("top_p", 0.5), ("generate_kwargs", {"top_k": 5}), ("max_new_tokens", 10)],
    ],
)
def test_bad_arguments_are_refused_in_a_call_and_at_the_start(pipe, name, value):
    with pytest.raises(ValueError, match=name) as error:
        pipe("7", **{name: value})
    assert "must be" in str(error.value)
    if name in inspect.signature(pipe.sample).parameters:
        with pytest.raises(ValueError, match=name):
            pipe.sample(7, **{name: value})
    if (name, value) != ("num_return_sequences", 7):  # too many for 6 candidates, not for 64
        with pytest.raises(ValueError, match=name):
            MnistTextGenerationPipeline(pipe.model, pipe.tokenizer, pipe.classifier, **{name: value})


@pytest.mark.parametrize(("labels", "seed_keys"), [([-1], [(0,)]), ([10], [(0,)]), ([7, 7], [(0,)])])
def test_labels_and_seed_keys_that_do_not_fit_are_refused(small_pipe, labels, seed_keys):
    """-1 would be the last digit, and one seed key would give all texts the same noise."""
    with pytest.raises(ValueError, match=r"digit must be .* 0 to 9, got|one seed key per label \(2\), got 1"):
        generate_candidates(small_pipe.model, small_pipe.tokenizer, labels, seed_keys)


def test_a_checkpoint_without_a_classifier_is_refused(tiny_checkpoint, tiny_model, tokenizer):
    with pytest.raises(ValueError, match="classifier"):
        MnistTextGenerationPipeline(tiny_model, tokenizer)
    (tiny_checkpoint / "classifier" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"must have a classifier in its folder 'classifier'"):
        pipeline("mnist-text-gen", model=str(tiny_checkpoint))


def test_parts_that_do_not_fit_are_refused(tiny_files, tiny_model, tokenizer, tiny_classifier):
    for config in ({"image_size": 28}, {"num_labels": 11}, {"num_channels": 3}):
        classifier = MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=[4], **config))
        with pytest.raises(
            ValueError, match=r"classifier must have 2 to 10 labels, 1 channel and an image size of 30"
        ):
            MnistTextGenerationPipeline(tiny_model, tokenizer, classifier)
    with pytest.raises(ValueError, match="the tokenizer must be a MnistTextTokenizer"):
        MnistTextGenerationPipeline(tiny_model, PreTrainedTokenizerFast.from_pretrained(tiny_files), tiny_classifier)
    tiny_model.config.n_positions = 60
    with pytest.raises(ValueError, match=r"context of 152 tokens \(one text\) or more, got 60"):
        MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier)


def test_exact_decoding_gives_what_stock_generate_gives(small_pipe):
    arguments = {"seed": 3, "num_candidates": 64, "num_return_sequences": 64}
    exact, stock = (small_pipe("6", decoding=decoding, **arguments) for decoding in ("exact", "generate"))
    assert exact == stock


def test_an_argument_of_a_newer_generate_leaves_the_decoding_to_it_with_a_warning(small_pipe, monkeypatch, caplog):
    @functools.wraps(decode)
    def decode_with_argument(*args, **kwargs):
        return decode(*args, **kwargs, prefill_chunks=2)

    expected, seen = small_pipe(7, seed=0), []
    monkeypatch.setattr(candidates_module, "decode", decode_with_argument)
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    assert small_pipe(7, seed=0, callback=lambda *block: seen.append(block[-1].shape)) == expected
    assert seen == [(64, 12, 12)]
    assert "decodes with its own `generate`: `prefill_chunks` must not be given" in caplog.text


@pytest.mark.parametrize(
    ("error", "decoding"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "exact"),
        (MemoryError(), "exact"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), "generate"),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_what_does_not_fit_in_memory_is_decoded_in_halves(small_pipe, monkeypatch, error, decoding):
    expected = small_pipe.sample(2, num_candidates=64, seed=0, decoding=decoding)
    sizes = refuse_batches(monkeypatch, 16, error)
    assert small_pipe.sample(2, num_candidates=64, seed=0, decoding=decoding).texts == expected.texts
    assert sizes == [64, 32, 16, 16, 32, 16, 16]


@pytest.mark.parametrize(
    ("limit", "error", "tried"),
    [
        (16, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), [64]),
        (0, torch.OutOfMemoryError("CUDA out of memory"), [64, 32, 16, 8, 4, 2, 1]),
    ],
    ids=["another error", "one text is too large"],
)
def test_an_error_that_halves_do_not_mend_is_raised(small_pipe, monkeypatch, limit, error, tried):
    sizes = refuse_batches(monkeypatch, limit, error)
    with pytest.raises(type(error), match=str(error)):
        small_pipe("2", seed=0)
    assert sizes == tried


@pytest.mark.parametrize("decoding", ["exact", "bf16", "generate"])
def test_a_callback_sees_the_images_grow(small_pipe, decoding):
    seen = []
    candidates = small_pipe.sample(
        3, num_candidates=100, seed=0, decoding=decoding, callback=lambda *block: seen.append(block)
    )
    images = candidates.images
    for start in (0, 64):
        parts = [part for label, first, part in seen if first == start]
        heights = [part.shape[1] for part in parts]
        assert heights[-1] == 12 and heights == sorted(set(heights)) and heights[0] > 0
        assert len(heights) == 1 if decoding == "generate" else len(heights) > 5
        for part in parts:
            assert part.dtype == np.uint8 and part.shape == (64, part.shape[1], 12)
            np.testing.assert_array_equal(part[: 100 - start], images[start : start + 64, : part.shape[1]])
    assert {(label, start) for label, start, _ in seen} == {(3, 0), (3, 64)}


def test_a_callback_of_a_call_changes_no_result(small_pipe):
    labels = []
    results = small_pipe(["3", "7"], seed=2, callback=lambda label, start, images: labels.append(label))
    assert results == small_pipe(["3", "7"], seed=2)
    assert sorted(set(labels)) == [3, 7] == sorted(set(labels), key=labels.index)


def test_a_callback_sees_whole_images_where_memory_is_short(small_pipe, monkeypatch):
    seen = []
    refuse_batches(monkeypatch, 16, torch.OutOfMemoryError("CUDA out of memory"))
    candidates = small_pipe.sample(3, seed=0, callback=lambda label, start, images: seen.append(images))
    assert seen, "the callback was never called"
    np.testing.assert_array_equal(seen[-1], candidates.images)


def test_a_saved_pipeline_carries_its_decoding_as_custom_generate(small_pipe, tmp_path):
    small_pipe.save_pretrained(tmp_path)
    saved = (tmp_path / "custom_generate" / "generate.py").read_text()
    assert saved == Path(inspect.getfile(inspect.unwrap(decode))).read_text()
    prompts = torch.tensor([[3], [4]])
    arguments = {"attention_mask": torch.ones_like(prompts), "do_sample": True, "seeds": [1, 2], "max_length": 20}
    expected = small_pipe.model.generate(prompts, custom_generate=decode, **arguments)
    remote = {"trust_remote_code": True}
    named = small_pipe.model.generate(prompts, custom_generate=str(tmp_path), **remote, **arguments)
    assert torch.equal(named, expected)
    # from_pretrained puts the folder's function in the place of model.generate
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, **remote).eval()
    assert torch.equal(loaded.generate(prompts, **arguments), expected)
    assert torch.equal(loaded.generate(input_ids=prompts, **arguments), expected)
    assert torch.equal(loaded.generate(prompts, custom_generate=str(tmp_path), **remote, **arguments), expected)
    again = MnistTextGenerationPipeline(loaded, small_pipe.tokenizer, small_pipe.classifier, device="cpu")
    for decoding in ("exact", "generate"):
        candidates = again.sample(3, 4, seed=1, decoding=decoding)
        assert candidates.texts == small_pipe.sample(3, 4, seed=1, decoding=decoding).texts


@pytest.fixture
def real_images(mnist_5k):
    images, labels = mnist_5k["test"].first(5, "images")
    return binarize_images(images), labels


def test_a_symbols_nats_are_spread_over_its_pixels(pipe, tiny_model, tokenizer, real_images):
    images, labels = real_images
    found = pipe.surprise(images, labels)
    assert (found.shape, found.dtype) == ((5, 30, 30), np.float64)
    ids = tokenizer(tokenizer.encode_images(images[1:2], labels[1:2]), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        nats = -tiny_model(ids).logits[0].double().log_softmax(-1)
    # row 17 begins with the 86th symbol; its third has pixels 12 to 17
    for row, column, position in [(0, 0, 1), (17, 12, 88), (17, 17, 88), (29, 29, 150)]:
        assert found[1, row, column] == pytest.approx(nats[position - 1, ids[0, position]].item() / 6, rel=1e-4)
    # a map and the nats of the end token, which has no pixel, are the whole
    assert found[1].sum() + nats[150, 74].item() == pytest.approx(-pipe.log_likelihood(images, labels)[1], rel=1e-6)


def test_one_image_is_scored_as_in_a_batch_and_labels_may_be_digits(pipe, real_images):
    images, labels = real_images
    one = pipe.log_likelihood(images[2], str(labels[2]))
    assert one.shape == (1,)
    assert one == pytest.approx(pipe.log_likelihood(images, labels)[2:3], rel=1e-6)
    assert pipe.classify(images[2]).shape == (1, 10)
    single = pipe.surprise(torch.from_numpy(images[2]), torch.tensor(labels[2]))
    assert single.shape == (30, 30)
    np.testing.assert_allclose(single, pipe.surprise(images, [str(label) for label in labels])[2], atol=1e-5)


def test_the_pipeline_takes_back_the_images_that_it_gives(small_pipe):
    results = small_pipe("7", num_candidates=2, num_return_sequences=2, seed=3)
    pictures = [result["image"].convert("P") for result in results]
    arrays = np.stack([np.asarray(result["image"]) for result in results])  # in {0, 255}
    methods = {
        small_pipe.classify: {},
        small_pipe.log_likelihood: {"labels": [7, 7]},
        small_pipe.surprise: {"label": [7, 7]},
        small_pipe.complete: {"label": [7, 7], "seed": 0, "num_particles": 2},
    }
    for method, arguments in methods.items():
        expected = method(arrays // 255, **arguments)
        for images in (pictures, tuple(pictures), arrays, torch.from_numpy(arrays), list(arrays // 255)):
            np.testing.assert_equal(method(images, **arguments), expected)
    assert small_pipe.surprise(pictures[0], 7).shape == (12, 12)
    (one,) = small_pipe.complete(pictures[0], label=7, seed=0, num_particles=2)
    np.testing.assert_array_equal(np.asarray(one["image"])[:6], arrays[0, :6])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((28, 28)), 1, r"shape \[30, 30\] or \[N, 30, 30\] .*, got \[28, 28\]"),
        (np.full((2, 30, 30), 0.5), [1, 2], r"0 and 1, or 0 and 255, got 0.5 in image 0 at row 0, column 0"),
        (np.zeros((2, 30, 30)), 1, r"there must be one label per image \(2\), got 1"),
        (np.zeros((2, 30, 30)), [1, 10], r"digit must be '0' to '9' or 0 to 9, got 10"),
        (np.zeros((30, 30)), None, r"digit must be '0' to '9' or 0 to 9, got None"),
    ],
)
def test_images_and_labels_that_cannot_be_scored_are_refused(pipe, images, labels, message):
    for method in (pipe.log_likelihood, pipe.surprise):
        with pytest.raises(ValueError, match=message):
            method(images, labels)
    if "image" in message and "label" not in message:
        with pytest.raises(ValueError, match=message):
            pipe.classify(images)


@pytest.mark.parametrize("num_candidates", [5, 70])
def test_blocks_decoded_together_are_those_decoded_alone(small_pipe, monkeypatch, num_candidates):
    """What a GPU does with a list."""
    arguments = {"num_candidates": num_candidates, "num_return_sequences": 3, "seed": 4}
    expected = small_pipe([3, 7, 7], **arguments)
    monkeypatch.setitem(candidates_module.BLOCKS_TOGETHER, "cpu", 2)
    assert small_pipe([3, 7, 7], **arguments) == expected
    assert small_pipe([], **arguments) == []


def test_two_threads_draw_on_one_pipeline(small_pipe):
    expected = [small_pipe.sample(label, seed=1).texts for label in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda label: small_pipe.sample(label, seed=1).texts, range(4))) == expected
