"""Verdicts over the vendor's errors, as an answer or as an event inside a stream, by the vendor's own types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.errors import SHOWN, error_of
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.dialects.refusals import Subject, subject_of
from runtime.wire.retry_after import retry_after

_HERE, _NEXT, _TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER

_BODY_BYTES = 4096

_Verdict = tuple[Kind, Disposition]
_BY_TYPE: dict[str, _Verdict] = {
    "invalid_request_error": (Kind.REJECTED, _TELL),
    "authentication_error": (Kind.DENIED, _NEXT),
    "billing_error": (Kind.DENIED, _NEXT),
    "permission_error": (Kind.DENIED, _NEXT),
    "not_found_error": (
        Kind.DENIED,
        _NEXT,
    ),  # a model name of the settings, which the caller cannot correct in the body
    "request_too_large": (Kind.TOO_LONG, _NEXT),
    "rate_limit_error": (Kind.BUSY, _HERE),
    "overloaded_error": (Kind.BUSY, _HERE),
    "timeout_error": (Kind.DOWN, _HERE),
    "api_error": (Kind.DOWN, _HERE),
}
_BY_STATUS: dict[int, _Verdict] = {
    401: (Kind.DENIED, _NEXT),
    402: (Kind.DENIED, _NEXT),
    403: (Kind.DENIED, _NEXT),
    404: (Kind.DENIED, _NEXT),
    408: (Kind.DOWN, _HERE),
    409: (Kind.DOWN, _HERE),
    410: (Kind.DENIED, _NEXT),
    413: (Kind.TOO_LONG, _NEXT),
    424: (Kind.DOWN, _NEXT),
    429: (Kind.BUSY, _HERE),
    529: (Kind.BUSY, _HERE),
}
_SPENT_CODES = frozenset({"enforced_spend_limit_reached"})
# Faults that the vendor reports as invalid_request_error; only the message distinguishes them.
_SPENT = re.compile(r"credit balance is too low|usage limits?\b.*\breached|spend(ing)? limit", re.IGNORECASE)
_BY_SUBJECT: dict[Subject, _Verdict] = {
    Subject.FILTER: (Kind.FILTERED, _TELL),
    Subject.OVERFLOW: (Kind.TOO_LONG, _NEXT),
    Subject.FULL: (Kind.BUSY, _HERE),
    Subject.ACCOUNT: (Kind.DENIED, _NEXT),
    Subject.PARAMETER: (Kind.REJECTED, _NEXT),
    Subject.MODEL: (Kind.DENIED, _NEXT),
}


def classify(status: int, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime]) -> Failure:
    """status 200: an error event inside a stream, `body` its data."""
    error, whole = error_of(body)
    kind = error.get("type")
    details = error.get("details")
    named = (details.get("error_code") if isinstance(details, dict) else None) or kind
    code = str(named)[:SHOWN] if named else None
    message = str(error.get("message") or "no message")[:SHOWN]
    # What is neither 400 nor 422 is about this target, not about the caller's body alone.
    refused = (Kind.REJECTED, _TELL if status in (400, 422) else _NEXT)
    plain = refused if 400 <= status < 500 else (Kind.DOWN, _HERE)
    verdict = _BY_TYPE.get(str(kind)) or _BY_STATUS.get(status) or plain
    if code in _SPENT_CODES or (kind == "invalid_request_error" and _SPENT.search(message)):
        verdict = Kind.DENIED, _NEXT
    elif (kind == "invalid_request_error" or verdict is refused) and (subject := subject_of(message)):
        verdict = _BY_SUBJECT[subject]
    if verdict[1] is _HERE and headers.get("x-should-retry") == "false":
        verdict = (verdict[0], _NEXT)
    request_id = whole.get("request_id") or headers.get("request-id")
    place = f"HTTP {status}" if status != 200 else "error in the stream"
    return Failure(
        *verdict,
        f"{place}: {message}" + (f" (request {request_id})" if request_id else ""),
        status=None if status == 200 else status,
        retry_after=None if verdict[0] is Kind.DENIED else retry_after(headers, now),
        code=code,
        body=body[:_BODY_BYTES],
    )
