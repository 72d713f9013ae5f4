"""Breakers and demotions of a whole fleet: a target that one Hearth found failing is asked by none, and tried by one.

Counts of failures stay each Hearth's own. While the store is away each Hearth decides alone, from what it last heard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from runtime.contract.targets import LOCAL
from runtime.fleet.breaker import BreakerState
from runtime.fleet.fleet import LiveFleet
from runtime.routing.plan.demotion import DemotedFor
from runtime.shared.store import SharedStore, StoreAwayError, key_of

_Demotions = dict[str, dict[str, DemotedFor]]  # by task and target
_read = msgspec.json.Decoder(_Demotions)


class Heard(NamedTuple):
    """keys: the version of the fleet's keys."""

    keys: str


class SharedBreakers:
    """Keeps the fleet's breakers and demotions as the store has them. clock: monotonic seconds."""

    def __init__(self, store: SharedStore, fleet: LiveFleet, clock: Callable[[], float]) -> None:
        self._store, self._fleet, self._clock = store, fleet, clock
        self._trips: dict[str, int] = {}  # of each open breaker, as the store has it
        self._changes: dict[str, str] = {}
        self._epoch = store.epoch
        self._own = self._merged = fleet.demoted
        self._sent = b""

    async def turn(self, *, due: bool = True) -> Heard | None:
        """Says what has changed here, and takes over what has changed elsewhere. Raises StoreAwayError.

        due: time to listen; without it the store is asked only where a breaker has changed here, and None is returned.
        """
        fleet, now = self._fleet, self._clock()
        shared = {name: each for name, each in fleet.known_breakers.items() if name in fleet.clouds.backends}
        opened, closed, tries = [], [], []
        emptied = self._epoch != self._store.epoch  # it knows nothing of what is open here
        for name, breaker in shared.items():
            trips, state = breaker.trips, breaker.state(now)
            if trips and (emptied or trips != self._trips.get(name)):
                opened.append((name, trips, int(breaker.retry_in(now) * 1e6)))
            elif not trips and name in self._trips:
                closed.append(name)
            elif state is BreakerState.HALF_OPEN and (not breaker.probes or breaker.probing):
                tries.append(name)
        if not due and not opened and not closed:
            return None
        if fleet.demoted is not self._merged:
            self._own = fleet.demoted  # this Hearth's own have changed
        own = msgspec.json.encode(self._labelled(self._own))
        given = {
            "opened": opened,
            "closed": closed,
            "tries": tries,
            "demotions": own.decode() if own != self._sent else "",
        }
        keys = (key_of("breakers"), key_of("keys", "version"), key_of("demotions"), key_of("seen"))
        try:
            open_there, granted, version, demotions = await self._store.call(
                "states", keys, self._store.owner, msgspec.json.encode(given).decode()
            )
        except StoreAwayError:
            for breaker in shared.values():
                breaker.probes = True
            self._sent, self._changes = b"", {}
            raise
        self._sent, self._epoch = own, self._store.epoch
        self._take(open_there, granted, {name for name, *_ in opened})
        others = dict(zip(demotions[::2], demotions[1::2], strict=True))
        others.pop(self._store.owner, None)
        known = []
        for each in others.values():
            with contextlib.suppress(msgspec.DecodeError):  # of a version of Hearth that writes them otherwise
                known.append(_read.decode(each))
        self._demote(known)
        return Heard(version)

    def _take(self, open_there: Any, granted: list[str], said: set[str]) -> None:
        """Opens and closes as the others did. One that failed here while the call was under way is said with the next.

        said: those that opened here.
        """
        fleet, before = self._fleet, self._trips
        self._trips = {name: trips for name, trips, _, _ in open_there}
        for name, trips, left_us, change in open_there:
            if name not in fleet.clouds.backends:
                continue
            breaker = fleet.known_breakers.get(name)
            # Another's word on one that has not changed here: it was closed and opened again, and this Hearth slept meanwhile.
            theirs = breaker is not None and name not in said and breaker.trips == before.get(name)
            older = breaker is None or breaker.trips < trips or theirs
            if self._changes.get(name) != change and older and not (breaker and breaker.held_s(self._clock())):
                fleet.remember({name: (trips, int(left_us) / 1e6)})
                breaker = fleet.known_breakers[name]
            self._changes[name] = change
            if breaker is not None:
                breaker.probes = name in granted
        for name in before.keys() - self._trips.keys():
            self._changes.pop(name, None)
            breaker = fleet.known_breakers.get(name)
            if breaker is not None and breaker.trips == before[name]:
                breaker.success()
            if breaker is not None:
                breaker.probes = True

    def _labelled(self, demoted: Mapping[str, Mapping[str, DemotedFor]]) -> _Demotions:
        """With the engine under the label of its model: another Hearth's engine may have another."""
        label = self._fleet.local.target.label
        return {
            task: {label if name == LOCAL else name: why for name, why in by.items()} for task, by in demoted.items()
        }

    def _demote(self, others: list[_Demotions]) -> None:
        """Puts the others' demotions in force beside the own."""
        label = self._fleet.local.target.label
        merged = {task: dict(by) for task, by in self._own.items()}
        for each in others:
            for task, by in each.items():
                for name, why in by.items():
                    merged.setdefault(task, {}).setdefault(LOCAL if name == label else name, why)
        if merged != self._merged or self._fleet.demoted is not self._merged:
            self._merged = self._fleet.demoted = merged
