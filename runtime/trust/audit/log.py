"""The writer of the audit log: a queue that anybody appends to, and one thread that seals, writes and signs.

Nothing here is on a request's way but the append to `waiting`, which is a plain deque: `trim`, called once a second, keeps it
within its bound. A record is on the disk (fsync) a quarter of a second after its answer; the head is written behind it, so
that a crash leaves records after the head and never a head after the records. What could not be written is counted, said in
`trouble`, and named by the next record that can be.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from runtime.trust.audit.chain import (
    FIRST,
    HEAD,
    PREFIX,
    SUFFIX,
    AuditEntry,
    AuditHead,
    BrokenLine,
    FileMarks,
    audit_key,
    opened,
    read_head,
    sealed,
    segments,
    signed,
)

PAUSE_S = 0.25
_BATCH = 1000
_CLOSE_S = 5.0
_TAIL_BYTES = 1 << 20  # of a segment's end, in which its last record is
_DAY_S = 86_400.0


class Moment(msgspec.Struct, frozen=True):
    """Readings of the clocks at one moment. at: unix seconds. up: seconds since the machine started. boot: of that start."""

    at: float
    up: float
    boot: str


def moment_now() -> Moment:
    """Of this machine."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _boot())


@cache
def _boot() -> str:
    """Names this start of the machine, which no process outlives; "" where the system has no name for it."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


class AuditLog:
    """The log in a folder of its own.

    noted: what is kept of a thing in the queue, as (kind, body). notice: takes one sentence per fault, in the thread.
    most_waiting: things in the queue; `trim` drops the oldest beyond it. segment_bytes: a fuller segment is followed by
    another. keep_days: segments are removed so long after their last record; 0 keeps all.
    """

    def __init__(
        self,
        folder: Path,
        noted: Callable[[Any], tuple[str, Any]],
        *,
        now: Callable[[], Moment] = moment_now,
        notice: Callable[[str], None] = lambda words: None,
        most_waiting: int = 20_000,
        segment_bytes: int = 16 << 20,
        keep_days: float = 0,
    ) -> None:
        self.folder = folder
        self._head = folder / f"{HEAD}.new", folder / HEAD
        self.waiting: deque[Any] = deque()
        self.lost = 0
        self.trouble: str | None = None
        self._noted, self._now, self._notice = noted, now, notice
        self._most_waiting, self._segment_bytes, self._keep_days = most_waiting, segment_bytes, keep_days
        self._batch: list[tuple[str, Any]] = []  # taken from the queue, not yet written
        self._file = -1
        self._path, self._size, self._n, self._hash, self._key = folder, 0, 0, FIRST, b""
        self._wake, self._turn, self._closing = threading.Event(), threading.Condition(), False
        self._wanted, self._written = 0, 0  # calls of `flush`; those of them whose things are on the disk
        self._thread: threading.Thread | None = None

    def trim(self) -> None:
        """Drops the oldest things beyond the bound, and counts them."""
        while len(self.waiting) > self._most_waiting:
            self.waiting.popleft()
            self.lost += 1

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Waits until all that was added is written; False when the time is over first. Blocks: not for the loop."""
        with self._turn:
            self._wanted = mine = self._wanted + 1
            self._wake.set()
            return self._turn.wait_for(lambda: self._written >= mine, timeout_s)

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Writes what is left, within the time, and ends the thread. Blocks."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # The thread

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(PAUSE_S)
            self._wake.clear()
            closing, wanted = self._closing, self._wanted
            try:
                if self._file < 0:
                    self._open()
                while self._batch or self.waiting:
                    self._take()
                    self._write()
                self.trouble = None
                with self._turn:
                    self._written = wanted
                    self._turn.notify_all()
            except Exception as fault:  # noqa: BLE001 - whatever one batch does, the thread lives on to write the next
                words = f"the audit log in {self.folder} cannot be written ({fault}); records wait in memory"
                if words != self.trouble:
                    self._notice(words)
                self.trouble = words
                self._close_file()
        self._close_file()

    def _take(self) -> None:
        """Fills the batch from the queue. A thing that cannot be noted is lost, and counted."""
        while self.waiting and len(self._batch) < _BATCH:
            thing = self.waiting.popleft()
            try:
                self._batch.append(self._noted(thing))
            except Exception:  # noqa: BLE001 - one odd thing must not keep the others from the log
                self.lost += 1

    def _write(self) -> None:
        """Seals the batch, writes it and signs the head. Raises OSError, with the file as it was."""
        if self._size >= self._segment_bytes:
            self._next_segment()
        lost, n, last, moment = self.lost, self._n, self._hash, self._now()
        bodies = [("gap", {"lost": lost})] if lost else []
        lines = []
        for kind, body in (*bodies, *self._batch):
            n += 1
            line, last = sealed(AuditEntry(n, moment.at, moment.up, moment.boot, last, kind, body), self._key)
            lines.append(line)
        data = memoryview(b"".join(lines))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)  # a half-written batch is written again, whole
            raise
        self._size, self._n, self._hash, self._batch = self._size + len(data), n, last, []
        self.lost -= lost
        about = os.fstat(self._file)
        marks = FileMarks(about.st_ino, about.st_mtime_ns, about.st_ctime_ns)
        head = AuditHead(n, last, moment.at, self._path.name, marks)
        content, (fresh, place) = signed(head, self._key), self._head
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
        fresh.replace(place)

    def _open(self) -> None:
        """Finds the end of the chain, and notes what happened to it since the last run."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = audit_key(self.folder, make=True)
        assert key is not None
        self._key, self._n, self._hash = key, 0, FIRST
        known = segments(self.folder)
        self._path = known[-1] if known else self.folder / f"{PREFIX}000001{SUFFIX}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        about = os.fstat(self._file)
        self._size, torn, last = about.st_size, 0, None
        if self._size:
            tail = os.pread(self._file, _TAIL_BYTES, max(0, self._size - _TAIL_BYTES))
            torn = len(tail) - (tail.rfind(b"\n") + 1)  # of a write that a crash cut: nobody was told that it was kept
            os.ftruncate(self._file, self._size - torn)
            self._size -= torn
            try:
                last, self._hash = opened(tail[: len(tail) - torn].rstrip(b"\n").rpartition(b"\n")[2], None)
            except BrokenLine:
                self._path = self.folder / f"{PREFIX}{int(self._path.name[len(PREFIX) : -len(SUFFIX)]) + 1:06}{SUFFIX}"
                os.close(self._file)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                self._size = 0
        try:
            head = read_head(self.folder / HEAD)
        except msgspec.MsgspecError:
            head = None
        if last is None and head is not None:
            self._n, self._hash = head.n, head.hash  # the last line is damaged: the head says where the chain goes on
        elif last is not None:
            self._n = last.n
        events: list[tuple[str, Any]] = [("start", {"pid": os.getpid(), "torn": torn})]
        if head is not None and last is not None:
            same = head.segment == self._path.name
            if head.n > last.n:
                missing = {"first": last.n + 1, "last": head.n, "head_at": head.at}
                events.insert(0, ("restored" if same and head.file.older(about) else "cut_off", missing))
            elif head.n == last.n and same and not torn and head.file.touched(about):
                events.insert(0, ("restored", {"first": 0, "last": 0, "head_at": head.at}))
        self._batch[:0] = events

    def _next_segment(self) -> None:
        """Begins another segment, and removes those whose time is over, once the chain says so."""
        number = int(self._path.name[len(PREFIX) : -len(SUFFIX)]) + 1
        path = self.folder / f"{PREFIX}{number:06}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.close(self._file)
        self._file, self._path, self._size = file, path, os.fstat(file).st_size
        old, now = [], self._now().at
        for each in segments(self.folder)[:-1] if self._keep_days else ():
            if each.stat().st_mtime >= now - self._keep_days * _DAY_S:
                break
            old.append(each)
        if old:
            last, digest = opened(old[-1].read_bytes().rstrip(b"\n").rpartition(b"\n")[2], None)
            self._batch.insert(0, ("retired", {"last": last.n, "hash": digest, "segment": old[-1].name}))
            self._write()
            for each in old:
                each.unlink()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
