"""A meter over an answer that has to be translated: the provider's events in, the client's wire out.

The decoder knows the provider's wire, the writer the client's; this knows neither. It is what makes a translated attempt look
to dispatch like one that passes through: the same commit point, the same verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from runtime.contract.failures import Failure
from runtime.contract.usage import Usage
from runtime.dialects.meter import PartialAnswer, broken
from runtime.wire import sse

_CONTENT = (TextDelta, ReasoningDelta, ToolCallStart, ArgumentsDelta, MediaOut, RefusalDelta, OpaqueBlock)


class Writer(Protocol):
    """Writes one answer in a client's wire, as a stream or whole. Fresh per answer; never sees `Failed`."""

    def feed(self, event: Event) -> bytes:
        """What the client may see now: b"" where the answer is wanted whole."""
        ...

    def end(self) -> bytes:
        """The closing marks of a stream, or the whole body. Called once, after `Stop`."""
        ...


class TranslatingMeter:
    """A `runtime.dialects.meter.Meter` made of a decoder and a writer."""

    __slots__ = (
        "_decoder",
        "_events",
        "_writer",
        "began",
        "done",
        "failure",
        "finish",
        "finished",
        "model",
        "partial",
        "tokens",
        "usage",
    )

    def __init__(self, decoder: Decoder, writer: Writer) -> None:
        self._events = sse.Events()
        self._decoder = decoder
        self._writer = writer
        self.partial: PartialAnswer | None = None  # a translated answer is not gone on with
        self.began = self.finished = self.done = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failure: Failure | None = None
        self.tokens = 0

    def feed(self, piece: bytes) -> bytes:
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
                out.append(self._take(self._decoder.feed(event.name.decode("latin-1"), event.data)))
        return b"".join(out)

    def end(self) -> bytes:
        """The upstream's stream is over. The closing marks wait for this, so that late usage is not lost."""
        if self.failure is not None or self.done:
            return b""
        owed = self._take(self._decoder.finish())
        if self.failure is None and not self.finished:
            self.failure = broken("the stream ended without a finish reason")
        if self.failure is not None:
            return b""
        self.done = True
        return owed + self._writer.end()

    def _take(self, events: Sequence[Event]) -> bytes:
        out = []
        for event in events:
            if isinstance(event, Failed):
                self.failure = event.failure
                break
            self._note(event)
            out.append(self._writer.feed(event))
        return b"".join(out)

    def _note(self, event: Event) -> None:
        if isinstance(event, _CONTENT):
            self.began = True
            self.tokens += 1
        elif isinstance(event, UsageReport):
            self.usage = event.usage
        elif isinstance(event, Stop):
            self.finish = event.finish
            self.finished = self.began = True
        elif isinstance(event, Start):
            self.model = event.model
