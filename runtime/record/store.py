"""Decisions kept: the loop drops them into a queue, one thread writes them, readers see both.

Knows queues and the thread; the file is `database`. Nothing here ever blocks the loop: `add` is one append under a lock
held for nanoseconds, reads run in a thread; when the disk stalls, the oldest unsaved records are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from runtime.record import database
from runtime.record.database import DamagedError, Database, Query
from runtime.record.decisions import Decision
from runtime.sqlite_files import busy, set_aside

PAUSE_S = 0.25  # between two looks at the queue: what a crash can lose
_BATCH = 500
_BATCH_SHARE = 40_000  # bytes of the whole file per row of a batch: a small file takes small transactions
_MOST_WAITING = 10_000
_RETENTION_EVERY_S = 60.0
_DAY_S = 86_400.0
_MIB = 1 << 20
_CLOSE_S = 5.0
_REST_S = 0.5
_RECENT = 100


def _silent(words: str) -> None: ...


class Store:
    """One decision file and its writer.

    path: the file; its folder is created. retention_days, max_mb: the oldest go first (max_mb counts the file and its
    journal; 0 days keeps by size alone). clock: unix seconds. notice: gets one sentence per fault, in another thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_days: float,
        max_mb: float,
        clock: Callable[[], float],
        notice: Callable[[str], None] = _silent,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.path = path
        self._retention_s = retention_days * _DAY_S
        self._max_bytes = int(max_mb * _MIB)
        self._batch = max(10, min(_BATCH, self._max_bytes // _BATCH_SHARE))
        self._clock = clock
        self._notice = notice
        self._most_waiting = most_waiting
        self._waiting: deque[Decision] = deque()
        self._recent: deque[Decision] = deque(maxlen=_RECENT)
        self._writing: Sequence[Decision] = ()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._closing = False
        self._thread: threading.Thread | None = None
        self._database: Database | None = None
        self._next_retention = 0.0
        self._dropped = 0
        self._trouble: str | None = None

    # the loop's side

    def add(self, decision: Decision) -> None:
        with self._lock:
            if len(self._waiting) >= self._most_waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(decision)
            self._recent.append(decision)

    @property
    def dropped(self) -> int:
        """Records lost since the start because they could not be saved in time."""
        return self._dropped

    @property
    def trouble(self) -> str | None:
        """Why nothing is being saved now, None while all is well."""
        return self._trouble

    def recent(self, limit: int) -> tuple[Decision, ...]:
        """The last ones, newest first, at most 100; from memory, so that the loop may ask."""
        with self._lock:
            return tuple(islice(reversed(self._recent), limit))

    async def get(self, id: str) -> Decision | None:
        for decision in self._unsaved():
            if decision.id == id:
                return decision
        return await asyncio.to_thread(self._read_one, id)

    async def list(
        self,
        limit: int = 50,
        *,
        before: str | None = None,
        target: str | None = None,
        reason: str | None = None,
        failed: bool = False,
    ) -> tuple[Decision, ...]:
        """Newest first, those not yet saved included. `before` is an id: the last one of the page before."""
        query = Query(limit, before, target, reason, failed)
        fresh = [decision for decision in self._unsaved() if query.matches(decision)]
        saved = await asyncio.to_thread(self._read_many, query)
        return _merge(fresh, saved)[:limit]

    def _unsaved(self) -> tuple[Decision, ...]:
        with self._lock:
            return (*self._writing, *self._waiting)

    def _read_one(self, id: str) -> Decision | None:
        try:
            return database.read_one(self.path, id)
        except sqlite3.Error:
            return None  # the writer meets the same fault and says so

    def _read_many(self, query: Query) -> tuple[Decision, ...]:
        try:
            return database.read_many(self.path, query)
        except sqlite3.Error:
            return ()

    # life

    def start(self) -> None:
        """Starts the writer. Opening the file is its work too: a slow or broken disk does not hold the start up."""
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._thread.start()

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Waits until all that was added is saved; False when the time is over first. Blocks: not for the loop."""
        self._wake.set()
        with self._idle:
            return self._idle.wait_for(lambda: not (self._waiting or self._writing), timeout_s)

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Saves what is left, within the time, and ends the writer. Blocks."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # the writer's side

    def _run(self) -> None:
        while True:
            self._wake.wait(PAUSE_S)
            self._wake.clear()
            closing = self._closing
            if not self._turn():
                self._rest()
            if closing:
                self._turn()  # once more: a damaged file has been moved aside by now
                break
        if self._database is not None:
            self._database.close()

    def _rest(self) -> None:
        """After a fault."""
        if not self._closing:
            self._wake.wait(_REST_S)

    def _turn(self) -> bool:
        """Saves all that waits and keeps the bounds. False when the file refused."""
        try:
            while batch := self._take():
                self._open().save(batch)
                self._done()
                self._keep_size()
            self._keep_age()
        except (sqlite3.Error, DamagedError, OSError) as fault:
            self._give_back()
            self._suffer(fault)
            return False
        self._trouble = None
        return True

    def _take(self) -> Sequence[Decision]:
        with self._lock:
            self._writing = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            return self._writing

    def _done(self) -> None:
        with self._idle:
            self._writing = ()
            self._idle.notify_all()

    def _give_back(self) -> None:
        """What could not be saved waits again, as far as there is room: the oldest are dropped."""
        with self._lock:
            room = self._most_waiting - len(self._waiting)
            kept = self._writing[max(0, len(self._writing) - room) :]
            self._dropped += len(self._writing) - len(kept)
            self._waiting.extendleft(reversed(kept))
            self._writing = ()

    def _open(self) -> Database:
        if self._database is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = Database(self.path, max_bytes=self._max_bytes)
            self._remember(database.read_many(self.path, Query(_RECENT)))
        return self._database

    def _remember(self, saved: Sequence[Decision]) -> None:
        """What an earlier process decided is recent too. saved: newest first."""
        with self._lock:
            known = {decision.id for decision in self._recent}
            older = [decision for decision in saved if decision.id not in known]
            self._recent.extendleft(older[: _RECENT - len(self._recent)])

    def _keep_size(self) -> None:
        if self._open().shrink():
            self._open().give_back()

    def _keep_age(self) -> None:
        now = self._clock()
        if self._retention_s and now >= self._next_retention:
            self._next_retention = now + _RETENTION_EVERY_S
            if self._open().forget_before(now - self._retention_s):
                self._open().give_back()

    def _suffer(self, fault: Exception) -> None:
        """Says once what is wrong. A damaged file is moved aside, and the next turn begins a new one."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        words = self._move_aside(fault) if database.damaged(fault) else _words(self.path, fault)
        if words != self._trouble:
            self._notice(words)
        self._trouble = words

    def _move_aside(self, fault: Exception) -> str:
        try:
            place = set_aside(self.path)
        except OSError as refused:
            return f"{self.path} is damaged ({fault}) and cannot be moved aside: {refused}; decisions are not saved"
        return f"{self.path} is damaged ({fault}); it was moved to {place.name} and a new one begun"


def _words(path: Path, fault: Exception) -> str:
    if busy(fault):
        return f"{path} is locked by another process; decisions wait in memory until it lets go"
    return (
        f"{path} cannot be written ({fault}); decisions wait in memory, the oldest are dropped when there are too many"
    )


def _merge(fresh: Sequence[Decision], saved: Sequence[Decision]) -> tuple[Decision, ...]:
    """Newest first. A record that was saved between the two readings appears once."""
    by_id = {decision.id: decision for decision in (*saved, *fresh)}
    return tuple(by_id[id] for id in sorted(by_id, reverse=True))
