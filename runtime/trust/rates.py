"""The limits of keys on their requests, tokens and parallel requests: token buckets that refill over a minute. Knows no HTTP.

A request is counted as it is admitted. Its tokens are reserved then, as many as it is expected to take and a full bucket at
most, and settled on those it took: an answer that was longer may take the bucket below zero, which the key then waits out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runtime.trust.caller import Caller

_MINUTE = 60.0
_PARALLEL_RETRY_S = 1.0


class RateStanding(NamedTuple):
    """A limit and its rest. reset_s: seconds until it is whole again."""

    limit: int
    remaining: int
    reset_s: float


class LimitedError(Exception):
    """A limit that is reached. retry_s: seconds until a request may pass; an estimate for parallel requests."""

    def __init__(self, words: str, retry_s: float) -> None:
        super().__init__(words)
        self.retry_s = retry_s


class Bucket:
    """Holds at most `limit` and gains as much in a minute."""

    __slots__ = ("_at", "_level", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit, self._level, self._at = limit, float(limit), now

    def level(self, now: float) -> float:
        """The present content; below zero after more was taken."""
        gained = max(0.0, now - self._at) * self.limit / _MINUTE
        self._level, self._at = min(float(self.limit), self._level + gained), max(now, self._at)
        return self._level

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until an amount can be taken; 0 if it can be now."""
        return max(0.0, (amount - self.level(now)) * _MINUTE / self.limit)

    def take(self, amount: float, now: float) -> None:
        self._level = self.level(now) - amount

    def standing(self, now: float) -> RateStanding:
        level = self.level(now)
        return RateStanding(self.limit, max(0, int(level)), (self.limit - level) * _MINUTE / self.limit)


class RateLimiter:
    """clock: monotonic seconds. Used in the event loop alone, so that what is checked still holds as it is taken.

    shared: True if the limits are those of a whole fleet; `ready` is then awaited before `held` and `reserve`.
    """

    shared = False

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._requests: dict[str, Bucket] = {}
        self._tokens: dict[str, Bucket] = {}
        self._reserved: dict[str, int] = {}  # tokens, by request
        self.running: dict[str, int] = {}

    async def ready(self, caller: Caller, tokens: int = 0) -> None:
        """Asks for this Hearth's share of a fleet's limits, for one more request or for its tokens."""

    @contextlib.contextmanager
    def held(self, caller: Caller) -> Iterator[None]:
        """A place for one request, given back at the end. Raises LimitedError; then nothing is taken."""
        limits, id, now = caller.limits, caller.id, self._clock()
        assert limits is not None
        if limits.requests_per_minute is not None:
            self._requests.setdefault(id, Bucket(limits.requests_per_minute, now))
        if limits.tokens_per_minute is not None:
            self._tokens.setdefault(id, Bucket(limits.tokens_per_minute, now))
        for name, buckets in (("requests", self._requests), ("tokens", self._tokens)):
            if id in buckets and (wait := buckets[id].wait(now)) > 0:
                raise LimitedError(f"this key may have {buckets[id].limit} {name} per minute", wait)
        if limits.parallel is not None and self.running.get(id, 0) >= limits.parallel:
            raise LimitedError(f"this key may have {limits.parallel} requests at a time", _PARALLEL_RETRY_S)
        if id in self._requests:
            self._requests[id].take(1, now)
        self.running[id] = self.running.get(id, 0) + 1
        try:
            yield
        finally:
            self.running[id] -= 1
            if not self.running[id]:
                del self.running[id]

    def reserve(self, request: str, caller: Caller, tokens: int) -> None:
        """Takes the tokens that a request may need until it is `spent`. Raises LimitedError; then nothing is taken."""
        most, now = caller.limits.tokens_per_minute if caller.limits is not None else None, self._clock()
        if most is None or not tokens:
            return
        bucket = self._tokens.setdefault(caller.id, Bucket(most, now))
        wanted = min(tokens, most)
        if (wait := bucket.wait(now, wanted)) > 0:
            raise LimitedError(f"this key may have {most} tokens per minute, and about {tokens} are needed", wait)
        bucket.take(wanted, now)
        self._reserved[request] = wanted

    def spent(self, request: str, id: str, tokens: int) -> None:
        """Counts the tokens of a settled request of a key, in place of those reserved for it."""
        reserved = self._reserved.pop(request, 0)
        if id in self._tokens:
            self._tokens[id].take(tokens - reserved, self._clock())

    @property
    def reserved_tokens(self) -> int:
        """Those of all requests under way."""
        return sum(self._reserved.values())

    def standings(self, id: str) -> dict[str, RateStanding]:
        """The rest of a key's limits, by "requests" and "tokens" where these are limited."""
        found = {"requests": self._requests.get(id), "tokens": self._tokens.get(id)}
        return {name: bucket.standing(self._clock()) for name, bucket in found.items() if bucket is not None}
