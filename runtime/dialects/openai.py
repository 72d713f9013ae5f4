"""OpenAI's wires as pass-through dialects: chat, completions, embeddings.

What must change in a body on its way up (the model's id, our own hints, usage in streams) is spliced; everything else stays
as the client wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.openai_chat.continuation import continuation
from runtime.dialects.openai_chat.meter import ChatStreamMeter, ChatWholeMeter
from runtime.dialects.seam import HINTS, Passing
from runtime.dialects.translating import Writer
from runtime.wire import sse
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "budget_exceeded",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


_KINDS: tuple[tuple[str, type], ...] = (("stream", bool), ("stream_options", dict), ("n", int))


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """One OpenAI wire. `needs` is the member without which a body means nothing; `can_stream` whether it can stream."""

    name: str
    needs: str
    can_stream: bool = True
    needs_choices: bool = True

    def check(self, body: RawBody) -> None:
        """Refuses what no target could answer. Raises BadBody."""
        data = body.data
        if self.needs not in data:
            raise BadBody(f"the member {self.needs!r} is missing", self.needs)
        if self.needs == "messages":
            _check_messages(data["messages"])
        if not isinstance(data.get("model", ""), str):
            raise BadBody("the member 'model' must be a string", "model")
        for name, kinds in _KINDS:
            if (value := data.get(name)) is not None and not isinstance(value, kinds):
                raise BadBody(f"the member {name!r} must be of type {kinds.__name__}", name)

    def streams(self, body: RawBody) -> bool:
        return self.can_stream and body.data.get("stream") is True

    def passing(
        self, body: RawBody, model: str, *, keep_text: bool = False, partial: PartialAnswer | None = None
    ) -> Passing:
        put = {"model": msgspec.json.encode(model)}
        meter: Meter = ChatWholeMeter(needs_choices=self.needs_choices)
        if self.streams(body):
            options = body.data.get("stream_options")
            asked = bool(options and options.get("include_usage"))
            if not asked:
                put["stream_options"] = _asking_usage(body) if options else b'{"include_usage":true}'
            keep = keep_text and self.needs == "messages"
            meter = ChatStreamMeter(choices=self._choices(body), hide_usage=not asked, keep_text=keep, partial=partial)
        return Passing(body.spliced(put, (HINTS,)), meter)

    def continuation(self, body: RawBody, partial: PartialAnswer) -> RawBody | None:
        return continuation(body, partial.text, partial.tokens) if self.needs == "messages" else None

    def _choices(self, body: RawBody) -> int:
        """How many answers the stream interleaves."""
        each = body.data.get("n") or 1
        return each * _prompts(body.data["prompt"]) if self.needs == "prompt" else each

    def read_request(self, body: RawBody) -> Request:
        """Text completions and embeddings are what they are: no other wire has them. Raises Unsupported."""
        raise Unsupported(f"{self.name} cannot be translated for this target")

    def write_answer(self, request: Request) -> Writer:
        raise Unsupported(f"{self.name} cannot be translated for this target")

    def error_body(self, error: ApiError) -> bytes:
        """An upstream's own body where it has this wire's shape, else ours with its words."""
        return error.body if is_error(error.body) else encode_error(error)

    def error_event(self, error: ApiError) -> bytes:
        """The last event of a stream that can not go on. No closing mark follows it."""
        return sse.encode(encode_error(error))


class _Told(msgspec.Struct):
    message: str


class _ErrorBody(msgspec.Struct):
    error: _Told
    type: Any = None


_error_body = msgspec.json.Decoder(_ErrorBody)


def is_error(body: bytes) -> bool:
    """Whether a body is an error as clients of these wires read it. Another wire's is told by its outer type."""
    try:
        return bool(_error_body.decode(body).type != "error")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def encode_error(error: ApiError) -> bytes:
    kind = _TYPES.get(error.status, "server_error" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _TYPES[400])
    detail: dict[str, Any] = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": detail})


def _asking_usage(body: RawBody) -> bytes:
    return RawBody(body.value("stream_options")).spliced({"include_usage": b"true"})


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadBody("'messages' must be a list with at least one message", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadBody("a message must be an object with a role", f"messages[{place}]")


def _prompts(prompt: Any) -> int:
    """How many prompts a completions body carries: a string or a list of token ids is one."""
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


CHAT = OpenAIDialect("openai_chat", "messages")
COMPLETIONS = OpenAIDialect("openai_completions", "prompt")
EMBEDDINGS = OpenAIDialect("openai_embeddings", "input", can_stream=False, needs_choices=False)
