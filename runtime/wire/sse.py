"""Server-sent events: bytes in, whole events out. Knows framing (LF, CRLF or CR; fields; comments), not what data means."""

from __future__ import annotations

import re
from typing import NamedTuple

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(rb"\r\n|\n|\r")

MEDIA_TYPE = "text/event-stream"


class Event(NamedTuple):
    """One event. `raw` includes its closing blank line; `data` is None for a comment or a bare field."""

    raw: bytes
    name: bytes
    data: bytes | None


class Events:
    """Splits a stream into events, whatever its chunks. One per response."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Event]:
        buffer = self._rest + piece if self._rest else piece
        if b"\r" not in buffer:
            *whole, self._rest = buffer.split(b"\n\n")
            return [
                Event(block + b"\n\n", b"", block[6:])
                if block.startswith(b"data: ") and b"\n" not in block
                else parse(block + b"\n\n", block)
                for block in whole
            ]
        events = self._data_alone(buffer)
        if events is not None:
            return events
        # A lone CR at the end may be half of a CRLF: it waits for the next piece.
        limit = len(buffer) - 1 if buffer.endswith(b"\r") else len(buffer)
        events = []
        at = 0
        for end in _END.finditer(buffer, 0, limit):
            events.append(parse(buffer[at : end.end()], buffer[at : end.start()]))
            at = end.end()
        self._rest = buffer[at:]
        return events

    def _data_alone(self, buffer: bytes) -> list[Event] | None:
        """The events where CRLF ends each line and each event is one line of data; None where it is not so."""
        *whole, rest = buffer.split(b"\r\n\r\n")
        events = []
        for block in whole:
            if not block.startswith(b"data: ") or b"\n" in block or b"\r" in block:
                return None
            events.append(Event(block + b"\r\n\r\n", b"", block[6:]))
        if b"\n" in rest or b"\r" in rest:
            return None
        self._rest = rest
        return events

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest


def parse(raw: bytes, block: bytes) -> Event:
    """An event from its lines; the common cases, one data line alone or after a name, are read without splitting."""
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return Event(raw, b"", block[6:])
    if block.startswith(b"event: ") and block.count(b"\n") == 1 and b"\r" not in block:
        head, _, rest = block.partition(b"\n")
        if rest.startswith(b"data: "):
            return Event(raw, head[7:], rest[6:])
    name, data = b"", []
    for line in _LINE.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(raw, name, b"\n".join(data) if data else None)


def encode(data: bytes, name: bytes = b"") -> bytes:
    """One event of one data line (JSON has no raw line breaks)."""
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + data + b"\n\n"
