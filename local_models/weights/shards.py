"""The weight files of a model's folder: those its index names, each there, whole and a safetensors file.

Reads the heads of the files alone. Knows nothing of what the weights are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local_models.weights.errors import NotAModelError

INDEX = "model.safetensors.index.json"
_HEAD_MOST = 100_000_000  # bytes: the format's own limit
_POINTER = b"version https://git-lfs"
_AGAIN = "a download may be unfinished: hearth models pull NAME resumes it"


def weight_bytes(folder: Path) -> int:
    """Bytes of all weight files. Raises NotAModelError for a file that is missing, cut off, or no safetensors file."""
    try:
        return sum(_checked(folder / name) for name in weight_files(folder))
    except OSError as error:
        raise NotAModelError(f"{folder} cannot be read: {error}", "check its files") from error


def weight_files(folder: Path) -> list[str]:
    """The names in the index; without one, every safetensors file but a second copy of the weights ("consolidated")."""
    if (folder / INDEX).is_file():
        try:
            named = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise NotAModelError(f"{folder / INDEX} cannot be read: {error!r}", "fetch the model again") from error
        if not named or not all(isinstance(name, str) and Path(name).name == name for name in named):
            raise NotAModelError(f"{folder / INDEX} does not name files of its folder", "fetch the model again")
        return sorted(named)
    found = sorted(file.name for file in folder.glob("*.safetensors"))
    if not found:
        raise NotAModelError(f"{folder} has no *.safetensors files", _AGAIN)
    return [name for name in found if not name.startswith("consolidated")] or found


def _checked(file: Path) -> int:
    """The file's size. A safetensors file is the length of its head (8 bytes), the head (JSON), and the numbers."""
    if not file.is_file():
        raise NotAModelError(f"{file} is missing", _AGAIN)
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(64)
        length = int.from_bytes(start[:8], "little")
        if start.startswith(_POINTER):
            raise NotAModelError(f"{file} is a Git LFS pointer, not the weights", "in its repository: git lfs pull")
        if len(start) < 9 or not 2 <= length <= _HEAD_MOST or start[8:9] != b"{":
            raise NotAModelError(f"{file} is no safetensors file", "fetch the model again")
        opened.seek(8)
        numbers = _end_of_numbers(opened.read(length))
    if numbers is None:
        raise NotAModelError(f"{file} is no safetensors file", "fetch the model again")
    if size < 8 + length + numbers:
        raise NotAModelError(f"{file} is cut off: it has {size:,} of {8 + length + numbers:,} bytes", _AGAIN)
    return size


def _end_of_numbers(head: bytes) -> int | None:
    """Bytes of all numbers, by the head of a file; None where it is none."""
    try:
        tensors: dict[str, Any] = json.loads(head)
        return max((int(one["data_offsets"][1]) for name, one in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError):
        return None
