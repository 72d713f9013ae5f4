"""Reads answers that pass through on this wire: content, how they end, usage, errors. Forwards bytes unchanged.

The wire's last event carries the whole response, and nothing follows it. Some servers send `response.completed` for a truncated
response: the response's own status counts, and the event is renamed for the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.contract.failures import Failure
from runtime.contract.owner_ids import owned
from runtime.dialects.meter import StreamMeter, WholeMeter, broken, garbled
from runtime.dialects.openai_responses.words import CUT_SHORT, finish_of, usage_of
from runtime.dialects.openai_responses.write_answer.envelope import StreamProgress
from runtime.dialects.unfolded import unfolded
from runtime.wire import sse
from runtime.wire.raw_body import BadBody, RawBody

Done = Callable[[bytes], None]
"""Called with the bytes of a whole response."""

INCOMPLETE = "response.incomplete"
ENDINGS = frozenset({"response.completed", INCOMPLETE})
FAILURES = frozenset({"response.failed", "response.cancelled", "error"})
_OPENINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
_WITH_ID = _OPENINGS | ENDINGS
_EMPTY_ITEMS = ("message", "reasoning")  # when they are added


class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    item: Any = None
    response: msgspec.Raw = msgspec.Raw()
    sequence_number: Any = None
    error: Any = None


_event = msgspec.json.Decoder(_Event)
_any = msgspec.json.Decoder()


def _ignored(response: bytes) -> None: ...


def under(owner: str, response: bytes) -> bytes:
    """The response under an id with the name of the Hearth that stores it; "" leaves it as it is."""
    try:
        body = RawBody(response) if owner else None
    except BadBody:  # JSON that decodes and cannot be spliced (a member twice): forwarded as it is
        return response
    if body is None or not isinstance(id := body.data.get("id"), str):
        return response
    return body.spliced({"id": msgspec.json.encode(owned(id, owner))})


def failure_of(value: Any, raw: bytes) -> Failure:
    """The failure of an error in place of an answer: an error event, a failed response, or an error body.

    The failure's body is an error body of this wire's shape, whichever of those it was.
    """
    detail: dict[str, Any] = {}
    response = value.get("response") if isinstance(value, dict) else None
    match response if isinstance(response, dict) else value:
        case {"error": dict() as error}:
            detail = error
        case {"error": str() as error} if error:
            detail = {"message": error}
        case {"message": _} as inner:
            detail = {name: inner[name] for name in ("code", "message", "param") if inner.get(name) is not None}
        case {"status": status} if status:
            detail = {"message": f"the response is {status}", "code": "server_error"}
        case other if other and not isinstance(other, dict):
            detail = {"message": str(other)}
    message = str(detail.get("message") or raw.decode(errors="replace"))[:500]
    code = detail.get("code") or detail.get("type")
    body = msgspec.json.encode({"error": detail}) if detail else raw
    return broken(f"the answer broke off with an error: {message}", None if code is None else str(code), body)


class ResponsesStreamMeter(StreamMeter):
    """Meters one SSE answer (see `Meter`). progress: kept up to date for an error event. done: gets the whole response.

    owner: the Hearth that stores it, whose name its id gets.
    """

    __slots__ = ("_done", "_owner", "_progress")

    def __init__(self, progress: StreamProgress | None = None, done: Done = _ignored, owner: str = "") -> None:
        super().__init__()
        self._owner = owner
        self._progress = progress or StreamProgress()
        self._done = done

    def end(self) -> bytes:
        """See `Meter.end`. A last event that lacks only its blank line still counts."""
        pending = b""
        if self.failure is None and not self.done:
            rest = self._events.rest()
            last = rest.startswith((b"data:", b"event:"))
            pending = self.feed(rest + b"\n\n" if last else b"" if self.began else unfolded(rest))
        if not self.done:
            self.failure = self.failure or broken("the stream ended before the response was complete")
        return pending

    def read(self, event: sse.Event, data: bytes) -> bytes:
        """See `StreamMeter.read`."""
        if data == b"[DONE]":
            self.failure = broken("the stream said it was done before the response was complete")
            return b""
        read = _event.decode(data)
        kind = read.type if isinstance(read.type, str) else event.name.decode("latin-1")
        if self._owner and read.response and kind in _WITH_ID:
            data = RawBody(data).spliced({"response": under(self._owner, bytes(read.response))})
            read, event = _event.decode(data), sse.Event(sse.encode(data, event.name), event.name, data)
        if isinstance(read.sequence_number, int):
            self._progress.sequence = read.sequence_number
        if kind in FAILURES or (not kind and read.error is not None):
            self.failure = failure_of(_any.decode(data), data)
        elif kind.endswith(".delta"):
            if read.delta:
                self.began = True
                self.tokens += 1
        elif kind in ENDINGS:
            return self._end(kind, bytes(read.response), event)
        elif kind in _OPENINGS:
            response = _any.decode(read.response) if read.response else None
            if isinstance(response, dict):
                self._progress.response = response
                self.model = _model_of(response) or self.model
        elif kind == "response.output_item.added":
            # A message or reasoning is content only once it has text.
            self.began = self.began or (isinstance(read.item, dict) and read.item.get("type") not in _EMPTY_ITEMS)
        elif not kind:
            self.failure = garbled("an event of the stream has no type", data)
        return event.raw if self.failure is None else b""

    def _end(self, kind: str, raw: bytes, event: sse.Event) -> bytes:
        """The last event, under the name that fits the response's own status."""
        data = event.data or b""
        response = _any.decode(raw) if raw else None
        if not isinstance(response, dict):
            self.failure = garbled("the last event holds no response", data)
            return b""
        finish = finish_of(response)
        if finish is None or response.get("error") is not None:
            self.failure = failure_of(response, data)
            return b""
        self.model = _model_of(response) or self.model
        self.finish, self.usage = finish, usage_of(response)
        self.began = self.finished = self.done = True
        self._done(raw)
        if kind == INCOMPLETE or finish not in CUT_SHORT:
            return event.raw
        # `response.completed` was sent for a truncated answer.
        try:
            renamed = RawBody(data).spliced({"type": msgspec.json.encode(INCOMPLETE)})
        except BadBody:  # JSON that decodes and cannot be spliced (a member twice): forwarded as it is
            return event.raw
        return sse.encode(renamed, INCOMPLETE.encode() if event.name else b"")


class ResponsesWholeMeter(WholeMeter):
    """Meters one whole JSON answer (see `Meter`). done: gets the whole response. owner: see `ResponsesStreamMeter`."""

    __slots__ = ("_done", "_named", "_owner")

    def __init__(self, done: Done = _ignored, owner: str = "") -> None:
        super().__init__()
        self._done, self._owner, self._named = done, owner, b""

    def end(self) -> bytes:
        """See `Meter.end`."""
        return super().end() and self._named

    def read(self, body: bytes) -> Failure | None:
        """See `WholeMeter.read`."""
        response = _any.decode(body)
        if isinstance(response, dict) and response.get("error") is not None:
            return failure_of(response, body)
        if not isinstance(response, dict) or not isinstance(response.get("output"), list):
            return garbled("the answer is not a response", body)
        self.finish = finish_of(response)
        if self.finish is None:
            return failure_of(response, body)
        self.model, self.usage = _model_of(response), usage_of(response)
        self._named = under(self._owner, body) if self._owner else body
        self._done(self._named)
        return None


def _model_of(response: dict[str, Any]) -> str | None:
    model = response.get("model")
    return model if isinstance(model, str) else None
