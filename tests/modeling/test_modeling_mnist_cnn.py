# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The classifier and its configuration."""

import copy
import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageClassification
from transformers.modeling_outputs import ImageClassifierOutput

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification


def random_images(number, *, channels=1, size=30):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(2, (number, channels, size, size), generator=generator).float()


def test_default_config():
    config = MnistCnnConfig()
    assert (config.image_size, config.num_channels, config.hidden_sizes) == (30, 1, [32, 64, 128])
    assert config.hidden_dropout_prob == 0.3
    assert config.model_type == "mnist_cnn"


def test_labels_are_the_ten_digits():
    config = MnistCnnConfig()
    assert config.id2label == {label: str(label) for label in range(10)}
    assert config.num_labels == 10


def test_digits_lead_back_to_their_labels():
    assert MnistCnnConfig().label2id == {str(label): label for label in range(10)}


def test_labels_can_be_given():
    assert MnistCnnConfig(num_labels=3).num_labels == 3
    assert MnistCnnConfig(id2label={0: "even", 1: "odd"}).id2label == {0: "even", 1: "odd"}


def test_config_is_the_same_after_saving_and_loading(tmp_path):
    config = MnistCnnConfig(image_size=28, hidden_sizes=(4, 8), hidden_dropout_prob=0.0)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is MnistCnnConfig
    assert (loaded.image_size, loaded.hidden_sizes, loaded.hidden_dropout_prob) == (28, [4, 8], 0.0)
    assert loaded.id2label == {label: str(label) for label in range(10)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, r"image_size is 0, .*allowed are numbers of 1 and more"),
        ({"image_size": -30}, r"image_size is -30, .*allowed are numbers of 1 and more"),
        ({"num_channels": 0}, r"num_channels 0, .*allowed are numbers of 1 and more"),
        ({"hidden_sizes": [8, 0]}, r"hidden_sizes \[8, 0\]; allowed are numbers of 1 and more"),
        ({"hidden_sizes": [-1]}, r"hidden_sizes \[-1\]; allowed are numbers of 1 and more"),
        ({"hidden_sizes": []}, r"hidden_sizes \[\]; allowed are numbers of 1 and more"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob is 1.0; allowed is 0 <= hidden_dropout_prob < 1"),
        ({"hidden_dropout_prob": -0.1}, r"hidden_dropout_prob is -0.1; allowed is 0 <= hidden_dropout_prob < 1"),
        ({"hidden_dropout_prob": float("nan")}, r"hidden_dropout_prob is nan; allowed is 0"),
        ({"hidden_sizes": [4] * 5}, r"hidden_sizes has 5 stages; 30 pixels can't be halved so often"),
    ],
)
def test_config_that_makes_no_model_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MnistCnnConfig(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"hidden_sizes": [4]},
        {"hidden_sizes": [2, 2, 2, 2]},
        {"hidden_sizes": [4, 8], "image_size": 28},
        {"hidden_sizes": [4, 8], "num_channels": 3},
        {"hidden_sizes": [4, 8], "num_labels": 2},
        {"hidden_sizes": [3], "image_size": 2},
    ],
)
def test_logits_are_one_per_image_and_label(arguments):
    config = MnistCnnConfig(**arguments)
    model = MnistCnnForImageClassification(config).eval()
    images = random_images(5, channels=config.num_channels, size=config.image_size)
    output = model(images)
    assert isinstance(output, ImageClassifierOutput)
    assert output.logits.shape == (5, config.num_labels)
    assert output.loss is None


@pytest.mark.parametrize("number", [0, 1])
def test_batches_of_no_and_one_image(tiny_classifier, number):
    assert tiny_classifier(random_images(number)).logits.shape == (number, 10)


def test_loss_is_the_cross_entropy(tiny_classifier):
    images, labels = random_images(6), torch.tensor([0, 9, 3, 3, 1, 7])
    output = tiny_classifier(images, labels=labels)
    expected = -output.logits.log_softmax(-1)[torch.arange(6), labels].mean()
    torch.testing.assert_close(output.loss, expected)
    assert output.loss.requires_grad


def test_return_dict_false_gives_a_tuple(tiny_classifier):
    images, labels = random_images(2), torch.tensor([4, 5])
    named = tiny_classifier(images, labels=labels)
    (logits,) = tiny_classifier(images, return_dict=False)
    loss, logits_beside_loss = tiny_classifier(images, labels=labels, return_dict=False)
    assert torch.equal(logits, named.logits)
    assert torch.equal(logits_beside_loss, named.logits)
    assert torch.equal(loss, named.loss)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30, 30), r"shape \[30, 30\]; allowed is \[B, 1, 30, 30\]"),
        ((1, 30, 30), r"shape \[1, 30, 30\]; allowed is \[B, 1, 30, 30\]"),
        ((2, 3, 30, 30), r"shape \[2, 3, 30, 30\]; allowed is \[B, 1, 30, 30\]"),
        ((2, 1, 28, 28), r"shape \[2, 1, 28, 28\]; allowed is \[B, 1, 30, 30\]"),
        ((2, 1, 30, 31), r"shape \[2, 1, 30, 31\]; allowed is \[B, 1, 30, 30\]"),
        ((1, 2, 1, 30, 30), r"shape \[1, 2, 1, 30, 30\]; allowed is \[B, 1, 30, 30\]"),
    ],
)
def test_images_of_another_shape_are_refused(tiny_classifier, shape, message):
    with pytest.raises(ValueError, match=message):
        tiny_classifier(torch.zeros(shape))


def test_image_is_judged_alone_as_in_a_batch(tiny_classifier):
    images = random_images(4)
    together = tiny_classifier(images).logits
    alone = torch.cat([tiny_classifier(image[None]).logits for image in images])
    torch.testing.assert_close(alone, together)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=[4], hidden_dropout_prob=0.5))
    images = random_images(2)
    model.eval()
    assert torch.equal(model(images).logits, model(images).logits)
    model.train()
    assert not torch.equal(model(images).logits, model(images).logits)


def test_every_parameter_gets_a_gradient():
    model = MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=[4, 8]))
    model(random_images(8), labels=torch.arange(8)).loss.backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not without


def test_saved_and_loaded_model_gives_equal_logits(tmp_path, tiny_classifier):
    # batch norm's running statistics are buffers, which have to travel too
    trained = copy.deepcopy(tiny_classifier).train()
    trained(random_images(32))
    trained.eval().save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    images = random_images(3)
    assert type(loaded) is MnistCnnForImageClassification
    assert not loaded.training
    assert torch.equal(loaded(images).logits, trained(images).logits)
    assert not torch.equal(loaded(images).logits, tiny_classifier(images).logits)


def test_saved_folder_holds_its_code_and_safetensors(tmp_path, tiny_classifier):
    tiny_classifier.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_mnist_cnn.MnistCnnConfig",
        "AutoModelForImageClassification": "modeling_mnist_cnn.MnistCnnForImageClassification",
    }
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "configuration_mnist_cnn.py",
        "model.safetensors",
        "modeling_mnist_cnn.py",
        "weights.py",
    }
