"""Verdicts over the vendor's errors. Its message is kept; a wait is read from `RetryInfo`, else from the header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.errors import SHOWN, error_of, message_of
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.dialects.refusals import Subject, subject_of
from runtime.wire.retry_after import retry_after

_HERE, _NEXT, _TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
_OK = 200
_SPENT_FROM_S = 3600.0  # a wait of an hour means that no quota is left
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_TOO_LONG = re.compile(
    r"exceeds? the (maximum|limit).{0,40}tokens|input token count|token count.{0,40}exceeds|context (window|length)"
    r"|request (payload )?size exceeds|payload.{0,20}too large",
    re.IGNORECASE,
)
_KEY = re.compile(r"api[ _]key (not|is|has|was|expired|invalid)|invalid api key|api_key_", re.IGNORECASE)
_ACCOUNT = re.compile(r"billing|location is not supported|has not been used in project|prepay|enable", re.IGNORECASE)
_SPENT = re.compile(
    r"per ?day|limit: 0\b|spending (cap|limit)|credits (are|have been) (depleted|exhausted)", re.IGNORECASE
)
_CALLERS_FILE = re.compile(r"\bfiles?/|access the file|cached ?content", re.IGNORECASE)
_NOT_YET = re.compile(r"not in an active state", re.IGNORECASE)
_FULL = re.compile(r"overloaded|high demand|no capacity", re.IGNORECASE)
_BY_SUBJECT = {
    Subject.FILTER: (Kind.FILTERED, _TELL),
    Subject.OVERFLOW: (Kind.TOO_LONG, _NEXT),
    Subject.FULL: (Kind.BUSY, _HERE),
    Subject.ACCOUNT: (Kind.DENIED, _NEXT),
    Subject.PARAMETER: (Kind.REJECTED, _NEXT),
    Subject.MODEL: (Kind.DENIED, _NEXT),
}
# The status of an error inside a stream, whose answer has status 200.
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


@dataclass(frozen=True, slots=True)
class _Error:
    """The vendor's error. details: of google.rpc."""

    message: str
    status: str | None = None
    code: int | None = None
    details: tuple[Mapping[str, Any], ...] = ()

    def named(self, kind: str) -> Iterator[Mapping[str, Any]]:
        return (detail for detail in self.details if str(detail.get("@type", "")).endswith(kind))


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """status 200: an error inside a stream, `body` its data."""
    given, _ = error_of(body)
    name, code = given.get("status"), given.get("code")
    error = _Error(
        message_of(given),
        name if isinstance(name, str) else None,
        code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None,
        tuple(_tables(given.get("details"))),
    )
    if status == _OK:
        status = error.code or _STATUS.get(error.status or "", 500)
    delays = (_DURATION.fullmatch(str(detail.get("retryDelay", ""))) for detail in error.named("RetryInfo"))
    wait = next((float(found[1]) for found in delays if found), None)
    # The most exact of the vendor's machine-readable codes.
    reasons = [str(detail["reason"]) for detail in error.named("ErrorInfo") if detail.get("reason")]
    kind, disposition = _verdict(status, error, reasons, wait)
    return Failure(
        kind,
        disposition,
        f"HTTP {status}: {error.message or 'no message'}",
        status=status,
        retry_after=None if kind is Kind.DENIED else wait if wait is not None else retry_after(headers),
        code=reasons[0][:SHOWN] if reasons else error.status,
        body=body,
    )


def _verdict(status: int, error: _Error, reasons: Sequence[str], wait: float | None) -> tuple[Kind, Disposition]:
    words = error.message
    about_key = bool(_KEY.search(words)) or any(reason.startswith("API_KEY_") for reason in reasons)
    violations = [one for detail in error.named("QuotaFailure") for one in _tables(detail.get("violations"))]
    of_days = any(
        "perday" in str(one.get("quotaId", "")).lower() or str(one.get("quotaValue")) == "0" for one in violations
    )
    match status:
        case 400 | 413 if _TOO_LONG.search(words) or status == 413:
            return Kind.TOO_LONG, _NEXT
        case 400 if about_key or (error.status == "FAILED_PRECONDITION" and _ACCOUNT.search(words)):
            # The fault is in the key or the account of the settings, which the caller cannot correct in the body.
            return Kind.DENIED, _NEXT
        case 400 if _NOT_YET.search(words):
            return Kind.DOWN, _HERE
        case 403 | 404 if _CALLERS_FILE.search(words):
            return Kind.REJECTED, _TELL
        case 401 | 402 | 403 | 404:
            return Kind.DENIED, _NEXT
        case 429 if of_days or _SPENT.search(words) or (wait is not None and wait >= _SPENT_FROM_S):
            # A quota of days, or of zero: no wait on this target helps.
            return Kind.DENIED, _NEXT
        case 429:
            return Kind.BUSY, _HERE
        case 408 | 409 | 499:
            return Kind.DOWN, _HERE
        case 424:
            return Kind.DOWN, _NEXT
        case 400 | 422:
            subject = subject_of(words)
            return _BY_SUBJECT[subject] if subject else (Kind.REJECTED, _TELL)
        case _ if 400 <= status < 500:
            # Any other status is about this target, not about the caller's body alone.
            return Kind.REJECTED, _NEXT
        case 503 if _FULL.search(words):
            return Kind.BUSY, _HERE
        case 504:
            return Kind.DOWN, _NEXT
        case _:
            return Kind.DOWN, _HERE


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
