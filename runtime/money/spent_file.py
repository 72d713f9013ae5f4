"""The file of the budget: settled sums by period and scope, and the reservations that are not settled yet. SQLite, one process.

Written ahead without waiting for the disk's cache: a killed process loses nothing, a power cut at most the last moments.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.sqlite_files import private

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (period TEXT, scope TEXT, micro INTEGER NOT NULL, PRIMARY KEY (period, scope)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsettled (id INTEGER PRIMARY KEY, micro INTEGER NOT NULL, accounts TEXT NOT NULL);
PRAGMA user_version = 1;
"""
_ADD = "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (period, scope) DO UPDATE SET micro = micro + excluded.micro"


class BudgetLine(NamedTuple):
    """period: 2026-11-29 or 2026-11. scope: "" for all targets, else the name of one."""

    period: str
    scope: str


class SpentFile:
    """Methods raise sqlite3.Error and OSError; what could not be settled is settled with the next write that succeeds.

    A damaged file, and one that is removed while it is used, is a fault that stays: beginning a new one would count what was
    spent from zero.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._late: list[tuple[int, Sequence[BudgetLine], int]] = []

    def load(self, oldest: str) -> dict[BudgetLine, int]:
        """The settled sums, after what an earlier process left unsettled was counted in full. oldest: first period kept."""
        with self._opened() as database:
            for micro, accounts in database.execute("SELECT micro, accounts FROM unsettled").fetchall():
                database.executemany(_ADD, [(*each, micro) for each in msgspec.json.decode(accounts)])
            database.execute("DELETE FROM unsettled")
            database.execute("DELETE FROM spent WHERE period < ?", (oldest,))
            rows = database.execute("SELECT period, scope, micro FROM spent").fetchall()
        return {BudgetLine(period, scope): micro for period, scope, micro in rows}

    def reserve(self, id: int, accounts: Sequence[BudgetLine], micro: int) -> None:
        """Writes a reservation, or the new size of one that has grown."""
        with self._opened() as database:
            self._settle(database)
            names = msgspec.json.encode(accounts).decode()
            database.execute("INSERT OR REPLACE INTO unsettled VALUES (?, ?, ?)", (id, micro, names))
        self._late.clear()

    def settle(self, id: int, accounts: Sequence[BudgetLine], micro: int) -> None:
        self._late.append((id, accounts, micro))
        with self._opened() as database:
            self._settle(database)
        self._late.clear()

    def settle_late(self) -> None:
        """Writes what could not be settled before. Raises also if there is nothing and nothing could be written."""
        with self._opened() as database:
            database.execute("UPDATE spent SET micro = micro WHERE period = ''")
            self._settle(database)
        self._late.clear()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _settle(self, database: sqlite3.Connection) -> None:
        for id, accounts, micro in self._late:
            database.executemany(_ADD, [(*each, micro) for each in accounts])
            database.execute("DELETE FROM unsettled WHERE id = ?", (id,))

    def _opened(self) -> sqlite3.Connection:
        """The connection: as a context manager it is one transaction."""
        if self._database is None:
            self._database = self._connected()
            self._inode = self.path.stat().st_ino
        elif self.path.stat().st_ino != self._inode:
            raise OSError("another file stands in its place")
        return self._database

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(private(self.path), timeout=1.0)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if (found := database.execute("PRAGMA user_version").fetchone()[0]) > 1:
                raise sqlite3.DatabaseError(f"it is of a newer Hearth: layout {found}, this one knows 1")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database
