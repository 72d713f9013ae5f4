"""An error as the caller is told it, before it is put into the caller's dialect."""

from __future__ import annotations

from dataclasses import dataclass


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
        if self.retry_after is None:
            return ()
        return ((b"retry-after", str(max(1, round(self.retry_after))).encode()),)
