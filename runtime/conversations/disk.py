"""The file of stored responses and its faults. Opens the file when it is first needed, moves a damaged one aside, and leaves it
alone for a while after any other fault. Used in one thread; `trouble` may be read from anywhere.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import StoreLimits
from runtime.sqlite_files import busy, damaged, set_aside

_QUIET_S = 60.0

_Result = TypeVar("_Result")


class _SetAsideError(Exception):
    """The file was damaged, and is out of the way now."""


class Disk:
    """clock: unix seconds. notice: gets one sentence per fault. rest_s: how long a file that failed is left alone."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        limits: StoreLimits,
        notice: Callable[[str], None],
        rest_s: float = 5.0,
    ) -> None:
        self.trouble: str | None = None
        self._path, self._clock, self._limits = path, clock, limits
        self._notice, self._rest_s = notice, rest_s
        self._file: ResponseFile | None = None
        self._rests_until = self._quiet_until = 0.0
        self._noticed: str | None = None

    def read(self, work: Callable[[ResponseFile], _Result], nothing: _Result) -> _Result:
        """`nothing` if there is no file. Raises sqlite3.Error or OSError if there is one that cannot be read now."""
        if not self._path.exists():
            return nothing
        try:
            found, trouble = self._use(work)
        except _SetAsideError:
            return nothing
        if trouble is not None:
            self.say(trouble)
        return found

    def write(self, work: Callable[[ResponseFile], None]) -> None:
        """Begins a new file in place of a damaged one. Any other fault costs what was to be written; `trouble` says so."""
        try:
            try:
                _, trouble = self._use(work)
            except _SetAsideError:
                _, trouble = self._use(work)
        except (sqlite3.Error, OSError):
            return
        except Exception as error:  # noqa: BLE001 (nobody waits for a write: an exception would be lost)
            trouble = f"a response could not be stored in {self._path} ({error!r})"
        self.say(trouble)

    def say(self, words: str | None) -> None:
        """words: the trouble from now on. The same sentence is noticed once a minute, even if all was well in between."""
        if words is not None and (words != self._noticed or self._clock() >= self._quiet_until):
            self._noticed, self._quiet_until = words, self._clock() + _QUIET_S
            self._notice(words)
        self.trouble = words

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error):
                self._file.close()
            self._file = None

    def _use(self, work: Callable[[ResponseFile], _Result]) -> tuple[_Result, str | None]:
        """The result, and the file's own trouble with its rows."""
        if self._clock() < self._rests_until:
            raise OSError(self.trouble)
        try:
            if self._file is None:
                self._file = ResponseFile(self._path, self._clock, self._limits)
            return work(self._file), self._file.trouble
        except (sqlite3.Error, OSError) as fault:
            self.close()
            if damaged(fault):
                self._move_aside(fault)
                raise _SetAsideError from fault
            self._rests_until = self._clock() + self._rest_s
            why = "is locked by another process" if busy(fault) else f"cannot be used ({fault})"
            self.say(f"{self._path} {why}; responses are kept in memory alone")
            raise

    def _move_aside(self, fault: Exception) -> None:
        """Raises OSError if the folder does not allow it."""
        try:
            place = set_aside(self._path)
        except OSError as refused:
            self._rests_until = self._clock() + self._rest_s
            self.say(
                f"{self._path} is damaged ({fault}) and cannot be moved aside ({refused}); responses are kept in memory alone"
            )
            raise
        self.say(f"{self._path} was damaged ({fault}); it was moved to {place.name} and a new one begun")
