# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Measure the page without a server: `python docs/web/measure.py speed|texts|nats PAGE [MNIST]`.

PAGE is a folder that `mnist-text-gen-page` wrote of the shipped weights. `speed` needs Debian's `chromium` and a quiet
machine, `texts` and `nats` need `node`; `nats` reads the test images in MNIST, a folder or Hub id.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from mnist_text_gen import load_pipeline
from mnist_text_gen.data import load_images
from mnist_text_gen.modeling import symbol_nats


RUNNER = Path(__file__).parents[2] / "tests" / "page" / "run_engine.js"


def measure_speed(page: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for decoding in ("fast", "exact"):
            seconds, ready = [], []
            for digit in (3, 7, 0, 1, 3):
                tab = browser.new_page()
                tab.set_default_timeout(300_000)
                start = time.perf_counter()
                tab.goto(Path(page, "index.html").resolve().as_uri())
                tab.get_by_text("Choose a digit").wait_for()
                ready.append(time.perf_counter() - start)
                tab.get_by_label("Decoding").select_option(decoding)
                tab.get_by_role("radio", name=str(digit), exact=True).check()
                tab.get_by_role("button", name="Draw", exact=True).click()
                tab.get_by_text("Done: 64 candidates").wait_for()
                words = tab.get_by_role("status").first.inner_text()
                seconds.append(float(words.split(" in ")[1].split()[0]))
                tab.close()
            print(
                f"{decoding}: 64 candidates in {statistics.median(seconds):.1f} s, median of {seconds}; "
                f"ready in {statistics.median(ready):.2f} s",
                flush=True,
            )
        browser.close()


def ask(page: str, mode: str, requests: list) -> list:
    command = ["node", RUNNER, page, mode]
    done = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure_texts(page: str) -> None:
    """64 of each digit from seed 0, and 64 from seed 1: equal texts, and those that the classifier takes."""
    pipe = load_pipeline(device="cpu")
    draws = [(seed, label) for seed in (0, 1) for label in range(10)]
    requests = [
        ["draw", {"labels": [label], "keys": [[seed, label, 0, i] for i in range(64)], "temperature": 0.8}]
        for seed, label in draws
    ]
    candidates = [pipe.sample(label, seed=seed) for seed, label in draws]
    labels = np.repeat([label for _, label in draws], 64)
    accepted = (np.concatenate([found.probabilities for found in candidates]).argmax(1) == labels).sum()
    print(f"python: the classifier takes {accepted} of {len(labels)}", flush=True)
    for mode in ("fast", "exact"):
        found = ask(page, mode, requests)
        probabilities = np.concatenate([drawn["probabilities"] for drawn in found])
        texts = [drawn["texts"] for drawn in found]
        equal = sum(np.sum(np.array(one) == other.texts) for one, other in zip(texts, candidates, strict=True))
        print(
            f"{mode}: takes {(probabilities.argmax(1) == labels).sum()}; {equal} of {len(labels)} texts are Python's"
        )


def measure_nats(page: str, source: str) -> None:
    pipe = load_pipeline(device="cpu")
    images, labels = load_images(source)["test"]
    texts = pipe.tokenizer.encode_images(images[:1000], labels[:1000])
    input_ids = pipe.tokenizer(texts, return_tensors="pt")["input_ids"]
    print(f"torch: {symbol_nats(pipe.model, input_ids).sum(1).mean():.3f} nats per image, {len(texts)} images")
    for mode in ("fast", "exact"):
        nats = [ask(page, mode, [["nats", input_ids[i : i + 64].tolist()]])[0] for i in range(0, len(input_ids), 64)]
        print(f"{mode}: {np.mean(np.concatenate(nats)):.3f}", flush=True)


if __name__ == "__main__":
    {"speed": measure_speed, "texts": measure_texts, "nats": measure_nats}[sys.argv[1]](*sys.argv[2:])
