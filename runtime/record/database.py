"""The decision file: one SQLite table whose key is the decision's number, bounded by age and by size.

Knows SQL and the file; no thread and no queue. A connection belongs to the thread that opened it.

The number grows with time, so one b-tree serves look-up, order and retention. Rows keep the whole record as JSON; `kinds`
finds them by what filters ask for. The hourly sums (`sums_table`) are written in the transaction of the records they count.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtime import sqlite_files
from runtime.record import kinds, sums_table
from runtime.record.counters import NONE
from runtime.record.decisions import Decision, floor_of, number_of
from runtime.record.kinds import KindIndex
from runtime.record.sums import HourSum, SumKey, Tally
from runtime.record.sums_table import SumsTable, reading

VERSION = 2
_PAGE = 4096
_LEAST_PAGES = 64
_KEEP_SHARE = 0.9  # after pruning; the rest is room before it is needed again
_HIGHEST = (1 << 63) - 1

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS decisions (
      number INTEGER PRIMARY KEY, target TEXT, reason TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL
    )""",
    *kinds.SCHEMA,
    *sums_table.SCHEMA,
)

_decode = msgspec.json.Decoder(Decision).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError)  # of a single row


class DamagedError(Exception):
    """The file is no decision file of this version: corrupt, another kind of file, or a newer layout."""


@dataclass(frozen=True, slots=True)
class Query:
    """A page of decisions, newest first.

    before: a decision id, exclusive. target: a label, or `none` for requests without an answer. statuses: the first and the
    last that count. since, until: unix seconds, the second exclusive. caller: only those of this key's id.
    """

    limit: int = 50
    before: str | None = None
    target: str | None = None
    reason: str | None = None
    statuses: tuple[int, int] | None = None
    caller: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def span(self) -> tuple[int, int]:
        """The numbers of the decisions: from the first, below the second."""
        low = 0 if self.since is None else floor_of(self.since)
        high = _HIGHEST if self.until is None else floor_of(self.until)
        before = _HIGHEST if self.before is None else number_of(self.before) or 0
        return max(0, min(low, _HIGHEST)), max(0, min(high, before))

    def matches(self, decision: Decision) -> bool:
        low, high = self.span
        least, most = self.statuses or (decision.status, decision.status)
        return (
            low <= (number_of(decision.id) or 0) < high
            and self.target in (None, decision.target or NONE)
            and self.reason in (None, decision.reason)
            and least <= decision.status <= most
            and self.caller in (None, decision.caller)
        )

    def where(self) -> tuple[str, list[object]]:
        """The condition on a decision's kind, and its arguments; "" if every kind matches."""
        least, most = self.statuses or (None, None)
        pairs: list[tuple[str, object]] = [
            ("target IS NULL" if self.target == NONE else "target = ?", self.target),
            ("reason = ?", self.reason),
            ("status >= ?", least),
            ("status <= ?", most),
            ("caller = ?", self.caller),
        ]
        kept = [(clause, value) for clause, value in pairs if value is not None]
        return " AND ".join(clause for clause, _ in kept), [value for clause, value in kept if "?" in clause]


class Database:
    """The file, open for writing.

    Raises sqlite3.Error for faults that may pass (a lock, a full disk), DamagedError for those that stay.
    """

    def __init__(self, path: Path, *, max_bytes: int, tally: Tally | None = None) -> None:
        self._most_pages = max(_LEAST_PAGES, max_bytes // _PAGE)
        self._chunk = max(10, min(1000, self._most_pages // 20))  # rows per transaction: new ones get in between
        wal_pages = max(_LEAST_PAGES // 4, min(1000, self._most_pages // 8))
        self._pages_for_data = self._most_pages - 2 * wal_pages  # the log beside the file counts too
        self._db = sqlite3.connect(sqlite_files.private(path), timeout=1.0, isolation_level=None)
        try:
            self._prepare(wal_pages)
            self._kinds, self._sums = KindIndex(self._db), SumsTable(self._db, max_bytes)
            if self._number("PRAGMA user_version") < VERSION:
                self._migrate(tally or Tally())
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
        for statement in _SCHEMA:
            run(statement)
        run("SELECT max(number), body FROM decisions").fetchone()

    def _migrate(self, tally: Tally) -> None:
        """Indexes and adds up the decisions of a file of layout 1, in one transaction: a killed process begins again."""
        sums: dict[SumKey, HourSum] = {}
        with self._transaction():
            for number, target, reason, status, body in self._db.execute("SELECT * FROM decisions"):
                caller = ""
                with contextlib.suppress(*_UNREADABLE):
                    decision = _decode(body)
                    caller = decision.caller
                    if not decision.origin:
                        tally.add(sums, decision)
                self._kinds.add([(number, (target, reason, status, caller))])
            self._sums.add(sums, {})
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def save(
        self, decisions: Iterable[Decision], tally: Tally, opened: Mapping[tuple[int, str], float]
    ) -> list[Exception]:
        """Writes all decisions and what they add to the sums in one transaction; returns why some cannot be encoded.

        A decision that is there already counts no second time. opened: seconds that breakers were open, by hour and label.
        """
        rows: dict[int, tuple[Decision, bytes]] = {}
        faults: list[Exception] = []
        for decision in decisions:
            try:
                number, body = number_of(decision.id), _encode(decision)
            except (*_UNREADABLE, OverflowError) as fault:
                faults.append(fault)
            else:
                rows[number or 0] = decision, body
        sums: dict[SumKey, HourSum] = {}
        with self._transaction():
            marks = ", ".join("?" * len(rows))
            for (known,) in self._db.execute(f"SELECT number FROM decisions WHERE number IN ({marks})", tuple(rows)):
                del rows[known]
            kinds_of = [
                (number, (each.target, each.reason, each.status, each.caller)) for number, (each, _) in rows.items()
            ]
            written = [(number, *kind[:3], rows[number][1]) for number, kind in kinds_of]
            self._db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", written)
            for decision, _ in rows.values():
                tally.add(sums, decision)
            self._kinds.add(kinds_of)
            self._sums.add(sums, opened)
        return faults

    def forget_sums(self, now: float) -> int:
        """Removes sums that are too old or too many. Returns the number of rows."""
        with self._transaction():
            return self._sums.forget(now)

    def forget_before(self, at: float) -> int:
        """Removes decisions older than this unix second. Returns the number of rows."""
        removed, gone = 0, self._chunk
        while gone == self._chunk:
            gone = self._remove("SELECT number FROM decisions WHERE number < ? ORDER BY number LIMIT ?", floor_of(at))
            removed += gone
        self._forget_kinds(removed)
        return removed

    def _forget_kinds(self, removed: int) -> None:
        """Takes removed decisions, always the oldest, out of the index. A killed process does it with the next ones."""
        if removed:
            oldest = self._db.execute("SELECT min(number) FROM decisions").fetchone()[0]
            with self._transaction():
                self._kinds.forget_below(_HIGHEST if oldest is None else oldest)

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
        self._forget_kinds(removed)
        return removed

    def give_back(self) -> None:
        """Returns free pages to the file system."""
        self._db.execute("PRAGMA incremental_vacuum").fetchall()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _number(self, pragma: str) -> int:
        return int(self._db.execute(pragma).fetchone()[0])

    def close(self) -> None:
        self._db.close()


def upgrade(path: Path, max_mb: float, tally: Tally) -> None:
    """Brings a file of an earlier layout to this one; no other process may use it. Raises sqlite3.Error and DamagedError."""
    if path.exists():
        Database(path, max_bytes=int(max_mb) << 20, tally=tally).close()


def read_one(path: Path, id: str, unreadable: Callable[[Exception], None]) -> Decision | None:
    """The decision with this id; None if there is no such record, or no file, or it cannot be decoded."""
    number = number_of(id)
    if number is None or not path.exists():
        return None
    with reading(path) as db:
        return next((each for each in _decoded(db, [number], unreadable) if each.id == id), None)


def read_many(path: Path, query: Query, unreadable: Callable[[Exception], None]) -> tuple[Decision, ...]:
    """A page of decisions. Rows that cannot be decoded are given to `unreadable` and do not count."""
    if not path.exists():
        return ()
    found: list[Decision] = []
    with reading(path) as db:
        for decision in _decoded(db, _numbers(db, query), unreadable):
            if query.matches(decision):
                found.append(decision)
            if len(found) >= query.limit:
                break
    return tuple(found)


def _numbers(db: sqlite3.Connection, query: Query) -> Iterator[int]:
    """Numbers of the decisions that may match, newest first."""
    (low, high), (where, arguments) = query.span, query.where()
    if not where:
        sql = "SELECT number FROM decisions WHERE number >= ? AND number < ? ORDER BY number DESC"
        yield from (number for (number,) in db.execute(sql, (low, high)))
        return
    matching = kinds.matching(db, where, arguments)
    while page := kinds.newest(db, matching, low, high, query.limit):
        yield from page
        high = page[-1]


def _decoded(
    db: sqlite3.Connection, numbers: Iterable[int], unreadable: Callable[[Exception], None]
) -> Iterator[Decision]:
    for number in numbers:
        row = db.execute("SELECT body FROM decisions WHERE number = ?", (number,)).fetchone()
        try:
            if row is not None:
                yield _decode(row[0])
        except _UNREADABLE as fault:
            unreadable(fault)


def damaged(fault: Exception) -> bool:
    """True if the file itself is wrong, so that waiting does not help."""
    return isinstance(fault, DamagedError) or sqlite_files.damaged(fault)
