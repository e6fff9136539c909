# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""A page that draws without a server: an engine in C, JavaScript, and the code that writes both with the weights."""

from .writing import check_model, write_page


__all__ = ["check_model", "write_page"]
