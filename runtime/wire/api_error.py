"""An error for the caller, before it is written in the caller's dialect."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

# Retryable 4xx statuses.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


@dataclass(frozen=True, slots=True)
class ApiError(Exception):
    """status: HTTP. code: machine-readable, as DESIGN's error table names it. param: the member at fault.

    retry_after: seconds, an estimate. body: an upstream's own error body in the caller's dialect, passed on unchanged.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    body: bytes = b""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """When to retry, or not to: some clients would repeat a wrong key a dozen times."""
        if self.retry_after is not None:
            return ((b"retry-after", str(max(1, round(self.retry_after))).encode()),)
        if self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _PASSING:
            return ((b"x-should-retry", b"false"),)
        return ()


def nothing_at(path: str) -> ApiError:
    """404 for a path that no route answers."""
    return ApiError(404, f"nothing is served at {path[:200]}", "not_found")
