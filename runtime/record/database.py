"""The decision file: one SQLite table whose key is the decision's number, bounded by age and by size.

Knows SQL and the file; no thread and no queue. A connection belongs to the thread that opened it.

The number grows with time, so one b-tree serves look-up, order and retention. Rows keep the whole record as JSON beside
the columns that queries filter by. Those have no index: it would add a third to every record's cost, to save a quarter of a
second on the rare filter that finds little in a full file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtime import sqlite_files
from runtime.record.decisions import Decision, floor_of, number_of

VERSION = 1
_PAGE = 4096
_LEAST_PAGES = 64
_KEEP_SHARE = 0.9  # after pruning; the rest is room before it is needed again

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS decisions (
  number INTEGER PRIMARY KEY, target TEXT, reason TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL
);
PRAGMA user_version = {VERSION};
"""

_decode = msgspec.json.Decoder(Decision).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError)  # of a single row


class DamagedError(Exception):
    """The file is no decision file of this version: corrupt, another kind of file, or a newer layout."""


@dataclass(frozen=True, slots=True)
class Query:
    """A page of decisions, newest first.

    before: a decision id, exclusive. failed: only error statuses (400 and above). caller: only those of this key's id.
    """

    limit: int = 50
    before: str | None = None
    target: str | None = None
    reason: str | None = None
    failed: bool = False
    caller: str | None = None

    def matches(self, decision: Decision) -> bool:
        return (
            (self.before is None or decision.id < self.before)
            and (self.target is None or decision.target == self.target)
            and (self.reason is None or decision.reason == self.reason)
            and (not self.failed or decision.status >= 400)
            and (self.caller is None or decision.caller == self.caller)
        )

    def where(self) -> tuple[str, list[object]]:
        """The SQL condition and its arguments."""
        before = None if self.before is None else number_of(self.before) or 0
        pairs = [("number < ?", before), ("target = ?", self.target), ("reason = ?", self.reason)]
        pairs.append(("status >= ?", 400 if self.failed else None))
        # an id is plain ASCII, and inside a JSON string every quote is escaped: these bytes are the member and nothing else
        member = None if self.caller is None else f'"caller":"{self.caller}"'
        pairs.append(("instr(CAST(body AS TEXT), ?)", member))
        kept = [(clause, value) for clause, value in pairs if value is not None]
        return " AND ".join(clause for clause, _ in kept) or "1", [value for _, value in kept]


class Database:
    """The file, open for writing.

    Raises sqlite3.Error for faults that may pass (a lock, a full disk), DamagedError for those that stay.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._most_pages = max(_LEAST_PAGES, max_bytes // _PAGE)
        self._chunk = max(10, min(1000, self._most_pages // 20))  # rows per transaction: new ones get in between
        wal_pages = max(_LEAST_PAGES // 4, min(1000, self._most_pages // 8))
        self._pages_for_data = self._most_pages - 2 * wal_pages  # the log beside the file counts too
        self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            self._prepare(wal_pages)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, wal_pages: int) -> None:
        run = self._db.execute
        run(f"PRAGMA page_size = {_PAGE}")
        run("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: it cannot be turned on later
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA wal_autocheckpoint = {wal_pages}")
        run(f"PRAGMA journal_size_limit = {wal_pages * _PAGE}")
        found = run("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise DamagedError(f"it was written by a newer version (layout {found}, this one knows {VERSION})")
        self._db.executescript(_SCHEMA)
        run("SELECT max(number), body FROM decisions").fetchone()

    def save(self, decisions: Iterable[Decision]) -> list[Exception]:
        """Writes all decisions in one transaction, except those that cannot be encoded; returns why those cannot."""
        rows: list[tuple[object, ...]] = []
        faults: list[Exception] = []
        for decision in decisions:
            try:
                number, body = number_of(decision.id), _encode(decision)
            except (*_UNREADABLE, OverflowError) as fault:
                faults.append(fault)
            else:
                rows.append((number, decision.target, decision.reason, decision.status, body))
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return faults

    def forget_before(self, at: float) -> int:
        """Removes decisions older than this unix second. Returns the number of rows."""
        removed, gone = 0, self._chunk
        while gone == self._chunk:
            gone = self._remove("SELECT number FROM decisions WHERE number < ? ORDER BY number LIMIT ?", floor_of(at))
            removed += gone
        return removed

    def _remove(self, which: str, *arguments: object) -> int:
        return self._db.execute(f"DELETE FROM decisions WHERE number IN ({which})", (*arguments, self._chunk)).rowcount

    def shrink(self) -> int:
        """Removes the oldest while the file is above its size. Returns the number of rows."""
        if self._number("PRAGMA page_count") <= self._pages_for_data:
            return 0
        removed, keep = 0, self._pages_for_data * _KEEP_SHARE
        while self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count") > keep:
            gone = self._remove("SELECT number FROM decisions ORDER BY number LIMIT ?")
            if not gone:
                break
            removed += gone
        return removed

    def give_back(self) -> None:
        """Returns free pages to the file system."""
        self._db.execute("PRAGMA incremental_vacuum").fetchall()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _number(self, pragma: str) -> int:
        return int(self._db.execute(pragma).fetchone()[0])

    def close(self) -> None:
        self._db.close()


def read_one(path: Path, id: str, unreadable: Callable[[Exception], None]) -> Decision | None:
    """The decision with this id; None if there is no such record, or no file, or it cannot be decoded."""
    number = number_of(id)
    if number is None:
        return None
    found = _read(path, "SELECT body FROM decisions WHERE number = ?", (number,), 1, unreadable)
    return found[0] if found else None


def read_many(path: Path, query: Query, unreadable: Callable[[Exception], None]) -> tuple[Decision, ...]:
    """A page of decisions. Rows that cannot be decoded are given to `unreadable` and do not count."""
    where, arguments = query.where()
    sql = f"SELECT body FROM decisions WHERE {where} ORDER BY number DESC"
    return tuple(_read(path, sql, arguments, query.limit, unreadable))


def _read(
    path: Path, sql: str, arguments: Sequence[object], limit: int, unreadable: Callable[[Exception], None]
) -> list[Decision]:
    if not path.exists():
        return []
    found: list[Decision] = []
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
    try:
        for (body,) in db.execute(sql, tuple(arguments)):
            try:
                found.append(_decode(body))
            except _UNREADABLE as fault:
                unreadable(fault)
            if len(found) >= limit:
                break
    finally:
        db.close()
    return found


def damaged(fault: Exception) -> bool:
    """True if the file itself is wrong, so that waiting does not help."""
    return isinstance(fault, DamagedError) or sqlite_files.damaged(fault)
