"""Small files that are replaced whole: a reader finds the old content or the new, and never a part of one."""

from __future__ import annotations

from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Raises OSError; the file is then as it was."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)
