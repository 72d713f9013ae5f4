"""The file of batches, and the folder with the contents of files. Used in one thread.

Money was spent for what stands here, so a line's end and the counts of its batch are one transaction, synced to the disk.
A line has an end once and for all: what a second run of it brings is not taken.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from runtime.batch.values import Batch, BatchLine, Counts, LineOutcome, LineResult, StoredFile
from runtime.sqlite_files import Transaction, private

FILE = "batches.sqlite3"
VERSION = 1
_AT_A_TIME = 500
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, owner TEXT NOT NULL, created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, owner TEXT NOT NULL, wire TEXT NOT NULL,
  created_at INTEGER NOT NULL, ended INTEGER NOT NULL, total INTEGER NOT NULL DEFAULT 0,
  succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,
  canceled INTEGER NOT NULL DEFAULT 0, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS lines (batch TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, body BLOB,
  outcome TEXT, status INTEGER NOT NULL DEFAULT 0, request_id TEXT NOT NULL DEFAULT '', answer BLOB,
  PRIMARY KEY (batch, number)) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
_BATCH = "SELECT doc, total, succeeded, failed, expired, canceled FROM batches"
_RESULT = "SELECT number, custom_id, outcome, status, request_id, answer FROM lines"

_file = msgspec.json.Decoder(StoredFile).decode
_batch = msgspec.json.Decoder(Batch).decode
_encode = msgspec.json.Encoder().encode


class BatchDatabase:
    """folder: of the state. Raises sqlite3.Error, OSError."""

    def __init__(self, folder: Path) -> None:
        self.contents = folder / "files"
        self.contents.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sql = sqlite3.connect(private(folder / FILE), isolation_level=None)
        self._sql.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000;")
        found = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise sqlite3.DatabaseError(
                f"batches.sqlite3 is of a newer Hearth (layout {found}, this one knows {VERSION})"
            )
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        self._sql.close()

    # Files

    def add_file(self, file: StoredFile) -> None:
        """Its content stands in `contents` already."""
        row = (file.id, file.owner, file.created_at, file.expires_at, _encode(file))
        self._sql.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)

    def file(self, id: str, owner: str) -> StoredFile | None:
        row = self._sql.execute("SELECT doc FROM files WHERE id = ? AND owner = ?", (id, owner)).fetchone()
        return _file(row[0]) if row else None

    def files(self, owner: str) -> list[StoredFile]:
        """Newest first."""
        rows = self._sql.execute("SELECT doc FROM files WHERE owner = ? ORDER BY created_at DESC, id DESC", (owner,))
        return [_file(row[0]) for row in rows]

    def drop_file(self, id: str) -> None:
        # First: on a full disk there is no room for the change of the table.
        (self.contents / id).unlink(missing_ok=True)
        self._sql.execute("DELETE FROM files WHERE id = ?", (id,))

    # Batches

    def add_batch(self, batch: Batch, lines: Iterable[BatchLine] = ()) -> None:
        """A new batch, or a known one with its lines. Nothing is stored if reading the lines raises."""
        with Transaction(self._sql):
            row = (batch.id, batch.owner, batch.wire, batch.created_at, batch.ended, _encode(batch))
            self._sql.execute(
                "INSERT INTO batches (id, owner, wire, created_at, ended, doc) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, ended = excluded.ended",
                row,
            )
            rows = ((batch.id, line.number, line.custom_id, line.body) for line in lines)
            self._sql.executemany("INSERT INTO lines (batch, number, custom_id, body) VALUES (?, ?, ?, ?)", rows)
            total = "(SELECT count(*) FROM lines WHERE batch = batches.id)"
            self._sql.execute(f"UPDATE batches SET total = {total} WHERE id = ?", (batch.id,))

    def save(self, batch: Batch) -> None:
        """Everything but its counts, which follow from its lines."""
        self._sql.execute("UPDATE batches SET doc = ?, ended = ? WHERE id = ?", (_encode(batch), batch.ended, batch.id))

    def cancel(self, id: str, now: int) -> None:
        """Starts no more of its lines. Asked of the batch as it is now: it may have ended meanwhile."""
        batch = self.batch(id)
        if batch is not None and not batch.ended and batch.status != "finalizing":
            self.save(batch.at("cancelling", now))

    def batch(self, id: str, owner: str | None = None) -> Batch | None:
        """owner: None: anybody's."""
        row = self._sql.execute(f"{_BATCH} WHERE id = ? AND owner = ifnull(?, owner)", (id, owner)).fetchone()
        return _counted(row) if row else None

    def batches(self, owner: str, wire: str) -> list[Batch]:
        """Newest first."""
        order = "ORDER BY created_at DESC, id DESC"
        return [
            _counted(row) for row in self._sql.execute(f"{_BATCH} WHERE owner = ? AND wire = ? {order}", (owner, wire))
        ]

    def running(self) -> list[Batch]:
        """Those that have not ended, oldest first."""
        return [_counted(row) for row in self._sql.execute(f"{_BATCH} WHERE NOT ended ORDER BY created_at, id")]

    def drop_batch(self, id: str) -> None:
        with Transaction(self._sql):
            self._sql.execute("DELETE FROM lines WHERE batch = ?", (id,))
            self._sql.execute("DELETE FROM batches WHERE id = ?", (id,))

    # Lines

    def pending(self, batch: str, most: int) -> list[BatchLine]:
        """The first lines without an end, in order."""
        query = "SELECT number, custom_id, body FROM lines WHERE batch = ? AND outcome IS NULL ORDER BY number LIMIT ?"
        return [BatchLine(*row) for row in self._sql.execute(query, (batch, most))]

    def settle(self, batch: str, result: LineResult) -> None:
        """The end of a line, the first that comes."""
        with Transaction(self._sql):
            done = self._sql.execute(
                "UPDATE lines SET outcome = ?, status = ?, request_id = ?, answer = ?, body = NULL"
                " WHERE batch = ? AND number = ? AND outcome IS NULL",
                (result.outcome, result.status, result.request_id, result.answer, batch, result.number),
            )
            if done.rowcount:
                self._count(batch, result.outcome, 1)

    def settle_rest(self, batch: str, outcome: LineOutcome) -> None:
        """Ends every line that has no end yet."""
        with Transaction(self._sql):
            query = "UPDATE lines SET outcome = ?, body = NULL WHERE batch = ? AND outcome IS NULL"
            self._count(batch, outcome, self._sql.execute(query, (outcome, batch)).rowcount)

    def results_after(self, batch: str, number: int, most: int) -> list[LineResult]:
        """Lines behind that number that have ended, in order."""
        query = f"{_RESULT} WHERE batch = ? AND number > ? AND outcome IS NOT NULL ORDER BY number LIMIT ?"
        rows = self._sql.execute(query, (batch, number, most)).fetchall()
        return [LineResult(row[0], row[1], row[2], row[3], row[4], row[5] or b"") for row in rows]

    def results(self, batch: str) -> Iterator[LineResult]:
        """All lines that have ended, in order, so many at a time."""
        last = -1
        while found := self.results_after(batch, last, _AT_A_TIME):
            yield from found
            last = found[-1].number

    # Contents

    def write_content(self, id: str, pieces: Iterable[bytes]) -> int:
        """A whole content, synced before it gets its name. Returns its bytes."""
        place = self.contents / f"{id}.part"
        with place.open("wb") as out:
            size = sum(out.write(piece) for piece in pieces)
            _sync(out)
        place.replace(self.contents / id)
        return size

    def keep_content(self, out: BinaryIO, last: bytes, file: StoredFile) -> None:
        """Ends an upload with its last bytes and makes it a file. out: open on `ID.part`."""
        with out:
            out.write(last)
            _sync(out)
        (self.contents / f"{file.id}.part").replace(self.contents / file.id)
        self.add_file(file)

    def sweep(self, now: int, kept_since: int) -> None:
        """Drops files past their end, batches that ended long ago, and contents without a file."""
        for (id,) in self._sql.execute("SELECT id FROM files WHERE expires_at <= ?", (now,)).fetchall():
            self.drop_file(id)
        old = self._sql.execute("SELECT id FROM batches WHERE ended AND created_at <= ?", (kept_since,)).fetchall()
        for (id,) in old:
            self.drop_batch(id)
        known = {id for (id,) in self._sql.execute("SELECT id FROM files")}
        for place in self.contents.iterdir():
            if place.name not in known and place.stat().st_mtime < now - 86_400:
                place.unlink(missing_ok=True)

    def _count(self, batch: str, outcome: LineOutcome, more: int) -> None:
        self._sql.execute(f"UPDATE batches SET {outcome} = {outcome} + ? WHERE id = ?", (more, batch))


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _counted(row: tuple[bytes, int, int, int, int, int]) -> Batch:
    return msgspec.structs.replace(_batch(row[0]), counts=Counts(*row[1:]))
