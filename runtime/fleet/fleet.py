"""The fleet as it lives: backends, the ledgers of the engine's lanes, saturation, breakers. The one place of this state.

Single-threaded, on the event loop. It takes pictures (frozen values) for decisions, and is told what came of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from runtime.contract.backend import Backend, Lane
from runtime.contract.engine import Engine, ReplicaState
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.pressure import Pressure
from runtime.contract.targets import LOCAL, Target
from runtime.contract.usage import Usage
from runtime.fleet.breaker import Breaker, BreakerState
from runtime.load.ledger import Ledger
from runtime.load.saturation import Reading, Saturation, choose, read
from runtime.money.cost import cost
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.names import Lent
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.settings import Escalation

_COMING = frozenset({ReplicaState.STARTING, ReplicaState.BACKING_OFF, ReplicaState.STOPPING})
_MOST_LENT = 256  # models nobody configured, remembered with their breakers


@dataclass(frozen=True, slots=True)
class Clouds:
    """What leaves the box, as one set of settings has it.

    absent: targets without a usable key, and why. lend: the backend of a model nobody configured.
    """

    backends: Mapping[str, Backend]
    absent: Mapping[str, tuple[Target, str]] = field(default_factory=dict)
    lend: Callable[[Lent], Backend] | None = None


@dataclass(slots=True)
class _Watched:
    """One lane of the engine: what of ours is on it, and which thresholds it has crossed."""

    ledger: Ledger
    saturation: Saturation


class LiveFleet:
    """engine and local: the box's own. clock: monotonic seconds."""

    def __init__(
        self,
        engine: Engine,
        local: Backend,
        clouds: Clouds,
        escalation: Escalation,
        clock: Callable[[], float],
        *,
        alone: bool = True,
    ) -> None:
        self.engine = engine
        self.local = local
        self._alone = alone  # whether all the engine's work is ours
        self._clouds = clouds
        self._escalation = escalation
        self._clock = clock
        self._lent: dict[str, Backend] = {}
        self._retired: list[Backend] = []
        self._breakers: dict[str, Breaker] = {}
        self._watched: dict[str, _Watched] = {}
        self._gpu: tuple[float, float] | None = None
        self.in_flight: dict[str, int] = {}

    def reload(self, clouds: Clouds, escalation: Escalation) -> None:
        """Takes other settings over. What was learned of lanes and of targets that stay is kept."""
        # Requests may still be under way on the old ways out: they are closed at the end.
        self._retired += [*self._clouds.backends.values(), *self._lent.values()]
        self._clouds, self._escalation = clouds, escalation
        self._lent.clear()
        for watched in self._watched.values():
            watched.saturation = Saturation(escalation)
        self._breakers = {name: breaker for name, breaker in self._breakers.items() if name in clouds.backends}

    # Pictures

    def picture(self, facts: Facts, now: float, lent: Lent | None = None) -> Fleet:
        """What there is for a request, now. A lent model is connected here, on its first request."""
        names = list(self._clouds.backends)
        if lent is not None and lent.target not in self._clouds.backends:
            self._connect(lent)
            names.append(lent.target)
        targets = {name: self._target_state(self.backend(name).target, now) for name in names}
        for name, (target, why) in self._clouds.absent.items():
            targets[name] = TargetState(target, available=False, why=why, absent=True)
        return Fleet(self._local_state(facts.prompt_tokens, now), targets)

    def _target_state(self, target: Target, now: float) -> TargetState:
        breaker = self._breakers.get(target.name)
        if breaker is None or breaker.allows(now):
            return TargetState(target)
        wait = breaker.retry_in(now)
        why = f"{target.name} failed again and again; the next try is in {wait:.0f} s"
        return TargetState(target, available=False, why=why, until=now + wait)

    def _local_state(self, prompt_tokens: int, now: float) -> LocalState:
        target = self.local.target
        lanes = [lane for lane in self.local.lanes if lane.ready]
        if not lanes:
            return self._local_down(target, now)
        watched = [self._watch(lane) for lane in lanes]
        best = watched[choose([each.ledger for each in watched], prompt_tokens, now) or 0]
        reading = read(best.ledger, prompt_tokens, now, self._gpu)
        return LocalState(
            target,
            replicas_ready=len(lanes),
            pressure=best.saturation.update(reading, now),
            predicted_ttft_s=reading.predicted_ttft_s,
            wait_s=max(1.0, reading.backlog_s),
        )

    def _local_down(self, target: Target, now: float) -> LocalState:
        views = self.engine.views()
        due = [view.ready_at - now for view in views if view.ready_at is not None]
        return LocalState(
            target,
            replicas_ready=0,
            starting=any(view.state in _COMING for view in views),
            given_up=all(view.state is ReplicaState.GIVEN_UP for view in views),
            ready_in_s=max(1.0, min(due)) if due else None,
            why=next((view.cause for view in views if view.cause), ""),
        )

    def ledgers(self) -> dict[str, Ledger]:
        """The ledgers of the engine's lanes, by lane."""
        return {lane.name: self.ledger(lane) for lane in self.local.lanes}

    def load(self) -> tuple[Reading, Pressure] | None:
        """The best replica's load and pressure for a request of usual length, changing nothing; None with none ready."""
        now = self._clock()
        watched = [self._watch(lane) for lane in self.local.lanes if lane.ready]
        if not watched:
            return None
        best = watched[choose([each.ledger for each in watched], 0, now) or 0]
        reading = read(best.ledger, best.ledger.typical_prompt, now, self._gpu)
        return reading, best.saturation.update(reading, now)

    def predicted_ttft_ms(self) -> dict[str, float]:
        """By replica, for a prompt of usual length."""
        now = self._clock()
        return {name: each.predicted_ttft(each.typical_prompt, now) * 1000 for name, each in self.ledgers().items()}

    def breakers(self) -> dict[str, BreakerState]:
        """The breaker of every cloud target, by target name."""
        now = self._clock()
        return {
            name: self._breakers[name].state(now) if name in self._breakers else BreakerState.CLOSED
            for name in (*self._clouds.backends, *self._lent)
        }

    def open_breakers(self) -> dict[str, tuple[int, float]]:
        """By target name, what is worth remembering across a restart: times in a row it opened, seconds until its probe."""
        now = self._clock()
        return {name: (each.trips, each.retry_in(now)) for name, each in self._breakers.items() if each.trips}

    def remember(self, opened: Mapping[str, tuple[int, float]]) -> None:
        """Takes `open_breakers` of an earlier process over."""
        now = self._clock()
        for name, (trips, retry_in) in opened.items():
            if name in self._clouds.backends:
                self._breakers[name] = Breaker.opened(trips, retry_in, now)

    @property
    def clouds(self) -> Clouds:
        return self._clouds

    async def aclose(self) -> None:
        """Closes the ways to the clouds; the engine's are its own to close."""
        for backend in (*self._clouds.backends.values(), *self._lent.values(), *self._retired):
            for lane in backend.lanes:
                await lane.hop.aclose()

    def target(self, name: str) -> Target:
        """The target of that name, absent ones included."""
        return self._clouds.absent[name][0] if name in self._clouds.absent else self.backend(name).target

    # What dispatch asks

    def backend(self, name: str) -> Backend:
        if name == LOCAL:
            return self.local
        return self._clouds.backends.get(name) or self._lent[name]

    def lane(self, backend: Backend, prompt_tokens: int, avoid: str) -> Lane | None:
        """The lane to take: the best ready one, another than the one that just failed where there is another."""
        ready = [lane for lane in backend.lanes if lane.ready]
        if len(ready) > 1:
            others = [lane for lane in ready if lane.name != avoid]
            best = choose([self.ledger(lane) for lane in others], prompt_tokens, self._clock())
            return others[best or 0]
        return ready[0] if ready else None

    def not_ready(self, target: Target) -> Failure:
        """What an attempt on a target without a ready lane comes to."""
        state = self._local_down(target, self._clock())
        words = f": {state.why}" if state.why else ""
        retry_after = None if state.given_up else state.ready_in_s
        return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, f"no replica is ready{words}", retry_after=retry_after)

    def coming_back(self, target: Target) -> bool:
        """Whether a target without a ready lane will have one again."""
        return target.local and any(view.ready or view.state in _COMING for view in self.engine.views())

    def begin(self, target: Target) -> bool:
        """Claims an attempt; False where the breaker forbids it."""
        if not target.local and not self._breakers.setdefault(target.name, Breaker()).begin(self._clock()):
            return False
        self.in_flight[target.label] = self.in_flight.get(target.label, 0) + 1
        return True

    def settle(self, target: Target, failure: Failure | None, *, cancelled: bool, now: float) -> None:
        """Ends what `begin` began. `failure` None: it answered whole, unless cancelled."""
        self.in_flight[target.label] -= 1
        breaker = self._breakers.get(target.name)
        if breaker is None:
            return
        if cancelled or (failure is not None and not failure.counts_against):
            breaker.forget()
        elif failure is None:
            breaker.success()
        else:
            breaker.failure(now)

    def ledger(self, lane: Lane) -> Ledger:
        return self._watch(lane).ledger

    def busy_for(self) -> float | None:
        """Seconds until the engine is predicted to have room; None with no replica ready."""
        now = self._clock()
        waits = [self.ledger(lane).wait_estimate(now) for lane in self.local.lanes if lane.ready]
        return min(waits) if waits else None

    @staticmethod
    def cost(target: Target | None, usage: Usage | None) -> float | None:
        return cost(target, usage) if target is not None else None

    # What the engine says of itself

    def listen(self) -> None:
        """Takes in the engine's latest word; called about once a second."""
        for view in self.engine.views():
            if view.telemetry is not None and view.name in self._watched:
                self._watched[view.name].ledger.observe(view.telemetry)
        gpus = self.engine.gpus()
        self._gpu = max(((gpu.utilization, gpu.at) for gpu in gpus), default=None)

    def forget(self, lanes: Iterable[str]) -> None:
        """Replicas that were restarted: what was known of their load is void."""
        for name in lanes:
            self._watched.pop(name, None)

    def _watch(self, lane: Lane) -> _Watched:
        watched = self._watched.get(lane.name)
        if watched is None:
            watched = _Watched(Ledger(lane.slots, alone=self._alone), Saturation(self._escalation))
            self._watched[lane.name] = watched
        return watched

    def _connect(self, lent: Lent) -> None:
        if lent.target in self._lent or self._clouds.lend is None:
            return
        if len(self._lent) >= _MOST_LENT:
            self._retired.append(self._lent.pop(next(iter(self._lent))))
        self._lent[lent.target] = self._clouds.lend(lent)
