"""Requests asked over HTTP of a whole door, and decided again from its file when prices have changed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from runtime.contract.hop import HttpCall
from runtime.contract.prices import OWN_PRICE, Price, Rates, Tariff
from runtime.contract.targets import Capabilities
from runtime.life.kept import Kept
from runtime.life.permitted import limited
from runtime.life.planning import IdleFleet, Planner
from runtime.load.rates import Plane
from runtime.money.budget import BudgetLedger, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.quality.replay import Unanswerable, replayed
from runtime.record.database import Query, read_many
from runtime.record.decisions import Decision
from runtime.routing.plan.demotion import NO_DEMOTIONS, DemotedFor
from runtime.routing.plan.names import resolve
from runtime.routing.plan.nearest import Inputs
from runtime.settings import Escalation, Routes
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import FakeBackend, ScriptedHop, ScriptedReply, Turn, cloud, engine_backend, told, whole
from tests.runtime.quality.test_replay import decided, marked
from tests.runtime.quality.test_replayed_traffic import MOST_BYTES, OTHER_RULES, RULES, TEXTS, demanding

ADMIN = {"authorization": "Bearer root"}
LIMITS: dict[str, Any] = {"ttft_ms": 900, "admit_ttft_ms": 1500}
FIRST = Escalation(complexity=0.6, wait_usd_per_s=0.002, cloud_share=0.3, tasks=("math",), **LIMITS)
OTHER = Escalation(complexity={"default": 0.4, "chat": 0.8}, wait_usd_per_s=0.01, context_tokens=3_000, **LIMITS)
LONG = "The report says little. " * 4_000  # some 20,000 tokens, read in two seconds


class EitherWay(ScriptedHop):
    """Answers as it is asked: a stream, or whole."""

    async def open(self, call: HttpCall, *, connect_s: float) -> ScriptedReply:
        stream = json.loads(call.body).get("stream")
        self.turns = [Turn(told("fine")) if stream else Turn([whole("fine")])]
        return await super().open(call, connect_s=connect_s)


class Witness(Planner):
    """Keeps the material of every plan that is made for a request."""

    seen: list[Inputs]

    def inputs(self, *arguments: Any, **more: Any) -> Inputs:
        self.seen.append(made := super().inputs(*arguments, **more))
        return made


def backends() -> tuple[FakeBackend, tuple[FakeBackend, ...]]:
    local = engine_backend(())
    can = dataclasses.replace(local.target.capabilities, context_tokens=60_000)
    local.target = dataclasses.replace(local.target, capabilities=can)
    wide = Capabilities(frozenset({"text", "image"}), context_tokens=500_000)
    peak = Tariff(Rates(6.0, 30.0, 0.6), hours=(0, 3600))
    dear = Tariff(Rates(5.0, 20.0), above=10_000)
    clouds = (
        cloud("claude", price=Price(3.0, 15.0, 0.3, tariffs=(peak,)), certified=frozenset({"hipaa"})),
        cloud("gemini", price=Price(1.0, 5.0, tariffs=(dear,)), capabilities=wide),
        cloud(
            "opus", price=Price(2.0, 9.0, source=OWN_PRICE), certified=frozenset({"hipaa", "zdr"}), capabilities=wide
        ),
        cloud("plain"),
    )
    for each in (local, *clouds):
        for lane in each.lanes:
            lane.hop = EitherWay()
    return local, clouds


def asked(drawn: random.Random) -> tuple[dict[str, Any], dict[str, str]]:
    """A request's body and headers."""
    pick = drawn.choice
    hints = {
        "requires": pick([[], [], [], ["hipaa"], ["zdr"], ["local_only"]]),
        "max_cost_usd": pick([None, None, 0.002, 0.004, 0.05]),
        "ttft_ms": pick([None, None, 300, 5_000]),
        "priority": pick([None, None, None, "interactive"]),
        "session": pick([None, "a", "b", "c"]),
    }
    text = LONG if drawn.random() < 0.1 else pick(TEXTS)
    body: dict[str, Any] = {"model": pick(["auto"] * 8 + ["local", "claude", "gemini"])}
    body |= {"messages": [{"role": "user", "content": text}], "stream": pick([True, False])}
    body |= {"hearth": {name: value for name, value in hints.items() if value}}
    body |= {"max_tokens": pick([16, 4_000])} if drawn.random() < 0.5 else {}
    body |= {"metadata": {"kind": "legal"}} if drawn.random() < 0.1 else {}
    if drawn.random() < 0.3:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        answer = [{"role": "tool", "tool_call_id": "c", "content": "4"}] if drawn.random() < 0.5 else []
        again = [] if answer else [{"role": "user", "content": "And now?"}]
        said = {"role": "assistant", "content": "Well.", **({"tool_calls": [call]} if answer else {})}
        body["messages"] += [said, *answer, *again]
    return body, {"x-team": "web"} if drawn.random() < 0.1 else {}


def prepared(door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """An engine that reads 10,000 tokens a second and stays as it was learned, prices, a budget, a planner that is watched."""
    fleet = door.desk.fleet
    ledger = fleet.ledger(fleet.local.lanes[0])
    now = [0.0]
    for tokens in (1_000, 2_000, 500, 1_500, 1_000):
        with ledger.claim(tokens, None, lambda: now[0]) as flight:
            now[0] += tokens / 10_000
            flight.first_token(now[0])
            now[0] += 1.0
            flight.tokens(50, now[0])
            flight.done()
        now[0] += 1.0
    monkeypatch.setattr(Plane, "learn", lambda *_: None)
    fleet.second_usd = lambda gpus, replicas: 0.0005
    fleet.listen()
    fleet.budget = BudgetLedger(
        SpentFile(folder / "budget.sqlite3"), {"claude": SpendingLimits(0.05)}, "UTC", time.time
    )
    policy = dataclasses.replace(
        door.desk.planner.policy, routes=Routes(code=("claude",), complex=("opus", "gemini"), long_context=("gemini",))
    )
    door.desk.planner = witness = Witness(marked(policy))
    witness.seen = []
    return witness


@contextlib.contextmanager
def moment(door: Door, drawn: random.Random) -> Any:
    """The box for one request: the engine idle, busy, full or down, targets held back, one of them demoted."""
    fleet = door.desk.fleet
    lane: Any = fleet.local.lanes[0]
    ledger, now = fleet.ledger(lane), time.monotonic()
    for name in fleet.clouds.backends:
        held = drawn.random() < 0.1
        fleet.breaker(name).hold(now + drawn.choice([12.5, 3_600.0]) if held else 0.0)
    demoted = {"code": {"claude": DemotedFor("failed 9 of 40 since Monday", 0.775)}, "": {"gemini": DemotedFor("held")}}
    fleet.demoted = demoted if drawn.random() < 0.15 else NO_DEMOTIONS
    lane.ready = drawn.random() > 0.05
    with contextlib.ExitStack() as flights:
        for _ in range(drawn.choice([0, 0, 0, 1, 4, 30])):
            flights.enter_context(ledger.claim(1_000, None, time.monotonic))
        yield


async def recorded(
    count: int, door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Inputs, frozenset[str]]]:
    """So many requests over HTTP. What each was planned from, and the targets that its key allows."""
    drawn, witness = random.Random(11), prepared(door, folder, monkeypatch)
    patterns = {"any": frozenset[str](), "few": frozenset({"local", "opus"}), "one": frozenset({"vendor/gemini-*"})}
    secrets = {}
    for name, allowed in patterns.items():
        terms = {"name": name, **({"targets": sorted(allowed)} if allowed else {})}
        made = await door.client.post("/hearth/keys", json=terms, headers=ADMIN)
        secrets[name] = {"x-api-key": made.json()["secret"]}
    found = []
    for _ in range(count):
        name = drawn.choice(["any"] * 6 + ["few", "few", "one"])
        body, headers = asked(drawn)
        with moment(door, drawn):
            answer = await door.client.post("/v1/chat/completions", json=body, headers=headers | secrets[name])
        assert answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR, answer.text
        found.append((witness.seen[-1], patterns[name]))
    assert len(witness.seen) == count
    return found


def another_day(backend: FakeBackend) -> Any:
    """The target with the prices of today: four times those of the record, one that had none has one."""
    target = backend.target
    old = target.price or Price(1.0, 1.0)
    if old.source == OWN_PRICE:
        return target
    return dataclasses.replace(target, price=Price(4 * old.input, 4 * old.output, source="the list of today"))


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
async def test_what_a_door_recorded_is_decided_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Order and reason of every decision under the same settings; under another file what `plan()` gives with it."""
    local, clouds = backends()
    setup = Setup(local, clouds, FIRST, rules=RULES, admins=("root",))
    async with opened(setup, tmp_path) as door:
        made = await recorded(count, door, tmp_path, monkeypatch)
        policy = door.desk.planner.policy
    unreadable: list[Exception] = []
    rows: list[Decision] = [*reversed(read_many(tmp_path / "decisions.sqlite3", Query(count), unreadable.append))]
    assert (len(rows), len(made), unreadable) == (count, count, [])
    box = IdleFleet(
        local.target, {each.target.name: another_day(each) for each in clouds}, {}, lambda lent: pytest.fail()
    )
    other = marked(dataclasses.replace(policy, escalation=OTHER, rules=OTHER_RULES, routes=Routes()))
    reasons, codes, answered = set[str](), set[str](), 0
    for row, (inputs, allowed) in zip(rows, made, strict=True):
        kept = msgspec.convert(row.kept, Kept)
        assert len(msgspec.json.encode(kept)) <= MOST_BYTES
        then = inputs.plan()
        then = (limited(then, allowed) or then) if allowed else then
        again = replayed(kept, policy, box)
        assert decided(again) == decided(then) == (list(kept.order), kept.reason, kept.code), row
        assert [each.target for each in row.considered[: len(kept.order)]] == [e.target.label for e in then.candidates]
        reasons.add(kept.reason)
        codes.add(kept.code)
        try:
            moved = replayed(kept, other, box)
        except Unanswerable:
            assert kept.task is None or kept.score is None
            continue
        answered += 1
        asks = demanding(inputs.query, other)
        fleet = structs.replace(inputs.fleet, shift=0.0)
        wanted = Inputs(asks, resolve(asks.facts.model, other.directory), fleet, other, inputs.now).plan()
        wanted = (limited(wanted, allowed) or wanted) if allowed else wanted
        assert decided(moved) == decided(wanted), row
    assert answered > count / 3
    if count >= 1_000:
        expected = {"pinned", "rule", "session", "engine_down", "task", "complexity", "ttft", "budget", "quality"}
        assert expected <= reasons, expected - reasons
        assert {"", "queue_full", "no_compliant_target", "budget_exceeded"} <= codes, codes
