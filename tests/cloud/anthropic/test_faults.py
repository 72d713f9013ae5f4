"""Errors are judged by their type and keep the vendor's message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, Kind
from tests.cloud.anthropic.recorded import codec

HERE, NEXT, TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER


def judged(
    status: int, kind: str, message: str = "Words.", headers: dict[str, str] | None = None, **more: Any
) -> Failure:
    error = {"type": "error", "error": {"type": kind, "message": message} | more, "request_id": "req_1"}
    return codec().classify(status, headers or {}, json.dumps(error).encode())


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (400, "invalid_request_error", (Kind.REJECTED, TELL)),
        (401, "authentication_error", (Kind.DENIED, NEXT)),
        (402, "billing_error", (Kind.DENIED, NEXT)),
        (403, "permission_error", (Kind.DENIED, NEXT)),
        (404, "not_found_error", (Kind.DENIED, NEXT)),
        (413, "request_too_large", (Kind.TOO_LONG, NEXT)),
        (429, "rate_limit_error", (Kind.BUSY, HERE)),
        (500, "api_error", (Kind.DOWN, HERE)),
        (504, "timeout_error", (Kind.DOWN, HERE)),
        (529, "overloaded_error", (Kind.BUSY, HERE)),
        (200, "api_error", (Kind.DOWN, HERE)),
        (503, "never_heard_of", (Kind.DOWN, HERE)),
        (400, "never_heard_of", (Kind.REJECTED, TELL)),
        (418, "never_heard_of", (Kind.REJECTED, NEXT)),
        (424, "never_heard_of", (Kind.DOWN, NEXT)),
        (529, "never_heard_of", (Kind.BUSY, HERE)),
    ],
)
def test_each_type_has_its_verdict(status: int, kind: str, verdict: tuple[Kind, Disposition]) -> None:
    """The type wins over the status; an unknown type is judged by the status."""
    failure = judged(status, kind)
    assert (failure.kind, failure.disposition) == verdict


def test_the_vendors_words_and_the_requests_id_are_kept() -> None:
    """The body is kept too, for a client of the same wire."""
    failure = judged(400, "invalid_request_error", "max_tokens: field required")
    assert "max_tokens: field required" in failure.message
    assert "req_1" in failure.message
    assert failure.code == "invalid_request_error"
    assert json.loads(failure.body)["error"]["type"] == "invalid_request_error"


def test_a_rate_limit_says_how_long() -> None:
    """The wait is in seconds, from any of the headers."""
    assert judged(429, "rate_limit_error", headers={"retry-after": "12"}).retry_after == 12
    assert judged(429, "rate_limit_error", headers={"retry-after-ms": "1500", "retry-after": "9"}).retry_after == 1.5
    dated = {"retry-after": "Sun, 22 Nov 2026 00:00:30 GMT"}
    assert judged(429, "rate_limit_error", headers=dated).retry_after == 30
    assert judged(429, "rate_limit_error", headers={"retry-after": "soon"}).retry_after is None


def test_a_spent_limit_is_not_waited_out() -> None:
    """A spent limit looks like a rate limit, but waiting does not help."""
    failure = judged(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    assert (failure.kind, failure.disposition, failure.retry_after) == (Kind.DENIED, NEXT, None)
    assert failure.code == "enforced_spend_limit_reached"


def test_a_spent_account_is_not_the_callers_fault() -> None:
    """The vendor reports it as an invalid request."""
    words = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    assert judged(400, "invalid_request_error", words).kind is Kind.DENIED


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 215000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
        "This request exceeds the model's maximum context length",
    ],
)
def test_too_long_a_prompt_may_fit_elsewhere(words: str) -> None:
    """Another model may have a larger window."""
    failure = judged(400, "invalid_request_error", words)
    assert (failure.kind, failure.disposition) == (Kind.TOO_LONG, NEXT)


def test_a_vendor_that_says_not_to_retry_is_not_asked_again() -> None:
    """It is not asked again; another candidate may be."""
    assert judged(529, "overloaded_error", headers={"x-should-retry": "false"}).disposition is NEXT
    assert judged(400, "invalid_request_error", headers={"x-should-retry": "false"}).disposition is TELL


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"[]", b"3", b'{"error":"down"}', b'{"error":{}}', b"\xff\xfe"]
)
def test_whatever_stands_in_front_of_the_vendor_is_classified_too(body: bytes) -> None:
    """A proxy's page, which is no JSON, is judged by its status."""
    failure = codec().classify(502, {"request-id": "req_2"}, body)
    assert (failure.kind, failure.disposition) == (Kind.DOWN, HERE)
    assert "req_2" in failure.message


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("This model does not support effort level 'xhigh'. Supported levels: high, low.", (Kind.REJECTED, NEXT)),
        ("`temperature` is deprecated for this model.", (Kind.REJECTED, NEXT)),
        ("max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens", (Kind.REJECTED, NEXT)),
        ("This organization has been disabled.", (Kind.DENIED, NEXT)),
        ("Output blocked by content filtering policy", (Kind.FILTERED, TELL)),
        ("messages.0.content.0: tool_use ids must be unique", (Kind.REJECTED, TELL)),
    ],
)
def test_an_invalid_request_is_judged_by_its_words(message: str, verdict: tuple[Kind, Disposition]) -> None:
    """A parameter that only this model refuses leads to the next candidate; a filter is never routed around."""
    failure = judged(400, "invalid_request_error", message)
    assert (failure.kind, failure.disposition) == verdict
