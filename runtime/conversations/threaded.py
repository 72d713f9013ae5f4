"""A database for the event loop: in one thread of its own, opened when it is first needed."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from runtime import sqlite_files
from runtime.conversations.background import Background, QueueFullError
from runtime.wire.api_error import ApiError

_CLOSE_S = 5.0
_RETRY_AFTER_S = 5.0
_OVER_AFTER_S = 30.0


class Closing(Protocol):
    """A database that can be closed."""

    def close(self) -> None: ...


_Result = TypeVar("_Result")
_Database = TypeVar("_Database", bound=Closing)


class ThreadedDatabase(Generic[_Database]):
    """open: opens the file in the state folder, with whatever stands beside it. name: what it holds, in the plural.

    timeout_s: longest wait for one call. trouble: the latest fault; over once a call has succeeded half a minute after it, for
    what can be read cannot always be written.
    """

    def __init__(
        self,
        file: Path,
        open: Callable[[Path], _Database],
        name: str,
        timeout_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: str | None = None
        self._clock, self._failed_at = clock, 0.0
        self._file, self._opens, self._name, self._timeout_s = file, open, name, timeout_s
        self._log = logging.getLogger(f"hearth.{name}")
        self._thread = Background(name)
        self._database: _Database | None = None

    @property
    def begun(self) -> bool:
        """True if there may be something in it. A box that never needed one gets no file for looking."""
        return self._database is not None or self._file.exists()

    async def call(self, work: Callable[[_Database], _Result]) -> _Result:
        """Runs `work` in the database's thread. What it raises itself comes out; ApiError 503 for a fault of the disk."""
        try:
            found = await self._thread.call(lambda: work(self._open()), self._timeout_s)
        except (sqlite3.Error, OSError, QueueFullError, TimeoutError) as fault:
            words = f"{self._name} cannot be read or written: {fault or type(fault).__name__}"
            if words != self.trouble:
                self._log.warning("%s", words)
            self.trouble, self._failed_at = words, self._clock()
            raise ApiError(503, words, "store_unavailable", retry_after=_RETRY_AFTER_S) from fault
        if self.trouble is not None and self._clock() - self._failed_at >= _OVER_AFTER_S:
            self.trouble = None
        return found

    def close(self) -> None:
        """Blocks, for at most five seconds."""

        def close() -> None:
            if self._database is not None:
                self._database.close()

        with contextlib.suppress(QueueFullError):
            self._thread.submit(close)
        self._thread.close(_CLOSE_S)

    def _open(self) -> _Database:
        """A damaged file is moved aside, never deleted: what stands in it was paid for."""
        if self._database is None:
            try:
                self._database = self._opens(self._file.parent)
            except sqlite3.DatabaseError as fault:
                if not sqlite_files.damaged(fault):
                    raise
                place = sqlite_files.set_aside(self._file)
                words = "%s was damaged (%s); it was moved to %s and a new one begun"
                self._log.error(words, self._file.name, fault, place.name)
                self._database = self._opens(self._file.parent)
        return self._database
