"""The index of decisions by kind: each combination of target, reason, status and caller has a number of its own.

There are few kinds and many decisions, so a filter first picks kinds and then reads the newest numbers of each: it costs
the same whether it finds everything or nothing. Knows SQL and no record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

Kind = tuple[str | None, str, int, str]  # target, reason, status, caller

MIXED = 0  # of the rows that came when there were too many kinds: each filter looks at them
_MOST = 5000
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS kinds (
      id INTEGER PRIMARY KEY, target TEXT, reason TEXT NOT NULL, status INTEGER NOT NULL, caller TEXT NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS rows_of_kinds (kind INTEGER, number INTEGER, PRIMARY KEY (kind, number)) WITHOUT ROWID",
)


class KindIndex:
    """The index, for writing in the caller's transaction. most: kinds."""

    def __init__(self, db: sqlite3.Connection, most: int = _MOST) -> None:
        self._db, self._most = db, most
        self._known: dict[Kind, int] = {}
        for id, target, reason, status, caller in db.execute("SELECT id, target, reason, status, caller FROM kinds"):
            self._known[target, reason, status, caller] = id

    def add(self, rows: Iterable[tuple[int, Kind]]) -> None:
        """rows: numbers of decisions, with their kinds."""
        found = []
        for number, kind in rows:
            id = self._known.get(kind, MIXED)
            if id == MIXED and len(self._known) < self._most:
                made = self._db.execute("INSERT INTO kinds (target, reason, status, caller) VALUES (?, ?, ?, ?)", kind)
                id = self._known[kind] = made.lastrowid or MIXED
            found.append((id, number))
        self._db.executemany("INSERT OR IGNORE INTO rows_of_kinds VALUES (?, ?)", found)

    def forget_below(self, number: int) -> None:
        """Removes all rows below a decision's number, and the kinds that have none left."""
        for kind, id in (*self._known.items(), (None, MIXED)):
            self._db.execute("DELETE FROM rows_of_kinds WHERE kind = ? AND number < ?", (id, number))
            left = self._db.execute("SELECT 1 FROM rows_of_kinds WHERE kind = ? LIMIT 1", (id,)).fetchone()
            if kind is not None and left is None:
                self._db.execute("DELETE FROM kinds WHERE id = ?", (id,))
                del self._known[kind]


def matching(db: sqlite3.Connection, where: str, arguments: Sequence[object]) -> list[int]:
    """The numbers of the kinds that a condition on their columns holds for, and `MIXED`."""
    return [MIXED, *(id for (id,) in db.execute(f"SELECT id FROM kinds WHERE {where}", arguments))]


def newest(db: sqlite3.Connection, kinds: Iterable[int], low: int, high: int, limit: int) -> list[int]:
    """The highest numbers of decisions of these kinds in [low, high), highest first, at most `limit`."""
    sql = "SELECT number FROM rows_of_kinds WHERE kind = ? AND number >= ? AND number < ? ORDER BY number DESC LIMIT ?"
    found = [number for kind in kinds for (number,) in db.execute(sql, (kind, low, high, limit))]
    return sorted(found, reverse=True)[:limit]
