# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The card and the record of a run: figures stay with the weights that they were measured on."""

import json
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from transformers import pipeline

from mnist_text_gen import MnistTextGenerationPipeline
from mnist_text_gen.commands import train_classifier, train_hf
from mnist_text_gen.publishing import (
    CARD_FILE,
    GENERATED,
    PICTURES_FOLDER,
    RUN_FILE,
    build_model_card,
    hash_weights,
    read_run,
    write_quality,
    write_run,
)
from mnist_text_gen.publishing.model_card import escape_markdown
from mnist_text_gen.training.run import _earlier_stages


STAGE = {"description": "20 images, somehow", "recipe": "Adam, 0.1", "dataset": "ylecun/mnist"}
STAGE |= {"num_train_samples": 20, "train_seconds": 90.0, "hardware": "3 CPU cores"}
RESULTS = {
    "image_nats": {"value": 12.25, "num_samples": 1000, "dataset": "ylecun/mnist"},
    "bits_per_pixel": {"value": 0.0198, "num_samples": 1000, "dataset": "ylecun/mnist"},
    "class_agreement": {"value": 0.5, "num_samples": 640},
}


@pytest.fixture
def recorded(tiny_checkpoint):
    """A checkpoint with a record of both models, and pictures."""
    write_run(tiny_checkpoint, hash_weights(tiny_checkpoint), [STAGE], RESULTS)
    classifier = tiny_checkpoint / "classifier"
    accuracy = {"accuracy": {"value": 0.75, "num_samples": 8, "dataset": "ylecun/mnist"}}
    write_run(classifier, hash_weights(classifier), [{**STAGE, "description": "for the judge"}], accuracy)
    (tiny_checkpoint / PICTURES_FOLDER).mkdir()
    for digit in range(10):
        (tiny_checkpoint / PICTURES_FOLDER / f"{digit}.png").write_bytes(b"picture")
    return tiny_checkpoint


def load(folder):
    # a folder with code of its own needs trust, or the class that is to be used instead
    return pipeline("mnist-text-gen", str(folder), pipeline_class=MnistTextGenerationPipeline, device="cpu")


def test_record_comes_back_as_it_was_written(recorded, tmp_path):
    write_run(tmp_path, {}, [{"description": "a  [ 1,  2 ]", "curve": [0.5, None], "sizes": []}], {})
    assert read_run(tmp_path)["training"] == [{"description": "a  [ 1,  2 ]", "curve": [0.5, None], "sizes": []}]
    shutil.copytree(recorded / "classifier", recorded / "checkpoint-4")  # whose weights are not published
    run = read_run(recorded)
    assert run == {"weights": hash_weights(recorded), "training": [STAGE], "results": RESULTS}
    assert set(run["weights"]) == {"model.safetensors", "classifier/model.safetensors"}


def test_card_says_how_the_training_went_where_it_is_recorded(recorded):
    course = {"num_tokens": 3040, "tokens_per_second": 1234.5, "train_nats_per_image": 45.678, "dropout": 0.0}
    write_run(recorded, hash_weights(recorded), [{**STAGE, **course}], RESULTS)
    expected = "20 images, somehow; 3,040 tokens, 1,234 per second, 45.68 nats per training image at the end"
    card = build_model_card(recorded)
    assert f"- Language model: {expected}\n" in card and "dropout 0.1 (0 in training) |" in card


def test_record_of_other_weights_is_none(recorded):
    path = recorded / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert read_run(recorded) == {}
    assert read_run(recorded / "classifier")["results"]["accuracy"]["value"] == 0.75
    assert read_run(recorded.parent) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"weights": {}}', '{"weights": [], "training": [], "results": {}}'])
def test_what_is_no_record_is_refused_by_name(recorded, content):
    (recorded / RUN_FILE).write_text(content)
    with pytest.raises(ValueError, match=RUN_FILE):
        read_run(recorded)


def test_saved_pipeline_takes_record_pictures_and_card_along(recorded, tmp_path):
    load(recorded).save_pretrained(tmp_path / "saved")
    for name in (RUN_FILE, f"classifier/{RUN_FILE}", f"{PICTURES_FOLDER}/7.png"):
        assert (tmp_path / "saved" / name).read_bytes() == (recorded / name).read_bytes()
    assert (tmp_path / "saved" / CARD_FILE).read_text() == build_model_card(recorded)


def test_figures_and_pictures_stay_behind_when_the_weights_change(recorded, tmp_path):
    draw = load(recorded)
    draw.model.transformer.wpe.weight.data[0, 0] += 1
    # what an earlier save of the old weights left there goes too
    shutil.copytree(recorded, tmp_path / "saved")
    draw.save_pretrained(tmp_path / "saved")
    card = (tmp_path / "saved" / CARD_FILE).read_text()
    assert not (tmp_path / "saved" / RUN_FILE).exists()
    assert "12.25" not in card and "20 images, somehow" not in card and "7.png" not in card
    assert "75.00 %" in card and "for the judge" in card


def test_model_that_was_loaded_from_nowhere_has_a_card_without_figures(
    tiny_model, tiny_classifier, tokenizer, tmp_path
):
    MnistTextGenerationPipeline(tiny_model, tokenizer, tiny_classifier).save_pretrained(tmp_path / "saved")
    card = (tmp_path / "saved" / CARD_FILE).read_text()
    assert "model-index" not in card and "nats per image" not in card
    assert not (tmp_path / "saved" / RUN_FILE).exists()


def test_saving_in_place_keeps_the_record_and_a_card_that_somebody_wrote_and_no_generated_one(recorded):
    before = (recorded / RUN_FILE).read_bytes()
    (recorded / CARD_FILE).write_text("mine")
    load(recorded).save_pretrained(recorded)
    assert (recorded / CARD_FILE).read_text() == "mine"
    (recorded / CARD_FILE).write_text(f"outdated\n{GENERATED}\n")
    load(recorded).save_pretrained(recorded)
    row = "| nats per image | – | **12.25** (0.0198 bits per pixel), 1,000 test images |"
    assert row in (recorded / CARD_FILE).read_text() and "outdated" not in (recorded / CARD_FILE).read_text()
    assert (recorded / RUN_FILE).read_bytes() == before


def test_card_has_the_figures_of_the_record_in_index_and_tables(recorded):
    card = build_model_card(recorded, tags=["more"], repo_id="you/digits")
    data = ModelCard(card).data
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {"image_nats": 12.25, "bits_per_pixel": 0.0198, "class_agreement": 0.5, "accuracy": 0.75}
    names = {result.metric_type: result.dataset_name for result in data.eval_results}
    assert (names["image_nats"], names["class_agreement"]) == ("MNIST", "digits drawn by this model")
    assert data.datasets == ["ylecun/mnist"] and "more" in data.tags and data.license == "apache-2.0"
    assert {widget["text"] for widget in data.widget} == {"7", "3"}
    assert "| training time | about 40 minutes on an RTX 3060 | 2 minutes on 3 CPU cores |" in card
    assert "**50.00 %** of 640" in card and "**75.00 %** right, of 8 images" in card
    assert 'model="you/digits"' in card and "<this repository>" not in card
    assert "[MNIST](https://huggingface.co/datasets/ylecun/mnist)" in card and f"{PICTURES_FOLDER}/3.png" in card
    config = json.loads((recorded / "config.json").read_text())
    assert f"d_model {config['n_embd']}, {config['n_head']} heads, {config['n_layer']} layers" in card
    (recorded / PICTURES_FOLDER / "3.png").unlink()
    assert PICTURES_FOLDER not in build_model_card(recorded)


def test_card_and_index_have_the_main_figures_of_the_quality(recorded):
    before = build_model_card(recorded)
    assert "How good the digits are" not in before
    agreement = {"class_agreement": 0.9871, "interval": [0.98, 0.99], "num_samples": 8000}
    distance = {"frechet_distance": 0.25, "interval": [0.2, 0.3], "floor": 0.125, "num_samples": 7000}
    best = {"class_agreement": {**agreement, "class_agreement": 0.9991}}
    score = {"accuracy": 0.9654, "interval": [0.96, 0.97], "num_samples": 6000}
    right = {"value": 0.9868, "interval": [0.98, 0.99], "num_samples": 5000}
    quality = {
        "samples": {"0.8": {"raw": {"class_agreement": agreement, "frechet_distance": distance}, "best": best}},
        "accuracy_score": {"raw, temperature 1": score},
        "generation": {"dataset": "ylecun/mnist", "classification": {"language_model": {"accuracy": right}}},
    }
    write_quality(recorded, hash_weights(recorded), quality)
    card = build_model_card(recorded)
    for expected in (
        "| **98.71 %** | 98.00 to 99.00 | 8,000 |",
        "| **99.91 %** | 98.00 to 99.00 | 8,000 |",
        "temperature 0.8, real against real 0.125 | **0.25** | 0.2 to 0.3 | 7,000 |",
        "raw, temperature 1 | **96.54 %** | 96.00 to 97.00 | 6,000 |",
        "| **98.68 %** | 98.00 to 99.00 | 5,000 |",
    ):
        assert expected in card
    indexed = sorted((result.metric_type, result.metric_value) for result in ModelCard(card).data.eval_results)
    assert indexed == [
        *(("accuracy", 0.75), ("class_agreement", 0.9871), ("class_agreement", 0.9991)),
        *(("frechet_distance", 0.25), ("image_nats", 12.25)),
    ]
    write_quality(recorded, {"model.safetensors": "of others"}, quality)
    assert build_model_card(recorded) == before


def test_training_on_images_of_ones_own_says_nothing_of_mnist(recorded):
    for folder in (recorded, recorded / "classifier"):
        write_run(folder, hash_weights(folder), [{**STAGE, "dataset": None, "train_seconds": None}], {})
    card = build_model_card(recorded)
    assert "Training data" not in card and "training time" not in card
    assert "datasets" not in yaml.safe_load(card.split("---\n")[1])


def test_file_in_place_of_a_folder_is_refused(recorded):
    with pytest.raises(ValueError, match=r"`save_directory` must be a folder, got '.*config.json', a file"):
        load(recorded).save_pretrained(recorded / "config.json")


def test_training_begun_with_weights_without_a_record_says_so_and_gives_no_time(recorded):
    stages = [*_earlier_stages("owner/name"), STAGE]
    write_run(recorded, hash_weights(recorded), stages, {})
    card = build_model_card(recorded)
    assert "weights whose training is not recorded" in card and "training time" not in card
    assert _earlier_stages(None) == []
    write_run(recorded, hash_weights(recorded), [STAGE], {})
    assert _earlier_stages(str(recorded)) == [STAGE]


@pytest.mark.parametrize("command", [train_hf, train_classifier])
def test_weights_that_are_cut_short_are_named(command, recorded, refusal_of, tmp_path):
    folder = recorded if command is train_hf else recorded / "classifier"
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    options = ["--dataset_name", "mnist-5k", "--num_train_samples", "4", "--num_eval_samples", "4", "--use_cpu"]
    line = refusal_of(command, *options, "--model_name_or_path", folder, "--output_dir", tmp_path / "out")
    assert f"model_name_or_path '{folder}' must be" in line and "SafetensorError" in line


@pytest.fixture
def recorded_named(named_files, tmp_path):
    """A checkpoint of three named classes with pictures."""
    folder = shutil.copytree(named_files, tmp_path / "named")
    write_run(folder, hash_weights(folder), [{**STAGE, "dataset": "you/clothes"}], {})
    (folder / PICTURES_FOLDER).mkdir()
    for label in range(3):
        (folder / PICTURES_FOLDER / f"{label}.png").write_bytes(b"picture")
    return folder


def test_card_of_named_classes_says_their_names_and_size(recorded_named):
    card = ModelCard(build_model_card(recorded_named, repo_id="you/clothes"))
    assert [widget["example_title"] for widget in card.data.widget] == ["T-shirt/top", "Ankle boot"]
    for expected in (
        "draws small images of 3 classes as text",
        "has 12×12 pixels in {0, 1}, and six pixels are one symbol. A text has 26 tokens: the class digit, 24 symbols",
        'draw("T-shirt/top", seed=0)[0]["image"]',
        "float `[N, 1, 12, 12]` in {0, 1}, and returns 3 logits",
        "It draws only\nthe classes T-shirt/top, Ankle boot and Bag, in the style of",
    ):
        assert expected in card.text
    rows = [line for line in card.text.splitlines() if "sample_img" in line]
    assert rows == [
        "| ![the best 8 of 64 for T-shirt/top](sample_img/0.png) | ![the best 8 of 64 for Bag](sample_img/2.png) |",
        "| ![the best 8 of 64 for Ankle boot](sample_img/1.png) |  |",
    ]
    assert "digits" not in card.text


def test_names_stand_in_a_card_letter_for_letter(named_files, tmp_path):
    folder = shutil.copytree(named_files, tmp_path / "named")
    for path in (folder / "config.json", folder / "classifier/config.json"):
        config = json.loads(path.read_text())
        config["id2label"] = {"0": "a|b", "1": "<i>*x*", "2": 'say "c"'}
        path.write_text(json.dumps(config))
    write_run(folder, hash_weights(folder), [{**STAGE, "description": "3 classes (a|b, <i>*x*)"}], {})
    card = build_model_card(folder)
    assert r"- Language model: 3 classes (a\|b, \<i\>\*x\*)" in card
    assert "the classes " + r"a\|b, \<i\>\*x\* and say " + '"c", in the style' in card
    assert 'draw("a|b", seed=0)' in card


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a &lt;b&gt; ~~no~~ $x$", r"a \&lt;b\&gt; \~\~no\~\~ \$x\$"),
        ("https://a.b www.a.b me@a.b", "https:<!-- -->//a.b www<!-- -->.a.b me@<!-- -->a.b"),
        ("T-shirt/top a: b|c\x1b[31m", r"T-shirt/top a: b\|c\\x1b\[31m"),
    ],
)
def test_a_name_is_no_markup(text, escaped):
    assert escape_markdown(text) == escaped
