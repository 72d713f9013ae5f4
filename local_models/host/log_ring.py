"""The last lines a process wrote: bounded, without terminal colours, mirrored to a small file if wanted.

Knows nothing of the meaning of the lines (`replica/diagnosis.py` does).
"""

from __future__ import annotations

import re
from collections import deque
from io import BufferedWriter
from itertools import islice
from pathlib import Path

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_MOST = 2000  # characters kept of one line


class LogRing:
    """The last `capacity` lines, `ring_bytes` of them at most. A line counts once its end has arrived.

    line_bytes: a longer line without an end is cut there; 2,000 characters of each line are kept. count: lines so far.
    mirror: a file that gets the same lines; at `mirror_bytes` it is renamed to NAME.1 and begun anew, so that two of them
    at most are on disk. A full disk ends the mirror, never the ring.
    """

    def __init__(
        self,
        capacity: int = 2000,
        *,
        line_bytes: int = 64 * 1024,
        ring_bytes: int = 1 << 20,
        mirror: Path | None = None,
        mirror_bytes: int = 2_000_000,
    ) -> None:
        self._capacity = capacity
        self._line_bytes = line_bytes
        self._ring_bytes = ring_bytes
        self._lines: deque[str] = deque()
        self._size = 0  # bytes of all lines held
        self._partial = b""
        self.count = 0
        self._mark = 0
        self._mirror = Mirror(mirror, mirror_bytes) if mirror is not None else None

    def feed(self, data: bytes) -> list[str]:
        """Bytes as the process wrote them, cut anywhere; the lines they complete. A carriage return, as progress bars
        use it, ends a line.
        """
        *whole, self._partial = (self._partial + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._partial) > self._line_bytes:
            whole.append(self._partial)
            self._partial = b""
        return [line for raw in whole if (line := self._add(raw))]

    def flush(self) -> list[str]:
        """The process has ended: its last bytes are a line, though they have no line end."""
        partial, self._partial = self._partial, b""
        line = self._add(partial)
        if self._mirror is not None:
            self._mirror.flush()
        return [line] if line else []

    def close(self) -> None:
        self.flush()
        if self._mirror is not None:
            self._mirror.close()

    def tail(self, n: int) -> tuple[str, ...]:
        """The last n lines, oldest first."""
        return tuple(islice(self._lines, max(0, len(self._lines) - n), None))

    def mark(self) -> None:
        """Begins a new run of the process."""
        self._mark = self.count

    @property
    def since_mark(self) -> tuple[str, ...]:
        """The lines since `mark`, as far as they are still held."""
        return self.tail(self.count - self._mark)

    def _add(self, raw: bytes) -> str:
        line = _ANSI.sub(b"", raw).decode("utf-8", "replace").rstrip()
        if not line:
            return ""
        if len(line) > _LINE_MOST:
            line = f"{line[:_LINE_MOST]} […]"
        self._lines.append(line)
        self._size += len(line.encode())
        while len(self._lines) > self._capacity or self._size > self._ring_bytes:
            self._size -= len(self._lines.popleft().encode())
        self.count += 1
        if self._mirror is not None:
            self._mirror.write(line)
        return line


class Mirror:
    """A log file that never grows past twice its bound, readable by its owner alone: engines log prompts."""

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
                self.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = self._open()
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

    def _open(self) -> BufferedWriter | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
            self._path.chmod(0o600)
        except OSError:
            return None
        self._size = file.tell()
        return file
