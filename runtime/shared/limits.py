"""The limits of keys over a whole fleet: requests and tokens in any minute, and requests at a time.

A Hearth takes small shares of a limit from the store and admits requests from them in memory. A share of a rate is good for a
second and counts in the store's window from when it was taken; slots for requests at a time are held while they are used, and
those of a dead Hearth are free again after 25 s, and a Hearth that was frozen for so long takes no request on those it held.
While the store is away each Hearth admits its own part of every limit, and reports it afterwards. An emptied store hears from
each Hearth what it admitted in the last minute, and what slots it holds, before anybody gets more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runtime.shared.store import WITHIN_S, SharedStore, StoreAwayError, key_of
from runtime.trust.caller import Caller
from runtime.trust.rates import LimitedError, RateLimiter, RateStanding

_MINUTE_S = 60.0
_GOOD_S = 1.0  # for which a share may be used
_DENIED_S = 0.02  # before a share that was not there is asked for again
_PARTS = 20  # of a Hearth's part of a limit, in one share
_AWAY = 0.95  # of a limit, shared by all Hearths while nobody can ask
_RENEWED_S = 8.0
_KEPT_S = 25  # slots of a Hearth that is silent
_IDLE_S = 300.0  # after which what is known of a limit is dropped
_RETRY_S = 1.0
_WORDS = {"requests": "requests per minute", "tokens": "tokens per minute", "slots": "requests at a time"}


class _Share(msgspec.Struct):
    """Of one limit of one key. left: of the present share, which counts at `second` and is good until `until`.

    want, least: by those who wait, together and by the smallest. back: unused, by the second it counted at. over: used beyond
    what was taken. rest: of the whole limit, when last heard. own: used here, by second; late: the part of it that the store
    has yet to count at its second. For slots: held of the store, used by requests, and the number of the latest call.
    """

    limit: int
    rest: int
    left: int = 0
    second: str = ""
    until: float = 0.0
    want: int = 0
    least: int = 0
    wait_s: float = 1.0
    denied_at: float = -1.0
    back: dict[str, int] = {}
    over: int = 0
    own: dict[int, int] = {}
    late: dict[int, int] = {}
    used_at: float = 0.0
    held: int = 0
    used: int = 0
    renewed_at: float = 0.0
    number: int = 0


class SharedLimiter(RateLimiter):
    """A `RateLimiter` on a store. wake: asks for a turn soon. clock: monotonic seconds; wall: unix seconds."""

    shared = True

    def __init__(
        self,
        store: SharedStore,
        wake: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self._store, self._wake, self._wall = store, wake, wall
        self._shares: dict[tuple[str, str], _Share] = {}
        self._taken: dict[str, tuple[str, int, str]] = {}  # by request: its key, its tokens, the second they count at
        self._answered = asyncio.Event()
        self._epoch = store.epoch

    async def ready(self, caller: Caller, tokens: int = 0) -> None:
        """Tries to have a share for one more request, or for its tokens, for at most 50 ms."""
        deadline = self._clock() + WITHIN_S
        while not self._store.away and (short := self._short(caller, tokens)):
            for share, amount in short:
                share.least = min(share.least, amount) if share.want else amount
                share.want += amount
            answered = self._answered
            self._wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline - self._clock()):
                    await answered.wait()
            slots = [each for each, _ in short if each is self._shares.get(("slots", caller.id))]
            if self._clock() >= deadline or not slots or len(slots) < len(short):
                return
            await asyncio.sleep(_DENIED_S / 2)  # another Hearth may be giving one back

    @contextlib.contextmanager
    def held(self, caller: Caller) -> Iterator[None]:
        limits, slots = caller.limits, None
        assert limits is not None
        if limits.parallel is not None:
            slots = self._share("slots", caller.id, limits.parallel)
            most = slots.held if not self._store.away else max(1, limits.parallel // self._store.alive)
            if slots.used >= most:
                raise LimitedError(f"this key may have {limits.parallel} requests at a time", _RETRY_S)
        if limits.tokens_per_minute is not None:
            self._share("tokens", caller.id, limits.tokens_per_minute)
        if limits.requests_per_minute is not None:
            self._take("requests", caller.id, limits.requests_per_minute, 1)
        if slots is not None:
            slots.used += 1
        self.running[caller.id] = self.running.get(caller.id, 0) + 1
        try:
            yield
        finally:
            # Nothing is awaited here, so that no cancellation can lose a slot; the store hears of it with the next turn.
            self.running[caller.id] -= 1
            if not self.running[caller.id]:
                del self.running[caller.id]
            if slots is not None:
                slots.used -= 1
                if slots.held - slots.used > self._kept(slots.limit):
                    self._wake()

    def reserve(self, request: str, caller: Caller, tokens: int) -> None:
        most = caller.limits.tokens_per_minute if caller.limits is not None else None
        if most is None or not tokens:
            return
        wanted = min(tokens, most)
        second = self._take("tokens", caller.id, most, wanted)
        self._reserved[request] = wanted
        self._taken[request] = (caller.id, wanted, second)

    def spent(self, request: str, id: str, tokens: int) -> None:
        reserved = self._reserved.pop(request, 0)
        _, _, second = self._taken.pop(request, ("", 0, ""))
        share = self._shares.get(("tokens", id))
        if share is None:
            return
        beyond, at = tokens - reserved, int(self._wall())
        share.own[at] = share.own.get(at, 0) + beyond
        if beyond > 0:
            share.over += beyond
        elif beyond and second:
            share.back[second] = share.back.get(second, 0) - beyond

    def standings(self, id: str) -> dict[str, RateStanding]:
        found = {}
        for kind in ("requests", "tokens"):
            share = self._shares.get((kind, id))
            if share is not None:
                rest = max(0, min(share.limit, share.rest + share.left))
                found[kind] = RateStanding(share.limit, rest, 0.0 if rest == share.limit else _MINUTE_S)
        return found

    async def turn(self) -> None:
        """Takes, renews and gives back. Raises StoreAwayError."""
        now, emptied, self._epoch = self._clock(), self._store.epoch != self._epoch, self._store.epoch
        rates: dict[tuple[str, str], _Share] = {}
        slots: dict[tuple[str, str], _Share] = {}
        for key, share in list(self._shares.items()):
            if key[0] == "slots":
                self._lapse(share)
                spare, due = share.held - share.used, emptied or now - share.renewed_at >= _RENEWED_S
                # Also where more are in use than it holds: they were admitted while the store was away.
                if share.want or spare > self._kept(share.limit) or spare < 0 or (share.held and due):
                    slots[key] = share
                continue
            if emptied:  # nothing that was taken is known there: what was used here is counted again, once
                share.left, share.over, share.back, share.late = 0, 0, {}, self._lately(share)
            if share.left and now >= share.until:
                share.back[share.second], share.left = share.back.get(share.second, 0) + share.left, 0
            if share.want or share.back or share.over or share.late:
                rates[key] = share
            elif now - share.used_at > _IDLE_S:
                del self._shares[key]
        try:
            if rates:
                await self._ask_rates(rates)
            if slots:
                await self._ask_slots(slots, emptied=emptied)
        finally:
            for share in (*rates.values(), *slots.values()):
                share.want = 0
            answered, self._answered = self._answered, asyncio.Event()
            answered.set()

    async def _ask_rates(self, rates: Mapping[tuple[str, str], _Share]) -> None:
        began, at = self._clock(), int(self._wall())
        rows: list[dict[str, Any]] = []
        for share in rates.values():
            ahead = share.limit // (_PARTS * self._store.alive) if share.want else 0
            rows.append({"limit": share.limit, "want": share.want + ahead, "least": share.least, "over": share.over})
            rows[-1]["back"] = back = share.back
            rows[-1]["late"] = {at - second: amount for second, amount in share.late.items()}
            if share.want and share.left:  # one share at a time: what is left of this one is exchanged for another
                back[share.second] = back.get(share.second, 0) + share.left
                share.left = 0
            share.back, share.over, share.late = {}, 0, {}
        try:
            answers = await self._call("rates", [key_of("rate", *key) for key in rates], rows)
        except StoreAwayError:
            for share, row in zip(rates.values(), rows, strict=True):
                share.over += row["over"]
                share.late = {at - ago: amount for ago, amount in row["late"].items()}
            raise
        for share, row, (granted, second, rest, wait) in zip(rates.values(), rows, answers, strict=True):
            share.rest, share.wait_s = rest, int(wait) / 1e6
            if row["want"]:
                share.left, share.second, share.until = granted, second, began + _GOOD_S
                share.denied_at = share.denied_at if granted else self._clock()

    async def _ask_slots(self, slots: Mapping[tuple[str, str], _Share], *, emptied: bool) -> None:
        began, rows = self._clock(), []
        for share in slots.values():
            share.number = max(share.number + 1, int(self._wall() * 1e6))
            share.held = min(share.held, share.used + self._kept(share.limit)) if not share.want else share.held
            want = max(0, share.used + share.want + self._kept(share.limit) - share.held) if share.want else 0
            held, used = max(share.held, share.used), share.used
            rows.append({"limit": share.limit, "held": held, "used": used, "want": want, "number": share.number})
            share.held = min(share.held, share.used) if emptied else share.held  # the store has yet to confirm the rest
        keys = [key_of("epoch"), *[key_of("slots", *key) for key in slots]]
        answers = await self._call("slots", keys, rows, self._store.owner, _KEPT_S)
        for share, (granted, number, held) in zip(slots.values(), answers, strict=True):
            share.number, share.renewed_at = max(share.number, int(number)), began
            if granted >= 0:
                share.held = max(held, share.used) + granted

    async def _call(self, function: str, keys: Sequence[str], rows: Any, *more: str | int) -> Any:
        return await self._store.call(function, keys, msgspec.json.encode(rows).decode(), *more)

    def _short(self, caller: Caller, tokens: int) -> list[tuple[_Share, int]]:
        """The limits that have no share for a request, with the amount that it needs; not those that were just denied."""
        limits, now = caller.limits, self._clock()
        assert limits is not None
        found = []
        if tokens:
            if limits.tokens_per_minute is not None:
                share = self._share("tokens", caller.id, limits.tokens_per_minute)
                needs = min(tokens, limits.tokens_per_minute)
                if (share.left < needs or now >= share.until) and now - share.denied_at >= _DENIED_S:
                    found.append((share, needs))
            return found
        if limits.requests_per_minute is not None:
            share = self._share("requests", caller.id, limits.requests_per_minute)
            if (share.left < 1 or now >= share.until) and now - share.denied_at >= _DENIED_S:
                found.append((share, 1))
        if limits.parallel is not None:
            share = self._share("slots", caller.id, limits.parallel)
            if share.held - share.used < 1:
                found.append((share, 1))
        return found

    def _share(self, kind: str, id: str, limit: int) -> _Share:
        share = self._shares.get((kind, id))
        if share is None:
            share = self._shares[kind, id] = _Share(limit, limit)
        share.limit, share.used_at = limit, self._clock()
        self._lapse(share)
        return share

    def _lapse(self, share: _Share) -> None:
        """Slots held without a word to the store for 25 s may be another Hearth's by now: those in use are all that is left."""
        if self._clock() - share.renewed_at >= _KEPT_S - WITHIN_S:
            share.held = min(share.held, share.used)

    def _lately(self, share: _Share) -> dict[int, int]:
        """Used here in the last minute, by second."""
        at = int(self._wall())
        return {second: amount for second, amount in share.own.items() if at - second <= _MINUTE_S}

    def _take(self, kind: str, id: str, limit: int, amount: int) -> str:
        """Takes from the present share, or while the store is away from this Hearth's part. Raises LimitedError."""
        share, now, at = self._share(kind, id, limit), self._clock(), int(self._wall())
        if self._store.away or len(share.own) > 2 * _MINUTE_S:
            share.own = self._lately(share)
        second = ""
        if self._store.away:
            most = max(1, int(limit * _AWAY / self._store.alive))
            if sum(share.own.values()) + min(amount, most) > most:
                oldest = min(share.own, default=at)
                raise LimitedError(f"this key may have {limit} {_WORDS[kind]}", max(1.0, oldest + _MINUTE_S - at))
            share.late[at] = share.late.get(at, 0) + amount
        elif share.left < amount or now >= share.until:
            raise LimitedError(f"this key may have {limit} {_WORDS[kind]}", max(0.05, share.wait_s))
        else:
            share.left, second = share.left - amount, share.second
        share.own[at] = share.own.get(at, 0) + amount
        return second

    def _kept(self, limit: int) -> int:
        """Slots that stay here without a request: none of a small limit, which another Hearth may want at once."""
        return limit // (4 * self._store.alive) if limit >= 4 * _PARTS else 0
