# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
import pytest
from tiny_models import build_tiny_classifier, build_tiny_model

from mnist_text_gen import MnistTextGenerationPipeline, MnistTextTokenizer


@pytest.fixture
def small_pipe():
    """The best 3 of 6 digits of 12×12 pixels, whose texts of 26 tokens are drawn in a fifth of the time."""
    tokenizer = MnistTextTokenizer(image_size=12)
    parts = (build_tiny_model(tokenizer), tokenizer, build_tiny_classifier(image_size=12))
    return MnistTextGenerationPipeline(*parts, device="cpu", num_candidates=6, num_return_sequences=3)
