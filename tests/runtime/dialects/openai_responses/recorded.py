"""Recorded exchanges of this wire with any server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. text: of a stream, with its events; body: of a whole answer."""

    name: str
    request: dict[str, Any]
    text: bytes
    body: bytes


def exchanges(shared: Path) -> list[Exchange]:
    """Exchanges with a whole answer; skips the test if there are none."""
    found = _found(shared / "recordings")
    if not found:
        pytest.skip(f"no recorded responses lie below {shared / 'recordings'}")
    return found


@cache
def _found(folder: Path) -> list[Exchange]:
    files = sorted(folder.glob("*/*.json")) if folder.is_dir() else []
    return [exchange for path in files if path.stat().st_size < 1 << 20 for exchange in _read(path)]


def _read(path: Path) -> Iterator[Exchange]:
    raw = path.read_bytes()
    if b"/responses" not in raw:
        return
    for place, each in enumerate(json.loads(raw).get("interactions", ())):
        request, response = each["request"], each["response"]
        if not request["url"].endswith("/responses") or response["status"] != 200:
            continue
        body = json.dumps(response["body"]).encode() if response.get("body") is not None else b""
        yield Exchange(f"{path.stem} {place}", request["body"], (response.get("text") or "").encode(), body)
