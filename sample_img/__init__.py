"""What `python sample_hf.py` draws with the shipped weights; package data, for cards show these pictures."""
