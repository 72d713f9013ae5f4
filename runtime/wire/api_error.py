"""An error as the caller is told it, before it is put into the caller's dialect."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

# Refusals that another time may end otherwise; any other 4xx says the same again.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


@dataclass(frozen=True, slots=True)
class ApiError(Exception):
    """status: HTTP. code: machine-readable, as DESIGN's error table names it. param: the member at fault.

    retry_after: seconds, an estimate. body: an upstream's own error body in the caller's dialect, passed on as it is.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    body: bytes = b""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """When to ask again; and that it is no use, for clients that would ask a dozen times (a wrong key, say)."""
        if self.retry_after is not None:
            return ((b"retry-after", str(max(1, round(self.retry_after))).encode()),)
        if self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _PASSING:
            return ((b"x-should-retry", b"false"),)
        return ()
