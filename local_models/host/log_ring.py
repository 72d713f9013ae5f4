"""The last lines a process wrote: bounded, without terminal colours, mirrored to a small file if wanted.

Knows nothing of what the lines mean (`faults.py` does).
"""

from __future__ import annotations

import re
from collections import deque
from io import BufferedWriter
from itertools import islice
from pathlib import Path

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_MOST = 2000  # characters kept of one line
_PARTIAL_MOST = 64 * 1024  # bytes of a line without an end before it is taken as one


class LogRing:
    """The last `capacity` lines. Feed it bytes as they come; a line counts once its end has arrived.

    mirror: a file that gets the same lines; at `mirror_bytes` it is renamed to NAME.1 and begun anew, so two of them at
    most are on disk. A full disk ends the mirror, never the ring.
    """

    def __init__(self, capacity: int = 2000, *, mirror: Path | None = None, mirror_bytes: int = 2_000_000) -> None:
        self._lines: deque[str] = deque(maxlen=capacity)
        self._partial = b""
        self._count = 0
        self._mark = 0
        self._mirror = Mirror(mirror, mirror_bytes) if mirror is not None else None

    def feed(self, data: bytes) -> None:
        """Bytes as the process wrote them, cut anywhere. A carriage return ends a line, as progress bars use it."""
        *whole, self._partial = (self._partial + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._partial) > _PARTIAL_MOST:
            whole.append(self._partial)
            self._partial = b""
        for line in whole:
            self._add(line)

    def flush(self) -> None:
        """The process has ended: what it left without a line end is a line."""
        partial, self._partial = self._partial, b""
        self._add(partial)
        if self._mirror is not None:
            self._mirror.flush()

    def close(self) -> None:
        self.flush()
        if self._mirror is not None:
            self._mirror.close()

    def tail(self, n: int) -> tuple[str, ...]:
        """The last n lines, oldest first."""
        return tuple(islice(self._lines, max(0, len(self._lines) - n), None))

    def mark(self) -> None:
        """A new start of the process begins here."""
        self._mark = self._count

    @property
    def since_mark(self) -> tuple[str, ...]:
        """The lines since `mark`, as far as they are still held."""
        return self.tail(self._count - self._mark)

    def _add(self, raw: bytes) -> None:
        line = _ANSI.sub(b"", raw).decode("utf-8", "replace").rstrip()
        if not line:
            return
        if len(line) > _LINE_MOST:
            line = f"{line[:_LINE_MOST]} […]"
        self._lines.append(line)
        self._count += 1
        if self._mirror is not None:
            self._mirror.write(line)


class Mirror:
    """A log file that never grows past twice its bound. Its owner alone reads it: engines log what they are asked."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most = most_bytes
        self._size = 0
        self._file = self._open()

    def write(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        if self._file is None:
            return
        try:
            self._file.write(data)
            self._size += len(data)
            if self._size >= self._most:
                self._turn()
        except OSError:
            self.close()

    def flush(self) -> None:
        if self._file is not None:
            try:
                self._file.flush()
            except OSError:
                self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return  # the disk is full; the ring still has the lines

    def _turn(self) -> None:
        self.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._open()

    def _open(self) -> BufferedWriter | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
            self._path.chmod(0o600)
        except OSError:
            return None
        self._size = file.tell()
        return file
