"""A run: rows in, so many at once, lines out in the input's order.

Knows neither files nor wires nor what a row is sorted by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from runtime.cli.bulk.journal import line
from runtime.cli.bulk.patience import HopelessError, UnanswerableError
from runtime.cli.bulk.rows import BadRow, InputRow

_AHEAD = 8  # rows answered ahead of the oldest open one, per slot: bounds memory, keeps slots busy behind a slow row
_SYNC_S = 1.0

Sort = Callable[[str], Awaitable[dict[str, object]]]


@dataclass(slots=True)
class RunProgress:
    """Progress of a run. label: None for a bad row."""

    finished: int = 0
    bad: int = 0
    first_bad: str = ""


@dataclass(slots=True)
class BulkRun:
    """rows: those still to do, in order. write: appends lines. sync: makes them durable. done: told of every
    line written.

    stop: set from outside to end early: what is complete is written, the rest is left for the next run.
    """

    rows: Iterator[InputRow | BadRow]
    sort: Sort
    write: Callable[[Sequence[bytes]], None]
    sync: Callable[[], None]
    done: Callable[[str | None], None]
    slots: int
    strict: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    progress: RunProgress = field(default_factory=RunProgress)
    _waiting: dict[int, tuple[bytes, str | None]] = field(default_factory=dict)
    _next: int = 0  # the oldest row not yet written; 0 before the first
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.slots * _AHEAD)

    async def run(self) -> None:
        """Until the rows end or `stop` is set.

        Raises HopelessError and InputError, with everything complete written.
        """
        workers = asyncio.gather(*(self._work() for _ in range(self.slots)))
        others = [asyncio.create_task(self.stop.wait()), asyncio.create_task(self._keep_synced())]
        try:
            await asyncio.wait((workers, others[0]), return_when=asyncio.FIRST_COMPLETED)
        finally:
            workers.cancel()
            for task in others:
                task.cancel()
            ended, *_ = await asyncio.gather(workers, *others, return_exceptions=True)
            self.sync()
        if isinstance(ended, Exception):
            raise ended

    async def _work(self) -> None:
        while True:
            await self._room.acquire()
            row = next(self.rows, None)
            if row is None:
                return
            self._next = self._next or row.number
            text, label = await self._line(row)
            self._put(row.number, text, label)

    async def _line(self, row: InputRow | BadRow) -> tuple[bytes, str | None]:
        """The row's line, and its label where it has one."""
        if isinstance(row, BadRow):
            return self._bad(row)
        try:
            fields = await self.sort(row.text)
        except UnanswerableError as error:
            return self._bad(BadRow(row.number, row.id, error.code, str(error)))
        return line(row.number, row.id, fields), str(fields["label"])

    def _bad(self, row: BadRow) -> tuple[bytes, None]:
        said = f"row {row.number}: {row.message}"
        if self.strict:
            raise HopelessError(f"{said} (--strict stops at the first bad row)")
        self.progress.first_bad = self.progress.first_bad or said
        return line(row.number, row.id, {"error": row.message, "code": row.code}), None

    def _put(self, number: int, text: bytes, label: str | None) -> None:
        """Keeps the line until all before it are there, then writes the lines in order."""
        self._waiting[number] = (text, label)
        ready = []
        while (entry := self._waiting.pop(self._next, None)) is not None:
            ready.append(entry)
            self._next += 1
        if ready:
            self.write([text for text, _ in ready])
        for _, found in ready:
            self.progress.finished += 1
            self.progress.bad += found is None
            self.done(found)
            self._room.release()

    async def _keep_synced(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            await asyncio.to_thread(self.sync)


def after(rows: Iterator[InputRow | BadRow], done: int) -> Iterator[InputRow | BadRow]:
    """The rows below those already done."""
    return islice(rows, done, None)
