"""Reads answers that pass through on this wire: content, how they end, usage, errors. Forwards bytes as they came.

The wire's last event carries the whole response, and no mark follows it. Some servers say `response.completed` of a response
that was cut short: what counts is the response's own status, and the client is told that in the event's name, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.contract.failures import Failure
from runtime.dialects.meter import StreamMeter, WholeMeter, broken, garbled
from runtime.dialects.openai_responses.words import CUT_SHORT, finish_of, usage_of
from runtime.dialects.openai_responses.write_answer.envelope import StreamProgress
from runtime.wire import sse
from runtime.wire.raw_body import BadBody, RawBody

Done = Callable[[bytes], None]
"""Takes the bytes of a response that is whole."""

INCOMPLETE = "response.incomplete"
ENDINGS = frozenset({"response.completed", INCOMPLETE})
FAILURES = frozenset({"response.failed", "response.cancelled", "error"})
_OPENINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
_SILENT_ITEMS = ("message", "reasoning")  # they say something only when something is in them


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


def told_failure(value: Any, raw: bytes) -> Failure:
    """The failure of an error that came where an answer was expected: an error event, a failed response, an error body.

    The failure's body is an error body of this wire's shape, whichever of those it was.
    """
    detail = _detail(value)
    message = str(detail.get("message") or raw.decode(errors="replace"))[:500]
    code = detail.get("code") or detail.get("type")
    body = msgspec.json.encode({"error": detail}) if detail else raw
    return broken(f"the answer broke off with an error: {message}", None if code is None else str(code), body)


def _detail(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"message": str(value)} if value else {}
    response = value.get("response")
    inner: dict[str, Any] = response if isinstance(response, dict) else value
    error = inner.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    if "message" in inner:
        return {name: inner[name] for name in ("code", "message", "param") if inner.get(name) is not None}
    status = inner.get("status")
    return {"message": f"the response is {status}", "code": "server_error"} if status else {}


class ResponsesStreamMeter(StreamMeter):
    """Meters one SSE answer (see `Meter`)."""

    __slots__ = ("_done", "_miscalled", "_progress")

    def __init__(self, progress: StreamProgress | None = None, done: Done = _ignored) -> None:
        super().__init__()
        self._progress = progress or StreamProgress()
        self._done = done
        self._miscalled = False  # `response.completed` was sent for a truncated answer

    def end(self) -> bytes:
        """A last event that lacks only its blank line still counts."""
        pending, rest = b"", self._events.rest
        if self.failure is None and not self.done and rest.startswith((b"data:", b"event:")):
            pending = self.feed(b"\n\n")
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
        if not self._take(kind, read, data):
            return b""
        return _as_incomplete(event) if self._miscalled else event.raw

    def _take(self, kind: str, read: _Event, data: bytes) -> bool:
        if isinstance(read.sequence_number, int):
            self._progress.sequence = read.sequence_number
        if kind in FAILURES or (not kind and read.error is not None):
            self.failure = told_failure(_any.decode(data), data)
        elif kind.endswith(".delta"):
            self._delta(read.delta)
        elif kind in ENDINGS:
            self._end(kind, bytes(read.response), data)
        elif kind in _OPENINGS:
            self._open(bytes(read.response))
        elif kind == "response.output_item.added":
            self.began = self.began or (isinstance(read.item, dict) and read.item.get("type") not in _SILENT_ITEMS)
        elif not kind:
            self.failure = garbled("an event of the stream has no type", data)
        return self.failure is None

    def _delta(self, delta: Any) -> None:
        if delta:
            self.began = True
            self.tokens += 1

    def _open(self, response: bytes) -> None:
        found = _any.decode(response) if response else None
        if isinstance(found, dict):
            self._progress.response = found
            model = found.get("model")
            self.model = model if isinstance(model, str) else self.model

    def _end(self, kind: str, raw: bytes, data: bytes) -> None:
        response = _any.decode(raw) if raw else None
        if not isinstance(response, dict):
            self.failure = garbled("the last event holds no response", data)
            return
        finish = finish_of(response)
        if finish is None or response.get("error") is not None:
            self.failure = told_failure(response, data)
            return
        model = response.get("model")
        self.model = model if isinstance(model, str) else self.model
        self.finish, self.usage = finish, usage_of(response.get("usage"))
        self._miscalled = kind != INCOMPLETE and finish in CUT_SHORT
        self.began = self.finished = self.done = True
        self._done(raw)


def _as_incomplete(event: sse.Event) -> bytes:
    """The event under its right name; as it is where its JSON is too odd to be touched."""
    try:
        data = RawBody(event.data or b"").spliced({"type": msgspec.json.encode(INCOMPLETE)})
    except BadBody:
        return event.raw
    return sse.encode(data, INCOMPLETE.encode() if event.name else b"")


class ResponsesWholeMeter(WholeMeter):
    """Meters one whole JSON answer (see `Meter`)."""

    __slots__ = ("_done",)

    def __init__(self, done: Done = _ignored) -> None:
        super().__init__()
        self._done = done

    def read(self, body: bytes) -> Failure | None:
        """See `WholeMeter.read`."""
        response = _any.decode(body)
        failure = self._verdict(response, body)
        if failure is not None:
            return failure
        self.finish = finish_of(response)
        model = response.get("model")
        self.model = model if isinstance(model, str) else None
        self.usage = usage_of(response.get("usage"))
        self._done(body)
        return None

    def _verdict(self, response: Any, body: bytes) -> Failure | None:
        if isinstance(response, dict) and response.get("error") is not None:
            return told_failure(response, body)
        if not isinstance(response, dict) or not isinstance(response.get("output"), list):
            return garbled("the answer is not a response", body)
        return told_failure(response, body) if finish_of(response) is None else None
