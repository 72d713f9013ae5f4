"""Conversations stay where they must, and move where it pays."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from runtime.contract.pressure import Pressure
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.contract.targets import Capabilities, Target
from runtime.contract.usage import Usage
from runtime.money.prefixes import PrefixLedger
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import Hints
from runtime.routing.facts.query import PromptText, RoutingQuery
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy
from runtime.routing.plan.refusals import QUEUE_FULL
from runtime.routing.plan.waiting import expense
from runtime.settings import Routes, Rule, When
from tests.runtime.routing import boxes
from tests.runtime.routing.boxes import CLAUDE, fleet_of, planned, policy_of

LOCAL = replace(boxes.LOCAL, capabilities=Capabilities(context_tokens=100_000))
CLOSE = replace(CLAUDE, price=Price(3.0, 15.0, cache_read=0.3, cache_write=3.75))
OTHER = Target("other", "vendor", "big", Capabilities(context_tokens=200_000), price=Price(2.0, 10.0, cache_read=0.2))
BUSY = Pressure(Reason.QUEUE_DEPTH, 2.0, "10 wait")
BOTH = policy_of((OTHER, CLOSE), context_tokens=100_000)


def asked(prompt_tokens: int = 10_000, **more: Any) -> RoutingQuery:
    facts = Facts("openai_chat", "auto", prompt_tokens, 100, session=1, continued=True, **more)
    return RoutingQuery(facts, PromptText("and now?"))


def decided(
    query: RoutingQuery,
    home: Target,
    cached: Mapping[str, int] | None = None,
    policy: RoutingPolicy = BOTH,
    local: LocalState | None = None,
    *states: Target | TargetState,
) -> Plan:
    """The plan for a request of a conversation that `home` answered last."""
    fleet = fleet_of(*(states or (OTHER, CLOSE)), local=local or LocalState(LOCAL))
    return planned(query, structs.replace(fleet, session=Session(home.name, home.label, cached or {})), policy)


def first(plan: Plan) -> tuple[str, Reason]:
    return plan.candidates[0].target.name, plan.reason


@pytest.mark.parametrize("bound", [{"tool_result": True}, {"signed": True}])
@pytest.mark.parametrize("home", [LOCAL, CLOSE, OTHER])
@pytest.mark.parametrize("pressure", [Pressure(), BUSY])
def test_what_belongs_to_a_model_goes_back_to_it(bound: dict[str, bool], home: Target, pressure: Pressure) -> None:
    """Under any load and any task; others stand behind it for a failure."""
    policy = policy_of((OTHER, CLOSE), tasks=["tool"])
    plan = decided(asked(**bound), home, policy=policy, local=LocalState(LOCAL, pressure=pressure))
    assert first(plan) == (home.name, Reason.SESSION) and home.label in plan.words
    assert {each.target.name for each in plan.candidates} == {"local", "other", "claude"}
    assert plan.look is None and plan.move is None


def test_a_plain_conversation_is_not_bound() -> None:
    """It leaves the engine for the load, and comes back to it."""
    busy = LocalState(LOCAL, pressure=BUSY)
    assert first(decided(asked(), LOCAL, {"local": 9_000}, local=busy)) == ("other", Reason.QUEUE_DEPTH)
    assert first(decided(asked(), CLOSE)) == ("local", Reason.DEFAULT)


@pytest.mark.parametrize(
    ("query", "states", "local"),
    [
        (asked(tool_result=True), (OTHER, TargetState(CLOSE, available=False)), None),
        (asked(tool_result=True, modalities=frozenset({"text", "image"})), (OTHER, CLOSE), None),
        (asked(500_000, tool_result=True), (OTHER, CLOSE), None),
        (asked(tool_result=True, hints=Hints(max_cost_usd=0.001)), (OTHER, CLOSE), None),
        (asked(tool_result=True, hints=Hints(requires=frozenset({"zdr"}))), (OTHER, CLOSE), None),
        (asked(tool_result=True), (OTHER,), None),
        (asked(tool_result=True), (OTHER, replace(CLOSE, model="another")), None),
    ],
)
def test_hard_constraints_beat_the_lock(query: RoutingQuery, states: Any, local: LocalState | None) -> None:
    """A breaker, a modality, a window, a limit to the cost, a certificate, a target that is gone or is another model now."""
    plan = decided(query, CLOSE, {"claude": 9_000}, BOTH, local, *states)
    assert plan.reason is not Reason.SESSION
    assert not plan.candidates or plan.candidates[0].target != CLOSE


def test_an_engine_that_is_down_holds_nothing() -> None:
    """The conversation goes on elsewhere."""
    plan = decided(asked(tool_result=True), LOCAL, local=LocalState(LOCAL, replicas_ready=0))
    assert first(plan) == ("other", Reason.ENGINE_DOWN)


def test_pins_prefer_and_rules_beat_the_lock() -> None:
    """They are the caller's and the operator's word."""
    query = asked(tool_result=True)
    pinned = RoutingQuery(structs.replace(query.facts, model="other"), query.text)
    assert first(decided(pinned, CLOSE)) == ("other", Reason.PINNED)
    assert first(decided(query, CLOSE, policy=policy_of((OTHER, CLOSE), prefer="other"))) == ("other", Reason.DEFAULT)
    rule = policy_of((OTHER, CLOSE), rules=(Rule(when=When(), to=("local",)),))
    assert first(decided(query, CLOSE, policy=rule)) == ("local", Reason.RULE)


@pytest.mark.parametrize("mode", ["advise", "off"])
def test_a_mode_that_keeps_everything_keeps_this(mode: str) -> None:
    """Advice says where the tool's result would have gone."""
    plan = decided(asked(tool_result=True), CLOSE, policy=policy_of((OTHER, CLOSE), mode=mode))
    assert [each.target.name for each in plan.candidates] == ["local"]
    assert ("would have gone to claude (session" in plan.advice) is (mode == "advise")


def test_a_switch_between_clouds_costs_the_cached_prefix() -> None:
    """10,000 tokens: $0.003 cached at one, $0.020 at the other, which is the route's first. A cold cache holds nothing."""
    busy = LocalState(LOCAL, pressure=BUSY)
    plan = decided(asked(), CLOSE, {"claude": 10_000}, local=busy)
    assert first(plan) == ("claude", Reason.SESSION)
    assert "10000 tokens of it are cached at claude: $0.00450 there, $0.02100 at other" in plan.words
    assert first(decided(asked(), CLOSE, local=busy)) == ("other", Reason.QUEUE_DEPTH)
    # 3,000 of them: $0.0009 and $0.021 for the rest against $0.020.
    assert first(decided(asked(), CLOSE, {"claude": 3_000}, local=busy)) == ("other", Reason.QUEUE_DEPTH)
    # The other remembers the conversation, too.
    both = {"claude": 10_000, "other": 10_000}
    assert first(decided(asked(), CLOSE, both, local=busy)) == ("other", Reason.QUEUE_DEPTH)


def test_coming_back_to_the_box_costs_the_reading_of_the_prompt() -> None:
    """What the cached prefix saves at the cloud against the engine's longer wait, at the price of a second."""
    slow = LocalState(LOCAL, predicted_ttft_s=1.5)
    cached, quick = {"claude": 10_000}, TargetState(CLOSE, ttft_s=0.5)
    for worth, expected in (
        (0.0, "local"),
        (0.004, "local"),
        (0.005, "claude"),
    ):  # a second is to cost less than $0.0045
        policy = policy_of((CLOSE,), wait_usd_per_s=worth, context_tokens=100_000)
        assert decided(asked(), CLOSE, cached, policy, slow, quick).candidates[0].target.name == expected
    priced = LocalState(replace(LOCAL, price=Price(1.0, 1.0, cache_read=0.0)))
    assert first(decided(asked(), CLOSE, cached, local=priced)) == ("claude", Reason.SESSION)
    warm = {**cached, "local": 10_000}
    assert first(decided(asked(), CLOSE, warm, local=priced)) == ("local", Reason.DEFAULT)


def test_leaving_for_money_counts_what_is_cached_there() -> None:
    """`wait_usd_per_s`: the target's price is that of the rest of the prompt."""
    slow, policy = (
        LocalState(LOCAL, predicted_ttft_s=1.5),
        policy_of((CLOSE,), wait_usd_per_s=0.02, context_tokens=100_000),
    )
    quick = TargetState(CLOSE, ttft_s=0.5)
    assert first(decided(asked(), LOCAL, {}, policy, slow, quick)) == ("local", Reason.DEFAULT)
    assert first(decided(asked(), LOCAL, {"claude": 10_000}, policy, slow, quick)) == ("claude", Reason.TTFT)


def test_quality_and_unknown_prices_are_not_weighed() -> None:
    """A task that the operator sends to a target goes there; without a price nothing is compared."""
    policy = policy_of((OTHER, CLOSE), tasks=["chat"], routes=Routes(default=("other", "claude")))
    assert first(decided(asked(), CLOSE, {"claude": 10_000}, policy)) == ("other", Reason.TASK)
    unpriced, busy = replace(OTHER, price=None), LocalState(LOCAL, pressure=BUSY)
    plan = decided(asked(), CLOSE, {"claude": 10_000}, BOTH, busy, unpriced, CLOSE)
    assert first(plan) == ("other", Reason.QUEUE_DEPTH)


# Random conversations


def conversation(seed: int) -> int:
    """Plays one: every decision holds what is promised. Returns the number of decisions that were made for the session."""
    rng = random.Random(seed)
    ledger, now, held = PrefixLedger(), 0.0, 0
    targets = [
        Target(
            name,
            f"p-{name}",
            "m",
            Capabilities(context_tokens=rng.choice((None, 8_000, 100_000)), tools=rng.random() < 0.8),
            certified=frozenset({"hipaa"} if rng.random() < 0.5 else ()),
            price=rng.choice((None, Price(3.0, 15.0, cache_read=0.3), Price(1.0, 4.0, 0.1, 1.25), Price(0.2, 0.8))),
        )
        for name in ("one", "two", "three")
    ]
    policy = policy_of(
        targets,
        rules=rng.choice(((), (), (), (Rule(when=When(min_tokens=30_000), to=("two",)),))),
        prefer=rng.choice(("", "", "", "", "three")),
        tasks=rng.choice(([], ["tool"])),
        wait_usd_per_s=rng.choice((0.0, 0.01)),
    )
    prompt = rng.choice((20, 2_000, 20_000))
    signed = False
    for _ in range(rng.randint(2, 8)):
        now += rng.choice((1.0, 30.0, 400.0, 4_000.0))
        prompt += rng.choice((10, 1_000, 10_000))
        facts = Facts(
            "openai_chat",
            rng.choice(("auto",) * 9 + ("two",)),
            prompt,
            rng.choice((None, 100)),
            tools=rng.random() < 0.5,
            tool_result=rng.random() < 0.4,
            signed=signed,
            hints=Hints(
                requires=frozenset({"hipaa"} if rng.random() < 0.2 else ()),
                max_cost_usd=rng.choice((None, None, 0.01)),
            ),
            session=1,
            continued=True,
        )
        local = LocalState(
            LOCAL,
            rng.choice((0, 1, 1, 1)),
            pressure=rng.choice((Pressure(), BUSY)),
            predicted_ttft_s=rng.choice((0.0, 1.0, 40.0)),
        )
        states = {each.name: TargetState(each, available=rng.random() < 0.8) for each in targets}
        fleet = Fleet(local, states, ledger.session(1, now))
        plan = planned(RoutingQuery(facts, PromptText("go on")), fleet, policy)
        check(facts, fleet, policy, plan)
        held += plan.reason is Reason.SESSION
        if plan.candidates:
            chosen = rng.choice(plan.candidates) if rng.random() < 0.2 else plan.candidates[0]
            ledger.answered(1, chosen.target, Usage(prompt, 100, cached=rng.choice((0, prompt // 2))), now)
            signed = signed or rng.random() < 0.2
    return held


def can_take(facts: Facts, fleet: Fleet, name: str) -> bool:
    """Hard constraints, written down a second time."""
    target = LOCAL if name == "local" else fleet.targets[name].target
    up = fleet.local is not None and fleet.local.replicas_ready > 0 if target.local else fleet.targets[name].available
    window, limit = target.capabilities.context_tokens, facts.hints.max_cost_usd
    usage = Usage(facts.prompt_tokens, 512 if facts.max_tokens is None else facts.max_tokens)
    return (
        up
        and (target.on_box or facts.hints.requires <= target.certified)
        and (target.capabilities.tools or not facts.tools)
        and (window is None or facts.prompt_tokens / 2 + (facts.max_tokens or 0) <= window)
        and (limit is None or target.local or (target.price is not None and target.price.most(usage) <= limit * 1e6))
    )


def check(facts: Facts, fleet: Fleet, policy: RoutingPolicy, plan: Plan) -> None:
    """No lock breaks a constraint; nothing that belongs to a model is given to another; no switch wastes a cached prefix."""
    for each in plan.candidates:
        assert can_take(facts, fleet, each.target.name)
    session, rules = fleet.session, policy.rules
    if session is None:
        assert plan.reason is not Reason.SESSION
        return
    ruled = rules and facts.prompt_tokens >= 30_000 and any(can_take(facts, fleet, name) for name in ("local", "two"))
    forced = facts.model != "auto" or policy.directory.auto.first is not None or ruled
    home_able = can_take(facts, fleet, session.home)
    if forced or not home_able:
        assert plan.reason is not Reason.SESSION
        return
    if plan.refusal is not None:
        assert (session.home, plan.refusal.code) == ("local", QUEUE_FULL)
    elif facts.tool_result or facts.signed:
        assert plan.reason is Reason.SESSION and plan.candidates[0].target.name == session.home
    elif plan.reason is not Reason.TASK and session.cached.get(session.home) and session.home != "local":
        chosen, worth = plan.candidates[0].target.name, policy.escalation.wait_usd_per_s
        stay, go = (expense(facts, fleet, name, worth) for name in (session.home, chosen))
        assert chosen == session.home or stay is None or go is None or go < stay


def test_no_random_conversation_switches_unsafely() -> None:
    """500 of them, and the lines under test are reached."""
    assert sum(conversation(seed) for seed in range(500)) > 200


@pytest.mark.slow
def test_no_random_conversation_of_many_switches_unsafely() -> None:
    """5,000 others."""
    assert sum(conversation(seed) for seed in range(1_000, 6_000)) > 2_000
