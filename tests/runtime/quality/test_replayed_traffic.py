"""A day's traffic, recorded and decided again: rules, pins, load, conversations, demands, prices and breakers, all mixed."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import msgspec
import pytest

from runtime.contract.pressure import Pressure
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.contract.targets import Capabilities, Target
from runtime.life.kept import Kept, mark
from runtime.life.settled import kept_of
from runtime.quality.replay import Unanswerable, replayed
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.names import resolve
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import RoutingPolicy
from runtime.routing.plan.rules import demanded
from runtime.settings import Routes, Rule, When
from tests.runtime.quality.test_replay import decided, idle, kept_after, marked
from tests.runtime.routing.boxes import CLAUDE, GEMINI, LOCAL, chat, policy_of, query_of

MOST_BYTES = 1500
OPUS = Target(
    "opus",
    "anthropic",
    "opus",
    Capabilities(context_tokens=500_000),
    frozenset({"hipaa", "zdr"}),
    price=Price(5.0, 25.0),
)
BOX = dataclasses.replace(LOCAL, price=Price(0.05, 0.2))
TARGETS = (CLAUDE, GEMINI, OPUS)
TEXTS = (
    "hello",
    "Tell me a joke about cats.",
    "Bitte fasse diesen Text kurz zusammen: " + "Der Hund schläft. " * 40,
    "Pay this invoice by Friday.",
    "Classify the sentiment as positive or negative: the soup was cold.",
    "Prove that every group of order p^2 is abelian, for a prime p, and name each theorem that you use.",
    "```python\ndef f(x):\n    return x + 1\n```\nWhy does this raise a TypeError for a list?",
    "What do the two reports disagree on? " + "The first report says little. " * 2000,
)
RULES = (
    Rule(when=When(keywords=("invoice",)), to=("claude",)),
    Rule(when=When(header={"x-team": "web"}), to=("opus", "claude")),
    Rule(when=When(metadata={"kind": "legal"}), requires=("hipaa",)),
    Rule(when=When(language="de"), to=("local",)),
    Rule(when=When(task="code", min_tokens=20), to=("opus",)),
)
OTHER_RULES = (Rule(when=When(min_tokens=5_000), to=("gemini",)), Rule(when=When(task="math"), requires=("zdr",)))
ROUTES = Routes(code=("claude",), complex=("opus", "gemini"), long_context=("gemini",))
POLICY = marked(
    policy_of(
        TARGETS, rules=RULES, routes=ROUTES, complexity=0.6, wait_usd_per_s=0.002, cloud_share=0.3, tasks=["math"]
    )
)
CHANGED: dict[str, Any] = {"complexity": {"default": 0.4, "chat": 0.8}, "tasks": ["code"], "context_tokens": 3_000}
OTHER = marked(policy_of(TARGETS, rules=OTHER_RULES, wait_usd_per_s=0.01, **CHANGED))


def asked(drawn: random.Random) -> RoutingQuery:
    """A request: its text, tools and signs of a conversation, hints, header and metadata."""
    pick = drawn.choice
    hints = {
        "requires": pick([[], [], [], ["hipaa"], ["zdr"], ["local_only"]]),
        "max_cost_usd": pick([None, None, 0.001, 0.05]),
        "ttft_ms": pick([None, None, 300, 5_000]),
        "priority": pick([None, None, "batch", "interactive"]),
    }
    body = chat(pick(TEXTS), model=pick(["auto"] * 8 + ["local", "claude", "gemini"]))
    body |= {"hearth": {name: value for name, value in hints.items() if value}, "stream": pick([True, False])}
    body |= {"max_tokens": pick([16, 4_000])} if drawn.random() < 0.5 else {}
    body |= {"metadata": {"kind": "legal"}} if drawn.random() < 0.1 else {}
    if drawn.random() < 0.15:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
        body["messages"][0]["content"] = [{"type": "text", "text": "What is this?"}, image]
    if drawn.random() < 0.3:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        body["messages"] += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "4"},
        ]
    query = query_of(body, {"x-team": "web"} if drawn.random() < 0.1 else {})
    return query.changed(opinion=pick([None, None, 0.2, 0.9]))


def box(drawn: random.Random) -> Fleet:
    """The engine idle, busy, full, starting or given up; targets slow, fast or behind a breaker; a conversation or none."""
    pick = drawn.choice
    ratio = pick([0.0, 0.3, 1.4])
    over = Reason.QUEUE_DEPTH if ratio >= 1 else None
    pressure = Pressure(over, ratio, "busy" if over else "", {Reason.QUEUE_DEPTH: ratio, Reason.KV_CACHE: 0.2})
    ready = pick([1, 1, 1, 1, 0])
    down: dict[str, Any] = {} if ready else pick([{"starting": True, "ready_in_s": 40.0}, {"given_up": True}])
    local = LocalState(
        BOX,
        ready,
        pressure=pressure,
        predicted_ttft_s=pick([0.05, 0.9, 60.0]),
        share=pick([0.0, 0.5]),
        wait_s=3.0,
        **down,
    )
    states = {
        each.name: TargetState(each, ttft_s=pick([None, 0.4, 3.0]))
        if drawn.random() < 0.85
        else TargetState(each, available=False, why="its breaker is open", until=pick([12.5, 3600.0]))
        for each in TARGETS
    }
    home = pick([BOX, *TARGETS])
    cached = {each.name: pick([800, 60_000]) for each in TARGETS if drawn.random() < 0.3}
    session = Session(home.name, home.label, cached) if drawn.random() < 0.6 else None
    return Fleet(local, states, session, pick([0.0, -0.11, 0.07]))


def demanding(query: RoutingQuery, policy: RoutingPolicy) -> RoutingQuery:
    more = demanded(query, policy.rules) - query.facts.hints.requires
    return query.demanding(more) if more else query


@pytest.mark.parametrize("count", [150, pytest.param(1_000, marks=pytest.mark.slow)])
def test_recorded_traffic_is_decided_again(count: int) -> None:
    """Order, reason and refusal of every decision under the same settings; under another file what `plan()` gives.

    What the other file asks of the text and was not kept is named, and only where the first did not read it.
    """
    drawn = random.Random(7)
    reasons: set[str] = set()
    answered = 0
    for _ in range(count):
        query, fleet = asked(drawn), box(drawn)
        made, kept = kept_after(demanding(query, POLICY), fleet, POLICY)
        assert decided(replayed(kept, POLICY, idle(fleet))) == decided(made)
        reasons.add(made.reason)
        try:
            again = replayed(kept, OTHER, idle(fleet))
        except Unanswerable:
            assert kept.task is None or kept.score is None
            continue
        answered += 1
        # A demand of the first file's rules stays a demand; the shift is the controller's, which the other file has not.
        asks = demanding(demanding(query, POLICY), OTHER)
        still = msgspec.structs.replace(fleet, shift=0.0)
        wanted = Inputs(asks, resolve(query.facts.model, OTHER.directory), still, OTHER, 0.0).plan()
        assert decided(again) == decided(wanted)
    assert answered > count / 3
    expected = {"pinned", "rule", "session", "engine_down", "task", "complexity", "ttft", "queue_depth", "default"}
    assert expected <= reasons


def test_the_largest_kept_part_has_a_bound() -> None:
    """Six targets with times, half of them behind breakers, a conversation that all of them cache, ten rules, every hint."""
    targets = [dataclasses.replace(CLAUDE, name=f"claude-sonnet-{n}", model=f"claude-sonnet-5-{n}") for n in range(6)]
    states = {
        each.name: TargetState(each, ttft_s=1.2345)
        if n % 2
        else TargetState(each, available=False, until=1234.5, ttft_s=0.5)
        for n, each in enumerate(targets)
    }
    rules = [Rule(when=When(keywords=(f"word {n}",)), to=(targets[0].name,)) for n in range(10)]
    ratios = dict.fromkeys([Reason.QUEUE_DEPTH, Reason.KV_CACHE, Reason.GPU, Reason.TTFT], 0.123456789)
    local = LocalState(LOCAL, pressure=Pressure(None, 0.12, "", ratios), predicted_ttft_s=0.123456, wait_s=1.234567)
    cached = {each.name: 123_456 for each in targets}
    fleet = Fleet(local, states, Session(targets[1].name, targets[1].label, cached), 0.1234)
    policy = marked(policy_of(targets, rules=rules, complexity=0.5, cloud_share=0.2, wait_usd_per_s=0.01))
    hints = {
        "requires": ["hipaa"],
        "max_cost_usd": 0.9123,
        "ttft_ms": 1500,
        "priority": "interactive",
        "session": "s" * 64,
    }
    query = query_of(chat("hello", hearth=hints, max_tokens=4_000, tools=[{"type": "function"}], stream=True))
    inputs = Inputs(query, resolve("auto", policy.directory), fleet, policy, 0.0)
    raw = msgspec.json.encode(kept_of(inputs, inputs.plan()))
    kept = msgspec.json.decode(raw, type=Kept)
    assert len(kept.missed) == 10 and len(kept.order) > 3 and mark(rules[0].when) in kept.missed
    assert len(raw) <= MOST_BYTES, len(raw)
