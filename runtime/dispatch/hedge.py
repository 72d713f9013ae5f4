"""A hedge: where nothing has come from one candidate for a while, the next one's turn begins beside it.

The first to reach its commit point wins, the other is cancelled: its connection is closed, its slot is free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.dispatch.job import Turn


class Race:
    """take: one candidate's turn to its end; True when the request is over."""

    def __init__(self, take: Callable[[Turn, bool], Coroutine[Any, Any, bool]]) -> None:
        self._take = take
        self._tasks: dict[Turn, asyncio.Task[bool]] = {}

    async def run(self, first: Turn, left: deque[Turn], after_s: float, decided: Callable[[], bool]) -> bool:
        """Runs `first`, and the next of `left` beside it after `after_s` seconds unless somebody has committed by then."""
        try:
            began = self._start(first)
            await asyncio.wait({began}, timeout=after_s)
            if not began.done() and not decided():
                self._start(left.popleft())
            running = set(self._tasks.values())
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                if any(not task.cancelled() and task.result() for task in done):
                    return True
            return False
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    def won(self, winner: Turn) -> None:
        """Calls every other turn off."""
        for turn, task in self._tasks.items():
            if turn is not winner:
                task.cancel()

    def _start(self, turn: Turn) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._take(turn, True), name=f"hedge: {turn.target.label}")
        self._tasks[turn] = task
        return task
