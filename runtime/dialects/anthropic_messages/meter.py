"""Reads answers that pass through on this wire: content, stop reason, usage, errors. Forwards bytes unchanged."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.contract.failures import Failure
from runtime.dialects.anthropic_messages.words import FINISH, usage_of
from runtime.dialects.meter import StreamMeter, WholeMeter, broken, finish_reason, garbled
from runtime.wire import sse

STOP_EVENT = sse.encode(b'{"type":"message_stop"}', b"message_stop")


class _Event(msgspec.Struct):
    type: Any = None
    message: Any = None
    content_block: Any = None
    delta: Any = None
    usage: Any = None
    error: Any = None


class _Message(msgspec.Struct):
    type: Any = None
    content: Any = None
    stop_reason: Any = None
    usage: Any = None
    model: Any = None
    error: Any = None


_event = msgspec.json.Decoder(_Event)
_message = msgspec.json.Decoder(_Message)


def failure_of(error: Any, raw: bytes) -> Failure:
    """The failure of an error object in place of an answer."""
    detail = error if isinstance(error, dict) else {}
    message = str(detail.get("message") or error)[:500]
    code = detail.get("type")
    return broken(f"the answer broke off with an error: {message}", code if isinstance(code, str) else None, raw)


class MessagesStreamMeter(StreamMeter):
    """Meters one SSE answer (see `Meter`)."""

    __slots__ = ("_counts", "_started")
    closing = STOP_EVENT

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._counts: dict[str, Any] = {}

    def read(self, event: sse.Event, data: bytes) -> bytes:
        """See `StreamMeter.read`."""
        read = _event.decode(data)
        kind = read.type if isinstance(read.type, str) else event.name.decode("latin-1")
        if kind == "error" or event.name == b"error":
            self.failure = failure_of(read.error, data)
            return b""
        match kind:
            case "message_start":
                self._started = True
                if isinstance(read.message, dict):
                    model = read.message.get("model")
                    self.model = model if isinstance(model, str) else None
                    self._count(read.message.get("usage"))
            case "content_block_delta" | "content_block_start" | "message_delta" if not self._started:
                self.failure = garbled("content came before the message began", data)
            case "content_block_delta":
                self.began = True
                self.finished = False  # content after a stop reason: the answer goes on
                self.tokens += 1
            case "content_block_start":
                self._begin_block(read.content_block)
            case "message_delta":
                self._count(read.usage)
                reason = finish_reason(read.delta.get("stop_reason") if isinstance(read.delta, dict) else None)
                if reason is not None:
                    self.finish = FINISH.get(reason, reason)
                    self.finished = self.began = True
            case "message_stop" if not self.ended:
                self.failure = broken("the stream said it was done without a stop reason")
            case "message_stop":
                self.done = True
            case "":
                self.failure = garbled("an event of the stream has no type", data)
            case _:  # ping, content_block_stop, and types that this wire may get later
                pass
        return event.raw if self.failure is None else b""

    @property
    def ended(self) -> bool:
        """See `StreamMeter.ended`."""
        return self.finish is not None

    def _begin_block(self, block: Any) -> None:
        """Empty text is no content yet; thinking is, because it may take long and show nothing."""
        block = block if isinstance(block, dict) else {}
        if block.get("type") == "fallback":  # the vendor itself changed the model
            served = block.get("to")
            self.model = served.get("model", self.model) if isinstance(served, dict) else self.model
        self.began = self.began or block.get("type") != "text" or bool(block.get("text"))

    def _count(self, usage: Any) -> None:
        """Counts are cumulative; one that a later event leaves out keeps its value."""
        if isinstance(usage, dict):
            self._counts |= {name: value for name, value in usage.items() if value is not None}
            self.usage = usage_of(self._counts)


class MessagesWholeMeter(WholeMeter):
    """Meters one whole JSON answer (see `Meter`)."""

    __slots__ = ()

    def read(self, body: bytes) -> Failure | None:
        """See `WholeMeter.read`."""
        message = _message.decode(body)
        if message.type == "error" or message.error is not None:
            return failure_of(message.error, body)
        if message.type != "message" or not isinstance(message.content, list):
            return garbled("the answer is not a message", body)
        reason = finish_reason(message.stop_reason)
        if reason is None:
            return broken("the answer has no stop reason")
        self.finish = FINISH.get(reason, reason)
        self.model = message.model if isinstance(message.model, str) else None
        self.usage = usage_of(message.usage)
        return None
