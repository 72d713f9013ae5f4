"""One daemon thread that runs calls in order.

The event loop's default pool also resolves host names for clouds; a slow disk must not fill it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class QueueFullError(Exception):
    """Too many calls, or too many bytes, wait for the thread; or it is closed."""


class Background:
    """name: of the thread, which starts with the first call. most_waiting, most_bytes: of calls not yet begun."""

    def __init__(self, name: str, *, most_waiting: int = 1_000, most_bytes: int = 32 << 20) -> None:
        self._name, self._most_waiting, self._most_bytes = name, most_waiting, most_bytes
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any], int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._bytes = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], _Result], size: int = 0) -> Future[_Result]:
        """size: bytes the call holds while it waits. Raises QueueFullError."""
        future: Future[_Result] = Future()
        with self._lock:
            if self._closed:
                raise QueueFullError
            if self._waiting >= self._most_waiting or (self._waiting and self._bytes + size > self._most_bytes):
                raise QueueFullError
            self._waiting, self._bytes = self._waiting + 1, self._bytes + size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._calls.put((work, future, size))
        return future

    async def call(self, work: Callable[[], _Result], timeout_s: float) -> _Result:
        """Raises QueueFullError, and TimeoutError; a call that has not begun by then never runs."""
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(self.submit(work))

    def close(self, timeout_s: float) -> None:
        """Takes no more calls, and ends the thread after those that wait. Blocks, at most so long."""
        with self._lock:
            self._closed = True
        self._calls.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            work, future, size = call
            with self._lock:
                self._waiting, self._bytes = self._waiting - 1, self._bytes - size
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 (raised again in the caller; the thread has to go on)
                future.set_exception(error)
