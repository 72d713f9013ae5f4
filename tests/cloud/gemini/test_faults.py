"""The vendor's errors are judged by what they mean, and its words are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, Kind
from tests.cloud.gemini.recorded import codec

HERE, NEXT, TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
RPC = "type.googleapis.com/google.rpc."


def judged(status: int, message: str, word: str = "", *details: dict[str, Any], **headers: str) -> Failure:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    return codec().classify(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": error}).encode(),
    )


def retry_in(delay: str) -> dict[str, Any]:
    return {"@type": RPC + "RetryInfo", "retryDelay": delay}


def quota(**violation: str) -> dict[str, Any]:
    return {"@type": RPC + "QuotaFailure", "violations": [violation]}


@pytest.mark.parametrize(
    ("status", "message", "word", "kind", "disposition"),
    [
        (400, "Invalid value at 'contents'", "INVALID_ARGUMENT", Kind.REJECTED, TELL),
        (400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", Kind.DENIED, NEXT),
        (400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT", Kind.DENIED, NEXT),
        (400, "User location is not supported for the API use.", "FAILED_PRECONDITION", Kind.DENIED, NEXT),
        (
            400,
            "The File abc is not in an ACTIVE state and usage is not allowed.",
            "FAILED_PRECONDITION",
            Kind.DOWN,
            HERE,
        ),
        (
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
            Kind.TOO_LONG,
            NEXT,
        ),
        (400, "Request payload size exceeds the limit: 20971520 bytes.", "INVALID_ARGUMENT", Kind.TOO_LONG, NEXT),
        (400, "Thinking level MINIMAL is not supported for this model.", "INVALID_ARGUMENT", Kind.REJECTED, NEXT),
        (418, "teapot", "", Kind.REJECTED, NEXT),
        (424, "dependency", "", Kind.DOWN, NEXT),
        (401, "Request had invalid authentication credentials.", "UNAUTHENTICATED", Kind.DENIED, NEXT),
        (403, "Your API key was reported as leaked.", "PERMISSION_DENIED", Kind.DENIED, NEXT),
        (
            403,
            "You do not have permission to access the File abc or it may not exist.",
            "PERMISSION_DENIED",
            Kind.REJECTED,
            TELL,
        ),
        (404, "models/x is not found for API version v1beta", "NOT_FOUND", Kind.DENIED, NEXT),
        (413, "too large", "", Kind.TOO_LONG, NEXT),
        (429, "Resource has been exhausted", "RESOURCE_EXHAUSTED", Kind.BUSY, HERE),
        (499, "The operation was cancelled.", "CANCELLED", Kind.DOWN, HERE),
        (500, "An internal error has occurred.", "INTERNAL", Kind.DOWN, HERE),
        (503, "The model is overloaded. Please try again later.", "UNAVAILABLE", Kind.BUSY, HERE),
        (503, "The service is currently unavailable.", "UNAVAILABLE", Kind.DOWN, HERE),
        (504, "Deadline expired before operation could complete.", "DEADLINE_EXCEEDED", Kind.DOWN, NEXT),
    ],
)
def test_verdicts(status: int, message: str, word: str, kind: Kind, disposition: Disposition) -> None:
    """What the caller can mend goes to the caller; what an account or a server lacks, to another or again."""
    found = judged(status, message, word)
    assert (found.kind, found.disposition, found.status) == (kind, disposition, status)
    assert message in found.message


def test_a_wait_is_read_where_it_stands() -> None:
    """In the details, else in the header."""
    assert judged(429, "m", "RESOURCE_EXHAUSTED", retry_in("34.4s"), retry_after="2").retry_after == 34.4
    assert judged(429, "m", "RESOURCE_EXHAUSTED", retry_after="2").retry_after == 2.0
    assert judged(429, "m", "RESOURCE_EXHAUSTED", retry_in("soon"), retry_after="later").retry_after is None


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("m", [retry_in("7200s")]),
        ("m", [quota(quotaId="GenerateRequestsPerDayPerProjectPerModel-FreeTier", quotaValue="50"), retry_in("3s")]),
        ("m", [quota(quotaId="GenerateRequestsPerMinute", quotaValue="0")]),
        ("Quota exceeded for metric: x, limit: 0, model: y", []),
        ("Your prepayment credits are depleted.", []),
    ],
)
def test_a_spent_quota_is_not_waited_for(message: str, details: list[dict[str, Any]]) -> None:
    """Of days, of nothing, or of hours: the next candidate, and no wait here."""
    found = judged(429, message, "RESOURCE_EXHAUSTED", *details)
    assert (found.kind, found.disposition, found.retry_after) == (Kind.DENIED, NEXT, None)


def test_the_most_exact_word_is_the_code() -> None:
    """A reason goes before a status."""
    reason = {"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID"}
    found = judged(400, "m", "INVALID_ARGUMENT", reason)
    assert (found.code, found.kind) == ("API_KEY_INVALID", Kind.DENIED)


def test_errors_inside_a_stream_bring_their_own_status() -> None:
    """The answer's was 200."""
    body = b'[{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}]'
    assert codec().classify(200, {}, body).kind is Kind.BUSY
    assert codec().classify(200, {}, b'{"error": {"status": "INVALID_ARGUMENT", "message": "m"}}').status == 400


@pytest.mark.parametrize(
    "body", [b"", b"<html>bad gateway</html>", b"[]", b"[3]", b'"x"', b'{"error": "x"}', b'{"error": {"details": 3}}']
)
def test_any_body_is_judged(body: bytes) -> None:
    """By the status alone, where it says nothing."""
    assert codec().classify(502, {}, body).kind is Kind.DOWN
