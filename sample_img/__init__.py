"""What `python sample_hf.py` draws with the shipped weights; package data, for a saved model shows them on its card."""
