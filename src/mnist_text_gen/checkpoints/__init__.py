"""The shipped weights with their configurations and records."""

from importlib.resources import files
from pathlib import Path


SHIPPED_CHECKPOINT = Path(__file__).parent / "mnist-text-gen"
SHIPPED_PICTURES = files("mnist_text_gen.sample_img")  # as `python sample_hf.py` draws them
