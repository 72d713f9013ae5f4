"""The tables of sums in the decision file: written in the caller's transaction, read by window, bounded in rows.

Knows SQL. Four sums are kept of each hour, by target and reason, by model, by key and by route, and not one by all of
these together, which would have as many rows as there are combinations. Sums outlive the records: they are kept for 400
days, or as long as they fit in an eighth of the file. An hour with more than 1,000 names of one sort (somebody makes up
model names) adds the rest up under `other`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from operator import add
from pathlib import Path
from typing import NamedTuple

from runtime.record.counters import BUCKETS_S, OTHER
from runtime.record.sums import COUNTS, ON_BOX, HourSum, SumKey

KEPT_S = 400 * 86_400
_MOST_NAMES = 1000
_ROW_BYTES = 150
_SHARE = 8  # of the file's bytes, the sums may take one part of so many
_HOURS_AT_HAND = 3

SORTS = ("target", "model", "key", "route")
_TIMES = tuple(f"ttft_{number}" for number in range(len(BUCKETS_S) + 1))
_AMOUNTS = (*COUNTS, *_TIMES)
_KEY = ("start", "sort", "name", "reason", "box", "baseline")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS baselines (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
    f"""CREATE TABLE IF NOT EXISTS hourly_sums (
      start INTEGER, sort TEXT, name TEXT, reason TEXT, box INTEGER, baseline INTEGER,
      {", ".join(f"{name}_n INTEGER NOT NULL" for name in _AMOUNTS)}, PRIMARY KEY ({", ".join(_KEY)})
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS open_breakers (
      start INTEGER, target TEXT, seconds REAL NOT NULL, PRIMARY KEY (start, target)
    ) WITHOUT ROWID""",
)
_ADD = f"""INSERT INTO hourly_sums VALUES ({", ".join("?" * (len(_KEY) + len(_AMOUNTS)))})
  ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {", ".join(f"{name}_n = {name}_n + excluded.{name}_n" for name in _AMOUNTS)}"""
_ADD_OPEN = "INSERT INTO open_breakers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds"


class _RowKey(NamedTuple):
    """sort: one of `SORTS`. reason: "" but for targets. box: the box's own engine. baseline: its number."""

    start: int
    sort: str
    name: str
    reason: str
    box: bool
    baseline: int


class SumRow(NamedTuple):
    """day, name, reason: "" where the reader did not group by them. local: of the box's own engine. baseline: its JSON, ""
    for none.
    """

    day: str
    name: str
    reason: str
    local: bool
    baseline: str
    sums: HourSum


class SumsTable:
    """The tables, for writing. most_bytes: of the whole file, of which they take a part. most_names: of a sort, in an hour."""

    def __init__(self, db: sqlite3.Connection, most_bytes: int, most_names: int = _MOST_NAMES) -> None:
        self._db = db
        self._most_rows = max(_MOST_NAMES, most_bytes // _SHARE // _ROW_BYTES)
        self._most_names = most_names
        self._names: dict[tuple[int, str], set[str]] = {}
        self._baselines: dict[str, int] = {"": 0}

    def add(self, sums: Mapping[SumKey, HourSum], opened: Mapping[tuple[int, str], float]) -> None:
        """Adds amounts to what is there. opened: seconds that breakers were open, by hour and label."""
        rows: dict[_RowKey, list[int]] = {}
        for key, each in sums.items():
            amounts = [*[getattr(each, name) for name in COUNTS], *each.first_tokens]
            box, baseline = key.target.startswith(ON_BOX), self._baseline(key.baseline)
            for sort, name in zip(SORTS, (key.target, key.model, key.caller, key.route), strict=True):
                kept = self._bounded(key.start, sort, name)
                row = _RowKey(key.start, sort, kept, key.reason if sort == "target" else "", box, baseline)
                rows[row] = list(map(add, rows[row], amounts)) if row in rows else amounts
        self._db.executemany(_ADD, [(*row, *amounts) for row, amounts in rows.items()])
        self._db.executemany(_ADD_OPEN, [(*key, seconds) for key, seconds in opened.items()])

    def forget(self, now: float) -> int:
        """Removes what is too old, and the oldest hours of what is too much. Returns the number of rows."""
        removed = 0
        for table in ("hourly_sums", "open_breakers"):
            removed += self._db.execute(f"DELETE FROM {table} WHERE start < ?", (int(now) - KEPT_S,)).rowcount
            over = self._db.execute(
                f"SELECT start FROM {table} ORDER BY start DESC LIMIT 1 OFFSET ?", (self._most_rows,)
            )
            if oldest := over.fetchone():
                removed += self._db.execute(f"DELETE FROM {table} WHERE start <= ?", oldest).rowcount
        return removed

    def _bounded(self, start: int, sort: str, name: str) -> str:
        """The name under which a sum is kept: those beyond the hour's bound are `other`."""
        known = self._names.get((start, sort))
        if known is None:
            sql = "SELECT DISTINCT name FROM hourly_sums WHERE start = ? AND sort = ?"
            known = self._names[start, sort] = {row[0] for row in self._db.execute(sql, (start, sort))}
            if len(self._names) > _HOURS_AT_HAND * len(SORTS):
                del self._names[next(iter(self._names))]
        if name not in known and len(known) >= self._most_names:
            return f"{ON_BOX}{OTHER}" if sort == "target" and name.startswith(ON_BOX) else OTHER
        known.add(name)
        return name

    def _baseline(self, text: str) -> int:
        """The number under which a baseline is kept."""
        number = self._baselines.get(text)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO baselines (body) VALUES (?)", (text,))
            number = int(self._db.execute("SELECT id FROM baselines WHERE body = ?", (text,)).fetchone()[0])
            self._baselines[text] = number
        return number


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file for reading alone: several reads in it see one state. Raises sqlite3.Error where there is none."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
    try:
        db.execute("BEGIN")
        yield db
    finally:
        db.close()


def sums_of(
    db: sqlite3.Connection,
    since: float,
    until: float,
    sort: str,
    by: Collection[str],
    day_of: Callable[[int], str] = str,
) -> list[SumRow]:
    """The sums of the hours that begin in [since, until), unix seconds. sort: one of `SORTS`.

    by: those of day, name and reason that rows are kept apart by. day_of: an hour's day.
    """
    groups = {"day": "day(start)", "name": "name", "reason": "reason"}
    columns = [column if name in by else "''" for name, column in groups.items()]
    sql = f"""SELECT {", ".join(columns)}, box, baseline, {", ".join(f"SUM({name}_n)" for name in _AMOUNTS)}
      FROM hourly_sums WHERE start >= ? AND start < ? AND sort = ? GROUP BY 1, 2, 3, 4, 5 ORDER BY MIN(start)"""
    db.create_function("day", 1, day_of, deterministic=True)
    texts = dict(db.execute("SELECT id, body FROM baselines"))
    rows = []
    for day, name, reason, box, baseline, *amounts in db.execute(sql, (since, until, sort)):
        counts, times = amounts[: len(COUNTS)], amounts[len(COUNTS) :]
        made = HourSum(**dict(zip(COUNTS, counts, strict=True)), first_tokens=times)
        rows.append(SumRow(day, name, reason, bool(box), texts.get(baseline, ""), made))
    return rows


def opened_of(db: sqlite3.Connection, since: float, until: float) -> list[tuple[int, str, float]]:
    """Hour, label and seconds of the breakers that were open."""
    sql = "SELECT start, target, seconds FROM open_breakers WHERE start >= ? AND start < ? ORDER BY start"
    return db.execute(sql, (since, until)).fetchall()
