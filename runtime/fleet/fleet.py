"""The targets as they are now: the engine's lanes, the clouds with their breakers, and what is in flight on each.

Single-threaded, on the event loop; the one place of this state. It gives frozen pictures for decisions, and claims for
attempts; breakers and ledgers learn from how a claim ends.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from runtime.contract.backend import Backend, Lane
from runtime.contract.engine import Engine, EngineSpeed, ReplicaState
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.prices import Price
from runtime.contract.targets import LOCAL, Target
from runtime.dialects.anthropic_messages.counting import NAME as COUNTING
from runtime.fleet.breaker import Breaker, BreakerState
from runtime.fleet.claim import Claim
from runtime.fleet.lanes import LaneLoad, Lanes
from runtime.fleet.models import LocalModelTarget
from runtime.load.cloud_share import CloudShare
from runtime.load.ledger import Ledger
from runtime.load.others import FlightRow, OtherFlights
from runtime.load.shares import Shares
from runtime.load.strain import EngineStrain
from runtime.money.budget import BudgetLedger
from runtime.money.estimate import LONG, answer_tokens, dearest, expected_micro
from runtime.money.prefixes import PrefixLedger
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.demotion import NO_DEMOTIONS
from runtime.routing.plan.names import Lent
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.settings import Escalation

_COMING = frozenset({ReplicaState.STARTING, ReplicaState.BACKING_OFF, ReplicaState.STOPPING})
MOST_LENT = 256  # models that no setting names, kept with their breakers


@dataclass(frozen=True, slots=True)
class Clouds:
    """The targets off the box, under one set of settings.

    absent: targets without a usable key, and why. lend: the backend of a model that is not configured.
    """

    backends: Mapping[str, Backend]
    absent: Mapping[str, tuple[Target, str]] = field(default_factory=dict)
    lend: Callable[[Lent], Backend] | None = None


class LiveFleet:
    """engine and local: the box's own. clock: monotonic seconds. most_lent: bound on what clients' model names can grow.

    models: the local models beside the engine's own, by target name.
    second_usd: dollars that a busy second of one replica costs, with so many GPUs in all and so many replicas, 0: the engine's;
    None: not known.
    """

    def __init__(
        self,
        engine: Engine,
        local: Backend,
        clouds: Clouds,
        escalation: Escalation,
        clock: Callable[[], float],
        *,
        alone: bool = True,
        most_lent: int = MOST_LENT,
        chance: random.Random | None = None,
    ) -> None:
        self.engine = engine
        self.local = local
        self.clouds = clouds
        self.models: Mapping[str, LocalModelTarget] = {}
        self.in_flight: dict[str, int] = {}
        self.prefixes = PrefixLedger()
        self.budget: BudgetLedger | None = None  # None: nothing is limited
        self.peers: Callable[[str], Backend] | None = None  # the backend of another Hearth, by its target's name
        self.shares = Shares()
        self.demoted = NO_DEMOTIONS
        self.cloud_share = CloudShare(escalation.cloud_share, tuple(escalation.thresholds.values()))
        self._lanes = Lanes(escalation, clock, alone=alone, chance=chance)
        self.ledger: Callable[[Lane], Ledger] = self._lanes.ledger  # of a lane, made when it is first seen
        self._clock = clock
        self.second_usd: Callable[[int, int], float | None] = lambda gpus, replicas: None
        self._price: Price | None = None  # of the engine's tokens
        self._prices: dict[str, Price | None] = {}  # of the tokens of the models beside it
        self._most_lent = most_lent
        self._lent: OrderedDict[str, Backend] = OrderedDict()
        self._breakers: dict[str, Breaker] = {}
        self._dearest = 0.0
        self._measure_prices()

    def reload(self, clouds: Clouds, escalation: Escalation) -> None:
        """Takes other settings over. Requests under way keep the backends they took; targets that stay keep their breakers."""
        self.clouds = clouds
        for backend in self._lent.values():
            self._lanes.forget(backend.lanes)
        self._lent.clear()
        self._lanes.reload(escalation)
        share = CloudShare(escalation.cloud_share, tuple(escalation.thresholds.values()))
        if (share.wanted, share.thresholds) != (self.cloud_share.wanted, self.cloud_share.thresholds):
            self.cloud_share = share
        self._breakers = {name: breaker for name, breaker in self._breakers.items() if name in clouds.backends}
        self._measure_prices()

    def rehouse(self, models: Mapping[str, LocalModelTarget]) -> None:
        """Takes other local models over. Requests under way keep the backends they took."""
        for name, gone in self.models.items():
            if models.get(name) is not gone:
                self._lanes.forget(gone.backend.lanes)
                self._prices.pop(name, None)
        self.models = models

    def _measure_prices(self) -> None:
        """Micro-dollars of a token of prompt and one of answer at the dearest target."""
        every = [self.price_of(each.target) for each in self.clouds.backends.values()]
        self._dearest = max([expected_micro(price, 10**6, 10**6) / 10**6 for price in every], default=0.0)

    # Pictures

    def picture(
        self, facts: Facts, now: float, lent: Lent | None = None, *, look: bool = False, caller: str = ""
    ) -> Fleet:
        """The candidates there are for a request, now. lent: a model that is not configured, and whose account calls it.

        caller: its id. look: for an explanation, which keeps no backend and moves no threshold.
        """
        states = {name: self._state(backend, now) for name, backend in self.clouds.backends.items()}
        for name, (target, why) in self.clouds.absent.items():
            states[name] = TargetState(target, available=False, why=why, absent=True)
        if lent is not None and lent.target not in states and self.clouds.lend is not None:
            states[lent.target] = self._state(self._borrowed(lent, look=look), now)
        if (budget := self.budget) is not None and states:
            # A quick bound: what a request may cost at most is seldom near what is left.
            most = (facts.prompt_tokens + (facts.max_tokens or LONG)) * facts.n * self._dearest
            if most > budget.room or lent is not None or (caller and budget.keyed):
                self._without_room(budget, states, facts, caller)
        session = self.prefixes.session(facts.session, now) if facts.continued and facts.session else None
        models: Mapping[str, LocalState] = {}
        if self.models:
            models = {name: self._model(each, facts, now, look=look) for name, each in self.models.items()}
        ready = [lane for lane in self.local.lanes if lane.ready]
        if not ready:
            return Fleet(self._down(LOCAL, now), states, session, self.cloud_share.shift, self.demoted, models)
        load = self._lanes.judged(ready, facts, now, look=look)
        local = LocalState(
            self.local.target if self._price is None else replace(self.local.target, price=self._price),
            replicas_ready=len(ready),
            pressure=load.pressure,
            predicted_ttft_s=load.reading.predicted_ttft_s,
            wait_s=max(1.0, load.reading.backlog_s),
            alone=not load.reading.backlog_s,
            share=self.shares.room(caller) if caller else 0.0,
        )
        return Fleet(local, states, session, self.cloud_share.shift, self.demoted, models)

    def _model(self, model: LocalModelTarget, facts: Facts, now: float, *, look: bool) -> LocalState:
        """One of the models beside the engine's own, for a request."""
        target, ready = model.backend.target, [lane for lane in model.backend.lanes if lane.ready]
        if not ready:
            down, why_not, view = self._down(target.name, now), model.why_not, model.house.view(model.name)
            words, due = why_not or model.words(view), None if why_not else down.ready_in_s or view.ready_in_s
            heir = f"{LOCAL}/{view.successor}" if view.successor else ""
            return structs.replace(down, state=words, given_up=bool(why_not), ready_in_s=due, successor=heir)
        load, price = self._lanes.judged(ready, facts, now, look=look), self._prices.get(target.name)
        return LocalState(
            target if price is None else replace(target, price=price),
            replicas_ready=len(ready),
            pressure=load.pressure,
            predicted_ttft_s=load.reading.predicted_ttft_s,
            wait_s=max(1.0, load.reading.backlog_s),
            alone=not load.reading.backlog_s,
        )

    def _without_room(self, budget: BudgetLedger, states: dict[str, TargetState], facts: Facts, caller: str) -> None:
        """Marks the targets for which a budget has no room."""
        budget.measure()
        for name, state in states.items():
            if state.absent:
                continue
            micro, most = self.expected_micro(state.target, facts)
            short = budget.shortfall(budget.scopes(name, caller), micro, most)
            if short is not None and short.wait_s is None:
                states[name] = structs.replace(state, available=False, why=short.words)
            elif short is not None:
                states[name] = structs.replace(state, spent=short.words, renews_s=short.wait_s)

    def price_of(self, target: Target) -> Price:
        """Its own, or the dearest known."""
        return target.price or dearest(each.target.price for each in self.clouds.backends.values())

    def expected_micro(self, target: Target, facts: Facts, more: int = 0, processing: str = "") -> tuple[int, int]:
        """The most that an attempt with a usual answer is expected to cost, and with the longest; counts are free.

        more: tokens of its prompt beside the request's. processing: the tier that it asks for.
        """
        if self.budget is None or facts.dialect == COUNTING:
            return 0, 0
        price, prompt = self.price_of(target), facts.prompt_tokens + more
        usual, longest = answer_tokens(target, facts.max_tokens, self.budget.answers)
        micro = expected_micro(price, prompt, usual * facts.n, processing)
        return micro, micro if longest == usual else expected_micro(price, prompt, longest * facts.n, processing)

    def ttft_s(self, name: str) -> float | None:
        """A configured target's time to a first token, as a decision sees it."""
        return self._lanes.ttft_s(self.clouds.backends[name])

    def _state(self, backend: Backend, now: float) -> TargetState:
        target, ttft_s = backend.target, self._lanes.ttft_s(backend)
        breaker = self._breakers.get(target.name)
        if breaker is None or breaker.allows(now):
            return TargetState(target, ttft_s=ttft_s)
        wait = breaker.retry_in(now)
        held = breaker.held_s(now)
        why = f"{target.name} is held back by hand for {held:.0f} s more"
        if not held:
            why = f"{target.name} failed again and again; the next try is in {wait:.0f} s"
        return TargetState(target, available=False, why=why, until=now + wait, ttft_s=ttft_s)

    def engine_of(self, name: str) -> Engine:
        """The engine of a local target, by its name."""
        return self.models[name].engine if name in self.models else self.engine

    def _down(self, name: str, now: float) -> LocalState:
        engine = self.engine_of(name)
        views, to = engine.views(), engine.exchanging
        due = [view.ready_at - now for view in views if view.ready_at is not None]
        return LocalState(
            self.models[name].backend.target if name in self.models else self.local.target,
            replicas_ready=0,
            starting=any(view.state in _COMING for view in views),
            given_up=all(view.state is ReplicaState.GIVEN_UP for view in views),
            ready_in_s=max(1.0, min(due)) if due else None,
            why=next((view.cause for view in views if view.cause), ""),
            state=f"the engine's model is exchanged for {to}" if to else "",
        )

    def _borrowed(self, lent: Lent, *, look: bool) -> Backend:
        """The backend of a model that is not configured. The one asked for longest ago gives way, with its breaker."""
        backend = self._lent.get(lent.target)
        if backend is None:
            assert self.clouds.lend is not None
            if look:
                return self.clouds.lend(lent)
            backend = self._lent[lent.target] = self.clouds.lend(lent)
            if len(self._lent) > self._most_lent:
                name, gone = self._lent.popitem(last=False)
                self._breakers.pop(name, None)
                self._lanes.forget(gone.lanes)
        if not look:
            self._lent.move_to_end(lent.target)
        return backend

    # What a run asks

    def backend(self, name: str) -> Backend:
        """Raises KeyError for a name that no picture showed since the last reload."""
        if name == self.local.target.name:
            return self.local
        if name in self.models:
            return self.models[name].backend
        found = self.clouds.backends.get(name) or self._lent.get(name)
        if found is None and self.peers is not None:
            return self.peers(name)
        return found or self._lent[name]

    def lane(self, backend: Backend, facts: Facts, avoid: str = "") -> Lane | None:
        """The best ready lane for a request, another than `avoid` where there is another; None where none is ready."""
        ready = [lane for lane in backend.lanes if lane.ready]
        if len(ready) > 1:
            ready = [lane for lane in ready if lane.name != avoid]
            return self._lanes.taken(ready, facts)
        return ready[0] if ready else None

    def flights(self, lane: str) -> FlightRow:
        """The requests of this Hearth on a lane of the engine, for the others that send to it."""
        return self._lanes.row(lane)

    def hear(self, lane: str, others: OtherFlights, hearths: int, taught: FlightRow | None = None) -> None:
        """Takes in what other Hearths have in flight on a lane. hearths: that send to the engine. taught: see `Lanes.hear`."""
        self._lanes.hearths = hearths
        self._lanes.hear(lane, others, taught)

    def claim(self, target: Target) -> Claim | None:
        """A claim for one attempt, to be entered at once; None where the target's breaker forbids it."""
        if target.local and not target.peer:
            if target.name in self.models:
                model = self.models[target.name]
                model.house.used(model.name)
            return Claim(target.label, self.in_flight, None, self._clock)
        breaker = self._breakers.get(target.name)
        if breaker is None:
            breaker = Breaker()
            if target.name in self.clouds.backends or target.name in self._lent or target.peer:
                self._breakers[target.name] = breaker
        return Claim(target.label, self.in_flight, breaker, self._clock) if breaker.begin(self._clock()) else None

    def allows(self, target: Target) -> bool:
        """True if an attempt may begin now."""
        breaker = self._breakers.get(target.name)
        return breaker is None or breaker.allows(self._clock())

    def not_ready(self, target: Target) -> Failure:
        """The failure of an attempt on a target without a ready lane."""
        state = self._down(target.name, self._clock())
        words = f": {state.why}" if state.why else ""
        retry_after = None if state.given_up else state.ready_in_s
        return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, f"no replica is ready{words}", retry_after=retry_after)

    def heard_at(self, target: Target, lane: Lane) -> float | None:
        """When a piece of any answer last came from a replica of a local target; None before the first."""
        views = self.engine_of(target.name).views()
        return next((view.last_byte_at for view in views if view.name == lane.name), None)

    def coming_back(self, target: Target) -> bool:
        """True if a target without a ready lane will have one again."""
        known = target.name in self.models or not target.name.startswith(f"{LOCAL}/")  # its table may be gone
        return (
            target.local
            and known
            and any(view.ready or view.state in _COMING for view in self.engine_of(target.name).views())
        )

    def room_in(self) -> float | None:
        """Seconds until the engine is predicted to have room; None with no replica ready."""
        return self._lanes.room_in([lane for lane in self.local.lanes if lane.ready])

    def strain(self) -> EngineStrain | None:
        """The load of the engine as a whole; None with no replica ready."""
        return self._lanes.strain([lane for lane in self.local.lanes if lane.ready])

    @property
    def engine_ready(self) -> bool:
        """True if a replica of the engine is ready."""
        return any(lane.ready for lane in self.local.lanes)

    def is_ready(self, name: str) -> bool:
        """True if a replica of a local target is ready."""
        return any(lane.ready for lane in self._lanes_of(name))

    def spare(self, own: int, name: str = LOCAL) -> int:
        """Batch requests that may start on a local target beside `own` that run."""
        return self._lanes.spare([lane for lane in self._lanes_of(name) if lane.ready], own)

    def _lanes_of(self, name: str) -> Sequence[Lane]:
        return self.models[name].backend.lanes if name in self.models else self.local.lanes

    def speeds(self) -> list[EngineSpeed]:
        """The measured speed of each replica that has served enough to know it."""
        return self._lanes.speeds(self.local.lanes)

    # What is shown

    def load(self, tokens: int | None = None) -> LaneLoad | None:
        """The best replica's load for a prompt of so many tokens, of usual length without; None with none ready.

        Nothing changes by looking.
        """
        ready = [lane for lane in self.local.lanes if lane.ready]
        return self._lanes.seen(ready, tokens) if ready else None

    def predicted_ttft_ms(self) -> dict[str, float]:
        """By replica, for a prompt of usual length."""
        now = self._clock()
        lanes = [*self.local.lanes, *(lane for each in self.models.values() for lane in each.backend.lanes)]
        ledgers = {lane.name: self.ledger(lane) for lane in lanes}
        return {name: each.predicted_ttft(each.typical_prompt, now) * 1000 for name, each in ledgers.items()}

    def breakers(self) -> dict[str, BreakerState]:
        """The breaker of every cloud target, by target name."""
        now = self._clock()
        return {
            name: self._breakers[name].state(now) if name in self._breakers else BreakerState.CLOSED
            for name in (*self.clouds.backends, *self._lent)
        }

    @property
    def known_breakers(self) -> Mapping[str, Breaker]:
        """Of every target that was asked, by its name."""
        return self._breakers

    def breaker(self, name: str) -> Breaker:
        """The breaker of a configured target, for an operator. Raises KeyError for a name that is none."""
        if name not in self.clouds.backends:
            raise KeyError(name)
        return self._breakers.setdefault(name, Breaker())

    def open_breakers(self) -> dict[str, tuple[int, float]]:
        """Breakers worth remembering across a restart, by target name: times in a row it opened, seconds until its probe."""
        now = self._clock()
        return {name: (each.trips, each.retry_in(now)) for name, each in self._breakers.items() if each.trips}

    def remember(self, opened: Mapping[str, tuple[int, float]]) -> None:
        """Takes `open_breakers` of an earlier process over."""
        now = self._clock()
        for name, (trips, retry_in) in opened.items():
            if name in self.clouds.backends:
                self._breakers[name] = Breaker.opened(trips, retry_in, now)

    def listen(self) -> None:
        """Takes in the engine's latest telemetry, and prices its tokens by its latest speed; called about once a second."""
        views = [*self.engine.views(), *(view for each in self.models.values() for view in each.engine.views())]
        self._lanes.listen(views, self.engine.gpus())
        self._price = self._measured(self.local.lanes, self.second_usd(len(self.engine.gpus()), 0)) or self._price
        for name, each in self.models.items():
            usd = self.second_usd(len(each.house.view(each.name).gpus), 1)
            self._prices[name] = self._measured(each.backend.lanes, usd) or self._prices.get(name)

    def _measured(self, lanes: Sequence[Lane], usd: float | None) -> Price | None:
        """The price of the tokens of these lanes, at their latest speed. usd: of a busy second of one of them."""
        seconds = self._lanes.token_s(lanes) if usd is not None else None
        if usd is None or seconds is None:
            return None
        read, generated = [1e6 * each * usd for each in seconds]
        return Price(read, generated, cache_read=0.0, source="the speed measured here")
