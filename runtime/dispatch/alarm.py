"""A time-out that is moved with every chunk of a stream: `asyncio.timeout`, with moving made free.

Knows the loop's time and one task, nothing of what is waited for. `asyncio.timeout` winds a timer anew each time it is
moved; here the one timer, when it rings too early, is wound again for the rest.

One that rings seconds too late rings in a process that stood still (it was stopped, or starved of its processor): what has
arrived meanwhile is read first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

_STOOD_STILL_S = 2.0  # a timer that is so late was not late for the load of the loop
_READING_S = 1.0  # for what has arrived meanwhile


class Alarm:
    """A context. When its time comes, what runs in it is cancelled, and TimeoutError raised in place of that.

    due: loop time; None: never. Move it with `move`. later: asked for another time when it comes; None, or a time that is
    over: there is none.
    """

    __slots__ = ("_due", "_earlier", "_later", "_loop", "_rung", "_spared", "_task", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, due: float | None, later: Callable[[], float | None] | None = None
    ) -> None:
        self._loop = loop
        self._due = due
        self._later = later
        self._rung = self._spared = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Alarm:
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task, self._earlier = task, task.cancelling()
        self._timer = None if self._due is None else self._loop.call_at(self._due, self._ring)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Somebody else's cancellation goes on as it is.
        if self._rung and self._task.uncancel() <= self._earlier and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def move(self, due: float | None) -> None:
        """To another time, earlier or later; None: not before it is moved again. One long over is taken for a standstill."""
        self._due = due
        if due is None or self._rung:
            return
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)
        elif due < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        now = self._loop.time()
        if now - self._due > _STOOD_STILL_S and not self._spared:
            self._spared, self._due = True, now + _READING_S
        if self._due <= now and self._later is not None:
            self._due = self._later() or self._due
        if self._due > now:
            self._timer = self._loop.call_at(self._due, self._ring)
            return
        self._rung = True
        self._task.cancel()
