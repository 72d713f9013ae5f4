"""Looking at the fleet, for an explanation or a status page, changes nothing in it."""

from __future__ import annotations

from typing import Any

from runtime.contract.reasons import Reason
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.life.planning import Planner, explain
from runtime.routing.plan.names import build
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Escalation
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import cloud, engine_backend


class Looked:
    """A fleet with a claude, an engine whose queue may hold two, and accounts that lend."""

    def __init__(self, most_lent: int = 2) -> None:
        escalation, local, claude = (
            Escalation(queue_depth=2, release=0.4, complexity=1.0),
            engine_backend(()),
            cloud("claude"),
        )
        self.lent: list[str] = []
        clouds = Clouds({"claude": claude}, lend=self._lend)
        clock = lambda: 0.0  # noqa: E731 - a clock that stands still
        self.fleet = LiveFleet(FakeEngine(local), local, clouds, escalation, clock, most_lent=most_lent)
        self.lane = local.lanes[0]
        self.planner = Planner(RoutingPolicy(escalation, directory=build(local.target, [claude.target], {})))

    def _lend(self, lent: Any) -> Any:
        self.lent.append(lent.model)
        return cloud(lent.target)

    def explained(self, model: str) -> Reason:
        query = self.planner.read("openai_chat", {"model": model, "messages": [{"role": "user", "content": "hi"}]}, {})
        return explain(self.planner, self.fleet, query, 0.0).plan.reason

    def planned(self, model: str) -> Reason:
        query = self.planner.read("openai_chat", {"model": model, "messages": [{"role": "user", "content": "hi"}]}, {})
        return self.planner.plan(query, self.fleet, 0.0).reason


def test_an_explanation_crosses_no_threshold() -> None:
    """A full queue is explained, and when it is half empty the next request stays, as if nobody had looked."""
    looked = Looked()
    ledger = looked.fleet.ledger(looked.lane)
    with ledger.claim(10, None, lambda: 0.0) as first, ledger.claim(10, None, lambda: 0.0):
        load = looked.fleet.load()
        assert load is not None and load.pressure.over is Reason.QUEUE_DEPTH
        assert looked.explained("auto") is Reason.QUEUE_DEPTH
        first.first_token(0.0)
        assert looked.planned("auto") is Reason.DEFAULT


def test_an_explanation_of_an_invented_model_keeps_nothing() -> None:
    """Neither a backend nor a breaker, and models in use do not give way to it."""
    looked = Looked()
    looked.planned("vendor/used")
    for number in range(5):
        assert looked.explained(f"vendor/invented-{number}") is Reason.PINNED
    assert set(looked.fleet.breakers()) == {"claude", "vendor/used"}
    looked.planned("vendor/used")
    assert looked.lent.count("used") == 1
