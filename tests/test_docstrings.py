# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
import doctest
import importlib
import re
from pathlib import Path

import pytest

import mnist_text_gen


ROOT = Path(__file__).parent.parent


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


def test_the_index_of_the_docs_lists_the_public_names_with_their_files():
    text = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(\.\./(\S+)\) \|", text, flags=re.MULTILINE))
    assert sorted(rows) == mnist_text_gen.__all__
    for name, path in rows.items():
        assert re.search(rf"^(class|def) {name}\b", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
