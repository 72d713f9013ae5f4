"""The small file of a Hearth in a fleet: its lasting name, and its view of the others when the store was last heard.

With it a Hearth that starts while the store is away, or finds it emptied, knows what the others held.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

import msgspec

from runtime.whole_file import replace_file


class SharedView(msgspec.Struct):
    """owner: the lasting name, made at random. hearths: how many were alive. others: of each limit, a line of each other."""

    owner: str
    hearths: int = 1
    others: dict[str, dict[str, str]] = {}


class SharedJournal:
    """path: the file. Written only when something has changed; a disk that cannot be written loses the memory alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._last = path.read_bytes()
            self.view = msgspec.json.decode(self._last, type=SharedView)
        except (OSError, msgspec.DecodeError):
            self._last, self.view = b"", SharedView(secrets.token_hex(6))
            self.write()

    def write(self) -> None:
        body = msgspec.json.encode(self.view)
        if body != self._last:
            with contextlib.suppress(OSError):
                replace_file(self._path, body)
                self._last = body
