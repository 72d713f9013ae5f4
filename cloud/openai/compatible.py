"""The codec of the OpenAI dialect as vendors speak it: addresses, and verdicts over their errors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from cloud.openai import faults
from cloud.openai.limits import encoded_within, restoring
from runtime.contract.codec import AS_IT_IS, Decoder, Encoded, Fit, Unsupported
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.targets import Target
from runtime.dialects.openai_chat.fitting import fitted_body
from runtime.dialects.openai_chat.profile import PLAIN, ChatProfile, fitted
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.write_request import write_request

PATHS = {
    "openai_chat": "/chat/completions",
    "openai_completions": "/completions",
    "openai_embeddings": "/embeddings",
    "rerank": "/rerank",
}


CHAT = "openai_chat"


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

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        """The member changes of `fitted_body` for a chat body that was not sent to this target by name."""
        profile = fitted(self._profile, target.capabilities)
        fit = AS_IT_IS if pinned or dialect != CHAT else fitted_body(body, profile)
        return fit if profile.developer else replace(fit, developer=False)

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return ()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body, self._now)
