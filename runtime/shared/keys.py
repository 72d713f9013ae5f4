"""Created keys of a whole fleet: what was created, rotated or revoked on one Hearth holds on all, and while the store is away.

The file of each Hearth is its copy. A key's later state wins; a revocation wins over all.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.settings.environment import CREATED_KEYS
from runtime.shared.store import SharedStore, key_of
from runtime.trust.key_store import KeyCopy, KeyStore


class SharedKeys:
    """file: of this Hearth's keys, in folder. changed: puts the keys of the file in force."""

    def __init__(self, store: SharedStore, file: KeyStore, folder: Path, changed: Callable[[], None]) -> None:
        self._store, self._file, self._path, self._changed = store, file, folder / CREATED_KEYS, changed
        self._seen: tuple[str, int] | None = None

    async def turn(self, version: str) -> None:
        """version: of the fleet's keys. Raises StoreAwayError; a file that cannot be used is tried again with the next turn."""
        mark = (version, self._mark())
        if mark == self._seen:
            return
        try:
            copies, peppers = await asyncio.to_thread(self._file.exported)
            rows = {id: msgspec.json.encode(each).decode() for id, each in copies.items()}
            given = msgspec.json.encode({"keys": rows, "peppers": [each.hex() for each in peppers]}).decode()
            names = (key_of("keys"), key_of("keys", "version"), key_of("keys", "peppers"))
            version, stored, theirs = await self._store.call("keys", names, given)
            found = {}
            for id, row in zip(stored[::2], stored[1::2], strict=True):
                with contextlib.suppress(msgspec.DecodeError):  # of a version of Hearth that writes them otherwise
                    found[id] = msgspec.json.decode(row, type=KeyCopy)
            newer = {id: each for id, each in found.items() if id not in copies or copies[id].version < each.version}
            unknown = [bytes.fromhex(each) for each in theirs if bytes.fromhex(each) not in peppers]
            if newer or (unknown and found):
                await asyncio.to_thread(self._file.merge, newer, unknown)
                self._changed()
        except (sqlite3.Error, OSError):
            return
        self._seen = (version, self._mark())

    def _mark(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
