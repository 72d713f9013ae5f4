"""OpenAI's responses wire at the door: what passes through, and what is translated.

One value serves the door; `session` makes a copy for one request, which knows that request's body and reports the whole
response. Without a session three things are missing: the client's parameters in the response, storing, and the number and the
response object of an error event.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from runtime.contract.messages import Request
from runtime.contract.owner_ids import owned
from runtime.dialects.folded import FoldedMeter
from runtime.dialects.meter import PartialAnswer
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_errors import encode_error
from runtime.dialects.openai_responses.conversation import PREVIOUS, item_ids
from runtime.dialects.openai_responses.fold import ResponseFold
from runtime.dialects.openai_responses.meter import Done, ResponsesStreamMeter, ResponsesWholeMeter
from runtime.dialects.openai_responses.passing import passing
from runtime.dialects.openai_responses.read_request import read_request
from runtime.dialects.openai_responses.signatures import Makers, translated_id
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.openai_responses.write_answer import RESPONSE, Frame, ResponsesStreamWriter, ResponsesWholeWriter
from runtime.dialects.openai_responses.write_answer.envelope import StreamProgress, echo_of, failed_response
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire import sse
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_INSTEAD = ("prompt", "conversation", PREVIOUS)  # members that may replace `input`
_ERROR_CODES = {429: "rate_limit_exceeded"}


def _ignored(response: bytes) -> None: ...


class _Shown:
    """The progress of the latest stream begun for a request: the one its client sees."""

    __slots__ = ("progress",)

    def __init__(self) -> None:
        self.progress = StreamProgress()


@dataclass(frozen=True, slots=True)
class ResponsesDialect:
    """See `runtime.dialects.seam.Dialect`.

    new_id: a fresh id with this prefix. now: unix seconds. makers: which model made which item. signatures: reasoning of
    earlier turns, for clients that drop it. owner: this Hearth's name in a fleet, which stands in the ids of its responses.
    """

    new_id: Callable[[str], str] = lambda prefix: translated_id(prefix, secrets.token_hex(20))
    now: Callable[[], float] = time.time
    makers: Makers = field(default_factory=Makers)
    signatures: SignatureCache | None = None
    owner: str = ""
    _echo: dict[str, Any] | None = None
    _done: Done = _ignored
    _shown: _Shown | None = None

    @property
    def name(self) -> str:
        return NAME

    def session(self, body: RawBody, done: Done = _ignored) -> ResponsesDialect:
        """This dialect for one request. body: the client's own. done: called with the bytes of the whole response."""
        return replace(self, _echo=echo_of(body.data), _done=done, _shown=_Shown())

    def check(self, body: RawBody) -> None:
        """Raises BadBody for what no target could answer."""
        data = body.data
        given = data.get("input")
        if given is None and all(data.get(name) is None for name in _INSTEAD):
            raise BadBody("the member 'input' is missing", "input")
        if given is not None and not isinstance(given, str | list):
            raise BadBody("'input' must be a text or a list of items", "input")
        for place, item in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(item, dict):
                raise BadBody("an item must be an object", f"input[{place}]")
        for name, kind in (("model", str), ("stream", bool), ("store", bool), (PREVIOUS, str), ("tools", list)):
            if data.get(name) is not None and not isinstance(data[name], kind):
                raise BadBody(f"the member {name!r} must be of type {kind.__name__}", name)
        if data.get("background"):
            raise BadBody("no request runs in the background here: leave 'background' out", "background")

    def streams(self, body: RawBody) -> bool:
        return body.data.get("stream") is True

    def passing(
        self,
        body: RawBody,
        model: str,
        *,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        fold: bool = False,
    ) -> Passing:
        """See `Dialect.passing`. A cut answer cannot be resumed on this wire."""
        done = self._noting(model)
        if self.streams(body):
            return Passing(
                passing(body, model, self.makers), ResponsesStreamMeter(self._begin(), done, self.owner), True
            )
        if not fold:
            return Passing(passing(body, model, self.makers), ResponsesWholeMeter(done, self.owner))
        folded = FoldedMeter(ResponsesStreamMeter(owner=self.owner), ResponseFold(done))
        return Passing(passing(body, model, self.makers, stream=True), folded, True)

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return None

    def read_request(self, body: RawBody) -> Request:
        return read_request(body, self.signatures)

    def write_answer(self, request: Request) -> Writer:
        done = self._noting(f"{NAME} of another wire")
        frame = Frame(self._new_id, self.now, self._echo, self.signatures, done, self._begin())
        return ResponsesStreamWriter(request, frame) if request.stream else ResponsesWholeWriter(request, frame)

    def error_body(self, error: ApiError) -> bytes:
        return error.body or encode_error(error)

    def error_event(self, error: ApiError) -> bytes:
        """An error in both shapes that clients look for; then the response as failed, if the stream had begun one."""
        progress = StreamProgress() if self._shown is None else self._shown.progress
        code = _ERROR_CODES.get(error.status, "server_error")
        flat = {"type": "error", "code": error.code or code, "message": error.message, "param": error.param}
        nested = msgspec.json.decode(encode_error(error))
        events = [(b"error", flat | nested | {"sequence_number": progress.next()})]
        if progress.response is not None:
            response = failed_response(progress.response, code, error.message)
            event = {"type": "response.failed", "response": response, "sequence_number": progress.next()}
            events.append((b"response.failed", event))
        return b"".join(sse.encode(msgspec.json.encode(data), name) for name, data in events)

    def _new_id(self, prefix: str) -> str:
        made = self.new_id(prefix)
        return owned(made, self.owner) if prefix == RESPONSE else made

    def _begin(self) -> StreamProgress:
        """The progress of a new stream."""
        progress = StreamProgress()
        if self._shown is not None:
            self._shown.progress = progress
        return progress

    def _noting(self, model: str) -> Done:
        """Called with the whole response: notes who made its items, then reports it."""

        def done(response: bytes) -> None:
            self.makers.note(item_ids(response), model)
            self._done(response)

        return done


RESPONSES = ResponsesDialect()
