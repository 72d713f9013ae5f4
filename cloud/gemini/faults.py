"""The vendor's errors as verdicts. Its words are kept; a wait is read from `RetryInfo`, else from the header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloud.errors import error_of, message_of, retry_after
from runtime.contract.failures import Disposition, Failure, Kind

_HERE, _NEXT, _TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
_OK = 200
_SPENT_FROM_S = 3600.0  # who is to wait an hour has no quota left
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
# A status where the answer's own says nothing: errors inside a stream.
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
    """An error as the vendor told it. details: google.rpc details."""

    message: str
    status: str | None = None
    code: int | None = None
    details: tuple[Mapping[str, Any], ...] = ()

    def named(self, kind: str) -> Iterator[Mapping[str, Any]]:
        return (detail for detail in self.details if str(detail.get("@type", "")).endswith(kind))


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    error = _read(body)
    if status == _OK:
        status = error.code or _STATUS.get(error.status or "", 500)
    wait = _retry_delay(error)
    kind, disposition = _verdict(status, error, wait)
    return Failure(
        kind,
        disposition,
        f"HTTP {status}: {error.message or 'no message'}",
        status=status,
        retry_after=None if kind is Kind.DENIED else wait if wait is not None else retry_after(headers),
        code=_code(error),
        body=body,
    )


def _verdict(status: int, error: _Error, wait: float | None) -> tuple[Kind, Disposition]:
    said = error.message
    match status:
        case 400 | 413 if _TOO_LONG.search(said) or status == 413:
            return Kind.TOO_LONG, _NEXT
        case 400 if _is_about_key(error) or (error.status == "FAILED_PRECONDITION" and _ACCOUNT.search(said)):
            # Our key, our account: nothing the caller can mend in this body.
            return Kind.DENIED, _NEXT
        case 400 if _NOT_YET.search(said):
            return Kind.DOWN, _HERE
        case 403 | 404 if _CALLERS_FILE.search(said):
            return Kind.REJECTED, _TELL
        case 401 | 402 | 403 | 404:
            return Kind.DENIED, _NEXT
        case 429 if _is_spent(error, wait):
            return Kind.DENIED, _NEXT
        case 429:
            return Kind.BUSY, _HERE
        case 408 | 409 | 499:
            return Kind.DOWN, _HERE
        case _ if 400 <= status < 500:
            return Kind.REJECTED, _TELL
        case 503 if _FULL.search(said):
            return Kind.BUSY, _HERE
        case 504:
            return Kind.DOWN, _NEXT
        case _:
            return Kind.DOWN, _HERE


def _is_about_key(error: _Error) -> bool:
    reasons = {str(detail.get("reason")) for detail in error.named("ErrorInfo")}
    return bool(_KEY.search(error.message)) or any(reason.startswith("API_KEY_") for reason in reasons)


def _is_spent(error: _Error, wait: float | None) -> bool:
    """A quota of days, or of nothing at all: waiting here helps no one."""
    violations = [one for detail in error.named("QuotaFailure") for one in _tables(detail.get("violations"))]
    of_days = any(
        "perday" in str(one.get("quotaId", "")).lower() or str(one.get("quotaValue")) == "0" for one in violations
    )
    return of_days or bool(_SPENT.search(error.message)) or (wait is not None and wait >= _SPENT_FROM_S)


def _retry_delay(error: _Error) -> float | None:
    for detail in error.named("RetryInfo"):
        found = _DURATION.fullmatch(str(detail.get("retryDelay", "")))
        if found:
            return float(found[1])
    return None


def _code(error: _Error) -> str | None:
    """The most exact of the vendor's machine-readable words."""
    reasons = [str(detail["reason"]) for detail in error.named("ErrorInfo") if detail.get("reason")]
    return reasons[0] if reasons else error.status


def _read(body: bytes) -> _Error:
    error, _ = error_of(body)
    status, code = error.get("status"), error.get("code")
    return _Error(
        message_of(error),
        status if isinstance(status, str) else None,
        code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None,
        tuple(_tables(error.get("details"))),
    )


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
