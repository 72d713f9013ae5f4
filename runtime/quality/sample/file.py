"""The file of the sample, `STATE/sample.sqlite3`: bounded in number and days, readable by its owner alone.

It may be lost, and it must not outlive its days: a damaged file is deleted, and what is deleted is overwritten. Each call opens
the file, so that a command and a runtime may use it at the same time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from runtime.quality.sample.answers import SampledCall
from runtime.sqlite_files import damaged

FILE = "sample.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (id TEXT PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sample_by_time ON sample (at);
PRAGMA user_version = 1;
"""


class SampledAnswer(msgspec.Struct, frozen=True):
    """A kept prompt and its answer, both redacted.

    id: of the decision. at: unix seconds. wire: the dialect of `body`, which is the request as its client sent it. target: the
    label that answered. cost_usd: None where no price is known.
    """

    id: str
    at: float
    wire: str
    target: str
    task: str | None
    body: dict[str, Any]
    text: str
    tools: tuple[SampledCall, ...] = ()
    score: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


_decode = msgspec.json.Decoder(SampledAnswer).decode


class SampleFile:
    """folder: of the state. Raises sqlite3.Error and OSError. Blocks: not for the event loop."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def add(self, row: SampledAnswer, most: int) -> None:
        """Keeps a row, and drops the oldest beyond `most`."""
        with self._open() as file:
            file.execute("INSERT OR REPLACE INTO sample VALUES (?, ?, ?)", (row.id, row.at, msgspec.json.encode(row)))
            file.execute(
                "DELETE FROM sample WHERE id IN (SELECT id FROM sample ORDER BY at DESC LIMIT -1 OFFSET ?)", (most,)
            )

    def rows(self, since: float = 0.0, most: int = 10_000) -> list[SampledAnswer]:
        """Oldest first, from that unix second on. Makes no file."""
        if not self.path.exists():
            return []
        with self._open() as file:
            found = file.execute(
                "SELECT body FROM sample WHERE at >= ? ORDER BY at, id LIMIT ?", (since, most)
            ).fetchall()
        rows = []
        for (body,) in found:
            with contextlib.suppress(msgspec.MsgspecError):
                rows.append(_decode(body))
        return rows

    def forget(self, id: str | None = None, *, before: float | None = None) -> int:
        """Deletes one row, those before a unix second, or all. Returns their number. Makes no file."""
        if not self.path.exists():
            return 0
        with self._open() as file:
            which, given = ("id = ?", (id,)) if id is not None else ("at < ifnull(?, 1e300)", (before,))
            return file.execute(f"DELETE FROM sample WHERE {which}", given).rowcount

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file in one transaction."""
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(self.path, timeout=5.0)) as file:
            try:
                file.execute("PRAGMA secure_delete = ON")
                if (found := file.execute("PRAGMA user_version").fetchone()[0]) > 1:
                    raise sqlite3.DatabaseError(f"{FILE} is of a newer Hearth (layout {found}, this one knows 1)")
                file.executescript(_SCHEMA)
                with file:
                    yield file
            except sqlite3.DatabaseError as fault:
                if damaged(fault):
                    self.path.unlink(missing_ok=True)
                raise
