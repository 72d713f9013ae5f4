"""The load on the engine's lanes: a token ledger and the crossed thresholds of each, corrected by the engine's telemetry.

Where six or more Hearths send to the same replicas, each looks at three of them by chance: if all took the best of all by news
that is 50 ms old, they would all take the same one.

Knows lanes by name, no target and no request. Single-threaded, on the event loop.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec

from runtime.contract.backend import Backend, Lane
from runtime.contract.engine import EngineSpeed, Gpu, ReplicaView
from runtime.contract.pressure import Pressure
from runtime.load.ledger import Ledger
from runtime.load.others import FlightRow, OtherFlights
from runtime.load.saturation import ReplicaReading, Saturation, choose, home, read
from runtime.load.strain import EngineStrain, strain
from runtime.routing.facts.facts import Facts
from runtime.settings import Escalation

_LATELY_S = 10.0  # others that were here may come again
_HERD = 6  # Hearths before the same engines, from which on so many are looked at
_LOOKED_AT = 3


class LaneLoad(msgspec.Struct, frozen=True):
    """The best ready lane at one moment, for one prompt."""

    reading: ReplicaReading
    pressure: Pressure


class Lanes:
    """alone: all of the engine's work comes from this process. hearths: that send to the same replicas, this one included."""

    hearths = 1

    def __init__(
        self,
        escalation: Escalation,
        clock: Callable[[], float],
        *,
        alone: bool = True,
        chance: random.Random | None = None,
    ) -> None:
        self._escalation = escalation
        self._clock = clock
        self._alone = alone
        self._ledgers: dict[str, Ledger] = {}
        self._saturations: dict[str, Saturation] = {}  # of the same lanes
        self._runs: dict[str, int] = {}  # which run of a replica a ledger belongs to,
        self._made: dict[str, float] = {}  # and when it was made
        self._gpu: tuple[float, float] | None = None
        self._others_at = -_LATELY_S  # when batch work last had others beside it
        self._others: dict[str, OtherFlights] = {}  # other Hearths' requests, by lane
        self._chance = chance or random.Random()
        self._drawn = [self._chance.random() for _ in range(_LOOKED_AT)]

    def reload(self, escalation: Escalation) -> None:
        """Takes other thresholds over; what was learned of the lanes is kept."""
        self._escalation = escalation
        self._saturations = {name: Saturation(escalation) for name in self._saturations}

    def ledger(self, lane: Lane) -> Ledger:
        """The ledger of a lane, made when the lane is first seen."""
        ledger = self._ledgers.get(lane.name)
        if ledger is None:
            ledger = self._ledgers[lane.name] = Ledger(lane.slots, alone=self._alone, name=lane.name)
            self._saturations[lane.name] = Saturation(self._escalation)
            self._made[lane.name] = self._clock()
            if lane.name in self._others:
                ledger.hear(self._others[lane.name], self._clock())
        return ledger

    def hear(self, name: str, others: OtherFlights, taught: FlightRow | None = None) -> None:
        """Takes in what other Hearths have in flight on a lane. taught: a row of one that has measured its speed."""
        self._others[name] = others
        if (ledger := self._ledgers.get(name)) is not None:
            ledger.hear(others, self._clock())
            if taught is not None:
                ledger.take_over(taught)

    def row(self, name: str) -> FlightRow:
        """The requests of this Hearth on a lane, for the others."""
        return self._ledgers[name].row(self._clock()) if name in self._ledgers else FlightRow()

    def taken(self, lanes: Sequence[Lane], facts: Facts) -> Lane:
        """The lane for a request that is sent now. Where a few by chance are looked at, the next request looks at others."""
        lane = self.best(lanes, facts)
        if self.hearths >= _HERD:
            self._drawn = [self._chance.random() for _ in range(_LOOKED_AT)]
        return lane

    def best(self, lanes: Sequence[Lane], facts: Facts) -> Lane:
        """The lane that is likely to hold the request's prefix in its cache, if it is as good as the best; else the best."""
        if len(lanes) == 1:
            return lanes[0]
        if self.hearths >= _HERD and len(lanes) > _LOOKED_AT:
            lanes = self._looked_at(lanes, facts.prefix)
        return lanes[
            choose([self.ledger(lane) for lane in lanes], facts.prompt_tokens, self._clock(), facts.prefix) or 0
        ]

    def _looked_at(self, lanes: Sequence[Lane], prefix: int) -> list[Lane]:
        """A few by chance, and the one whose cache is likely to hold the prefix."""
        every = list(range(len(lanes)))
        found = {every.pop(int(each * len(every))) for each in self._drawn}
        if prefix:
            found.add(home([self.ledger(lane) for lane in lanes], range(len(lanes)), prefix))
        return [lanes[each] for each in found]

    def judged(self, ready: Sequence[Lane], facts: Facts, now: float, *, look: bool = False) -> LaneLoad:
        """The load of the best of the ready lanes, for a decision: thresholds that are crossed stay crossed until released.

        look: nothing changes by it.
        """
        best = ready[0] if len(ready) == 1 else self.best(ready, facts)
        ledger = self.ledger(best)
        fresh = facts.prompt_tokens - int(facts.prompt_tokens * ledger.cached.get(facts.prefix, 0.0))
        reading = read(ledger, fresh, now, self._gpu)
        saturation = self._saturations[best.name]
        judge = saturation.look if look else saturation.update
        return LaneLoad(reading, judge(reading, now))

    def seen(self, ready: Sequence[Lane], tokens: int | None = None) -> LaneLoad:
        """The same for a prompt of so many tokens, of usual length without: nothing changes by looking."""
        now = self._clock()
        best = ready[choose([self.ledger(lane) for lane in ready], tokens or 0, now) or 0]
        ledger = self.ledger(best)
        reading = read(ledger, ledger.typical_prompt if tokens is None else tokens, now, self._gpu)
        return LaneLoad(reading, self._saturations[best.name].look(reading, now))

    def speeds(self, lanes: Sequence[Lane]) -> list[EngineSpeed]:
        """The measured speeds of the lanes that have one."""
        return [each for lane in lanes if (each := self.ledger(lane).speed) is not None]

    def token_s(self, lanes: Sequence[Lane]) -> tuple[float, float] | None:
        """Mean seconds of a lane per prompt token and per generated token; None before any lane knows them."""
        known = [each.token_s for each in self.speeds(lanes)]
        if not known:
            return None
        read, generated = zip(*known, strict=True)
        return sum(read) / len(known), sum(generated) / len(known)

    def ttft_s(self, backend: Backend) -> float | None:
        """Seconds to a first token of a backend's first lane, as its latest answers had it."""
        ledger = self._ledgers.get(backend.lanes[0].name) if backend.lanes else None
        return ledger.ttft.value if ledger is not None else None

    def room_in(self, ready: Sequence[Lane]) -> float | None:
        """Seconds until a lane is predicted to have room, at least 1: for Retry-After; None with none ready."""
        now, ledgers = self._clock(), [self.ledger(lane) for lane in ready]
        return min([max(1.0, each.backlog_s(each.typical_prompt, now)) for each in ledgers], default=None)

    def strain(self, ready: Sequence[Lane]) -> EngineStrain | None:
        """Of all ready lanes together; None with none ready."""
        return strain([self.ledger(lane) for lane in ready], self._clock())

    def spare(self, ready: Sequence[Lane], own: int) -> int:
        """Requests of the batch lane that may start beside `own` that run; none while somebody else's request waits."""
        now = self._clock()
        ledgers = [self.ledger(lane) for lane in ready]
        flights = sum([each.waiting + each.running for each in ledgers])
        elsewhere = [each.others for each in ledgers if each.others is not None]
        if flights > own or any(each.waiting or each.running for each in elsewhere):
            self._others_at = now
            if any(each.waiting_now(now) for each in ledgers):
                return 0
        beside = now - self._others_at < _LATELY_S
        begun = max(0, own - flights)  # ours that are on their way to a ledger
        return sum([max(0, each.spare(now, beside=beside)) for each in ledgers]) - begun

    def listen(self, views: Sequence[ReplicaView], gpus: Sequence[Gpu]) -> None:
        """Takes in the engine's latest telemetry. A replica that was restarted begins with an empty ledger."""
        for view in views:
            if self._runs.setdefault(view.name, view.run) != view.run:
                self._runs[view.name] = view.run
                # One that was made since it is ready is this run's, and holds the requests that came before this call.
                if not view.ready or self._made.get(view.name, view.since) < view.since:
                    self._forget(view.name)
            ledger = self._ledgers.get(view.name)
            if ledger is not None and view.slots is not None:  # known once it was started, and the ledger may be older
                ledger.given(view.slots)
            if ledger is not None and view.telemetry is not None:
                ledger.observe(view.telemetry)
        self._gpu = max([(gpu.utilization, gpu.at) for gpu in gpus], default=None)

    def forget(self, lanes: Sequence[Lane]) -> None:
        """Drops what was learned of lanes that nobody can ask any more."""
        for lane in lanes:
            self._forget(lane.name)

    def _forget(self, name: str) -> None:
        self._ledgers.pop(name, None)
        self._saturations.pop(name, None)
