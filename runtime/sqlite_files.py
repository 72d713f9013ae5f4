"""SQLite files: their transactions, and their faults: another process holds a file, or it is damaged and moved aside."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


def private(path: Path) -> Path:
    """The path, of a file that its owner alone may read: made so if it is not there, whatever the umask and its folder allow.

    A folder that cannot be written is left to SQLite's own words.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path


def busy(fault: Exception) -> bool:
    """True if another process holds the file: trying again will help."""
    return isinstance(fault, sqlite3.Error) and getattr(fault, "sqlite_errorcode", 0) & 0xFF in _BUSY


def damaged(fault: Exception) -> bool:
    """True if the file is no SQLite file or is corrupt: trying again will not help."""
    return isinstance(fault, sqlite3.DatabaseError) and getattr(fault, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def set_aside(path: Path) -> Path:
    """Moves a damaged file to `NAME.damaged`, over an earlier one: at most one is kept. Returns the new place."""
    place = path.with_name(f"{path.name}.damaged")
    path.replace(place)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return place


class Transaction:
    """Commits at the end of its `with`, or takes everything back. sql: a connection without an isolation level."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        self._sql.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, value: object, at: object) -> None:
        try:
            if kind is None:
                self._sql.execute("COMMIT")
        finally:
            if self._sql.in_transaction:  # on a full disk SQLite takes it back itself, and a second time is an error
                self._sql.execute("ROLLBACK")
