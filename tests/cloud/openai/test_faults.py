"""Errors of vendors of OpenAI's dialect: by code before words, by words before status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.openai.faults import classify
from runtime.contract.failures import Disposition, Failure, Kind

HERE, NEXT, TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
DENIED, NOT_HERE, TOO_LONG = (Kind.DENIED, NEXT), (Kind.REJECTED, NEXT), (Kind.TOO_LONG, NEXT)
FILTERED, CALLERS = (Kind.FILTERED, TELL), (Kind.REJECTED, TELL)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
TPM = (
    "Request too large for model `llama-3.3-70b-versatile` in organization `org_x` service tier `on_demand` on tokens per "
    "minute (TPM): Limit 6000, Requested 7166, please reduce your message size and try again."
)
WINDOW = (
    "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens (2900 in the messages, 100 in "
    "the completion). Please reduce the length of the messages or completion."
)


def judged(status: int, error: Any, headers: dict[str, str] | None = None) -> Failure:
    return classify(status, headers or {}, json.dumps({"error": error}).encode(), lambda: NOW)


def verdict(failure: Failure) -> tuple[Kind, Disposition]:
    return failure.kind, failure.disposition


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "model_decommissioned", DENIED),
        (404, "model_not_found", DENIED),
        (400, "model_not_available", DENIED),
        (403, "model_permission_blocked_org", DENIED),
        (429, "insufficient_quota", DENIED),
        (400, "billing_hard_limit_reached", DENIED),
        (400, "organization_restricted", DENIED),
        (498, "capacity_exceeded", (Kind.BUSY, NEXT)),
        (503, "over_capacity", (Kind.BUSY, HERE)),
        (400, "tool_use_failed", (Kind.GARBLED, HERE)),
        (400, "unsupported_parameter", NOT_HERE),
        (400, "unsupported_value", NOT_HERE),
        (400, "context_length_exceeded", TOO_LONG),
        (400, "content_filter", FILTERED),
        (403, "content_policy_violation", FILTERED),
        (400, "invalid_prompt", FILTERED),
        (429, "rate_limit_exceeded", (Kind.BUSY, HERE)),
    ],
)
def test_a_code_is_judged_before_its_status(status: int, code: str, expected: tuple[Kind, Disposition]) -> None:
    """Account, capacity and model lead to the next candidate under any status; a content filter never does."""
    assert verdict(judged(status, {"message": "Words.", "type": "invalid_request_error", "code": code})) == expected
    assert verdict(judged(418, {"message": "Words.", "type": code})) == expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "The model `mixtral-8x7b` has been decommissioned and is no longer supported.", DENIED),
        (400, "Model Not Exist", DENIED),
        (402, "Insufficient Balance", DENIED),
        (403, "Insufficient balance", DENIED),
        (412, "Account x is suspended, possibly due to reaching the monthly spending limit", DENIED),
        (400, "Your organization must be verified to stream this model.", DENIED),
        (404, "No endpoints found that support image input", NOT_HERE),
        (400, "Unrecognized request argument supplied: top_k", NOT_HERE),
        (400, "property 'chat_template_kwargs' is unsupported", NOT_HERE),
        (400, "Content Exists Risk", FILTERED),
        (400, WINDOW, TOO_LONG),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000", TOO_LONG),
        (400, "The prompt is too long: 140000, model maximum context length: 131071", TOO_LONG),
        (500, "the request exceeds the available context size (4096 tokens), try increasing it", TOO_LONG),
        (400, "'messages[0].content' must be a string", CALLERS),
        (400, "max_tokens must be at least 1", CALLERS),
        (422, "Invalid parameters", CALLERS),
    ],
)
def test_words_are_judged_where_there_is_no_code(status: int, message: str, expected: tuple[Kind, Disposition]) -> None:
    """Vendors without codes, and servers behind a base URL of their own, are understood by their sentences."""
    assert verdict(judged(status, {"message": message, "type": "invalid_request_error"})) == expected
    assert message in judged(status, {"message": message}).message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, CALLERS),
        (401, DENIED),
        (405, DENIED),
        (408, (Kind.DOWN, HERE)),
        (410, DENIED),
        (413, TOO_LONG),
        (418, NOT_HERE),
        (424, (Kind.DOWN, NEXT)),
        (429, (Kind.BUSY, HERE)),
        (477, NOT_HERE),
        (498, (Kind.BUSY, NEXT)),
        (503, (Kind.DOWN, HERE)),
        (529, (Kind.DOWN, HERE)),
    ],
)
def test_a_status_alone(status: int, expected: tuple[Kind, Disposition]) -> None:
    """A status that is neither 400 nor 422 is never the caller's fault alone."""
    assert verdict(classify(status, {}, b"", lambda: NOW)) == expected


def test_tokens_per_minute_are_not_the_window() -> None:
    """A request past the account's limit goes to the next candidate; it neither opens a breaker nor is waited for."""
    error = {"message": TPM, "type": "tokens", "code": "rate_limit_exceeded"}
    failure = judged(413, error, {"retry-after": "9"})
    assert verdict(failure) == NOT_HERE
    assert (failure.retry_after, failure.counts_against, failure.status) == (None, False, 413)
    assert verdict(judged(429, error)) == (Kind.BUSY, HERE)


def test_moderation_behind_a_forbidden() -> None:
    """OpenRouter reports a flagged input as 403, its providers' errors as 400 with the words inside."""
    flagged = {"code": 403, "message": "Your input", "metadata": {"reasons": ["violence"], "flagged_input": "…"}}
    assert verdict(judged(403, flagged)) == FILTERED
    inner = {"code": 400, "message": "Provider returned error", "metadata": {"raw": json.dumps({"message": WINDOW})}}
    assert verdict(judged(400, inner)) == TOO_LONG
    assert verdict(judged(403, {"code": 403, "message": "Key limit exceeded"})) == DENIED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 429, "message": "slow down"}, (Kind.BUSY, HERE)),
        ({"code": "502", "message": "Provider disconnected"}, (Kind.DOWN, HERE)),
        ({"status_code": 400, "code": "tool_use_failed", "message": "x"}, (Kind.GARBLED, HERE)),
        ({"status_code": 400, "message": WINDOW}, TOO_LONG),
        ({"message": "x", "type": "server_error"}, (Kind.DOWN, HERE)),
        ("it died", (Kind.DOWN, HERE)),
    ],
)
def test_an_error_inside_a_stream_names_its_status(error: Any, expected: tuple[Kind, Disposition]) -> None:
    """As code, or as status_code; without either it is the server's fault."""
    assert verdict(judged(200, error)) == expected


def test_a_server_that_asks_for_no_second_try_gets_none() -> None:
    """`x-should-retry: false` holds for every verdict."""
    assert verdict(judged(500, {"message": "x"}, {"x-should-retry": "false"})) == (Kind.DOWN, NEXT)
    assert verdict(judged(429, {"message": "x"}, {"x-should-retry": "false"})) == (Kind.BUSY, NEXT)


ODD: list[Any] = [None, True, 0, 429, -1, "", "429", "x", [], [1], {}, {"raw": 1}, {"reasons": 2}, 1e300]


@pytest.mark.parametrize("member", ["code", "type", "message", "metadata", "status", "innererror", "error_type"])
@pytest.mark.parametrize("status", [200, 400, 413, 500])
def test_any_error_has_a_verdict(status: int, member: str) -> None:
    """Members of any type are survived."""
    for value in ODD:
        assert judged(status, {"message": "Words.", member: value}).message
        assert judged(status, value).message
