"""Answers of the responses wire, kept so that a later request can go on from one: bounded in age, number and bytes.

One SQLite table, in memory unless a path is given: prompts and answers reach no disk unasked. A conversation is a chain of rows
by `previous`; whoever goes on from a row makes its whole chain young again, so that a chain never loses its head first. Rows
belong to an owner (whose key asked), and nobody else sees them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from runtime.dialects.openai_responses.conversation import (
    Kept,
    output_of,
    previous_of,
    references,
    resumed,
    unknown,
)
from runtime.wire.raw_body import RawBody

MEMORY = ":memory:"
_DAY_S = 86_400.0
_LONGEST = 10_000  # turns of one conversation

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, previous TEXT, used REAL NOT NULL,
  size INTEGER NOT NULL, input BLOB NOT NULL, response BLOB NOT NULL, UNIQUE (id, owner)
);
CREATE INDEX IF NOT EXISTS responses_by_use ON responses (used);
CREATE TABLE IF NOT EXISTS items (
  number INTEGER NOT NULL REFERENCES responses ON DELETE CASCADE, id TEXT NOT NULL, item BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS items_by_id ON items (id);
CREATE INDEX IF NOT EXISTS items_by_response ON items (number);
"""
_CHAIN = """
WITH RECURSIVE chain (number, id, previous, depth) AS (
  SELECT number, id, previous, 0 FROM responses WHERE id = :id AND owner = :owner
  UNION ALL
  SELECT r.number, r.id, r.previous, c.depth + 1 FROM responses r JOIN chain c ON r.id = c.previous
  WHERE r.owner = :owner AND c.depth < :longest
)
"""

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Bounds:
    """age_s: since a row, or one that goes on from it, was last used. size: bytes of input and answers together."""

    age_s: float = 30 * _DAY_S
    rows: int = 100_000
    size: int = 256 << 20


class ResponseStore:
    """path: the file; None: in memory. clock: unix seconds.

    Calls run in a thread, one at a time. A fault of the file raises sqlite3.Error: the answer was given, it is not kept.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float], bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
        self._db = sqlite3.connect(path or MEMORY, check_same_thread=False, isolation_level=None, timeout=2.0)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._rows, self._size = self._sums()

    async def resume(self, body: RawBody, owner: str = "") -> RawBody:
        """The body with the conversation it goes on from, and with the items it only names.

        Raises BadBody, and ApiError where that conversation is not known.
        """
        previous, named = previous_of(body), references(body)
        if previous is None and not named:
            return body
        history = await self.history(previous, owner) if previous is not None else ()
        if history is None:
            raise unknown(previous or "")
        return resumed(body, history, await self.items(named, owner))

    async def keep(self, kept: Kept, owner: str = "") -> None:
        """An answer under an id that is known already replaces it."""
        await self._run(lambda: self._keep(kept, owner))

    async def history(self, response_id: str, owner: str = "") -> tuple[bytes, ...] | None:
        """All items of the conversation up to and with this response, oldest first; None where a part of it is not known."""
        return await self._run(lambda: self._history(response_id, owner))

    async def items(self, ids: Iterable[str], owner: str = "") -> Mapping[str, bytes]:
        """Those of these items that are known."""
        wanted = tuple(ids)
        return await self._run(lambda: self._items(wanted, owner)) if wanted else {}

    async def response(self, response_id: str, owner: str = "") -> bytes | None:
        return await self._run(lambda: self._column("response", response_id, owner))

    async def input(self, response_id: str, owner: str = "") -> tuple[bytes, ...] | None:
        """The items a response answered, those before it included."""
        return await self._run(lambda: self._input(response_id, owner))

    async def forget(self, response_id: str, owner: str = "") -> bool:
        """False where there was none."""
        return await self._run(lambda: self._forget(response_id, owner))

    @property
    def held(self) -> tuple[int, int]:
        """Rows, and bytes of input and answers."""
        return self._rows, self._size

    def close(self) -> None:
        with self._lock:
            self._db.close()

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.to_thread(self._alone, work)

    def _alone(self, work: Callable[[], _Result]) -> _Result:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                done = work()
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                self._rows, self._size = self._sums()
                raise
            return done

    # in the thread, inside one transaction

    def _keep(self, kept: Kept, owner: str) -> None:
        now = self._clock()
        self._forget(kept.id, owner)
        written = b"[" + b",".join(kept.input) + b"]"
        row = (kept.id, owner, kept.previous, now, len(written) + len(kept.response), written, kept.response)
        insert = "INSERT INTO responses (id, owner, previous, used, size, input, response) VALUES (?, ?, ?, ?, ?, ?, ?)"
        number = self._db.execute(insert, row).lastrowid
        self._rows, self._size = self._rows + 1, self._size + row[4]
        items = [(number, name, item) for name, item in kept.items.items()]
        self._db.executemany("INSERT INTO items VALUES (?, ?, ?)", items)
        self._make_young(kept.id, owner, now)
        self._shed(now)

    def _make_young(self, response_id: str, owner: str, now: float) -> None:
        young = f"{_CHAIN} UPDATE responses SET used = :now WHERE number IN (SELECT number FROM chain)"
        self._db.execute(young, {"id": response_id, "owner": owner, "now": now, "longest": _LONGEST})

    def _shed(self, now: float) -> None:
        """What is too old goes; then the oldest, until the rest fits."""
        bounds = self._bounds
        self._remove("used < ?", now - bounds.age_s)
        while self._rows > bounds.rows or self._size > bounds.size:
            self._remove("number = (SELECT number FROM responses ORDER BY used, number LIMIT 1)")

    def _remove(self, which: str, *arguments: object) -> bool:
        gone = self._db.execute(f"DELETE FROM responses WHERE {which} RETURNING size", arguments).fetchall()
        self._rows, self._size = self._rows - len(gone), self._size - sum(size for (size,) in gone)
        return bool(gone)

    def _sums(self) -> tuple[int, int]:
        rows, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM responses").fetchone()
        return int(rows), int(size)

    def _history(self, response_id: str, owner: str) -> tuple[bytes, ...] | None:
        chain = self._chain(response_id, owner)
        if chain is None:
            return None
        self._make_young(response_id, owner, self._clock())
        return tuple(item for given, response in chain for item in (*_split(given), *output_of(response)))

    def _input(self, response_id: str, owner: str) -> tuple[bytes, ...] | None:
        chain = self._chain(response_id, owner)
        if chain is None:
            return None
        before = (item for given, response in chain[:-1] for item in (*_split(given), *output_of(response)))
        return (*before, *_split(chain[-1][0]))

    def _chain(self, response_id: str, owner: str) -> list[tuple[bytes, bytes]] | None:
        """Input and response of each turn, oldest first; None where one is missing or too old."""
        sql = f"""{_CHAIN} SELECT c.previous, r.used, r.input, r.response FROM chain c
                  JOIN responses r ON r.number = c.number ORDER BY c.depth DESC"""
        rows = self._db.execute(sql, {"id": response_id, "owner": owner, "longest": _LONGEST}).fetchall()
        if not rows or rows[0][0] is not None or rows[0][1] < self._clock() - self._bounds.age_s:
            return None
        return [(given, response) for _, _, given, response in rows]

    def _items(self, ids: tuple[str, ...], owner: str) -> Mapping[str, bytes]:
        sql = "SELECT i.item FROM items i JOIN responses r USING (number) WHERE i.id = ? AND r.owner = ? LIMIT 1"
        found = ((name, self._db.execute(sql, (name, owner)).fetchone()) for name in ids)
        return {name: row[0] for name, row in found if row is not None}

    def _column(self, column: str, response_id: str, owner: str) -> bytes | None:
        sql = f"SELECT {column} FROM responses WHERE id = ? AND owner = ? AND used >= ?"
        row = self._db.execute(sql, (response_id, owner, self._clock() - self._bounds.age_s)).fetchone()
        return None if row is None else bytes(row[0])

    def _forget(self, response_id: str, owner: str) -> bool:
        return self._remove("id = ? AND owner = ?", response_id, owner)


def _split(items: bytes) -> tuple[bytes, ...]:
    return tuple(map(bytes, _raws.decode(items)))
