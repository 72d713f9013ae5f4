"""The codec of the OpenAI dialect as vendors speak it: addresses, and verdicts over their errors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.errors import error_of, message_of, retry_after
from cloud.openai.limits import encoded_within, restoring
from runtime.contract.codec import Decoder, Encoded, Unsupported
from runtime.contract.failures import Disposition, Failure, Kind
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
# Codes and types that are more precise than the status.
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_TOO_LONG = frozenset({"context_length_exceeded", "string_above_max_length"})
_FILTERED = frozenset({"content_filter", "content_policy_violation"})
_HERE, _NEXT, _TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER


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
        error, _ = error_of(body)
        named = error.get("code") or error.get("type")
        code = None if named is None else str(named)[:200]
        kind, disposition = _verdict(status, code, headers.get("x-should-retry"))
        return Failure(
            kind,
            disposition,
            f"HTTP {status}: {message_of(error) or 'no message'}",
            status=status,
            retry_after=None if code in _SPENT else retry_after(headers, self._now),
            code=code,
            body=body,
        )


def _verdict(status: int, code: str | None, should_retry: str | None) -> tuple[Kind, Disposition]:
    match status:
        case _ if code in _TOO_LONG:
            return Kind.TOO_LONG, _NEXT
        case _ if code in _FILTERED:
            return Kind.FILTERED, _TELL
        case 429 if code in _SPENT:
            return Kind.DENIED, _NEXT
        case 429:
            return Kind.BUSY, _NEXT if should_retry == "false" else _HERE
        case 401 | 402 | 403 | 404:
            # Our key, our account, our model name: nothing the caller can mend in this body.
            return Kind.DENIED, _NEXT
        case 408 | 409:
            return Kind.DOWN, _HERE
        case _ if 400 <= status < 500:
            return Kind.REJECTED, _TELL
        case _:
            return Kind.DOWN, _NEXT if should_retry == "false" else _HERE
