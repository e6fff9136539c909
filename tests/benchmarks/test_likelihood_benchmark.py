# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""benchmarks/likelihood.py with a tiny model, against plain sums; statistics with known values; what is kept."""

import json
import math
from dataclasses import replace

import baselines
import likelihood
import numpy as np
import pytest
import torch
from image_files import write_idx_folder
from tiny_baselines import TINY

from mnist_text_gen import load_pipeline
from mnist_text_gen.data import load_corpus
from mnist_text_gen.modeling import class_log_likelihoods
from mnist_text_gen.publishing import hash_weights, write_run
from mnist_text_gen.tokenizer import binarize_images


NUM_IMAGES, NUM_OUTLIERS = 12, 6


def arguments(source, model, work, **changes):
    return likelihood.LikelihoodArguments(source=str(source), model=str(model), work=str(work), **changes)


@pytest.fixture(scope="module", autouse=True)
def small_shards(mnist_5k):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "SHARD_SIZE", 5)
        load = likelihood.load_images  # reading them takes seconds
        patch.setattr(likelihood, "load_images", lambda source: mnist_5k if source == "mnist-5k" else load(source))
        yield


@pytest.fixture(scope="module")
def fashion(tmp_path_factory, mnist_5k):
    """A folder of IDX files that stands for Fashion-MNIST."""
    other = replace(mnist_5k["test"], images=255 - mnist_5k["test"].images)
    return write_idx_folder(tmp_path_factory.mktemp("fashion"), mnist_5k["train"].first(1, ""), other)


@pytest.fixture(scope="module")
def result(tiny_files, fashion, tmp_path_factory):
    numbers = {"num_test_images": NUM_IMAGES, "num_outliers": NUM_OUTLIERS, "fashion_mnist": str(fashion)}
    return likelihood.measure_generation(arguments("mnist-5k", tiny_files, tmp_path_factory.mktemp("work"), **numbers))


@pytest.fixture(scope="module")
def pipe(tiny_files):
    return load_pipeline(tiny_files)


@pytest.fixture(scope="module")
def plain(pipe, mnist_5k):
    images = binarize_images(mnist_5k["test"].images[:NUM_IMAGES])
    return class_log_likelihoods(pipe.model, pipe.tokenizer, images).numpy()


def test_classification_is_that_of_plain_sums(result, plain, pipe, mnist_5k, tiny_files):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["weights"], result["dtype"]) == (hash_weights(tiny_files), "float32")
    labels = mnist_5k["test"].labels[:NUM_IMAGES]
    # log of the mean, in a way that does not underflow
    largest = plain.max(axis=1)
    log_marginal = largest + np.log(np.exp(plain - largest[:, None]).mean(axis=1))
    assert result["nats"]["test digits"]["value"] == pytest.approx(-log_marginal.mean(), rel=1e-6)
    log_posterior = plain - math.log(10) - log_marginal[:, None]
    with torch.no_grad():
        pixels = torch.from_numpy(binarize_images(mnist_5k["test"].images[:NUM_IMAGES])).float()[:, None]
        log_p = pipe.classifier(pixels).logits.double().log_softmax(-1).numpy()
    for name, values in (("language_model", log_posterior), ("classifier", log_p)):
        found, answers = result["classification"][name], values.argmax(axis=1)
        assert found["accuracy"]["value"] == pytest.approx(np.mean(answers == labels))
        assert found["accuracy"]["num_samples"] == NUM_IMAGES
        confusion = [[int(((labels == row) & (answers == column)).sum()) for column in range(10)] for row in range(10)]
        assert found["confusion"] == confusion
        assert found["label_nats"]["value"] == pytest.approx(-values[range(NUM_IMAGES), labels].mean(), rel=1e-4)


def test_detection_is_of_every_set_against_the_digits(result):
    fashion = result["detection"]["Fashion-MNIST"]
    assert (fashion["num_samples"], fashion["num_digits"]) == (NUM_OUTLIERS, NUM_IMAGES)
    # digits that look alike upside down are left out on both sides
    all_turned, turned = (result["detection"][f"digits turned by 180°{kind}"] for kind in ("", ", without 0, 1, 8"))
    assert turned["num_samples"] < all_turned["num_samples"] and turned["num_digits"] < all_turned["num_digits"]


def test_area_and_standard_error_are_those_of_hanley_and_mcneil():
    # 109 CT images rated 1 to 5, Hanley and McNeil 1982, table I: area 0.893, standard error 0.032
    abnormal, normal = (np.repeat(np.arange(1.0, 6.0), counts) for counts in ([3, 2, 2, 11, 33], [33, 6, 6, 11, 2]))
    figure = likelihood.measure_auroc(abnormal, normal)
    assert figure["value"] == pytest.approx(0.893, abs=5e-4)
    assert (figure["value"] - figure["interval"][0]) / 1.96 == pytest.approx(0.032, abs=1e-3)
    assert figure["interval"][1] == pytest.approx(2 * figure["value"] - figure["interval"][0])


def test_intervals_by_hand():
    # at the end (α / 2)^(1/n); in the middle the tables of Clopper and Pearson
    for count, total, interval in ((5, 5, [0.025**0.2, 1.0]), (5, 10, [0.1871, 0.8129])):
        figure = likelihood.measure_share(count, total)
        assert (figure["value"], figure["num_samples"]) == (count / total, total)
        assert figure["interval"] == pytest.approx(interval, abs=1e-4)
    # sums 1, 2, 3, 6: deviations −2, −1, 0, 3, variance 14 / 3
    found = likelihood.summarize(np.array([[0.5, 0.5, 0], [1, 1, 0], [1, 1, 1], [6, 0, 0]], dtype=np.float32))
    error = 1.959964 * math.sqrt(14 / 3 / 4)
    assert found["nats_per_image"] == 3.0
    assert found["interval"] == pytest.approx([3 - error, 3 + error], rel=1e-6)


def test_calibration_is_that_of_15_bins():
    probabilities = torch.zeros(4, 10, dtype=torch.float64)
    probabilities[:, :2] = torch.tensor([[1 - 1e-12, 1e-12], [0.96, 0.04], [0.3, 0.7], [0.31, 0.69]])
    found = likelihood.measure_classifier(probabilities.log(), torch.tensor([1, 0, 1, 0]))
    # bins (14/15, 1], where 1 - 1e-12 is 1 in float32: confidence 0.98, half right; (10/15, 11/15]: 0.695, half right
    assert found["calibration_error"]["value"] == pytest.approx(0.5 * 0.48 + 0.5 * 0.195, abs=1e-6)
    assert found["label_nats"]["value"] == pytest.approx(-math.log(1e-12 * 0.96 * 0.7 * 0.31) / 4)


def test_two_classifiers_are_compared_where_they_disagree():
    labels = torch.zeros(20, dtype=torch.int64)
    right, wrong = torch.eye(10, dtype=torch.float64)[[0, 1]]
    # both right 10 times, only the language model once, only the classifier 7 times, neither twice
    ours = likelihood.bayes_log_posterior(
        torch.stack([right] * 10 + [right] + [wrong] * 7 + [wrong] * 2) * 1000 - 2000
    )
    theirs = torch.stack([right] * 10 + [wrong] + [right] * 7 + [wrong] * 2).log_softmax(1)
    found = likelihood.compare_classifiers({"language_model": ours, "classifier": theirs}, labels)
    assert [*found["comparison"].values()][:4] == [10, 1, 7, 2]
    # twice the chance of 0 or 1 heads of 8
    assert found["comparison"]["mcnemar_p"] == pytest.approx(2 * (1 + 8) / 2**8)
    # 1000 nats for another digit are more than a float holds as a probability
    assert found["language_model"]["label_nats"]["value"] == pytest.approx(9 * 1000 / 20)


def test_likelihoods_are_kept_by_weights_images_and_precision_and_a_cut_off_run_goes_on(
    pipe, plain, mnist_5k, tiny_files, tmp_path, monkeypatch
):
    images = binarize_images(mnist_5k["test"].images[:NUM_IMAGES])
    changed = images.copy()
    changed[7, 0, 0] = 1
    weights = likelihood.read_weights(tiny_files, "model")
    assert set(weights) == {"model.safetensors"}  # the classifier has no part in the likelihoods
    computed, limit = [], 10

    def compute(model, tokenizer, shard, batch_size):
        if sum(computed) >= limit:
            raise KeyboardInterrupt
        computed.append(len(shard))
        return class_log_likelihoods(model, tokenizer, shard, batch_size)

    def read(weights=weights, images=images, bf16=False):
        computed.clear()
        values = likelihood.cached_log_likelihoods(pipe.model, weights, "digits", images, bf16, tmp_path)
        return values.numpy(), sum(computed)

    monkeypatch.setattr(likelihood, "class_log_likelihoods", compute)
    with pytest.raises(KeyboardInterrupt):
        read()
    limit = math.inf
    values, num_computed = read()
    assert num_computed == 2
    np.testing.assert_allclose(values, plain, rtol=1e-6)
    assert read({"model.safetensors": "0" * 64})[1] == read(bf16=True)[1] == NUM_IMAGES
    assert read(images=changed)[1] == 5  # the shard of image 7
    assert read()[1] == 0
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"likelihoods-.* must be a safetensors file, got an error; remove"):
        read()


def test_every_model_has_its_row_and_no_baseline_is_fitted_twice(
    tiny_checkpoint, tiny_model, tokenizer, tmp_path, monkeypatch, mnist_5k
):
    stages = [{"train_seconds": 60.0, "num_steps": 3, "num_tokens": 10, "hardware": "an abacus"}] * 2
    write_run(tiny_checkpoint, hash_weights(tiny_checkpoint), stages, {})
    args = arguments("mnist-5k", tiny_checkpoint, tmp_path / "work", num_train_samples=40, num_test_images=12)
    found = likelihood.measure_likelihood(args, TINY)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["rows"]) == [*TINY, "this model"]
    assert (found["dataset"], found["num_train_samples"], found["num_samples"]) == ("mnist-5k", 40, 12)
    monkeypatch.setattr(baselines, "fit_baseline", None)
    assert likelihood.measure_likelihood(args, TINY)["rows"] == found["rows"]

    row = found["rows"]["this model"]
    assert (row["train_seconds"], row["num_tokens"], row["hardware"]) == (120.0, 20, "an abacus")
    test = mnist_5k["test"].first(12, "")
    ids = tokenizer(tokenizer.encode_images(*test), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        log_p = tiny_model(ids).logits.double().log_softmax(-1)
    nats = [-sum(log_p[i, t, ids[i, t + 1]].item() for t in range(151)) for i in range(12)]
    assert row["nats_per_image"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert row["bits_per_pixel"] == pytest.approx(np.mean(nats) / math.log(2) / 900, rel=1e-5)


def test_nats_of_sampled_images_are_those_of_the_mixture_of_classes(
    source, tiny_checkpoint, tiny_model, tokenizer, tmp_path, capsys
):
    options = ["--source", source, "--work", str(tmp_path), "--parts", "literature"]
    likelihood.main([*options, "--sampled_model", str(tiny_checkpoint)])
    test = load_corpus(source, num_train_samples=1, binarization="sampled")["test"]
    likelihoods = class_log_likelihoods(tiny_model, tokenizer, tokenizer.decode_images(test["text"][:])).numpy()
    prior = [3 / 57, *[6 / 57] * 9]
    mixtures = [
        -math.log(sum(share * math.exp(value - max(row)) for share, value in zip(prior, row, strict=True))) - max(row)
        for row in likelihoods
    ]
    given = [-row[label] for row, label in zip(likelihoods, test["label"], strict=True)]
    printed = capsys.readouterr().out
    for name, nats in (("unconditional", mixtures), ("conditional", given)):
        half = 1.959964 * np.std(nats, ddof=1) / 40**0.5
        figures = f"{np.mean(nats):.4f} | {np.mean(nats) - half:.4f} to {np.mean(nats) + half:.4f} | 40 |"
        assert f"| literature: {name}_nats | {figures}" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_test_images", "1"], "`num_test_images` must be 2 or more for an interval, got 1"),
        (["--parts", "generation", "--num_outliers", "1001"], "`num_outliers` must be from 1 to 1000, "),
        (["--parts", "generation", "--model", "EMPTY"], "must be a folder with the weights of a model, got"),
        (["--work", "FILE"], "`work` must be a folder that can be written to, got"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(refusal_of, tmp_path, options, message):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").touch()
    options = [str(tmp_path / option) if option in ("EMPTY", "FILE") else option for option in options]
    argv = ["--source", "mnist-5k", "--work", tmp_path / "work", "--num_train_samples", 10, *options]
    assert message in refusal_of(likelihood, *argv)
    assert not list(tmp_path.rglob("*.safetensors"))
