"""The shipped weights: weights, configurations and records; the code that runs them is the package's."""

from importlib.resources import files
from pathlib import Path


SHIPPED_CHECKPOINT = Path(__file__).parent / "mnist-text-gen"
SHIPPED_PICTURES = files("mnist_text_gen.sample_img")  # what `python sample_hf.py` draws with them
