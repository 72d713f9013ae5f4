"""Wrong keys by address: a few are answered 401, more of them 429. A right key is never refused for others' wrong ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from runtime.wire.api_error import ApiError


class WrongKeys:
    """most: a minute and address. addresses: that are remembered. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float], most: int = 10, addresses: int = 1000) -> None:
        self._clock, self._most, self._addresses = clock, most, addresses
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()  # since when, how many

    def count(self, peer: str | None, error: ApiError) -> None:
        """Counts a key that was refused with `error`; a request without any counts for nothing. Raises ApiError 429."""
        if error.code != "invalid_api_key":
            return
        name, now = peer or "", self._clock()
        since, count = self._seen.get(name, (now, 0))
        if now - since >= 60:
            since, count = now, 0
        self._seen[name] = since, count + 1
        self._seen.move_to_end(name)
        if len(self._seen) > self._addresses:
            self._seen.popitem(last=False)
        if count >= self._most:
            words = f"{self._most} wrong keys came from this address within a minute"
            raise ApiError(429, words, "too_many_wrong_keys", None, max(1.0, round(60 - (now - since)))) from error
