# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A page that draws without a server: the engine in C, its JavaScript, and what writes both with the weights."""

from .writing import check_model, write_page


__all__ = ["check_model", "write_page"]
