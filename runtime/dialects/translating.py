"""A meter over an answer that has to be translated: the provider's events in, the client's wire out.

The decoder knows the provider's wire, the writer the client's; this knows neither. To dispatch a translated answer looks
like one that passes through: the same commit point, the same verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from runtime.contract.codec import Decoder
from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    Failed,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.dialects.meter import MeterState, broken, garbled
from runtime.dialects.unfolded import unfolded
from runtime.wire import sse
from runtime.wire.cut_characters import CutCharacters
from runtime.wire.cut_json import breaks_off

ANSWER_LIMIT = 256 << 20  # bytes of a provider's stream: half a million tokens in chunks of their own
_CONTENT = (TextDelta, ReasoningDelta, ToolCallStart, ArgumentsDelta, MediaOut, RefusalDelta, OpaqueBlock)


class Writer(Protocol):
    """Writes one answer in a client's wire, as a stream or whole. Fresh per answer; never gets `Failed`."""

    def feed(self, event: Event) -> bytes:
        """The bytes the client may see now: b"" if the answer is wanted whole."""
        ...

    def end(self) -> bytes:
        """The closing marks of a stream, or the whole body. Called once, after `Stop`."""
        ...


class TranslatingMeter(MeterState):
    """A `runtime.dialects.meter.Meter` made of a decoder and a writer. limit: bytes, because writers keep the answer."""

    __slots__ = ("_arguments", "_characters", "_decoder", "_events", "_left", "_limit", "_stop", "_writer", "_written")

    def __init__(self, decoder: Decoder, writer: Writer, limit: int = ANSWER_LIMIT) -> None:
        self._events = sse.Events()
        self._arguments: dict[int, list[str]] = {}  # of each call, by block
        self._characters = CutCharacters()
        self._decoder = decoder
        self._writer = writer
        self._limit = self._left = limit
        self._stop: Stop | None = None  # waits for the end: more content may follow it, and the last one holds
        self._written = False  # to the end

    def feed(self, piece: bytes) -> bytes:
        """See `Meter.feed`."""
        self._left -= len(piece)
        if self._left < 0:
            self.failure = self.failure or garbled(f"the answer is longer than {self._limit} bytes")
        try:
            events = self._events.feed(piece)
        except sse.EventTooLongError as error:
            self.failure = self.failure or error.failure
            return b""
        out = []
        for event in events:
            if self.failure is not None:
                break
            if event.data is not None:
                data = self._characters.joined(event.data)
                out.append(self._take(self._decoder.feed(event.name.decode("latin-1"), data)))
        self.done = self._decoder.closed
        return b"".join(out)

    def end(self) -> bytes:
        """See `Meter.end`. The closing marks wait for this, so that late usage is not lost."""
        if self.failure is not None or self._written:
            return b""
        pending = self._finish()
        if pending is None:
            return b""
        self.done = self._written = True
        return pending + self._writer.end()

    def _finish(self) -> bytes | None:
        """Takes the decoder's last events; None, with `failure` set, if the answer is not whole."""
        # A JSON body in place of a stream has come as an event that does not end: it is a whole answer.
        body = b"" if self.began else self.feed(unfolded(self._events.rest()))
        pending = body + self._take(self._decoder.finish())
        if self.failure is None and self._stop is None:
            self.failure = broken("the stream ended without a finish reason")
        if self.failure is not None:
            return None
        stop, self._stop = self._stop, None
        return pending + self._writer.feed(stop) if stop is not None else pending

    def _take(self, events: Sequence[Event]) -> bytes:
        """Takes note of events and writes them."""
        out = []
        for event in events:
            if isinstance(event, _CONTENT):
                self.began = True
                self.finished = False  # content after a finish reason: the answer goes on
                self.tokens += 1
                if isinstance(event, ArgumentsDelta):
                    self._arguments.setdefault(event.index, []).append(event.text)
            elif isinstance(event, UsageReport):
                self.usage = event.usage
            elif isinstance(event, Stop):
                # A call whose arguments break off was cut by a limit, whatever the server says: no client may run it.
                cut = any(map(breaks_off, map("".join, self._arguments.values())))
                stop = replace(event, finish="length") if cut and event.finish in ("tool_calls", "stop") else event
                self.finish = stop.finish
                self.finished = self.began = True
                self._stop = stop
                continue
            elif isinstance(event, Start):
                self.model = event.model
            elif isinstance(event, Failed):
                self.failure = event.failure
                break
            out.append(self._writer.feed(event))
        return b"".join(out)
