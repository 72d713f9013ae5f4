"""The seam of a sample: a sink that keeps a copy of what its client gets, and who chooses the requests that get one."""

from __future__ import annotations

from typing import Protocol

from runtime.dispatch.job import Head, Sink
from runtime.life.ask import Ask
from runtime.record.decisions import Decision


class Tap:
    """A `runtime.dispatch.job.Sink` before another. most: bytes of the copy; overflown: there were more, and none is kept."""

    __slots__ = ("_inner", "_pieces", "ask", "most", "overflown", "size")

    def __init__(self, ask: Ask, inner: Sink, most: int) -> None:
        self.ask, self.most = ask, most
        self._inner = inner
        self._pieces: list[bytes] = []
        self.size, self.overflown = 0, False

    @property
    def gone(self) -> bool:
        return self._inner.gone

    async def start(self, head: Head) -> None:
        await self._inner.start(head)

    async def write(self, data: bytes) -> None:
        await self._inner.write(data)
        self._copy(data)

    def write_now(self, data: bytes) -> bool:
        written = self._inner.write_now(data)
        if written:
            self._copy(data)
        return written

    @property
    def answer(self) -> bytes:
        return b"".join(self._pieces)

    def _copy(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.most:
            self.overflown, self.size = True, 0
            self._pieces.clear()
        elif not self.overflown:
            self._pieces.append(data)


class Sampling(Protocol):
    def tap(self, ask: Ask, sink: Sink) -> Tap | None:
        """None for a request that is not taken."""
        ...

    def offer(self, tap: Tap, decision: Decision) -> None:
        """Takes a whole answer. Never raises, never waits."""
        ...
