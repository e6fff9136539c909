# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The classifier and its configuration."""

import copy
import re

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageClassification
from transformers.modeling_outputs import ImageClassifierOutput

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification


def random_images(number, *, channels=1, size=30):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(2, (number, channels, size, size), generator=generator).float()


def test_default_config_is_of_the_ten_digits():
    config = MnistCnnConfig()
    assert (config.model_type, config.image_size, config.num_channels) == ("mnist_cnn", 30, 1)
    assert (config.hidden_sizes, config.hidden_dropout_prob) == ([32, 64, 128], 0.3)
    assert config.id2label == {label: str(label) for label in range(10)}
    assert config.label2id == {str(label): label for label in range(10)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, r"`image_size`, .* must be 1 or more, got 0, "),
        ({"hidden_sizes": [8, -1]}, r"`hidden_sizes` must be 1 or more, .* and \[8, -1\]"),
        ({"hidden_sizes": []}, r"`hidden_sizes` must be 1 or more, .* and \[\]"),
        ({"hidden_sizes": [4] * 5}, r"`hidden_sizes` must have at most 4 stages .*, got 5"),
        ({"hidden_dropout_prob": 1.0}, r"`hidden_dropout_prob` must be at least 0 and below 1, got 1.0"),
        ({"hidden_dropout_prob": float("nan")}, r"`hidden_dropout_prob` must be at least 0 and below 1, got nan"),
    ],
)
def test_config_that_makes_no_model_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MnistCnnConfig(**arguments)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ({}, 5),
        ({"hidden_sizes": [2, 2, 2, 2]}, 1),
        ({"hidden_sizes": [4, 8], "image_size": 28, "num_channels": 3, "num_labels": 2}, 5),
        ({"hidden_sizes": [3], "image_size": 2}, 0),
    ],
)
def test_logits_are_one_per_image_and_label(arguments, number):
    config = MnistCnnConfig(**arguments)
    model = MnistCnnForImageClassification(config).eval()
    output = model(random_images(number, channels=config.num_channels, size=config.image_size))
    assert isinstance(output, ImageClassifierOutput)
    assert output.logits.shape == (number, config.num_labels)
    assert output.loss is None


def test_loss_is_the_cross_entropy(tiny_classifier):
    images, labels = random_images(6), torch.tensor([0, 9, 3, 3, 1, 7])
    output = tiny_classifier(images, labels=labels)
    expected = -output.logits.log_softmax(-1)[torch.arange(6), labels].mean()
    torch.testing.assert_close(output.loss, expected)
    loss, logits = tiny_classifier(images, labels=labels, return_dict=False)
    assert torch.equal(loss, output.loss) and torch.equal(logits, output.logits)


@pytest.mark.parametrize("shape", [(30, 30), (2, 3, 30, 30), (2, 1, 28, 28), (1, 2, 1, 30, 30)])
def test_images_of_another_shape_are_refused(tiny_classifier, shape):
    with pytest.raises(ValueError, match=rf"shape \[B, 1, 30, 30\], got {re.escape(str([*shape]))}"):
        tiny_classifier(torch.zeros(shape))


def test_saved_and_loaded_model_gives_equal_logits(tmp_path, tiny_classifier):
    # batch norm's running statistics are buffers, which have to travel too
    trained = copy.deepcopy(tiny_classifier).train()
    trained(random_images(32))
    trained.eval().save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (type(config), config.hidden_sizes, config.id2label[9]) == (MnistCnnConfig, [4, 8], "9")
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    images = random_images(3)
    assert type(loaded) is MnistCnnForImageClassification
    assert not loaded.training
    assert torch.equal(loaded(images).logits, trained(images).logits)
    assert not torch.equal(loaded(images).logits, tiny_classifier(images).logits)
