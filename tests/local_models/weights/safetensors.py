"""Safetensors files for tests: a true head, and numbers that take no room on the disk."""

from __future__ import annotations

import json
from pathlib import Path

_HEAD = 200  # bytes


def safetensors_head(size: int) -> bytes:
    """The beginning of a file of `size` bytes (at least 256); the rest is numbers."""
    numbers = size - 8 - _HEAD
    tensors = {"w": {"dtype": "U8", "shape": [numbers], "data_offsets": [0, numbers]}}
    return _HEAD.to_bytes(8, "little") + json.dumps(tensors).encode().ljust(_HEAD)


def write_safetensors(path: Path, size: int = 1024) -> None:
    """A whole file of exactly `size` bytes, sparse."""
    with path.open("wb") as file:
        file.write(safetensors_head(size))
        file.truncate(size)
