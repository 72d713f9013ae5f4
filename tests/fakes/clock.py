"""A clock that stands still until it is told to go on, and the sleep that belongs to it."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class FakeClock:
    """Call it for the time in seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    def jump(self, seconds: float) -> None:
        """The process stood still: nobody woke meanwhile."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Goes on step by step, so that whoever wakes can go back to sleep on the way."""
        until = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._now = until
        await _settle()


async def _settle() -> None:
    """Lets every task run that can."""
    for _ in range(30):
        await asyncio.sleep(0)
