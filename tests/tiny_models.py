# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Models small enough to be built in milliseconds."""

import torch
from transformers import GPT2LMHeadModel

from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification, MnistTextTokenizer
from mnist_text_gen.modeling import build_generation_config, build_language_model_config


# A slash, a blank, and an order that is not the alphabet's.
CLASS_NAMES = ("T-shirt/top", "Ankle boot", "Bag")


def build_tiny_model(tokenizer, class_names=None):
    torch.manual_seed(0)
    config = build_language_model_config(tokenizer, class_names, n_embd=16, n_head=2, n_layer=2, initializer_range=0.5)
    model = GPT2LMHeadModel(config).eval()
    model.generation_config = build_generation_config(tokenizer)
    return model


def build_tiny_classifier(**config):
    torch.manual_seed(0)
    return MnistCnnForImageClassification(MnistCnnConfig(hidden_sizes=[4, 8], **config)).eval()


def build_named_checkpoint(folder, image_size=12, class_names=CLASS_NAMES):
    """A folder in the layout of the shipped one, of other classes and images of another size."""
    tokenizer = MnistTextTokenizer(image_size=image_size)
    build_tiny_model(tokenizer, class_names).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    id2label = dict(enumerate(class_names))
    build_tiny_classifier(image_size=image_size, id2label=id2label).save_pretrained(folder / "classifier")
    return folder
