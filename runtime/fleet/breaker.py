"""A breaker per target: stops asking one that keeps failing, lets one probe through, closes again.

Pure but for its own counters; the clock comes in with every call. Busy and a caller's own fault are never counted
(`Failure.counts_against`): who calls decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """failures in a row that open it; seconds it stays open, doubling up to `longest_s` while its probes fail."""

    failures: int = 5
    open_s: float = 10.0
    longest_s: float = 120.0
    probe_s: float = 60.0  # a probe that never reports back is forgotten after this


class Breaker:
    """Asked with `allows`, told with `begin` and one of `success`, `failure`, `forget`.

    An operator may `hold` it open for a time, `close` it, or let a `probe` through at once. trouble: the latest failure, "".
    probes: False while another Hearth of the fleet makes the half-open attempt.
    """

    __slots__ = ("_failures", "_held_until", "_opened", "_policy", "_probe_at", "_trips", "probes", "trouble")

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._failures = 0
        self._trips = 0
        self._opened: float | None = None
        self._probe_at: float | None = None
        self._held_until = 0.0
        self.trouble = ""
        self.probes = True

    @classmethod
    def opened(cls, trips: int, retry_in: float, now: float, policy: BreakerPolicy | None = None) -> Breaker:
        """One that was open when it was last heard of. trips: times in a row it opened; retry_in: seconds left."""
        breaker = cls(policy)
        breaker._failures = breaker._policy.failures
        breaker._trips = max(1, trips)
        breaker._opened = now + min(max(0.0, retry_in), breaker._open_s) - breaker._open_s
        return breaker

    @property
    def trips(self) -> int:
        """Times in a row it opened; 0 while closed."""
        return 0 if self._opened is None else max(1, self._trips)

    @property
    def probing(self) -> bool:
        """True while a half-open attempt is under way."""
        return self._probe_at is not None

    def state(self, now: float) -> BreakerState:
        if self._held_until > now:
            return BreakerState.OPEN
        if self._opened is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now >= self._opened + self._open_s else BreakerState.OPEN

    def allows(self, now: float) -> bool:
        """Whether an attempt may begin now: always when closed, one at a time when half-open."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            return self.probes and (self._probe_at is None or now >= self._probe_at + self._policy.probe_s)
        return state is BreakerState.CLOSED

    def retry_in(self, now: float) -> float:
        """Seconds until it lets a probe through; 0 when it is not open."""
        opened = 0.0 if self._opened is None else self._opened + self._open_s - now
        return max(0.0, opened, self.held_s(now))

    def held_s(self, now: float) -> float:
        """Seconds until a hold by hand ends; 0 without one."""
        return max(0.0, self._held_until - now)

    def hold(self, until: float) -> None:
        """Keeps it open until then, whatever its attempts say."""
        self._held_until = until

    def probe(self, now: float) -> None:
        """Lets one attempt through at once, if it is open."""
        self._held_until, self._probe_at = 0.0, None
        if self._opened is not None:
            self._opened = now - self._open_s

    def close(self) -> None:
        """Closes it by hand, and ends a hold."""
        self._held_until = 0.0
        self.success()

    def begin(self, now: float) -> bool:
        """Claims the right to an attempt; False when another holds the probe."""
        if not self.allows(now):
            return False
        if self._opened is not None:
            self._probe_at = now
        return True

    def success(self) -> None:
        self._failures = self._trips = 0
        self._opened = self._probe_at = None

    def failure(self, now: float, words: str = "") -> None:
        self.trouble = words
        self._failures += 1
        half_open = self._opened is not None
        self._probe_at = None
        if half_open or self._failures >= self._policy.failures:
            self._trips += 1 if self._opened is None or self.state(now) is BreakerState.HALF_OPEN else 0
            self._opened = now

    def forget(self) -> None:
        """An attempt ended without a word on the target's health: cancelled, busy, the caller's fault."""
        self._probe_at = None

    @property
    def _open_s(self) -> float:
        doubled = self._policy.open_s * 2.0 ** min(max(0, self._trips - 1), 16)
        return min(self._policy.longest_s, doubled)
