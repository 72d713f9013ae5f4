"""The evaluation is part of the serving core, and brings no numeric library into it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_whole_runtime_loads_neither_numpy_nor_scipy() -> None:
    """In a process of its own."""
    code = "import sys, runtime.compose.runtime; print(*sorted({'numpy', 'scipy'} & sys.modules.keys()))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert made.stdout.strip() == ""
