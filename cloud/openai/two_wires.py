"""OpenAI's two wires as one codec: a request that its model refuses on chat goes over responses, any other over chat.

The catalogue knows which model refuses which (`tools_over`). Errors are the same on both wires.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from cloud.openai.compatible import CHAT, OpenAICodec
from cloud.openai.limits import encoded_within, restoring
from runtime.contract.codec import Decoder, Encoded, Fit, Unsupported
from runtime.contract.events import Event, Failed
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.targets import Target
from runtime.dialects.meter import broken
from runtime.dialects.openai_chat.profile import ChatProfile
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_responses.profile import ResponsesProfile, fitted
from runtime.dialects.openai_responses.read_answer import ResponsesAnswerReader
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.openai_responses.write_request import PATH, nearest, write_request
from runtime.dialects.wire_choice import wire_for

# platform.openai.com/docs/api-reference/responses: fewer output tokens than this are refused.
OPENAI = ResponsesProfile(least_output=16, breakpoints=True, file_ids=True)


class OpenAITwoWires:
    """`runtime.contract.codec.Codec`. now: dates a Retry-After given as a date. chat, responses: the members it takes."""

    def __init__(self, now: Callable[[], datetime], chat: ChatProfile, responses: ResponsesProfile = OPENAI) -> None:
        self._chat = OpenAICodec(now, chat)
        self._responses = responses

    def path(self, dialect: str) -> str:
        return PATH if dialect == NAME else self._chat.path(dialect)

    def encode(self, request: Request, target: Target) -> Encoded:
        if wire_for(request, target.capabilities, CHAT) != NAME:
            return self._chat.encode(request, target)
        profile = fitted(self._responses, target.capabilities)
        try:
            return encoded_within(request, lambda short: write_request(short, target.model, profile))
        except RecursionError as error:
            raise Unsupported("the request is nested too deeply") from error

    def decoder(self, request: Request) -> Decoder:
        return restoring(EitherDecoder(), request)

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        """For a responses body that Hearth moved: without sampling where it is refused, with an effort that the model has."""
        fit = self._chat.fit(dialect, body, target, pinned=pinned)
        if dialect != NAME or pinned:
            return fit
        profile, put = fitted(self._responses, target.capabilities), dict[str, Any]()
        lost = tuple([name for name in ("temperature", "top_p") if body.get(name) is not None and not profile.sampling])
        given, limit = body.get("reasoning"), body.get("max_output_tokens")
        reasoning: dict[str, Any] = given if isinstance(given, dict) else {}
        effort = reasoning.get("effort")
        weakened: tuple[str, ...] = ()
        if isinstance(effort, str) and profile.efforts and effort not in profile.efforts:
            put["reasoning"], weakened = (
                {**reasoning, "effort": nearest(effort, profile.efforts)},
                ("reasoning_effort",),
            )
        if isinstance(limit, int) and limit < profile.least_output:
            put["max_output_tokens"], weakened = profile.least_output, (*weakened, "max_output_tokens")
        return replace(fit, put=put, drop=frozenset(lost), dropped=(*lost, *weakened))

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return self._chat.headers(client)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return self._chat.classify(status, headers, body)


class EitherDecoder:
    """`runtime.contract.codec.Decoder` that knows the wire by the answer's first event."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None

    @property
    def closed(self) -> bool:
        return self._decoder is not None and self._decoder.closed

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._decoder is None:
            # Events of the responses wire are named, and their data holds the name too, for servers that leave it out.
            responds = name.startswith("response.")
            with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
                event = msgspec.json.decode(data)
                kind = event.get("type") if isinstance(event, dict) else None
                responds |= isinstance(kind, str) and (kind.startswith("response.") or kind == "error")
            self._decoder = ResponsesAnswerReader() if responds else ChatAnswerReader()
        return self._decoder.feed(name, data)

    def finish(self) -> Sequence[Event]:
        if self._decoder is None:
            return (Failed(broken("the stream ended before it began")),)
        return self._decoder.finish()
