# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
import doctest
import importlib

import pytest


class FencedParser(doctest.DocTestParser):
    """Takes the fences of Markdown for what they are; the stock parser takes the last one for output."""

    def parse(self, string, name="<string>"):
        return super().parse(string.replace("```python", "").replace("```", ""), name)


@pytest.mark.parametrize(
    ("module", "num_examples"),
    [
        ("mnist_text_gen.tokenizer.tokenization_mnist_text", 9),
        ("mnist_text_gen.modeling.modeling_mnist_cnn", 4),
        ("mnist_text_gen.modeling.pipeline_mnist_text_generation", 5),
        ("mnist_text_gen.loading", 3),
    ],
)
def test_examples_in_docstrings_run(module, num_examples):
    runner = doctest.DocTestRunner()
    for examples in doctest.DocTestFinder(parser=FencedParser()).find(importlib.import_module(module)):
        runner.run(examples)
    assert (runner.failures, runner.tries) == (0, num_examples)
