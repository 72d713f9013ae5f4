"""The tables of sums in the decision file: written in the caller's transaction, read by window, bounded in rows.

Knows SQL. Sums outlive the records: they are kept for 400 days, or as long as they fit in an eighth of the file. An hour
in which more than 2,000 of them begin (somebody makes up model names) adds the rest up under `other`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from runtime.record.counters import BUCKETS_S, OTHER
from runtime.record.sums import COUNTS, ON_BOX, HourSum, SumKey

KEPT_S = 400 * 86_400
_MOST_AN_HOUR = 2000
_ROW_BYTES = 250
_SHARE = 8  # of the file's bytes, the sums may take one part of so many
_HOURS_AT_HAND = 3

_TIMES = tuple(f"ttft_{number}" for number in range(len(BUCKETS_S) + 1))
_AMOUNTS = (*COUNTS, *_TIMES)
_KEY = SumKey._fields
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS baselines (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
    f"""CREATE TABLE IF NOT EXISTS sums (
      start INTEGER, {", ".join(f"{name} TEXT" for name in _KEY[1:-1])}, baseline INTEGER,
      {", ".join(f"{name}_n INTEGER NOT NULL" for name in _AMOUNTS)}, PRIMARY KEY ({", ".join(_KEY)})
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS open_breakers (
      start INTEGER, target TEXT, seconds REAL NOT NULL, PRIMARY KEY (start, target)
    ) WITHOUT ROWID""",
)
_ADD = (
    f"INSERT INTO sums VALUES ({', '.join('?' * (len(_KEY) + len(_AMOUNTS)))}) ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name}_n = {name}_n + excluded.{name}_n" for name in _AMOUNTS)
)
_ADD_OPEN = "INSERT INTO open_breakers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds"


class SumRow(NamedTuple):
    """names: the values of what was grouped by. local: of the box's own engine. baseline: its JSON, "" for none."""

    names: tuple[str | int, ...]
    local: bool
    baseline: str
    sums: HourSum


class SumsTable:
    """The tables, for writing. most_bytes: the size of the whole file, of which they take a part."""

    def __init__(self, db: sqlite3.Connection, most_bytes: int, most_an_hour: int = _MOST_AN_HOUR) -> None:
        self._db = db
        self._most_rows = max(_MOST_AN_HOUR, most_bytes // _SHARE // _ROW_BYTES)
        self._most_an_hour = most_an_hour
        self._hours: dict[int, set[SumKey]] = {}
        self._baselines: dict[str, int] = {"": 0}

    def add(self, sums: Mapping[SumKey, HourSum], opened: Mapping[tuple[int, str], float]) -> None:
        """Adds amounts to what is there. opened: seconds that breakers were open, by hour and label."""
        rows = [
            (*key[:-1], self._baseline(key.baseline), *[getattr(each, name) for name in COUNTS], *each.first_tokens)
            for key, each in ((self._bounded(key), each) for key, each in sums.items())
        ]
        self._db.executemany(_ADD, rows)
        self._db.executemany(_ADD_OPEN, [(*key, seconds) for key, seconds in opened.items()])

    def forget(self, now: float) -> int:
        """Removes what is too old, and the oldest hours of what is too much. Returns the number of rows."""
        removed = 0
        for table in ("sums", "open_breakers"):
            removed += self._db.execute(f"DELETE FROM {table} WHERE start < ?", (int(now) - KEPT_S,)).rowcount
            over = self._db.execute(
                f"SELECT start FROM {table} ORDER BY start DESC LIMIT 1 OFFSET ?", (self._most_rows,)
            )
            if oldest := over.fetchone():
                removed += self._db.execute(f"DELETE FROM {table} WHERE start <= ?", oldest).rowcount
        return removed

    def _bounded(self, key: SumKey) -> SumKey:
        """The key under which a sum is kept: names beyond the hour's bound are `other`."""
        known = self._hours.get(key.start)
        if known is None:
            found = self._db.execute(f"SELECT {', '.join(_KEY[:-1])} FROM sums WHERE start = ?", (key.start,))
            known = self._hours[key.start] = {SumKey._make((*row, "")) for row in found}
            if len(self._hours) > _HOURS_AT_HAND:
                del self._hours[next(iter(self._hours))]
        plain = key._replace(baseline="")
        if plain not in known and len(known) >= self._most_an_hour:
            plain = plain._replace(model=OTHER, caller=OTHER)
            if plain not in known and len(known) >= 2 * self._most_an_hour:
                target = f"{ON_BOX}{OTHER}" if plain.target.startswith(ON_BOX) else OTHER
                plain = plain._replace(target=target, route=OTHER, reason=OTHER)
        known.add(plain)
        return plain._replace(baseline=key.baseline)

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


def sums_of(db: sqlite3.Connection, since: float, until: float, by: Sequence[str]) -> list[SumRow]:
    """The sums of the hours that begin in [since, until), unix seconds. by: fields of `SumKey`."""
    if unknown := set(by) - set(_KEY):
        raise ValueError(f"no field of a sum: {min(unknown)}")
    amounts = ", ".join(f"sum({name}_n)" for name in _AMOUNTS)
    groups = ", ".join((*by, "box", "baseline"))
    rows = f"SELECT *, target LIKE '{ON_BOX}%' AS box FROM sums WHERE start >= ? AND start < ?"
    sql = f"""SELECT {groups}, {amounts} FROM ({rows})
      GROUP BY {groups} ORDER BY {groups}"""
    texts = dict(db.execute("SELECT id, body FROM baselines"))
    found = []
    for row in db.execute(sql, (since, until)):
        names, (box, baseline), amounts_read = row[: len(by)], row[len(by) : len(by) + 2], row[len(by) + 2 :]
        counts, times = amounts_read[: len(COUNTS)], amounts_read[len(COUNTS) :]
        made = HourSum(**dict(zip(COUNTS, counts, strict=True)), first_tokens=list(times))
        found.append(SumRow(names, bool(box), texts.get(baseline, ""), made))
    return found


def opened_of(db: sqlite3.Connection, since: float, until: float) -> list[tuple[int, str, float]]:
    """Hour, label and seconds of the breakers that were open."""
    sql = "SELECT start, target, seconds FROM open_breakers WHERE start >= ? AND start < ? ORDER BY start"
    return db.execute(sql, (since, until)).fetchall()
