"""A database behind the event loop: its faults in words, and when they are over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runtime.conversations.threaded import ThreadedDatabase
from runtime.wire.api_error import ApiError


class Disk:
    """full: nothing can be written."""

    def __init__(self, _: Path) -> None:
        self.full = False

    def write(self) -> str:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        return "written"

    def read(self) -> str:
        return "read"

    def fill(self) -> None:
        self.full = True

    def empty(self) -> None:
        self.full = False

    def close(self) -> None:
        pass


async def test_a_fault_is_over_half_a_minute_after_its_latest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A read that succeeds between two writes does not end it; it is logged once."""
    now = [0.0]
    store = ThreadedDatabase(tmp_path / "things.sqlite3", Disk, "things", clock=lambda: now[0])
    words = "things cannot be read or written: database or disk is full"
    try:
        assert await store.call(Disk.write) == "written" and str(store.trouble) == "None"
        await store.call(Disk.fill)
        for _ in range(20):
            now[0] += 5
            with pytest.raises(ApiError, match="disk is full"):
                await store.call(Disk.write)
            assert await store.call(Disk.read) == "read"
            assert str(store.trouble) == words
        await store.call(Disk.empty)
        now[0] += 29
        assert await store.call(Disk.write) == "written" and str(store.trouble) == words
        now[0] += 1
        assert await store.call(Disk.read) == "read" and str(store.trouble) == "None"
        assert [record.message for record in caplog.records] == [words]
    finally:
        store.close()
