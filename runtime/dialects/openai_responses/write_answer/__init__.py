"""Events of the contract as an answer of the responses wire: a stream of events, or the whole response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runtime.contract.events import Event, Start, Stop, UsageReport
from runtime.contract.messages import Request
from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.signatures import SignatureCache, call_key
from runtime.dialects.openai_responses.read_request.tools import kind_of, namespaced
from runtime.dialects.openai_responses.write_answer.envelope import (
    StreamProgress,
    echo_from,
    final_response,
    new_response,
)
from runtime.dialects.openai_responses.write_answer.output import CalledTool, Output
from runtime.wire import sse

RESPONSE = "resp"  # the prefix of a response's own id
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything a writer needs besides the request. new_id: a fresh id with this prefix. now: unix seconds.

    echo: the members of the client's body that the response repeats; None: taken from the request. signatures: filled for
    clients that drop them. done: called with the bytes of the whole response. progress: kept up to date for an error event.
    """

    new_id: Callable[[str], str]
    now: Callable[[], float]
    echo: dict[str, Any] | None = None
    signatures: SignatureCache | None = None
    done: Callable[[bytes], None] | None = None
    progress: StreamProgress = field(default_factory=StreamProgress)


class _Answer:
    """State of both writers. The response's id is new: only this server knows the response."""

    def __init__(self, request: Request, frame: Frame) -> None:
        self.request, self.frame = request, frame
        kinds = {tool.name: CalledTool(kind_of(tool), namespaced(tool)) for tool in request.tools}
        self.output = Output(frame.new_id, kinds, request.logprobs)
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self._echo = echo_from(request) if frame.echo is None else frame.echo
        self._head = frame.new_id(RESPONSE), int(frame.now())

    def take(self, event: Event) -> list[dict[str, Any]]:
        if isinstance(event, UsageReport):
            self.usage = event.usage
        elif isinstance(event, Stop):
            self.stop = event
        return self.output.take(event)

    @property
    def begun(self) -> dict[str, Any]:
        return new_response(*self._head, self.output.model or self.request.model, self._echo)

    def end(self) -> tuple[str, bytes]:
        """The status and the response. Remembers signatures and reports the response to `done`."""
        calls, turn, signatures = self.output.calls, self.output.turn, self.frame.signatures
        if signatures is not None and calls and turn.worth_keeping:
            signatures.remember(map(call_key, calls), turn)
        response = final_response(self.begun, self.output.items, self.stop, self.usage, int(self.frame.now()))
        written = _encode(response)
        if self.frame.done is not None:
            self.frame.done(written)
        return response["status"], written


class ResponsesWholeWriter:
    """`runtime.dialects.translating.Writer` of a whole body."""

    def __init__(self, request: Request, frame: Frame) -> None:
        self._answer = _Answer(request, frame)

    def feed(self, event: Event) -> bytes:
        self._answer.take(event)
        return b""

    def end(self) -> bytes:
        return self._answer.end()[1]


class ResponsesStreamWriter:
    """`runtime.dialects.translating.Writer` of a stream. Its last event holds the whole response; no closing mark follows."""

    def __init__(self, request: Request, frame: Frame) -> None:
        self._answer = _Answer(request, frame)
        self._progress = frame.progress
        self._begun = False

    def feed(self, event: Event) -> bytes:
        written = [b"" if self._begun else self._opening(event)]
        for each in self._answer.take(event):
            number = self._progress.next()
            written.append(sse.encode(_encode({**each, "sequence_number": number}), each["type"].encode()))
        return b"".join(written)

    def end(self) -> bytes:
        opening = b"" if self._begun else self._opening(None)
        status, response = self._answer.end()
        return opening + self._with_response(f"response.{status}", response)

    def _opening(self, event: Event | None) -> bytes:
        """The first two events. `Start`, if it comes first, has the model's name for them."""
        self._begun = True
        if isinstance(event, Start):
            self._answer.take(event)
        self._progress.response = self._answer.begun
        written = _encode(self._progress.response)
        return self._with_response("response.created", written) + self._with_response("response.in_progress", written)

    def _with_response(self, name: str, response: bytes) -> bytes:
        number = str(self._progress.next()).encode()
        kind = name.encode()
        data = b'{"type":"' + kind + b'","response":' + response + b',"sequence_number":' + number + b"}"
        return sse.encode(data, kind)
