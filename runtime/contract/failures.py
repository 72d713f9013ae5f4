"""Failure as a value: the fault of one attempt and the next step.

    Kind          the fault, as seen upstream
    Disposition   the dispatcher's next step
    Failure       both, with the provider's own words and its Retry-After
    HopError      the one exception of a transport; carries a Failure

Busy never opens a breaker; a caller's own fault never does (`Failure.counts_against`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    BUSY = "busy"  # 429 without a wait, a full queue: alive, has no room
    DOWN = "down"  # refused, reset, 5xx, dead engine
    DENIED = "denied"  # key, permission, spent quota
    REJECTED = "rejected"  # the caller's own fault
    TOO_LONG = "too_long"  # context window exceeded
    FILTERED = "filtered"  # content filter
    BROKEN_STREAM = "broken_stream"  # cut, aborted, an error event, no finish reason
    GARBLED = "garbled"  # not the wire it claims to be
    SILENT = "silent"  # accepted, then nothing within its time-out
    LATE = "late"  # waits for the engine for so long that another is sooner
    FORBIDDEN = "forbidden"  # the request demands a certificate that the target lacks: nothing was sent
    SPENT = "spent"  # the budget has no room for it: nothing was sent
    UNSURE = "unsure"  # the local model's early confidence in its answer is too low


class Disposition(StrEnum):
    RETRY_HERE = "retry_here"
    NEXT_CANDIDATE = "next_candidate"
    TELL_CALLER = "tell_caller"


_HARMLESS = frozenset(
    {Kind.BUSY, Kind.REJECTED, Kind.TOO_LONG, Kind.FILTERED, Kind.LATE, Kind.FORBIDDEN, Kind.SPENT, Kind.UNSURE}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt's failure.

    status: HTTP status as the upstream gave it, None without one.
    retry_after: seconds the upstream asked for, None if it did not.
    code: the provider's machine-readable code or type, as it wrote it.
    body: the provider's error body, bytes as received (bounded), for an error passed on in the same dialect.
    """

    kind: Kind
    disposition: Disposition
    message: str
    status: int | None = None
    retry_after: float | None = None
    code: str | None = None
    body: bytes = b""

    @property
    def counts_against(self) -> bool:
        """True if a breaker counts this failure."""
        return self.kind not in _HARMLESS


def forbidden(words: str) -> Failure:
    """A departure that was refused: another candidate may be allowed."""
    return Failure(Kind.FORBIDDEN, Disposition.NEXT_CANDIDATE, words)


class HopError(Exception):
    """A transport's failure: refused, reset, cut. The only exception a `Hop` or `Reply` raises besides cancellation."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
