"""The verdicts of a week that is under way, kept as they come, so that a process that dies costs no verdict twice.

A file of lines in the state folder: the week and its judge first, then each verdict. It has no text of any request.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO

import msgspec

from runtime.quality.judge.trust import JudgedPair

FILE = "judged-week.jsonl"


class JournalHead(msgspec.Struct, frozen=True):
    week: str
    judge: str


class JournalLine(msgspec.Struct, frozen=True):
    """part: "anchor", "again" (an anchor decided a second time) or "pair". usd: of the week until then, with what was reserved
    for questions under way.
    """

    part: str
    pair: JudgedPair
    usd: float


class WeekJournal:
    """folder: of the state. A line is written within the call, which a verdict of some seconds can bear. Raises OSError."""

    def __init__(self, folder: Path, head: JournalHead) -> None:
        self._path = folder / FILE
        lines = self._read(head)
        self._known = {(each.part, each.pair.id, each.pair.a, each.pair.b): each.pair for each in lines}
        self.spent_usd = lines[-1].usd if lines else 0.0
        self._file: IO[bytes] = self._path.open("ab" if lines else "wb")
        self._path.chmod(0o600)
        if not lines:
            self._write(head)

    def known(self, part: str, pair: JudgedPair) -> JudgedPair | None:
        """The pair with its verdicts, where an earlier process has them."""
        return self._known.get((part, pair.id, pair.a, pair.b))

    def add(self, part: str, pair: JudgedPair, usd: float) -> None:
        self._write(JournalLine(part, pair, usd))

    def close(self) -> None:
        self._file.close()

    def delete(self) -> None:
        """For a week whose report is kept."""
        self._path.unlink(missing_ok=True)

    def _write(self, line: msgspec.Struct) -> None:
        # The break stands first: it ends a line that was being written when a process died.
        self._file.write(b"\n" + msgspec.json.encode(line))
        self._file.flush()

    def _read(self, head: JournalHead) -> list[JournalLine]:
        """The lines of the same week and judge, without one that was being written when a process died."""
        try:
            first, *rest = self._path.read_bytes().splitlines()[1:]
            if msgspec.json.decode(first, type=JournalHead) != head:
                return []
        except (FileNotFoundError, ValueError, msgspec.MsgspecError):
            return []
        found = []
        for each in rest:
            with contextlib.suppress(msgspec.MsgspecError):
                found.append(msgspec.json.decode(each, type=JournalLine))
        return found
