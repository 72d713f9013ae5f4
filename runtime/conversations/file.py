"""Responses on disk: one SQLite file, bounded in age, number and bytes, in all and for each owner.

Knows SQL; neither threads nor the event loop. Belongs to the thread that opened it. A conversation is a chain of rows by
`previous`. Rows are read back with suspicion: one that cannot be decoded is deleted, and `trouble` says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from runtime.conversations.chain import Chain
from runtime.conversations.limits import StoreLimits
from runtime.dialects.openai_responses.conversation import StoredResponse
from runtime.sqlite_files import private

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, previous TEXT, used REAL NOT NULL,
  size INTEGER NOT NULL, input BLOB NOT NULL, response BLOB NOT NULL, UNIQUE (id, owner)
);
CREATE INDEX IF NOT EXISTS responses_by_use ON responses (used);
CREATE INDEX IF NOT EXISTS responses_by_owner ON responses (owner, used);
CREATE TABLE IF NOT EXISTS items (
  number INTEGER NOT NULL REFERENCES responses ON DELETE CASCADE, id TEXT NOT NULL, item BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS items_by_id ON items (id);
CREATE INDEX IF NOT EXISTS items_by_response ON items (number);
PRAGMA user_version = 1;
"""
_INSERT = "INSERT INTO responses (id, owner, previous, used, size, input, response) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ITEM = """SELECT i.item FROM items i JOIN responses r USING (number)
           WHERE i.id = ? AND r.owner = ? AND r.used >= ? ORDER BY number DESC LIMIT 1"""
# Of turns used in the same moment the newest is dropped first: a conversation never loses its first turn before the others.
_OLDEST = "ORDER BY used, number DESC LIMIT 1"

_raw = msgspec.json.Decoder(msgspec.Raw)


class ResponseFile:
    """clock: unix seconds. Every method raises sqlite3.Error for a fault of the file, and so does opening it; or OSError."""

    def __init__(self, path: Path, clock: Callable[[], float], limits: StoreLimits) -> None:
        self._clock, self._limits = clock, limits
        self._owned: dict[str, tuple[int, int]] = {}  # owner -> responses and bytes
        self.held = (0, 0)  # the same of everybody
        self.trouble: str | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(0o600)
        self._db = sqlite3.connect(private(path), isolation_level=None, timeout=1.0)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                self._db.execute(f"PRAGMA {pragma}")
            if (found := self._db.execute("PRAGMA user_version").fetchone()[0]) > 1:
                raise sqlite3.DatabaseError(f"it is of a newer Hearth: layout {found}, this one knows 1")
            self._db.executescript(_SCHEMA)
            self._count()
        except BaseException:
            self._db.close()
            raise

    def add(self, stored: StoredResponse, owner: str) -> None:
        """Replaces a response of the same id, makes its conversation young, drops what then exceeds the limits."""
        now = self._clock()
        with self._transaction():
            self._remove("id = ? AND owner = ?", stored.id, owner)
            row = (stored.id, owner, stored.previous, now, stored.size, stored.input, stored.response)
            number = self._db.execute(_INSERT, row).lastrowid
            self._add(owner, 1, stored.size)
            items = [(number, name, bytes(item)) for name, item in stored.items.items()]
            self._db.executemany("INSERT INTO items VALUES (?, ?, ?)", items)
            self._drop(owner, now)
        self.trouble = None

    def follow(self, chain: Chain, owner: str) -> None:
        """Walks the chain on, and makes the turns it finds young. Raises ApiError beyond the conversation's limits."""
        found = chain.follow(lambda response_id: self.get(response_id, owner))
        young = [(self._clock(), name, owner) for name in found]
        with self._transaction():
            self._db.executemany("UPDATE responses SET used = ? WHERE id = ? AND owner = ?", young)

    def get(self, response_id: str, owner: str) -> StoredResponse | None:
        """None if there is none, it is too old, or its row cannot be decoded."""
        sql = "SELECT previous, input, response FROM responses WHERE id = ? AND owner = ? AND used >= ?"
        row = self._db.execute(sql, (response_id, owner, self._oldest)).fetchone()
        if row is None:
            return None
        try:
            previous, given, response = row
            stored = StoredResponse(response_id, previous, bytes(given), bytes(response), durable=True)
            _ = stored.items  # decodes everything that will be decoded later
        except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
            self.trouble = f"a stored response could not be decoded and was deleted ({response_id[:100]}: {error})"
            self.remove(response_id, owner)
            return None
        return stored

    def items(self, ids: Sequence[str], owner: str) -> dict[str, bytes]:
        """Item id -> item, of those that are known and can be decoded."""
        found: dict[str, bytes] = {}
        for name in ids:
            row = self._db.execute(_ITEM, (name, owner, self._oldest)).fetchone()
            try:
                if row is not None:
                    found[name] = bytes(_raw.decode(row[0]))
            except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
                self.trouble = f"a stored item could not be decoded and is left out ({name[:100]}: {error})"
        return found

    def remove(self, response_id: str, owner: str) -> bool:
        """False if there was none."""
        with self._transaction():
            return self._remove("id = ? AND owner = ?", response_id, owner)

    def close(self) -> None:
        self._db.close()

    @property
    def _oldest(self) -> float:
        return self._clock() - self._limits.age_s

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. The counts are read again after a fault."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._count()
            raise

    def _count(self) -> None:
        rows = self._db.execute("SELECT owner, count(*), sum(size) FROM responses GROUP BY owner")
        self._owned, self.held = {}, (0, 0)
        for owner, count, size in rows:
            self._add(owner, count, size)

    def _add(self, owner: str, count: int, size: int) -> None:
        """Counts that many more, or less."""
        own_count, own_size = self._owned.get(owner, (0, 0))
        self._owned[owner] = own_count + count, own_size + size
        if not self._owned[owner][0]:
            del self._owned[owner]
        self.held = self.held[0] + count, self.held[1] + size

    def _drop(self, owner: str, now: float) -> None:
        # (1) expired
        self._remove("used < ?", now - self._limits.age_s)
        # (2) the owner's share
        responses, share = self._limits.per_owner
        while (own := self._owned.get(owner)) and (own[0] > responses or own[1] > share):
            self._remove(f"number = (SELECT number FROM responses WHERE owner = ? {_OLDEST})", owner)
        # (3) everything together
        while self.held[0] > self._limits.responses or self.held[1] > self._limits.size:
            self._remove(f"number = (SELECT number FROM responses {_OLDEST})")

    def _remove(self, which: str, *arguments: object) -> bool:
        gone = self._db.execute(f"DELETE FROM responses WHERE {which} RETURNING owner, size", arguments).fetchall()
        for owner, size in gone:
            self._add(owner, -1, -size)
        return bool(gone)
