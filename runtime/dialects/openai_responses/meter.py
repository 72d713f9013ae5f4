"""Reads answers that pass through on this wire: content, how they end, usage, errors. Forwards bytes as they came.

The wire's last event carries the whole response, and no mark follows it. Some servers say `response.completed` of a response
that was cut short: what counts is the response's own status, and the client is told that in the event's name, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.contract.failures import Failure
from runtime.contract.usage import Usage
from runtime.dialects.meter import Before, broken, garbled
from runtime.dialects.openai_responses.words import CUT_SHORT, UNDECODABLE, finish_of, usage_of
from runtime.dialects.openai_responses.write_answer.progress import Progress
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


class StreamMeter:
    """Meters one SSE answer (see `Meter`)."""

    __slots__ = (
        "_done",
        "_events",
        "_miscalled",
        "_progress",
        "began",
        "done",
        "failure",
        "finish",
        "finished",
        "model",
        "said",
        "tokens",
        "usage",
    )

    def __init__(self, progress: Progress | None = None, done: Done = _ignored) -> None:
        self._events = sse.Events()
        self._progress = progress or Progress()
        self._done = done
        self._miscalled = False  # the last event calls whole what was cut short
        self.began = self.finished = self.done = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failure: Failure | None = None
        self.tokens = 0  # deltas seen: about the tokens generated
        self.said: Before | None = None  # this wire cannot be asked to go on with half an answer

    def feed(self, piece: bytes) -> bytes:
        return self._forwarded(self._events.feed(piece))

    def end(self) -> bytes:
        return b"" if self.failure is not None or self.done else self._last()

    def _last(self) -> bytes:
        """A last event that lacks only its blank line still counts."""
        rest = self._events.rest.rstrip(b"\r\n")
        if rest.startswith((b"data:", b"event:")):
            owed = self._forwarded([sse.parse(rest + b"\n\n", rest)])
            if self.done:
                return owed
        self.failure = self.failure or broken("the stream ended before the response was complete")
        return b""

    def _forwarded(self, events: list[sse.Event]) -> bytes:
        forward = []
        for event in events:
            if self.failure is not None or self.done:
                break
            if self._read(event):
                forward.append(_as_incomplete(event) if self._miscalled else event.raw)
        return b"".join(forward) if len(forward) != 1 else forward[0]

    def _read(self, event: sse.Event) -> bool:
        """Takes note of one event; True when the client may see it."""
        data = event.data
        if data is None:
            return not event.name  # comments keep a connection alive; a bare field means nothing
        if data == b"[DONE]":
            self.failure = broken("the stream said it was done before the response was complete")
            return False
        try:
            read = _event.decode(data)
            kind = read.type if isinstance(read.type, str) else event.name.decode("latin-1")
            return self._take(kind, read, data)
        except UNDECODABLE as error:
            self.failure = garbled(f"an event of the stream is not one: {error}", data)
            return False

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


class WholeMeter:
    """Meters one whole JSON answer (see `Meter`): bytes are held until all of them are there."""

    __slots__ = (
        "_done",
        "_pieces",
        "began",
        "done",
        "failure",
        "finish",
        "finished",
        "model",
        "said",
        "tokens",
        "usage",
    )

    def __init__(self, done: Done = _ignored) -> None:
        self._pieces: list[bytes] = []
        self._done = done
        self.began = self.finished = self.done = False
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.failure: Failure | None = None
        self.tokens = 0
        self.said: Before | None = None

    def feed(self, piece: bytes) -> bytes:
        self._pieces.append(piece)
        return b""

    def end(self) -> bytes:
        if self.failure is not None or self.done:
            return b""
        body = b"".join(self._pieces)
        try:
            response = _any.decode(body)
        except UNDECODABLE as error:
            self.failure = garbled(f"the answer is not valid JSON: {error}", body)
            return b""
        self.failure = self._verdict(response, body)
        if self.failure is not None:
            return b""
        self.finish = finish_of(response)
        model = response.get("model")
        self.model = model if isinstance(model, str) else None
        self.usage = usage_of(response.get("usage"))
        self.tokens = self.usage.completion if self.usage else 0
        self.began = self.finished = self.done = True
        self._done(body)
        return body

    def _verdict(self, response: Any, body: bytes) -> Failure | None:
        if isinstance(response, dict) and response.get("error") is not None:
            return told_failure(response, body)
        if not isinstance(response, dict) or not isinstance(response.get("output"), list):
            return garbled("the answer is not a response", body)
        return told_failure(response, body) if finish_of(response) is None else None
