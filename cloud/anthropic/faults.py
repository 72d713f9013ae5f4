"""Verdicts over the vendor's errors, as an answer or as an event inside a stream, by the vendor's own types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.errors import SHOWN, error_of, retry_after
from runtime.contract.failures import Disposition, Failure, Kind

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
    413: (Kind.TOO_LONG, _NEXT),
    429: (Kind.BUSY, _HERE),
    529: (Kind.BUSY, _HERE),
}
_SPENT_CODES = frozenset({"enforced_spend_limit_reached"})
# Two faults that the vendor reports as invalid_request_error; only the message distinguishes them.
_SPENT = re.compile(r"credit balance is too low|usage limits?\b.*\breached|spend(ing)? limit", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"prompt is too long|exceeds? (the |your )?(model's )?(maximum )?context|context (window|limit)", re.IGNORECASE
)


def classify(status: int, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime]) -> Failure:
    """status 200: an error event inside a stream, `body` its data."""
    error, whole = error_of(body)
    kind = error.get("type")
    details = error.get("details")
    named = (details.get("error_code") if isinstance(details, dict) else None) or kind
    code = str(named)[:SHOWN] if named else None
    message = str(error.get("message") or "no message")[:SHOWN]
    plain = (Kind.REJECTED, _TELL) if 400 <= status < 500 else (Kind.DOWN, _HERE)
    verdict = _BY_TYPE.get(str(kind)) or _BY_STATUS.get(status) or plain
    if code in _SPENT_CODES or (kind == "invalid_request_error" and _SPENT.search(message)):
        verdict = Kind.DENIED, _NEXT
    elif kind == "invalid_request_error" and _TOO_LONG.search(message):
        verdict = Kind.TOO_LONG, _NEXT
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
