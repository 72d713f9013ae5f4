"""Recorded decisions made again: the same settings give the same decision, other settings what `plan()` gives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.life.kept import Kept, mark
from runtime.life.planning import IdleFleet
from runtime.life.settled import kept_of
from runtime.quality.replay import Unanswerable, replayed, report
from runtime.record.decisions import Decision
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.demotion import DemotedFor
from runtime.routing.plan.names import Pinned, resolve
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy
from runtime.routing.plan.rules import demanded
from runtime.settings import Escalation, Rule, When
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, whole
from tests.runtime.routing.boxes import CALM, CLAUDE, GEMINI, LOCAL, chat, fleet_of, policy_of, query_of
from tests.runtime.routing.test_constraints import boxes, queries


def kept_after(query: RoutingQuery, fleet: Fleet, policy: RoutingPolicy) -> tuple[Plan, Kept]:
    """A plan, and what a record of it holds after it was written and read."""
    policy = marked(policy)
    inputs = Inputs(query, resolve(query.facts.model, policy.directory), fleet, policy, 0.0)
    plan = inputs.plan()
    raw = msgspec.json.encode(kept_of(inputs, plan))
    assert len(raw) <= 1500
    return plan, msgspec.convert(msgspec.json.decode(raw), Kept)


def marked(policy: RoutingPolicy) -> RoutingPolicy:
    return dataclasses.replace(policy, marks=tuple(mark(rule.when) for rule in policy.rules))


def idle(fleet: Fleet) -> IdleFleet:
    """The targets of a fleet, as the settings name them."""
    assert fleet.local is not None
    usable = {name: state.target for name, state in fleet.targets.items() if not state.absent}
    absent = {name: (state.target, state.why) for name, state in fleet.targets.items() if state.absent}

    def lend(lent: Any) -> Any:
        raise AssertionError("nothing is lent here")

    return IdleFleet(fleet.local.target, usable, absent, lend)


def decided(plan: Plan) -> tuple[Any, ...]:
    names = [each.target.name for each in plan.candidates]
    return names, plan.reason, plan.refusal.code if plan.refusal else ""


@settings(max_examples=300, **CALM)
@given(queries, boxes())
def test_the_same_settings_give_the_same_decision(query: RoutingQuery, box: tuple[Fleet, RoutingPolicy]) -> None:
    """Order, reason and refusal, whatever the request, the load and the settings."""
    fleet, policy = box
    plan, kept = kept_after(query, fleet, policy)
    assert decided(replayed(kept, marked(policy), idle(fleet))) == decided(plan)


@settings(max_examples=50, **CALM)
@given(
    queries,
    boxes(),
    st.sampled_from(["", "code", "chat", "extraction"]),
    st.lists(st.sampled_from(["local", "claude", "gemini"])),
)
def test_a_demotion_of_that_moment_is_in_the_record(
    query: RoutingQuery, box: tuple[Fleet, RoutingPolicy], task: str, names: list[str]
) -> None:
    """The same order, reason and words of the candidates."""
    gone = {task: {name: DemotedFor(f"demoted for {task}: 64 of 80 against 74", 0.8) for name in names}}
    fleet, policy = msgspec.structs.replace(box[0], demoted=gone), box[1]
    plan, kept = kept_after(query, fleet, policy)
    again = replayed(kept, marked(policy), idle(fleet))
    assert decided(again) == decided(plan)
    assert (again.degraded, again.demoted) == (plan.degraded, plan.demoted)


@settings(max_examples=200, **CALM)
@given(queries, boxes(), boxes())
def test_other_settings_give_what_the_plan_gives(
    query: RoutingQuery, box: tuple[Fleet, RoutingPolicy], other: tuple[Fleet, RoutingPolicy]
) -> None:
    """The other policy over the box as it was; thresholds apart, which are judged anew."""
    fleet, policy = box
    _, kept = kept_after(query, fleet, policy)
    escalation = policy.escalation.model_copy(update={"mode": other[1].escalation.mode})
    wanted = marked(dataclasses.replace(other[1], escalation=escalation))
    try:
        again = replayed(kept, wanted, idle(fleet))
    except Unanswerable:
        assert kept.task is None or kept.score is None
        return
    assert decided(again) == decided(
        Inputs(query, resolve(query.facts.model, wanted.directory), fleet, wanted, 0.0).plan()
    )


KEYWORD = Rule(when=When(keywords=("invoice",)), to=("claude",))
HEADER = Rule(when=When(header={"x-team": "web"}), to=("claude",))
METADATA = Rule(when=When(metadata={"a": "b"}), to=("claude",))


@pytest.mark.parametrize("rule", [KEYWORD, HEADER, METADATA])
@pytest.mark.parametrize("holds", [True, False])
def test_a_rule_that_was_in_force_is_answered_without_its_text(rule: Rule, holds: bool) -> None:
    """Its mark says whether it held."""
    body = chat("pay this invoice" if holds else "hello", **({"metadata": {"a": "b"}} if holds else {}))
    query = query_of(body, {"x-team": "web"} if holds else {})
    fleet, policy = fleet_of(CLAUDE), policy_of((CLAUDE,), rules=(rule,))
    plan, kept = kept_after(query, fleet, policy)
    assert (plan.reason is Reason.RULE) is holds
    assert decided(replayed(kept, marked(policy), idle(fleet))) == decided(plan)


@pytest.mark.parametrize("demand", [When(header={"x-team": "web"}), When(metadata={"a": "b"})])
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_a_demand_is_answered_wherever_it_stands(demand: When, first: bool) -> None:
    """Before or behind the rule that places the request, held or not, and where its condition demands another thing now."""
    rules = [Rule(when=When(keywords=("hello",)), to=("gemini", "claude")), Rule(when=demand, requires=("hipaa",))]
    policy = policy_of(rules=rules[::-1] if first else rules)
    other = policy_of(rules=[rules[0], Rule(when=demand, requires=("local_only",))])
    for headers, more in (({}, {}), ({"x-team": "web"}, {"metadata": {"a": "b"}})):
        query = query_of(chat("hello", **more), headers)
        query = query.demanding(demanded(query, policy.rules))
        fleet = fleet_of(CLAUDE, GEMINI)
        plan, kept = kept_after(query, fleet, policy)
        assert decided(replayed(kept, marked(policy), idle(fleet))) == decided(plan)
        again = replayed(kept, marked(other), idle(fleet))
        assert [each.target.name for each in again.candidates] == (
            ["local"] if headers else ["gemini", "claude", "local"]
        )


@pytest.mark.parametrize("rule", [KEYWORD, HEADER, METADATA, Rule(when=When(language="de"), to=("claude",))])
def test_a_new_rule_on_text_cannot_be_answered(rule: Rule) -> None:
    """It is refused by name instead of guessed."""
    fleet = fleet_of(CLAUDE)
    _, kept = kept_after(query_of(chat("pay this invoice")), fleet, policy_of((CLAUDE,)))
    with pytest.raises(Unanswerable, match="of the request"):
        replayed(kept, marked(policy_of((CLAUDE,), rules=(rule,))), idle(fleet))


def test_a_lower_threshold_moves_what_waited() -> None:
    """The engine's values are judged by the other settings: 4 of 5 waiting stays, 4 of 4 leaves."""
    pressure = Pressure(None, 0.8, "", {Reason.QUEUE_DEPTH: 0.8})
    fleet = fleet_of(CLAUDE, local=LocalState(LOCAL, pressure=pressure))
    plan, kept = kept_after(query_of(chat()), fleet, policy_of((CLAUDE,), queue_depth=5))
    assert plan.candidates[0].target is LOCAL
    again = replayed(kept, policy_of((CLAUDE,), queue_depth=4), idle(fleet))
    assert (again.candidates[0].target.name, again.reason) == ("claude", Reason.QUEUE_DEPTH)


def test_a_breaker_that_was_open_stays_open() -> None:
    """The target is passed over as it was then."""
    fleet = fleet_of(TargetState(CLAUDE, available=False, why="open", until=30.0), GEMINI)
    policy = policy_of(complexity=0)
    plan, kept = kept_after(query_of(chat("What is the capital of France?")), fleet, policy)
    assert [each.target.name for each in plan.candidates] == ["gemini", "local"]
    assert decided(replayed(kept, marked(policy), idle(fleet))) == decided(plan)


async def test_recorded_traffic_is_reported(tmp_path: Path) -> None:
    """Requests through the door, read back from their records: nothing moves under the same settings, all under `prefer`."""
    away = cloud("big", Turn([whole("cloud")]))
    setup = Setup(engine_backend((Turn([whole("box")]),)), clouds=[away], escalation=Escalation(complexity=1))
    async with opened(setup, tmp_path) as door:
        for number in range(12):
            await door.chat(f"hello {number}")
        rows = (await door.client.get("/hearth/decisions")).json()["data"]
        decisions = [msgspec.convert(row, Decision) for row in rows]
        policy = door.desk.planner.policy
        box = IdleFleet(setup.local.target, {"big": away.target}, {}, lambda lent: away.target)
        same = report(decisions, policy, box)
        assert (same.replayed, same.moved, same.share_before, same.share_after) == (12, (), 0.0, 0.0)
        named = resolve("big", policy.directory)
        assert isinstance(named, Pinned)
        auto = dataclasses.replace(policy.directory.auto, first=named, by="escalation.prefer")
        moved = report(
            decisions,
            dataclasses.replace(policy, directory=dataclasses.replace(policy.directory, auto=auto)),
            box,
        )
        assert (moved.share_after, len(moved.moved), moved.unpriced) == (1.0, 12, 12)
        old = report([msgspec.structs.replace(each, kept=None) for each in decisions], policy, box)
        assert (old.unkept, old.replayed) == (12, 0)
        assert all(len(json.dumps(row["kept"], separators=(",", ":"))) <= 1500 for row in rows)


@settings(max_examples=200, **CALM)
@given(queries, boxes(), st.sampled_from([-0.5, -0.1, 0.05, 0.3]))
def test_a_moved_threshold_is_kept(query: RoutingQuery, box: tuple[Fleet, RoutingPolicy], shift: float) -> None:
    """With `cloud_share` on, a decision is made again with the threshold of its moment."""
    fleet, policy = box
    policy = dataclasses.replace(policy, escalation=policy.escalation.model_copy(update={"cloud_share": 0.2}))
    moved = msgspec.structs.replace(fleet, shift=shift)
    plan, kept = kept_after(query, moved, policy)
    assert decided(replayed(kept, marked(policy), idle(moved))) == decided(plan)
