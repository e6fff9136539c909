# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The shipped weights: complete, without code or pickles, and able to draw; and what loads them and others."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from processes import run_process
from transformers import pipeline

from mnist_text_gen import load_pipeline
from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT, SHIPPED_PICTURES
from mnist_text_gen.modeling import build_language_model_config
from mnist_text_gen.tokenizer import VOCAB


ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def shipped():
    return pipeline("mnist-text-gen", device="cpu")


@pytest.fixture(scope="module")
def saved(shipped, tmp_path_factory):
    """The shipped weights as `save_pretrained` writes them, with their code; not to be changed."""
    folder = tmp_path_factory.mktemp("saved") / "shipped"
    shipped.save_pretrained(folder)
    return folder


def test_configuration_is_the_specifications(tokenizer):
    config = json.loads((SHIPPED_CHECKPOINT / "config.json").read_text())
    expected = build_language_model_config(tokenizer).to_diff_dict()
    expected.pop("transformers_version")
    assert {key: config[key] for key in expected} == expected


def test_shipped_folder_holds_weights_configurations_and_records_alone():
    files = [path for path in SHIPPED_CHECKPOINT.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for path in files:
        if path.suffix == ".json":
            # no code, and nothing of the machine
            words = ('"auto_map"', '"custom_pipelines"', "/work", "/home", "/root")
            assert not [word for word in words if word in path.read_text()], path
    assert {path.name for path in SHIPPED_PICTURES.glob("*.png")} == {f"{digit}.png" for digit in range(10)}


def test_code_that_is_saved_is_the_projects(saved):
    # what generate(custom_generate=...) loads has a name that Transformers gives it
    names = {"custom_generate/generate.py": "modeling/predictive_sampling.py"}
    names["custom_generate/cached_gpt2.py"] = "modeling/cached_gpt2.py"
    for folder in ("modeling", "tokenizer"):
        modules = [path.name for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"]
        names |= {name: f"{folder}/{name}" for name in modules}
    for name in ("configuration_mnist_cnn.py", "modeling_mnist_cnn.py", "weights.py"):
        names[f"classifier/{name}"] = f"modeling/{name}"
    found = {path.relative_to(saved).as_posix(): path.read_text() for path in saved.rglob("*.py")}
    assert set(found) == set(names)
    assert [name for name, text in found.items() if text != (ROOT / names[name]).read_text()] == []


def test_every_digit_is_drawn_so_that_the_classifier_reads_it(shipped):
    # 6 candidates of each, all in one block
    labels = list(range(10)) * 6
    candidates = shipped.sample_texts(labels, [(0, label, 0, index) for index, label in enumerate(labels)])
    assert [int(text[0]) for text in candidates.texts] == labels
    best = candidates.scores(labels).reshape(6, 10).max(axis=0)
    assert best.min() > 0.9


def draw_two(pipe):
    results = pipe("3", num_candidates=4, num_return_sequences=2, seed=5)
    return [[result["generated_text"], result["score"]] for result in results]


def test_folders_load_without_trust(tiny_files, tmp_path):
    """One in the layout of the shipped one, one that `save_pretrained` wrote, and an older one with other code."""
    pipe = pipeline("mnist-text-gen", model=str(tiny_files), device="cpu")
    expected = draw_two(pipe)
    assert draw_two(load_pipeline(tiny_files, "cpu")) == expected
    pipe.save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        # Transformers goes by the code that config.json names
        pipeline("mnist-text-gen", model=str(tmp_path / "saved"), trust_remote_code=False)
    assert draw_two(load_pipeline(tmp_path / "saved", "cpu")) == expected
    old = Path(shutil.copytree(tmp_path / "saved", tmp_path / "old"))
    for path in old.rglob("*.py"):
        path.write_text("raise RuntimeError('code beside the weights was run')\n")
    assert draw_two(load_pipeline(old, "cpu")) == expected


@pytest.mark.slow
def test_a_process_without_the_package_draws_the_same(shipped, saved, tmp_path):
    script = (
        "import json, sys\n"
        "sys.modules['mnist_text_gen'] = None\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline\n"
        f"pipe = pipeline(model={str(saved)!r}, trust_remote_code=True, device='cpu')\n"
        "results = pipe('3', num_candidates=4, num_return_sequences=2, seed=5)\n"
        "print(json.dumps([[r['generated_text'], r['score']] for r in results]))\n"
        # and stock classes without trust, also of what is shipped
        f"for folder in ({str(saved)!r}, {str(SHIPPED_CHECKPOINT)!r}):\n"
        "    model = AutoModelForCausalLM.from_pretrained(folder)\n"
        "    tokenizer = AutoTokenizer.from_pretrained(folder)\n"
        "    ids = tokenizer('7:y)')['input_ids']\n"
        "    print(type(tokenizer).__name__, len(tokenizer), ids, model.config.n_positions)\n"
    )
    drawn, *stock = run_process(sys.executable, "-c", script, cwd=tmp_path).stdout.splitlines()
    assert json.loads(drawn) == draw_two(shipped)
    assert stock == [f"TokenizersBackend {len(VOCAB)} [7, 10, 73, 74] 152"] * 2
