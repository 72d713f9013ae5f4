"""Batches and files for the event loop: the database in one thread of its own, opened when it is first needed."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime import sqlite_files
from runtime.batch.database import FILE, BatchDatabase
from runtime.conversations.background import Background, QueueFullError
from runtime.wire.api_error import ApiError

_CLOSE_S = 5.0
_RETRY_AFTER_S = 5.0
_Result = TypeVar("_Result")
_log = logging.getLogger("hearth.batch")


class BatchStore:
    """folder: of the state. timeout_s: longest wait for one call, the reading of a whole input file included."""

    def __init__(self, folder: Path, timeout_s: float = 120.0) -> None:
        self.trouble: str | None = None
        self._folder, self._timeout_s = folder, timeout_s
        self._thread = Background("batches")
        self._database: BatchDatabase | None = None

    @property
    def begun(self) -> bool:
        """True if there may be something in it. A box that never had a batch gets no file for looking."""
        return self._database is not None or (self._folder / FILE).exists()

    async def call(self, work: Callable[[BatchDatabase], _Result]) -> _Result:
        """Runs `work` in the database's thread. What it raises itself comes out; ApiError 503 for a fault of the disk."""
        try:
            return await self._thread.call(lambda: work(self._open()), self._timeout_s)
        except (sqlite3.Error, OSError, QueueFullError, TimeoutError) as fault:
            words = f"batches cannot be read or written: {fault or type(fault).__name__}"
            if words != self.trouble:
                _log.warning("%s", words)
            self.trouble = words
            raise ApiError(503, words, "store_unavailable", retry_after=_RETRY_AFTER_S) from fault

    def close(self) -> None:
        """Blocks, for at most five seconds."""

        def close() -> None:
            if self._database is not None:
                self._database.close()

        with contextlib.suppress(QueueFullError):
            self._thread.submit(close)
        self._thread.close(_CLOSE_S)

    def _open(self) -> BatchDatabase:
        """A damaged file is moved aside, never deleted: what stands in it was paid for."""
        if self._database is None:
            try:
                self._database = BatchDatabase(self._folder)
            except sqlite3.DatabaseError as fault:
                if not sqlite_files.damaged(fault):
                    raise
                place = sqlite_files.set_aside(self._folder / FILE)
                _log.error(
                    "batches.sqlite3 was damaged (%s); it was moved to %s and a new one begun", fault, place.name
                )
                self._database = BatchDatabase(self._folder)
            self.trouble = None
        return self._database
