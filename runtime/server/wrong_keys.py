"""Wrong keys by address: a few are answered 401, more of them 429. A right key is never refused for others' wrong ones.

A client of `/v1` that repeats one wrong key guesses nothing: it has a wrong setting, is told so each time, and counts once.
Elsewhere every wrong key counts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from runtime.wire.api_error import ApiError

_MINUTE_S = 60.0


class _Guesses(msgspec.Struct, eq=False):
    since: float
    count: int = 0
    keys: set[int] = msgspec.field(default_factory=set)  # hashes, at most `most`


class WrongKeys:
    """most: a minute and address. addresses: that are remembered. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float], most: int = 10, addresses: int = 1000) -> None:
        self._clock, self._most, self._addresses = clock, most, addresses
        self._seen: OrderedDict[str, _Guesses] = OrderedDict()

    def count(self, peer: str | None, path: str, headers: Mapping[str, str], error: ApiError) -> None:
        """Counts a key that was refused with `error`; a request without any counts for nothing. Raises ApiError 429."""
        if error.code != "invalid_api_key":
            return
        name, now = peer or "", self._clock()
        guesses = self._seen.get(name)
        if guesses is None or now - guesses.since >= _MINUTE_S:
            guesses = self._seen[name] = _Guesses(now)
        self._seen.move_to_end(name)
        if len(self._seen) > self._addresses:
            self._seen.popitem(last=False)
        key = hash(headers.get("x-api-key") or headers.get("authorization"))
        if key in guesses.keys and path.startswith("/v1/"):
            return
        guesses.count += 1
        if guesses.count > self._most:
            words = f"{self._most} wrong keys came from this address within a minute"
            wait = max(1.0, round(_MINUTE_S - (now - guesses.since)))
            raise ApiError(429, words, "too_many_wrong_keys", None, wait) from error
        guesses.keys.add(key)
