"""The targets as they are now: pictures, claims, lent models within a bound, and reloads under running requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.contract.engine import ReplicaState
from runtime.contract.failures import Kind
from runtime.fleet.breaker import BreakerState
from runtime.fleet.fleet import Clouds
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.names import Lent
from runtime.settings import Escalation
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import FakeBackend, Gate, Turn, cloud, engine_backend, error, told

FINE = Turn(told("fine"))
TEN = Facts("openai_chat", "auto", 10)


def lend(lent: Lent) -> FakeBackend:
    """A backend for whatever is named; names with `down` in them fail."""
    return cloud(lent.target, error(500) if "down" in lent.model else FINE)


def lending(most: int = 4, **more: Any) -> Box:
    return Box(engine_backend((FINE,)), [cloud("first", FINE)], lend=lend, most_lent=most, **more)


def facts(box: Box) -> Any:
    return box.desk.planner.read("openai_chat", {"model": "auto", "messages": []}, {}).facts


async def test_invented_names_leave_no_more_than_the_bound() -> None:
    """Ten thousand of them: the latest few backends, breakers and ledgers, and nothing in flight."""
    box = lending(most=16)
    known = facts(box)
    for number in range(10_000):
        fails = "down" if number % 5 == 0 else "m"
        name = f"vendor/{fails}-{number}"
        box.fleet.picture(known, 0.0, Lent("vendor", f"{fails}-{number}", "first"))
        backend = box.fleet.backend(name)
        claim = box.fleet.claim(backend.target)
        assert claim is not None
        with claim, box.fleet.ledger(backend.lanes[0]).claim(1, None, box.clock):
            claim.ended(None)
    assert len(box.fleet._lent) == 16 and len(box.fleet._breakers) <= 17 and len(box.fleet._lanes._ledgers) <= 17
    assert box.fleet.in_flight == {} and len(box.fleet.breakers()) == 17


async def test_requests_for_invented_names_stay_within_the_bound_too() -> None:
    """The same through whole lives, answered and failed ones."""
    box = lending()
    for number in range(200):
        await box.live(box.ask(model=f"vendor/{'down' if number % 2 else 'm'}-{number}", stream=True))
    assert len(box.fleet._lent) == 4 and len(box.fleet._breakers) <= 5 and len(box.fleet._lanes._ledgers) <= 5
    assert len(box.records.rows) == 200 and box.fleet.in_flight == {}


async def test_a_lent_model_in_use_outlives_others() -> None:
    """The one asked for longest ago gives way; its breaker goes with it."""
    box = lending(most=2)
    for model in ("vendor/a", "vendor/b", "vendor/a", "vendor/c"):
        await box.live(box.ask(model=model, stream=True))
    assert set(box.fleet.breakers()) == {"first", "vendor/a", "vendor/c"}


async def test_an_answer_of_a_lent_model_that_gave_way_is_still_relayed() -> None:
    """Its request holds the backend; the claim is given back and no breaker is left for it."""
    gate = Gate()
    slow = cloud("vendor/slow", Turn(told("Hello"), wait=gate))
    box = Box(
        engine_backend((FINE,)),
        [cloud("first", FINE)],
        lend=lambda lent: slow if lent.model == "slow" else lend(lent),
        most_lent=1,
    )
    task = asyncio.create_task(box.live(box.ask(model="vendor/slow", stream=True)))
    while not slow.lanes[0].hop.calls:
        await asyncio.sleep(0)
    for number in range(3):
        await box.live(box.ask(model=f"vendor/m-{number}", stream=True))
    gate.open()
    _, sink = await task
    assert sink.text == "Hello" and box.fleet.in_flight == {} and set(box.fleet.breakers()) == {"first", "vendor/m-2"}
    assert len(box.fleet._breakers) <= 2 and len(box.fleet._lanes._ledgers) <= 2


async def test_a_reload_keeps_the_breakers_of_targets_that_stay() -> None:
    """Who is gone is forgotten; lent models are lent anew."""
    box = Box(engine_backend((FINE,)), [cloud("first", error(500)), cloud("second", FINE)], LEAVE, lend=lend)
    for _ in range(4):
        await box.live(box.ask(stream=True))
    await box.live(box.ask(model="vendor/lent", stream=True))
    assert box.fleet.breakers()["first"] is BreakerState.OPEN
    box.reload([cloud("first", FINE), cloud("third", FINE)])
    assert box.fleet.breakers() == {"first": BreakerState.OPEN, "third": BreakerState.CLOSED}
    box.reload([cloud("third", FINE)])
    box.reload([cloud("first", FINE)])
    assert box.fleet.breakers() == {"first": BreakerState.CLOSED}


async def test_a_claim_that_ends_behind_a_reload_leaves_no_breaker_for_a_target_that_is_gone() -> None:
    """Neither for one that was claimed before, nor for one claimed after it by a running request."""
    box = Box(engine_backend((FINE,)), [first := cloud("first", FINE)], LEAVE)
    before = box.fleet.claim(first.target)
    assert before is not None
    with before:
        box.reload([])
        after = box.fleet.claim(first.target)
        assert after is not None
        with after:
            assert box.fleet.in_flight == {"vendor/first-model": 2}
    assert box.fleet.in_flight == {} and box.fleet._breakers == {}


def test_a_picture_shows_breakers_and_absent_targets() -> None:
    """An open breaker says until when; a target without a key says why."""
    box = Box(engine_backend((FINE,)), [first := cloud("first", FINE)])
    box.fleet.reload(Clouds({"first": first}, {"keyless": (cloud("keyless").target, "no key")}), Escalation())
    box.fleet.remember({"first": (1, 8.0), "unknown": (3, 9.0)})
    now = box.clock()
    states = box.fleet.picture(facts(box), now).targets
    assert not states["first"].available and states["first"].until is not None
    assert now + 7.0 < states["first"].until <= now + 8.1
    assert states["keyless"].absent and states["keyless"].why == "no key"
    assert set(box.fleet.open_breakers()) == {"first"}


def test_a_picture_of_an_engine_that_starts() -> None:
    """No replica ready: when it is expected, and why the last one ended."""
    box = Box(local := engine_backend((FINE,), (FINE,)))
    assert (box.fleet.picture(facts(box), 0.0).local or _none()).replicas_ready == 2
    for lane in local.lanes:
        lane.ready = False
    box.engine.ready_at, box.engine.cause = 30.0, "out of memory"
    state = box.fleet.picture(facts(box), 10.0).local or _none()
    assert (state.replicas_ready, state.starting, state.ready_in_s, state.why) == (0, True, 20.0, "out of memory")
    box.engine.down = ReplicaState.GIVEN_UP
    assert (box.fleet.picture(facts(box), 10.0).local or _none()).given_up


def test_the_failure_of_an_engine_without_a_replica() -> None:
    """Down, with an estimate while it starts and none once it was given up."""
    box = Box(local := engine_backend((FINE,)))
    local.lanes[0].ready = False
    box.engine.ready_at, box.engine.cause = box.clock() + 20.0, "killed"
    failure = box.fleet.not_ready(local.target)
    assert failure.kind is Kind.DOWN and "killed" in failure.message and failure.retry_after is not None
    assert box.fleet.coming_back(local.target) and not box.fleet.coming_back(cloud("first").target)
    box.engine.down = ReplicaState.GIVEN_UP
    assert box.fleet.not_ready(local.target).retry_after is None and not box.fleet.coming_back(local.target)


def test_the_engine_has_no_breaker() -> None:
    """Its supervisor knows better; a claim is never refused."""
    box = Box(local := engine_backend((FINE,)))
    for _ in range(10):
        claim = box.fleet.claim(local.target)
        assert claim is not None
        with claim:
            claim.ended(None)
    assert box.fleet.allows(local.target) and box.fleet.breakers() == {}


def test_another_lane_than_the_last_where_there_is_one() -> None:
    """A second try avoids the replica that failed; with one alone it is asked again; none where none is ready."""
    box = Box(local := engine_backend((FINE,), (FINE,)))
    first, second = local.lanes
    assert box.fleet.lane(local, TEN, "replica-0") is second and box.fleet.lane(local, TEN, "replica-1") is first
    second.ready = False
    assert box.fleet.lane(local, TEN, "replica-0") is first
    first.ready = False
    assert box.fleet.lane(local, TEN) is None and box.fleet.load() is None and box.fleet.room_in() is None


def test_what_is_shown_changes_nothing() -> None:
    """Load and predictions are read for a page; nothing of the fleet grows by it."""
    box = Box(engine_backend((FINE,)))
    load = box.fleet.load()
    assert load is not None and load.pressure.over is None
    assert box.fleet.predicted_ttft_ms() == {"replica-0": 0.0} and box.fleet.room_in() == 1.0
    assert box.fleet._breakers == {} and box.fleet.in_flight == {}


def _none() -> Any:
    raise AssertionError("there is an engine")


async def test_a_cloud_shows_how_soon_its_answers_begin() -> None:
    """None before the first; then what its own attempts took."""
    box = Box(engine_backend((error(500),)), [cloud("first", FINE)], LEAVE)
    assert box.fleet.picture(facts(box), 0.0).targets["first"].ttft_s is None
    await box.live(box.ask(stream=True))
    seen = box.fleet.picture(facts(box), 0.0).targets["first"].ttft_s
    assert seen is not None and 0 < seen < 5


async def test_the_engines_tokens_cost_what_its_seconds_cost() -> None:
    """Once its speed is measured, and only where the settings say what a second costs."""
    now = [0.0]

    def clock(later: float = 0.0) -> float:
        now[0] += later
        return now[0]

    for usd in (None, 0.01):
        box = Box(engine_backend((FINE,)))
        box.fleet.second_usd = {None: lambda gpus, replicas: None, 0.01: lambda gpus, replicas: 0.01}[usd]
        local = box.fleet.picture(facts(box), 0.0).local
        assert local is not None and local.target.price is None
        for _ in range(5):
            with box.fleet.ledger(box.local.lanes[0]).claim(1_000, None, clock) as flight:
                flight.first_token(clock(0.5))
                flight.tokens(50, clock(1.0))
                flight.done()
            clock(1.0)
        box.fleet.listen()
        local = box.fleet.picture(facts(box), 0.0).local
        price = local.target.price if local is not None else None
        if usd is None:
            assert price is None
        else:
            assert price is not None and price.input == pytest.approx(0.0005 * 0.01 * 1e6, rel=0.1)
            assert price.output == pytest.approx(0.02 * 0.01 * 1e6, rel=0.1)
            settled, _ = await box.live(box.ask(stream=True))
            assert settled.decision.target == "local/small" and settled.decision.cost_usd is not None
