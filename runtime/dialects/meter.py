"""Reads an answer that passes through: has content begun, is it whole, what did it cost, did it fail.

`Meter` is the seam between a dialect and the dispatcher: an object, fresh per response, without I/O. `StreamMeter` and
`WholeMeter` do all that wires have in common; a wire's own meter only reads one event, or one body.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import msgspec

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.usage import Usage
from runtime.dialects.unfolded import unfolded
from runtime.wire import sse
from runtime.wire.cut_characters import mended

KEPT_ERROR_BYTES = 4096
WHOLE_LIMIT = 64 << 20  # bytes of a whole answer: a dozen generated images in base64
UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The answer up to the cut, for the run that resumes it. tokens: about how many."""

    text: str
    tokens: int


class Meter(Protocol):
    """Reads one answer.

    began: the first content has been seen (text, reasoning, a tool call): the commit point.
    finished: every choice has its finish reason, and no content has come since: a connection that dies now cuts nothing off.
    done: the wire's closing mark has been seen.
    failure: set when the answer is not what it claims to be; nothing fed after it is forwarded.
    tokens: content deltas seen, about the tokens generated.
    """

    began: bool
    finished: bool
    done: bool
    finish: str | None
    usage: Usage | None
    model: str | None
    failure: Failure | None
    tokens: int

    @property
    def partial(self) -> PartialAnswer | None:
        """All of a text answer so far, where another run can resume it after a cut."""
        ...

    def feed(self, piece: bytes) -> bytes:
        """The bytes of this piece that the client may see: whole, well-formed events only."""
        ...

    def end(self) -> bytes:
        """The upstream has ended: the bytes still pending for the client; sets `failure` if the answer is not whole."""
        ...


class MeterState:
    """The fields of a `Meter`, as they are before the answer begins."""

    began: bool = False
    finished: bool = False
    done: bool = False
    finish: str | None = None
    usage: Usage | None = None
    model: str | None = None
    failure: Failure | None = None
    tokens: int = 0

    @property
    def partial(self) -> PartialAnswer | None:
        """None: only plain text on the chat wire can be resumed."""
        return None


class StreamMeter(MeterState, ABC):
    """Meters an SSE answer. A wire gives `read`; `closing` is the event added to a whole answer that came without it."""

    __slots__ = ("_events",)
    closing: ClassVar[bytes] = b""

    def __init__(self) -> None:
        self._events = sse.Events()

    @abstractmethod
    def read(self, event: sse.Event, data: bytes) -> bytes:
        """Takes note of one event and returns the bytes of it that the client may see. Sets `failure`, `done`, …

        data: the event's own. May raise any of UNDECODABLE.
        """

    def feed(self, piece: bytes) -> bytes:
        """See `Meter.feed`."""
        forward: list[bytes] = []
        try:
            events = self._events.feed(piece)
        except sse.EventTooLongError as error:
            self.failure = self.failure or error.failure
            return b""
        for event in events:
            if self.failure is not None or self.done:
                break
            if event.data is None:
                if not event.name:  # a comment keeps the connection alive; a bare field means nothing
                    forward.append(event.raw)
                continue
            try:
                try:
                    seen = self.read(event, event.data)
                except UNDECODABLE:
                    # Half of a character, whose other half the next event brings, is read as U+FFFD and forwarded as it is.
                    seen = self.read(event, mended(event.data))
            except UNDECODABLE as error:
                self.failure = garbled(f"an event of the stream is not valid: {error}", event.data)
                break
            if seen:
                forward.append(seen)
        return b"".join(forward) if len(forward) != 1 else forward[0]

    @property
    def ended(self) -> bool:
        """True if a regular end here makes the answer whole: every choice has had its finish reason."""
        return self.finished

    def end(self) -> bytes:
        """See `Meter.end`. A JSON body in place of a stream has come as an event that does not end: it is a whole answer."""
        over = self.began or self.done or self.failure is not None
        pending = b"" if over else self.feed(unfolded(self._events.rest()))
        if self.failure is not None or self.done:
            return pending
        if not self.ended:
            self.failure = broken("the stream ended without a finish reason")
            return b""
        self.done = True
        return pending + self.closing


class WholeMeter(MeterState, ABC):
    """Meters one whole JSON answer, held back until all of it is there. A wire gives `read`. limit: bytes of the answer."""

    __slots__ = ("_limit", "_pieces", "_size")

    def __init__(self, limit: int = WHOLE_LIMIT) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._limit = limit

    @abstractmethod
    def read(self, body: bytes) -> Failure | None:
        """Judges the body and takes model, finish reason and usage from it. May raise any of UNDECODABLE."""

    def feed(self, piece: bytes) -> bytes:
        """See `Meter.feed`."""
        self._size += len(piece)
        if self._size > self._limit:
            self.failure = garbled(f"the answer is longer than {self._limit} bytes")
            self._pieces.clear()
        elif self.failure is None:
            self._pieces.append(piece)
        return b""

    def end(self) -> bytes:
        """See `Meter.end`."""
        if self.failure is not None or self.done:
            return b""
        body = b"".join(self._pieces)
        try:
            try:
                self.failure = self.read(body)
            except UNDECODABLE:
                self.failure = self.read(mended(body))
        except UNDECODABLE as error:
            self.failure = garbled(f"the answer is not valid JSON: {error}", body)
        if self.failure is not None:
            return b""
        self.tokens = self.usage.completion if self.usage is not None else 0
        self.began = self.finished = self.done = True
        return body


def finish_reason(value: Any) -> str | None:
    """The word that ends an answer, whatever its wire calls the member; None for null, for "" and for all that is no text.

    The one rule for meters and decoders: such a reason, the wire's closing mark and the end of the body end an answer, and
    nothing else does. What follows a finish reason (usage, citations, more text, an error) is still read.
    """
    return value if isinstance(value, str) and value else None


def broken(message: str, code: str | None = None, body: bytes = b"") -> Failure:
    return Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, message, code=code, body=body[:KEPT_ERROR_BYTES])


def garbled(message: str, body: bytes = b"") -> Failure:
    return Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message, body=body[:KEPT_ERROR_BYTES])
