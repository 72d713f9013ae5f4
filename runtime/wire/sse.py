"""Server-sent events: bytes in, whole events out. Knows framing (LF, CRLF or CR; fields; comments), not what data means.

A long event costs time in proportion to its length, however small its pieces, and both its length and its lines are limited.
"""

from __future__ import annotations

import re

import msgspec

from runtime.contract.failures import Disposition, Failure, HopError, Kind

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LONGEST_END = 4
_LINE = re.compile(rb"\r\n|\n|\r")

MEDIA_TYPE = "text/event-stream"
EVENT_LIMIT = 16 << 20  # bytes of one event: a generated image of 12 MB in base64
LINE_LIMIT = 10_000  # lines of one event


class EventTooLongError(HopError):
    """An event has more bytes or lines than its reader allows: the stream is garbled."""

    def __init__(self, message: str) -> None:
        super().__init__(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message))


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `raw` includes its closing blank line; `data` is None for a comment or a bare field."""

    raw: bytes
    name: bytes
    data: bytes | None


class Events(msgspec.Struct, eq=False):
    """Splits one stream into events, whatever its pieces. limit: bytes of an event that has not ended."""

    limit: int = EVENT_LIMIT
    pending: bytearray = msgspec.field(default_factory=bytearray)

    def feed(self, piece: bytes) -> list[Event]:
        """The events that end in this piece. Raises EventTooLongError."""
        pending = self.pending
        if pending:
            # An end that was not there before can only begin in the last bytes of what is pending.
            start = max(0, len(pending) - _LONGEST_END + 1)
            pending += piece
            if _END.search(pending, start) is None:
                if len(pending) > self.limit:
                    pending.clear()
                    raise EventTooLongError(f"an event is longer than {self.limit} bytes")
                return []
            piece = bytes(pending)
            pending.clear()
        if b"\r" in piece:
            return self._with_returns(piece)
        *blocks, rest = piece.split(b"\n\n")
        if rest:
            pending += rest
        events = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(Event(block + b"\n\n", b"", block[6:]))
            else:
                events.append(parse(block + b"\n\n", block))
        return events

    def _with_returns(self, piece: bytes) -> list[Event]:
        """The events of a stream whose lines end in CR or CRLF, or in several ways."""
        # (1) Each event is one line of data between CRLFs: the common case, read without a regular expression.
        *blocks, rest = piece.split(b"\r\n\r\n")
        events = []
        if b"\n" not in rest and b"\r" not in rest:
            for block in blocks:
                if not block.startswith(b"data: ") or b"\n" in block or b"\r" in block:
                    break
                events.append(Event(block + b"\r\n\r\n", b"", block[6:]))
            else:
                self.pending += rest
                return events
        # (2) Any other. A lone CR at the end may be half of a CRLF: it stays pending.
        limit = len(piece) - 1 if piece.endswith(b"\r") else len(piece)
        events, at = [], 0
        for end in _END.finditer(piece, 0, limit):
            events.append(parse(piece[at : end.end()], piece[at : end.start()]))
            at = end.end()
        self.pending += piece[at:]
        return events

    def rest(self) -> bytes:
        """Takes the bytes after the last whole event."""
        rest = bytes(self.pending)
        self.pending.clear()
        return rest


def parse(raw: bytes, block: bytes, line_limit: int = LINE_LIMIT) -> Event:
    """An event from its lines; one data line, alone or after a name, is read without splitting. Raises EventTooLongError."""
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return Event(raw, b"", block[6:])
    if block.startswith(b"event: ") and block.count(b"\n") == 1 and b"\r" not in block:
        head, _, rest = block.partition(b"\n")
        if rest.startswith(b"data: "):
            return Event(raw, head[7:], rest[6:])
    if block.count(b"\n") + block.count(b"\r") > 2 * line_limit:
        raise EventTooLongError(f"an event has more than {line_limit} lines")
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
