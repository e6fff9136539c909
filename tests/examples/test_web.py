# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The ONNX files in transformers.js, in Node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from transformers import GPT2LMHeadModel


FOLDER = Path(__file__).parents[2] / "examples" / "web"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node: apt-get install nodejs npm")
@pytest.mark.skipif(
    not (FOLDER / "node_modules").is_dir(), reason="there is no transformers.js: npm ci --prefix examples/web"
)
def test_transformers_js_generates_the_ids_of_torch(tiny_onnx, tiny_files, tokenizer):
    digits = list("0123456789")
    done = subprocess.run(
        ["node", FOLDER / "generate.mjs", tiny_onnx, *digits], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    model = GPT2LMHeadModel.from_pretrained(tiny_files).eval()
    inputs = tokenizer(digits, return_tensors="pt")
    expected = [up_to_end(ids) for ids in model.generate(**inputs, do_sample=False).tolist()]
    assert len({tuple(ids) for ids in expected}) == 10 and max(map(len, expected)) > 50
    assert [result["ids"] for result in found] == expected
    assert [result["text"] for result in found] == tokenizer.batch_decode(expected)


def up_to_end(ids):
    return ids[: ids.index(74) + 1] if 74 in ids else ids
