"""OpenAI's responses wire at the door: what passes through, and what is translated.

One value serves the door; `session` makes a copy for one request, which knows that request's body and may say when its answer
is whole. Without a session everything works but for what needs one: the echo of the body, the keeping of the answer, and the
number and response of a stream that breaks off.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from runtime.contract.messages import Request
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_errors import encode_error
from runtime.dialects.openai_responses.conversation import PREVIOUS, item_ids
from runtime.dialects.openai_responses.meter import Done, ResponsesStreamMeter, ResponsesWholeMeter
from runtime.dialects.openai_responses.passing import passing
from runtime.dialects.openai_responses.read_request import read_request
from runtime.dialects.openai_responses.signatures import Makers, translated_id
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.openai_responses.write_answer import Frame, ResponsesStreamWriter, ResponsesWholeWriter
from runtime.dialects.openai_responses.write_answer.envelope import StreamProgress, echo_of, failed_response
from runtime.dialects.seam import Passing
from runtime.dialects.translating import Writer
from runtime.wire import sse
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_INSTEAD = ("prompt", "conversation", PREVIOUS)  # what may stand for an input
_ERROR_CODES = {429: "rate_limit_exceeded"}


def _new_id(prefix: str) -> str:
    return translated_id(prefix, secrets.token_hex(20))


def _ignored(response: bytes) -> None: ...


class _Shown:
    """The stream the client sees, of all that were begun for it."""

    __slots__ = ("progress",)

    def __init__(self) -> None:
        self.progress = StreamProgress()

    def fresh(self) -> StreamProgress:
        self.progress = StreamProgress()
        return self.progress


@dataclass(frozen=True, slots=True)
class ResponsesDialect:
    """See `runtime.dialects.seam.Dialect`.

    new_id: mints an id with a prefix. now: seconds since the epoch. makers: which model made which item. signatures: what
    models want back, for clients that do not give it back.
    """

    new_id: Callable[[str], str] = _new_id
    now: Callable[[], float] = time.time
    makers: Makers = field(default_factory=Makers)
    signatures: SignatureCache | None = None
    _echo: dict[str, Any] | None = None
    _done: Done = _ignored
    _shown: _Shown | None = None

    @property
    def name(self) -> str:
        return NAME

    def session(self, body: RawBody, done: Done = _ignored) -> ResponsesDialect:
        """This dialect for one request. body: the client's own. done: takes the bytes of the response once it is whole."""
        return replace(self, _echo=echo_of(body.data), _done=done, _shown=_Shown())

    def check(self, body: RawBody) -> None:
        """Refuses what no target could answer. Raises BadBody."""
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
            raise BadBody("answers are not made in the background here: leave 'background' out", "background")

    def streams(self, body: RawBody) -> bool:
        return body.data.get("stream") is True

    def passing(
        self, body: RawBody, model: str, *, keep_text: bool = False, partial: PartialAnswer | None = None
    ) -> Passing:
        """See `Dialect.passing`. An answer that broke off is not gone on with: this wire cannot ask for it."""
        done = self._noting(model)
        meter: Meter = ResponsesStreamMeter(self._fresh(), done) if self.streams(body) else ResponsesWholeMeter(done)
        return Passing(passing(body, model, self.makers), meter)

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return None

    def read_request(self, body: RawBody) -> Request:
        return read_request(body, self.signatures)

    def write_answer(self, request: Request) -> Writer:
        done = self._noting(f"{NAME} of another wire")
        frame = Frame(self.new_id, self.now, self._echo, self.signatures, done, self._fresh())
        return ResponsesStreamWriter(request, frame) if request.stream else ResponsesWholeWriter(request, frame)

    def error_body(self, error: ApiError) -> bytes:
        return error.body or encode_error(error)

    def error_event(self, error: ApiError) -> bytes:
        """An error in both shapes clients look for; then, where the response is known, the response as failed."""
        progress = StreamProgress() if self._shown is None else self._shown.progress
        code = _ERROR_CODES.get(error.status, "server_error")
        flat = {"type": "error", "code": error.code or code, "message": error.message, "param": error.param}
        nested = msgspec.json.decode(encode_error(error))
        told = [(b"error", flat | nested | {"sequence_number": progress.next()})]
        if progress.response is not None:
            response = failed_response(progress.response, code, error.message)
            event = {"type": "response.failed", "response": response, "sequence_number": progress.next()}
            told.append((b"response.failed", event))
        return b"".join(sse.encode(msgspec.json.encode(data), name) for name, data in told)

    def _fresh(self) -> StreamProgress:
        return StreamProgress() if self._shown is None else self._shown.fresh()

    def _noting(self, model: str) -> Done:
        def done(response: bytes) -> None:
            self.makers.note(item_ids(response), model)
            self._done(response)

        return done


RESPONSES = ResponsesDialect()
