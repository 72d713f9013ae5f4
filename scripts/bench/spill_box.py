"""The runtime's own decision over simulated engines: the real fleet, ledgers, thresholds and plan, under a simulated clock.

It knows of the engines what a box knows: their names and, every few seconds, their gauges; not their slots, their speed or
the length of an answer.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runtime.contract.backend import Backend, Lane
from runtime.contract.engine import Engine as EngineSeam
from runtime.contract.engine import ReplicaState, ReplicaView, Telemetry
from runtime.contract.prices import Price
from runtime.contract.targets import LOCAL, Capabilities, Target
from runtime.contract.usage import Usage
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.load.ledger import InFlight
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.query import PromptText, RoutingQuery
from runtime.routing.plan.names import build
from runtime.routing.plan.plan import Plan, RoutingPolicy, plan
from runtime.routing.plan.waiting import LateMove
from runtime.settings import Escalation
from scripts.bench.spill_engine import Engine, Request

STALE_S = 3.0  # seconds between two readings of an engine's gauges
_LISTEN_S = 1.0


@dataclass
class _Lane:
    name: str
    slots: int | None = None
    model: str = "m"
    ready: bool = True
    hop: Any = None


@dataclass
class _Backend:
    target: Target
    lanes: Sequence[Lane]
    codec: Any = None
    uploads: Any = None


@dataclass
class _Views:
    """The one part of an engine's seam that a fleet reads: its views and its GPUs."""

    engines: Sequence[Engine]
    latest: list[ReplicaView] = field(default_factory=list)

    def read(self, now: float) -> None:
        self.latest = [
            ReplicaView(lane_of(place), ReplicaState.READY, 0.0, 1, telemetry=_telemetry(each, now))
            for place, each in enumerate(self.engines)
        ]

    def views(self) -> tuple[ReplicaView, ...]:
        return tuple(self.latest)

    def gpus(self) -> tuple[()]:
        return ()


def lane_of(place: int) -> str:
    """The name of an engine's lane."""
    return f"replica-{place}"


def _telemetry(engine: Engine, now: float) -> Telemetry:
    return Telemetry(
        now,
        len(engine.queue),
        len(engine.active),
        engine.kv / engine.speed.kv_tokens,
        kv_tokens=engine.speed.kv_tokens,
    )


class Hearth:
    """A policy: the runtime as it ships. frozen: its gauges are read once and never again."""

    def __init__(
        self,
        escalation: Escalation,
        engines: Sequence[Engine],
        price: tuple[float, float],
        *,
        frozen: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.now = 0.0
        self.causes: dict[str, int] = {}
        self.errors: list[tuple[float, float]] = []  # predicted and seen seconds to a first token
        self._frozen = frozen
        self._views = _Views(engines)
        self._lanes = [_Lane(lane_of(place)) for place in range(len(engines))]
        local = Target(LOCAL, LOCAL, "m", Capabilities(), on_box=True)
        cloud = Target("cloud", "vendor", "m", price=Price(*price))
        self.fleet = LiveFleet(
            cast("EngineSeam", self._views),
            cast("Backend", _Backend(local, cast("Sequence[Lane]", self._lanes))),
            Clouds({"cloud": cast("Backend", _Backend(cloud, cast("Sequence[Lane]", [_Lane("cloud")])))}),
            escalation,
            lambda: self.now,
            chance=chance,
        )
        self._policy = RoutingPolicy(escalation, directory=build(local, [cloud], {}))
        self._moves: dict[str, LateMove] = {}
        self._sent: dict[str, tuple[InFlight, float, Request]] = {}
        self._due = self._read_at = 0.0
        self._looks: list[tuple[float, str]] = []

    def first_token(self, id: str, now: float) -> None:
        flight, predicted, request = self._sent[id]
        flight.first_token(now)
        self.errors.append((predicted, now - request.at))

    def tokens(self, id: str, n: int, now: float) -> None:
        self._sent[id][0].tokens(n, now)

    def finish(self, id: str, now: float) -> None:
        self.now = now
        flight, _, request = self._sent.pop(id)
        flight.done(Usage(request.prompt, request.output))

    def answered(self, ttft_s: float) -> None:
        self.fleet.ledger(self.fleet.backend("cloud").lanes[0]).ttft.learn(ttft_s)

    def next_look(self) -> float:
        return self._looks[0][0] if self._looks else math.inf

    def look(self, now: float) -> Request | None:
        """The request that leaves after all, if the one that is due does."""
        self.now = now
        _, id = heapq.heappop(self._looks)
        flight, _, request = self._sent.get(id, (None, 0.0, None))
        move = self._moves[id]
        if flight is None or request is None or flight.first is not None:
            return None
        ledger = flight.ledger
        left = ledger.remaining_s(flight, now)
        if not move.leaves(now - request.at, left):
            heapq.heappush(self._looks, (now + move.again_s, id))
            return None
        del self._sent[id]
        flight.given_up(left, now)
        flight.__exit__(None, None, None)
        return request

    def choose(self, request: Request, engines: Sequence[Engine]) -> int | None:
        """The replica that takes the request; None: it leaves."""
        decided, predicted_s = self.decided(request)
        if decided.candidates and decided.candidates[0].target.local:
            return self.taken(request, predicted_s, decided.move)
        self.left(request, decided)
        return None

    def decided(self, request: Request) -> tuple[Plan, float]:
        """The plan, and the seconds to a first token that are predicted for the engine."""
        self.now = now = request.at
        self._listen(now)
        facts = Facts("openai_chat", "auto", request.prompt, stream=True)
        picture = self.fleet.picture(facts, now)
        made = plan(RoutingQuery(facts, PromptText()), self._policy.directory.auto, picture, self._policy, now)
        return made, picture.local.predicted_ttft_s if picture.local is not None else 0.0

    def taken(self, request: Request, predicted_s: float, move: LateMove | None) -> int:
        """The replica that gets it. Its end is an event of the simulation."""
        lane = self.fleet.lane(self.fleet.local, Facts("openai_chat", "auto", request.prompt, stream=True))
        assert lane is not None
        flight = self.fleet.ledger(lane).claim(request.prompt, None, lambda: self.now)
        self._sent[request.id] = (flight.__enter__(), predicted_s, request)
        if move is not None:
            self._moves[request.id] = move
            heapq.heappush(self._looks, (self.now + move.first_s, request.id))
        return self._place(lane.name)

    def left(self, request: Request, decided: Plan) -> None:
        """It goes to the cloud."""
        if request.counted:
            self.causes[decided.reason] = self.causes.get(decided.reason, 0) + 1

    def offered(self, request: Request) -> int | None:
        """The replica that takes a request of another Hearth, as `runtime.server.hops` admits it; None: it is refused."""
        self.now = request.at
        self._listen(request.at)
        load = self.fleet.load(request.prompt)
        if load is None or load.pressure.over is not None:
            return None
        return self.taken(request, load.reading.predicted_ttft_s, None)

    def _listen(self, now: float) -> None:
        """Hears of the engines about once a second; their gauges are older."""
        if now >= self._due:
            self._due = now + _LISTEN_S
            if not self._read_at or (not self._frozen and now >= self._read_at):
                self._read_at = now + STALE_S
                self._views.read(now)
            self.fleet.listen()

    def _place(self, name: str) -> int:
        return [each.name for each in self._lanes].index(name)
