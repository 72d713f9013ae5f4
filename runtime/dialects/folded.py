"""A meter of an answer that is fetched as a stream and wanted as one body, on the wire of client and target alike.

The wire's own stream meter judges the events, so that a cut or an error ends the answer as it ends a stream; a fold of the
wire makes one body of those that passed, the one that the vendor gives without a stream.
"""

from __future__ import annotations

from typing import Protocol

from runtime.dialects.meter import UNDECODABLE, WHOLE_LIMIT, Meter, MeterState, garbled
from runtime.wire import sse
from runtime.wire.cut_characters import CutCharacters


class Fold(Protocol):
    """One answer, from the events of its stream. Fresh per answer."""

    def take(self, name: bytes, data: bytes) -> None:
        """One event that the stream's meter found good. May raise any of UNDECODABLE."""
        ...

    def whole(self) -> bytes:
        """The body. Called once, after the last event."""
        ...


class FoldedMeter(MeterState):
    """A `runtime.dialects.meter.Meter`. limit: bytes of the stream, because the fold keeps the answer."""

    __slots__ = ("_characters", "_events", "_fold", "_left", "_limit", "_meter", "_written")

    def __init__(self, meter: Meter, fold: Fold, limit: int = 4 * WHOLE_LIMIT) -> None:
        self._meter, self._fold = meter, fold
        self._events, self._characters = sse.Events(), CutCharacters()
        self._limit = self._left = limit
        self._written = False

    def feed(self, piece: bytes) -> bytes:
        """See `Meter.feed`. Nothing passes before the end."""
        if self.failure is None:
            self._take(self._meter.feed(piece))
        return b""

    def end(self) -> bytes:
        """See `Meter.end`."""
        if self.failure is None and not self._written:
            self._take(self._meter.end())
        if self.failure is not None or self._written:
            return b""
        self._written = True
        return self._fold.whole()

    def _take(self, passed: bytes) -> None:
        """Folds the events that the stream's meter let pass, and takes over what it has found."""
        meter = self._meter
        self.began, self.finished, self.done, self.tokens = meter.began, meter.finished, meter.done, meter.tokens
        self.finish, self.usage, self.model, self.failure = meter.finish, meter.usage, meter.model, meter.failure
        self._left -= len(passed)
        if self._left < 0:
            self.failure = garbled(f"the answer is longer than {self._limit} bytes")
            return
        for event in self._events.feed(passed):
            if event.data is not None:
                data = self._characters.joined(event.data)
                try:
                    self._fold.take(event.name, data)
                except UNDECODABLE as error:
                    self.failure = garbled(f"an event of the stream is not valid: {error}", data)
