"""The codec of the OpenAI dialect as vendors speak it: addresses, and verdicts over their errors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.openai import faults
from cloud.openai.limits import encoded_within, restoring
from runtime.contract.codec import Decoder, Encoded, Unsupported
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.targets import Target
from runtime.dialects.openai_chat.profile import PLAIN, ChatProfile, fitted
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.write_request import write_request

PATHS = {
    "openai_chat": "/chat/completions",
    "openai_completions": "/completions",
    "openai_embeddings": "/embeddings",
}


class OpenAICodec:
    """`runtime.contract.codec.Codec` for every server of the OpenAI dialect.

    now: dates a Retry-After given as a date. profile: the members this server takes beyond the plain wire.
    """

    def __init__(self, now: Callable[[], datetime], profile: ChatProfile = PLAIN) -> None:
        self._now = now
        self._profile = profile

    def path(self, dialect: str) -> str:
        return PATHS[dialect]

    def encode(self, request: Request, target: Target) -> Encoded:
        profile = fitted(self._profile, target.capabilities)
        try:
            return encoded_within(request, lambda short: write_request(short, target.model, profile))
        except RecursionError as error:
            raise Unsupported("the request is nested too deeply") from error

    def decoder(self, request: Request) -> Decoder:
        return restoring(ChatAnswerReader(), request)

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return ()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body, self._now)
