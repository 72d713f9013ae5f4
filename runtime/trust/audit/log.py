"""The writer of the audit log: each record is sealed and handed to the system before what it states goes on.

`note` appends one line to the newest segment with one write. When it returns, no kill of this process can lose the record:
a departure is noted before its first byte leaves, a whole answer of the box before its body does. A thread brings the
segment to the disk (fsync) and signs the head behind it, four times a second, so that a power cut costs at most the last
quarter of a second, and leaves records after the head and never a head after the records. What cannot be written waits in
memory, is said in `trouble`, and what was dropped is named by the next record that can be written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from runtime.trust.audit.chain import (
    FIRST,
    HEAD,
    NO_END,
    PREFIX,
    SUFFIX,
    AuditEntry,
    AuditHead,
    FileMarks,
    audit_key,
    end_of,
    read_head,
    sealed,
    segments,
    signed,
)

PAUSE_S = 0.25
_BATCH = 1000
_CLOSE_S = 5.0
_DAY_S = 86_400.0
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


since_boot = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since this machine started."""


@cache
def boot_name() -> str:
    """Names this start of the machine, which no process outlives; "" where the system has no name for it."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


class AuditLog:
    """The log in a folder of its own. Any thread may note.

    views: by kind, the part of a thing that is kept; without one all of it. wall: unix seconds. up: seconds since the machine
    started. boot: names that start. notice: takes one sentence per fault, in any thread. most_waiting: records that may wait
    while the log cannot be written; `trim` drops the oldest beyond it. segment_bytes: a fuller segment is followed by
    another. keep_days: segments are removed so long after their last record; 0 keeps all.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wall: Callable[[], float] = time.time,
        up: Callable[[], float] = since_boot,
        boot: str | None = None,
        notice: Callable[[str], None] = lambda words: None,
        most_waiting: int = 20_000,
        segment_bytes: int = 16 << 20,
        keep_days: float = 0,
    ) -> None:
        self.folder = folder
        self._head = folder / f"{HEAD}.new", folder / HEAD
        self.views: dict[str, Callable[[Any], Any]] = {}
        self.waiting: deque[tuple[str, Any]] = deque()
        self.lost = 0
        self.trouble: str | None = None
        self._wall, self._up, self._notice = wall, up, notice
        self._boot = boot_name() if boot is None else boot
        self._most_waiting, self._segment_bytes, self._keep_days = most_waiting, segment_bytes, keep_days
        self._lock = threading.Lock()  # of the file and the end of the chain
        self._file = -1  # while it cannot be written
        self._fault: OSError | None = None  # of the last write
        self._full: list[int] = []  # earlier segments that may not be on the disk yet
        self._path, self._size, self._n, self._hash, self._key = folder, 0, 0, FIRST, b""
        self._begun, self._signed, self._retired_for = False, 0, folder
        self._wake, self._turn, self._closing = threading.Event(), threading.Condition(), False
        self._wanted, self._written = 0, 0  # calls of `flush`; those of them whose things are on the disk
        self._thread: threading.Thread | None = None

    def note(self, kind: str = "", thing: Any = None) -> None:
        """Writes a record, behind those that wait; without a kind those alone. Never raises: what cannot be written waits."""
        if kind:
            self.waiting.append((kind, thing))
        if self._file < 0:
            return  # the thread writes what waits as soon as it can
        with self._lock:
            while self.waiting and self._file >= 0:
                taken = [self.waiting.popleft() for _ in range(min(_BATCH, len(self.waiting)))]
                lost, n, last, wall, up = self.lost, self._n, self._hash, self._wall(), self._up()
                lines: list[bytes] = []
                for name, each in (("gap", {"lost": lost}), *taken) if lost else taken:
                    try:
                        view = self.views.get(name)
                        body = view(each) if view is not None else each
                        line, last = sealed(AuditEntry(n + 1, wall, up, self._boot, last, name, body), self._key)
                    except Exception:  # noqa: BLE001 - one odd thing must not keep the others from the log
                        self.lost += 1
                    else:
                        lines.append(line)
                        n += 1
                data = b"".join(lines)
                try:
                    if self._size >= self._segment_bytes:
                        self._begin_segment()
                    written = os.write(self._file, data)
                    while written < len(data):
                        written += os.write(self._file, data[written:])
                except OSError as fault:
                    self.waiting.extendleft(reversed(taken))
                    self._give_up(fault)
                else:
                    self._size, self._n, self._hash = self._size + written, n, last
                    self.lost -= lost

    def _begin_segment(self) -> None:
        """Another segment after a full one, which the thread brings to the disk."""
        number = int(self._path.name[len(PREFIX) : -len(SUFFIX)]) + 1
        path = self.folder / f"{PREFIX}{number:06}{SUFFIX}"
        file = os.open(path, _APPEND, 0o600)
        self._full.append(self._file)
        self._file, self._path, self._size = file, path, os.fstat(file).st_size

    def _give_up(self, fault: OSError) -> None:
        """Closes the file, without the half of a batch; the thread opens it again."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        os.close(self._file)
        self._file, self._fault = -1, fault
        self._wake.set()

    def trim(self) -> None:
        """Drops the oldest records beyond the bound, and counts them."""
        while len(self.waiting) > self._most_waiting:
            self.waiting.popleft()
            self.lost += 1

    def start(self) -> None:
        """Opens the log, so that what is noted from now on is written, and starts the thread."""
        self._look()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Waits until all that was noted is on the disk; False when the time is over first. Blocks: not for the loop."""
        with self._turn:
            self._wanted = mine = self._wanted + 1
            self._wake.set()
            return self._turn.wait_for(lambda: self._written >= mine, timeout_s)

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Brings what is left to the disk, within the time, and ends the thread. Blocks."""
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
            closing = self._closing
            self._look()
        self._close_file()

    def _look(self) -> None:
        """Opens the file where it is not open, writes what waits, brings it to the disk and signs it."""
        wanted = self._wanted
        try:
            if self._file < 0:
                with self._lock:
                    self._open()
            self.note()
            if self._file < 0:
                raise self._fault or OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._sign()
            self._retire()
            self.trouble = None
            with self._turn:
                self._written = wanted
                self._turn.notify_all()
        except Exception as fault:  # noqa: BLE001 - whatever one turn does, the thread lives on to take the next
            words = f"the audit log in {self.folder} cannot be written ({fault}); records wait in memory"
            if words != self.trouble:
                self._notice(words)
            self.trouble = words
            self._close_file()

    def _sign(self) -> None:
        """Brings the segment to the disk, and writes a head that names its last record."""
        with self._lock:
            if self._n == self._signed or self._file < 0:
                return
            n, digest, path, full = self._n, self._hash, self._path, self._full
            self._full, about, files = [], os.fstat(self._file), [*full, os.dup(self._file)]
        with contextlib.ExitStack() as closing:
            for each in files:
                closing.callback(os.close, each)
            for each in files:
                os.fsync(each)
        marks = FileMarks(about.st_ino, about.st_mtime_ns, about.st_ctime_ns)
        content = signed(AuditHead(n, digest, self._wall(), path.name, marks), self._key)
        fresh, place = self._head
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
        fresh.replace(place)
        self._signed = n

    def _open(self) -> None:
        """Finds the end of the chain, and notes what happened to it since the last run."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = audit_key(self.folder, make=True)
        assert key is not None
        known = segments(self.folder)
        path = known[-1] if known else self.folder / f"{PREFIX}000001{SUFFIX}"
        end = newest = end_of(path) if known else NO_END
        if newest.last is None and not newest.broken and len(known) > 1:
            end = end_of(known[-2])  # a kill came between a new segment and its first record
        try:
            head = read_head(self.folder / HEAD)
        except msgspec.MsgspecError:
            head = None
        n, digest = (end.last.n + end.broken, end.hash) if end.last is not None else (0, FIRST)
        if head is not None and (end.last is None or end.broken):
            n, digest = max((n, FIRST), (head.n, head.hash))  # the chain goes on behind what is damaged
        file = os.open(path, _APPEND, 0o600)
        try:
            about = os.fstat(file)
            os.ftruncate(file, about.st_size - newest.torn)  # of a write that a kill cut: what it states was not begun
        except OSError:
            os.close(file)
            raise
        self._path, self._file, self._key, self._size = path, file, key, about.st_size - newest.torn
        if end.broken:
            self._begin_segment()
        if self._begun and (n, digest) == (self._n, self._hash):
            return
        events: list[tuple[str, Any]] = [("start", {"pid": os.getpid(), "torn": newest.torn})]
        if head is not None and not end.broken and end.last is not None:
            same = head.segment == path.name
            if head.n > n:
                missing = {"first": n + 1, "last": head.n, "head_at": head.at}
                events.insert(0, ("restored" if same and head.file.older(about) else "cut_off", missing))
            elif head.n == n and same and not newest.torn and head.file.touched(about):
                events.insert(0, ("restored", {"first": 0, "last": 0, "head_at": head.at}))
        self._n, self._hash, self._begun = n, digest, True
        self.waiting.extendleft(reversed(events))

    def _retire(self) -> None:
        """Removes the segments whose time is over, once the chain says so; looked at for each new segment."""
        if not self._keep_days or self._retired_for == self._path:
            return
        self._retired_for, old, now = self._path, [], self._wall()
        for each in segments(self.folder)[:-1]:
            if each.stat().st_mtime >= now - self._keep_days * _DAY_S:
                break
            old.append(each)
        end = end_of(old[-1]) if old else None
        if end is not None and end.last is not None:
            self.note("retired", {"last": end.last.n, "hash": end.hash, "segment": old[-1].name})
            self._sign()
            for each in old:
                each.unlink()

    def _close_file(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
