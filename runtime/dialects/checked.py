"""A meter over a translated answer whose format the model was only told of in words: held back, checked, then written.

Nothing of it reaches the client before it keeps its format. What is wrong is left in `fault`, for the one more request that
asks for better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtime.contract.codec import Decoder
from runtime.contract.events import Event, Failed, Stop, TextDelta, ToolCallStart
from runtime.contract.messages import Request
from runtime.dialects import structured
from runtime.dialects.meter import garbled
from runtime.dialects.structured import Fault
from runtime.dialects.translating import TranslatingMeter, Writer

FORMAT_NOT_KEPT = "format_not_kept"  # a failure's code: it was asked for once more already


class CheckedMeter(TranslatingMeter):
    """A `TranslatingMeter` that writes only what keeps `request.format`.

    A refusal, a tool call or an answer cut by its own limit is none of the format's business and goes through as it is.
    """

    __slots__ = ("_taken", "fault", "request", "text")

    def __init__(self, decoder: Decoder, writer: Writer, request: Request) -> None:
        super().__init__(decoder, writer)
        self.request = request
        self._taken: list[Event] = []
        self.fault: Fault | None = None
        self.text = ""

    def _take(self, events: Sequence[Event]) -> bytes:
        for event in events:
            if isinstance(event, Failed):
                self.failure = event.failure
                break
            self._note(event)
            self._taken.append(event)
        return b""

    def end(self) -> bytes:
        if self.failure is None and not self.done:
            self._take(self._decoder.finish())
        if self.failure is None and not self.finished:
            self.failure = garbled("the stream ended without a finish reason")
        if self.failure is not None or self.done:
            return b""
        if self._is_due():
            self.text = "".join(event.text for event in self._taken if isinstance(event, TextDelta))
            self.fault = structured.fault(self.text, self.request.format) if self.request.format else None
            if self.fault is not None:
                self.failure = replace(
                    garbled(f"the answer does not keep its format: {self.fault}"), code=FORMAT_NOT_KEPT
                )
                return b""
        self.done = True
        return b"".join(map(self._writer.feed, self._clean())) + self._writer.end()

    def _is_due(self) -> bool:
        stop = next(event for event in self._taken if isinstance(event, Stop))
        return stop.finish == "stop" and not any(isinstance(event, ToolCallStart) for event in self._taken)

    def _clean(self) -> Sequence[Event]:
        """The events with the text without its fence, in one piece where it stood first."""
        clean = structured.unfenced(self.text)
        if clean == self.text or not self.text:
            return self._taken
        first = next(event for event in self._taken if isinstance(event, TextDelta))
        whole = TextDelta(first.index, clean)
        kept = [event for event in self._taken if event is first or not isinstance(event, TextDelta)]
        return [whole if event is first else event for event in kept]
