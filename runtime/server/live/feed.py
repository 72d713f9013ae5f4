"""The feed of live events: one snapshot for all viewers, and a bounded queue for each.

Everything is encoded once, however many look. With no viewer nothing is built and no decision is listened to. A viewer
that reads too slowly loses the oldest frames and gets `resync`. Knows no HTTP; the page writes the frames.

    status      the status report, once a second
    decisions   {"rows": [...], "left_out": n}, at most four times a second, the latest 50 of them
    log         {"lines": [...], "left_out": n}, at most 200 lines a second of each replica
    resync      frames were lost: what is shown must be read anew
    closing     the server stops; the stream ends
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from runtime.life.desk import Desk
from runtime.record.decisions import Decision
from runtime.server.status import StatusReport, brief
from runtime.wire.api_error import ApiError

TOPICS = ("status", "decisions", "log")
TICK_S = 0.25
_TICKS_A_STATUS = 4
_MOST_BRIEFS = 50
_MOST_LINES = 50  # of a replica in a frame: 200 a second
_FRESH_S = 1.0  # a snapshot this old is still sent to a new viewer


class Log(Protocol):
    """A log that is read by marks. See `runtime.contract.engine.Engine.log_after`."""

    def log_after(self, marks: Sequence[int], most: int) -> tuple[tuple[int, ...], tuple[str, ...]]: ...


def frame(event: str, value: Any) -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(value))


class Viewer:
    """The frames that wait for one reader, `most` bytes at most: the oldest give way. over: no frame comes any more."""

    def __init__(self, topics: frozenset[str], most: int) -> None:
        self.topics = topics
        self._closing = False
        self._most = most
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._lost = False
        self._wake = asyncio.Event()

    def push(self, data: bytes) -> None:
        self._frames.append(data)
        self._size += len(data)
        while self._size > self._most:
            self._size -= len(self._frames.popleft())
            self._lost = True
        self._wake.set()

    def end(self, last: bytes) -> None:
        """Queues the last frame."""
        self._closing = True
        self.push(last)

    @property
    def over(self) -> bool:
        return self._closing and not self._frames

    async def take(self) -> bytes:
        """All that waits, as soon as something does, with `resync` before it where frames were lost."""
        await self._wake.wait()
        self._wake.clear()
        taken = b"".join(([frame("resync", {})] if self._lost else []) + list(self._frames))
        self._frames.clear()
        self._size, self._lost = 0, False
        return taken


class Feed:
    """snapshot: makes the status. clock: of the desk, monotonic seconds.

    viewers: at most so many at a time. queue_bytes: of each.
    """

    def __init__(
        self,
        desk: Desk,
        log: Log,
        snapshot: Callable[[], StatusReport],
        *,
        most_viewers: int = 20,
        queue_bytes: int = 256_000,
    ) -> None:
        self.viewers: set[Viewer] = set()
        self._desk, self._log, self._snapshot = desk, log, snapshot
        self._most_viewers, self._queue_bytes = most_viewers, queue_bytes
        self._wanted = asyncio.Event()
        self._closing = False
        self._status = b""
        self._status_at = -_FRESH_S
        self._ticks = 0
        self._briefs: deque[Decision] = deque(maxlen=_MOST_BRIEFS)
        self._settled = 0  # since the last frame
        self._marks: tuple[int, ...] | None = None  # None: nobody reads the log

    @contextlib.contextmanager
    def viewed(self, topics: frozenset[str]) -> Iterator[Viewer]:
        """A place among the viewers. Raises ApiError 503 where there is none, or the server is stopping."""
        if self._closing:
            raise ApiError(503, "this server is shutting down", "shutting_down", retry_after=5.0)
        if len(self.viewers) >= self._most_viewers:
            words = f"{self._most_viewers} pages are open already, and more are not served: close one of them"
            raise ApiError(503, words, "too_many_viewers", retry_after=10.0)
        viewer = Viewer(topics, self._queue_bytes)
        self.viewers.add(viewer)
        self._wanted.set()
        self._listen()
        if "status" in topics:
            viewer.push(self._fresh_status())
        try:
            yield viewer
        finally:
            self.viewers.discard(viewer)
            self._listen()
            if not self.viewers:
                self._wanted.clear()

    def close(self) -> None:
        """Ends every stream at once, and refuses new ones."""
        self._closing = True
        for viewer in self.viewers:
            viewer.end(frame("closing", {}))

    async def run(self, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        """Feeds the viewers until cancelled; it waits while there are none."""
        while True:
            await self._wanted.wait()
            await sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Sends what came since the last tick; every fourth time the status too."""
        self._ticks += 1
        if self._ticks % _TICKS_A_STATUS == 0 and self._reading("status"):
            self._status_at = -_FRESH_S
            self._send("status", self._fresh_status())
        if self._briefs:
            rows = [brief(each) for each in self._briefs]
            self._send("decisions", frame("decisions", {"rows": rows, "left_out": self._settled - len(rows)}))
            self._briefs.clear()
            self._settled = 0
        if self._marks is not None:
            before = self._marks
            self._marks, lines = self._log.log_after(before, _MOST_LINES)
            if lines:
                new = sum(self._marks) - sum(before)
                self._send("log", frame("log", {"lines": lines, "left_out": max(0, new - len(lines))}))

    def _fresh_status(self) -> bytes:
        """The encoded status, at most a second old."""
        now = self._desk.clock()
        if now - self._status_at >= _FRESH_S or not self._status:
            self._status, self._status_at = frame("status", self._snapshot()), now
        return self._status

    def _send(self, topic: str, data: bytes) -> None:
        for viewer in self.viewers:
            if topic in viewer.topics:
                viewer.push(data)

    def _reading(self, topic: str) -> bool:
        return any(topic in viewer.topics for viewer in self.viewers)

    def _listen(self) -> None:
        """Listens to decisions and to the log exactly while somebody reads them."""
        listeners = tuple(each for each in self._desk.settled if each != self._decided)
        if self._reading("decisions"):
            self._desk.settled = (*listeners, self._decided)
        else:
            self._desk.settled = listeners
            self._briefs.clear()
            self._settled = 0
        if not self._reading("log"):
            self._marks = None
        elif self._marks is None:
            self._marks = self._log.log_after((), 0)[0]

    def _decided(self, decision: Decision) -> None:
        self._briefs.append(decision)
        self._settled += 1
