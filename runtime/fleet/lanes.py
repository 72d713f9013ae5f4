"""The load on the engine's lanes: a token ledger and the crossed thresholds of each, corrected by the engine's telemetry.

Knows lanes by name, no target and no request. Single-threaded, on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from runtime.contract.backend import Lane
from runtime.contract.engine import Gpu, ReplicaView
from runtime.contract.pressure import Pressure
from runtime.load.ledger import Ledger
from runtime.load.saturation import ReplicaReading, Saturation, choose, read
from runtime.settings import Escalation


class LaneLoad(msgspec.Struct, frozen=True):
    """The best ready lane at one moment, for one prompt."""

    reading: ReplicaReading
    pressure: Pressure


class _Watched(msgspec.Struct):
    ledger: Ledger
    saturation: Saturation


class Lanes:
    """alone: all of the engine's work comes from this process."""

    def __init__(self, escalation: Escalation, clock: Callable[[], float], *, alone: bool = True) -> None:
        self._escalation = escalation
        self._clock = clock
        self._alone = alone
        self._watched: dict[str, _Watched] = {}
        self._runs: dict[str, int] = {}  # which run of a replica a ledger belongs to
        self._gpu: tuple[float, float] | None = None

    def reload(self, escalation: Escalation) -> None:
        """Takes other thresholds over; what was learned of the lanes is kept."""
        self._escalation = escalation
        for watched in self._watched.values():
            watched.saturation = Saturation(escalation)

    def ledger(self, lane: Lane) -> Ledger:
        return self._watch(lane).ledger

    def best(self, lanes: Sequence[Lane], prompt_tokens: int) -> Lane:
        """The lane with the least predicted time to a first token."""
        if len(lanes) == 1:
            return lanes[0]
        return lanes[choose([self.ledger(lane) for lane in lanes], prompt_tokens, self._clock()) or 0]

    def judged(self, ready: Sequence[Lane], prompt_tokens: int, now: float, *, look: bool = False) -> LaneLoad:
        """The load of the best of the ready lanes, for a decision: thresholds that are crossed stay crossed until released.

        look: nothing changes by it.
        """
        watched = self._watch(self.best(ready, prompt_tokens))
        reading = read(watched.ledger, prompt_tokens, now, self._gpu)
        judge = watched.saturation.look if look else watched.saturation.update
        return LaneLoad(reading, judge(reading, now))

    def seen(self, ready: Sequence[Lane]) -> LaneLoad:
        """The same for a request of usual length, for a person: nothing changes by looking."""
        now = self._clock()
        watched = self._watch(self.best(ready, 0))
        reading = read(watched.ledger, watched.ledger.typical_prompt, now, self._gpu)
        return LaneLoad(reading, watched.saturation.look(reading, now))

    def room_in(self, ready: Sequence[Lane]) -> float | None:
        """Seconds until a lane is predicted to have room; None with none ready."""
        now = self._clock()
        return min([self.ledger(lane).wait_estimate(now) for lane in ready], default=None)

    def listen(self, views: Sequence[ReplicaView], gpus: Sequence[Gpu]) -> None:
        """Takes in the engine's latest telemetry. A replica that was restarted begins with an empty ledger."""
        for view in views:
            if self._runs.setdefault(view.name, view.run) != view.run:
                self._runs[view.name] = view.run
                self._watched.pop(view.name, None)
            elif view.telemetry is not None and view.name in self._watched:
                self._watched[view.name].ledger.observe(view.telemetry)
        self._gpu = max([(gpu.utilization, gpu.at) for gpu in gpus], default=None)

    def forget(self, lanes: Sequence[Lane]) -> None:
        """Drops what was learned of lanes that nobody can ask any more."""
        for lane in lanes:
            self._watched.pop(lane.name, None)

    def _watch(self, lane: Lane) -> _Watched:
        watched = self._watched.get(lane.name)
        if watched is None:
            watched = _Watched(Ledger(lane.slots, alone=self._alone), Saturation(self._escalation))
            self._watched[lane.name] = watched
        return watched
