"""The decision store: the event loop adds records to a queue, one thread writes them, readers see queue and file.

Knows queues and the thread; the file is `database`. Nothing here blocks the loop: `add` is one append under a lock held
for nanoseconds, and reads run in a thread. When the disk stalls, the oldest unsaved records are dropped and counted; a
record that cannot be written or read is skipped and counted, and the thread goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from runtime import sqlite_files
from runtime.record import database
from runtime.record.database import DamagedError, Database, Query
from runtime.record.decisions import Decision
from runtime.record.sums import Tally, hour_of

PAUSE_S = 0.25  # between two looks at the queue: a crash loses at most the records of this time
_BATCH = 500
_BATCH_SHARE = 40_000  # bytes of the whole file per row of a batch: a small file takes small transactions
_MOST_WAITING = 10_000
_RETENTION_EVERY_S = 60.0
_DAY_S = 86_400.0
_MIB = 1 << 20
_CLOSE_S = 5.0
_REST_S = 0.5
_RECENT = 100


class Store:
    """One decision file and its writer.

    path: the file; its folder is created. retention_days, max_mb: the oldest go first (max_mb counts the file and its
    journal; 0 days keeps by size alone). clock: unix seconds. notice: takes one sentence per fault, in another thread.
    most_waiting: records in the queue; beyond it the oldest are dropped. tally: how records are added up from now on.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_days: float,
        max_mb: float,
        clock: Callable[[], float],
        notice: Callable[[str], None] = lambda words: None,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.path = path
        self.tally = Tally()
        self._retention_s = retention_days * _DAY_S
        self._max_bytes = int(max_mb * _MIB)
        self._batch = max(10, min(_BATCH, self._max_bytes // _BATCH_SHARE))
        self._clock = clock
        self._notice = notice
        self._most_waiting = most_waiting
        self._waiting: deque[Decision] = deque()
        self._recent: deque[Decision] = deque(maxlen=_RECENT)
        self._writing: Sequence[Decision] = ()
        self._opened: dict[tuple[int, str], float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._closing = False
        self._thread: threading.Thread | None = None
        self._database: Database | None = None
        self._next_retention = 0.0
        self._dropped = 0
        self._trouble: str | None = None
        self._unreadable: str | None = None
        self._unwritable = False  # a record was dropped and reported

    # the loop's side

    def add(self, decision: Decision) -> None:
        with self._lock:
            if len(self._waiting) >= self._most_waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(decision)
            self._recent.append(decision)

    def opened(self, label: str, seconds: float) -> None:
        """Counts seconds that a target's breaker was open, up to now. Those of a turn that cannot be written are lost."""
        key = (hour_of(self._clock(), self.tally.zone), label)
        with self._lock:
            self._opened[key] = self._opened.get(key, 0.0) + seconds

    @property
    def dropped(self) -> int:
        """Records lost since the start: they could not be written in time, or not at all."""
        return self._dropped

    @property
    def trouble(self) -> str | None:
        """One sentence on why records are not being saved or cannot be read; None while all is well."""
        return self._trouble or self._unreadable

    def recent(self, limit: int) -> tuple[Decision, ...]:
        """The last ones, newest first, at most 100; from memory, so that the loop may ask."""
        with self._lock:
            return tuple(islice(reversed(self._recent), limit))

    async def get(self, id: str) -> Decision | None:
        def found() -> Decision | None:
            fresh = next((decision for decision in self._unsaved() if decision.id == id), None)
            return fresh or database.read_one(self.path, id, self._skip)

        try:
            return await asyncio.to_thread(found)
        except (sqlite3.Error, OSError):
            return None  # the writer meets the same fault and reports it

    async def list(self, query: Query) -> tuple[Decision, ...]:
        """A page, newest first, those not yet saved included."""
        return await asyncio.to_thread(self._listed, query)

    def _listed(self, query: Query) -> tuple[Decision, ...]:
        fresh = [decision for decision in self._unsaved() if query.matches(decision)]
        try:
            saved = database.read_many(self.path, query, self._skip)
        except (sqlite3.Error, OSError):
            saved = ()  # the writer meets the same fault and reports it
        # A record that was saved between the two readings appears once.
        by_id = {decision.id: decision for decision in (*saved, *fresh)}
        return tuple(by_id[id] for id in sorted(by_id, reverse=True))[: query.limit]

    def _unsaved(self) -> tuple[Decision, ...]:
        with self._lock:
            return (*self._writing, *self._waiting)

    def _skip(self, fault: Exception) -> None:
        """Takes note of a row that cannot be decoded; called in any thread."""
        if self._unreadable is None:
            self._unreadable = f"{self.path} holds records that cannot be read ({fault}); they are skipped"
            self._say(self._unreadable)

    # start and end

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
            if not self._write_all() and not closing:
                self._wake.wait(_REST_S)
            if closing:
                self._write_all()  # once more: a damaged file has been moved aside by now
                break
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()

    def _write_all(self) -> bool:
        """Saves all waiting records and prunes the file. False after a fault."""
        try:
            while True:
                with self._lock:
                    self._writing = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                    opened, self._opened = self._opened, {}
                if not self._writing and not opened:
                    break
                self._save(self._open(), opened)
            now = self._clock()
            if now >= self._next_retention:
                self._next_retention = now + _RETENTION_EVERY_S
                removed = self._open().forget_sums(now)
                removed += self._open().forget_before(now - self._retention_s) if self._retention_s else 0
                if removed:
                    self._open().give_back()
        except (sqlite3.Error, DamagedError, OSError) as fault:
            # The batch returns to the queue, as far as there is room: the oldest are dropped.
            with self._lock:
                room = self._most_waiting - len(self._waiting)
                kept = self._writing[max(0, len(self._writing) - room) :]
                self._dropped += len(self._writing) - len(kept)
                self._waiting.extendleft(reversed(kept))
                self._writing = ()
            self._close_after(fault)
            return False
        except Exception as fault:  # noqa: BLE001 - whatever one batch does, the writer lives on to write the next
            self._dropped += len(self._writing)
            self._finish_batch()
            self._close_after(fault)
            return False
        self._trouble = None
        return True

    def _save(self, file: Database, opened: Mapping[tuple[int, str], float]) -> None:
        for fault in file.save(self._writing, self.tally, opened):
            self._dropped += 1
            if not self._unwritable:
                self._unwritable = True
                self._say(f"a decision record cannot be written ({fault}); it is dropped, and so are others like it")
        self._finish_batch()
        if file.shrink():
            file.give_back()

    def _finish_batch(self) -> None:
        with self._idle:
            self._writing = ()
            self._idle.notify_all()

    def _open(self) -> Database:
        if self._database is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = Database(self.path, max_bytes=self._max_bytes, tally=self.tally)
            # The decisions of an earlier process are recent too, newest first.
            saved = database.read_many(self.path, Query(_RECENT), self._skip)
            with self._lock:
                known = {decision.id for decision in self._recent}
                older = [decision for decision in saved if decision.id not in known]
                self._recent.extendleft(older[: _RECENT - len(self._recent)])
        return self._database

    def _close_after(self, fault: Exception) -> None:
        """Closes the file and reports the fault once. A damaged file is moved aside; the next turn begins a new one."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if database.damaged(fault):
            words = f"{self.path} is damaged ({fault})"
            try:
                words += f"; it was moved to {sqlite_files.set_aside(self.path).name} and a new one begun"
            except OSError as refused:
                words += f" and cannot be moved aside: {refused}; decisions are not saved"
        elif sqlite_files.busy(fault):
            words = f"{self.path} is locked by another process; decisions wait in memory until it lets go"
        elif isinstance(fault, sqlite3.Error | OSError):
            wait = f"decisions wait in memory, the oldest of more than {self._most_waiting} are dropped"
            words = f"{self.path} cannot be written ({fault}); {wait}"
        else:
            words = f"decisions could not be written to {self.path} ({type(fault).__name__}: {fault}); they are dropped"
        if words != self._trouble:
            self._say(words)
        self._trouble = words

    def _say(self, words: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed log must not end the writer
            self._notice(words)
