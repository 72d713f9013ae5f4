"""The parts of the process that the life of a request needs, wired once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runtime.dispatch.candidates import Dispatcher
from runtime.dispatch.job import Job, Outcome
from runtime.fleet.fleet import LiveFleet
from runtime.life.batch_room import BatchRoom
from runtime.life.planning import Planner
from runtime.life.sampling import Sampling
from runtime.money.estimate import Answers
from runtime.record.decisions import Decision, DecisionIds
from runtime.record.metrics import Metrics
from runtime.record.store import Store
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.plan import Plan
from runtime.settings import Privacy
from runtime.trust.presidio import Presidio
from runtime.trust.rates import RateLimiter

_LATEST = 10  # decisions kept at hand for the status


@dataclass(slots=True)
class Desk:
    """`planner`, `total_s`, `max_body` and `sample` change with the settings, between two requests.

    limiter: the limits of keys. lengths: of the answers of keys with a limit on their tokens, by id.
    peers: puts the other Hearths into a plan that leaves for the engine's load; None: there are none.
    store_away_s: seconds since the fleet's store went away, None while it answers; None: there is no such store.
    others: this Hearth and the others as `/health/ready` shows them; None: there are none.
    delivers: takes every whole answer of the box before it leaves: a kill between the answer and its record loses no trace.
    running: the requests that were planned and not settled, by id, with the task of each.
    settled: called with every decision, in order; one that raises is logged and the others are called all the same.
    evaluated: called instead with those of an evaluation (`Ask.origin`), which are in no metric and in no one's view.
    """

    planner: Planner
    dispatcher: Dispatcher
    fleet: LiveFleet
    store: Store
    metrics: Metrics
    ids: DecisionIds
    clock: Callable[[], float]  # monotonic
    wall: Callable[[], float]
    total_s: float
    max_body: int
    draining: bool = False
    privacy: Privacy = field(default_factory=Privacy)
    presidio: Presidio = field(default_factory=Presidio)
    sample: Sampling | None = None
    peers: Callable[[Plan, Facts, str], Plan] | None = None
    store_away_s: Callable[[], float | None] | None = None
    others: Callable[[], dict[str, object]] | None = None
    delivers: Callable[[dict[str, str]], None] | None = None
    latest: deque[Decision] = field(default_factory=lambda: deque(maxlen=_LATEST))
    limiter: RateLimiter = field(init=False)
    lengths: Answers = field(default_factory=Answers)
    running: dict[str, tuple[Job, Plan, Outcome, asyncio.Task[Any] | None]] = field(default_factory=dict)
    batch_room: BatchRoom = field(init=False)
    settled: tuple[Callable[[Decision], None], ...] = field(init=False)
    evaluated: tuple[Callable[[Decision], None], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = RateLimiter(self.clock)
        self.batch_room = BatchRoom(self.fleet)
        self.settled = (self.store.add, self.latest.appendleft, self.metrics.settled)
        self.evaluated = (self.store.add,)
