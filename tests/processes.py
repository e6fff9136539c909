# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Commands in processes of their own, which must not fail."""

import os
import subprocess


def run_process(*command, cwd=None, **environment) -> subprocess.CompletedProcess:
    """Run a command to its end with one thread; what it wrote is text."""
    variables = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **environment}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
