"""The shipped weights, in the Hub's layout."""

from pathlib import Path


SHIPPED_CHECKPOINT = Path(__file__).parent / "mnist-text-gen"
