"""The budget at the attempt: who pays, what a spent budget does, and that no way out leaves a reservation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.life.kept import Kept
from runtime.life.planning import Explanation, IdleFleet, explain
from runtime.life.settled import Settled
from runtime.money.budget import ALL, BudgetLedger, Reservation, Shortfall, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.quality.replay import replayed
from runtime.record.decisions import OK
from runtime.trust.caller import Caller, Scope
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import CUT, HANG, RESET, ROLE, Turn, chunk, cloud, engine_backend, error, told

FINE = Turn(told("fine"))  # 7 tokens of prompt, 2 of answer
PRICE = Price(1000.0, 1000.0)  # a thousandth of a dollar for each token
COST = 0.009


def boxed(
    folder: Path, usd: float, *turns: Turn, when: str = "local", price: Price | None = PRICE, local: Turn = FINE
) -> Box:
    """A box that everything leaves for one priced cloud, with so many dollars a day."""
    box = Box(engine_backend((local,)), (cloud("first", *turns, price=price),), LEAVE)
    box.fleet.budget = BudgetLedger(SpentFile(folder / "budget.sqlite3"), {ALL: SpendingLimits(usd)}, "UTC", box.wall)
    box.fleet.budget.when_spent = when
    box.desk.planner.policy = replace(box.desk.planner.policy, when_spent=when)
    return box


def spent(box: Box) -> float:
    assert box.fleet.budget is not None and box.fleet.budget.reserved_micro == 0
    return box.fleet.budget.spent_usd()[0]


async def test_a_cloud_answer_is_settled_on_its_true_usage(tmp_path: Path) -> None:
    """Ninety-odd tokens are reserved, nine are paid, and the record says the same."""
    box = boxed(tmp_path, 1.0, FINE)
    settled, _ = await box.live(box.ask(stream=True, max_tokens=50))
    assert spent(box) == COST == settled.decision.attempts[0].cost_usd


async def test_a_local_answer_reserves_nothing(tmp_path: Path) -> None:
    """A budget of nothing does not concern the engine."""
    box = boxed(tmp_path, 0.0, FINE)
    _, sink = await box.live(box.ask(stream=True, model="local"))
    assert sink.text == "fine" and spent(box) == 0.0


async def test_a_spent_budget_is_answered_locally_and_marked(tmp_path: Path) -> None:
    """The cloud is not asked; the head names the budget as the reason and as what degraded the answer."""
    box = boxed(tmp_path, 0.01, FINE)
    settled, sink = await box.live(box.ask(stream=True, max_tokens=50))
    assert (box.calls, sink.text) == ([1, 0], "fine")
    assert sink.head is not None and sink.head.reason is Reason.BUDGET and "budget" in sink.head.degraded
    assert [row.outcome for row in settled.decision.attempts] == [OK] and spent(box) == 0.0


@pytest.mark.parametrize(("when", "waits"), [("refuse", False), ("queue", True)])
async def test_a_spent_budget_can_refuse(tmp_path: Path, when: str, waits: bool) -> None:
    """402, with the time until the next period where callers shall come back then; the engine is not asked."""
    box = boxed(tmp_path, 0.01, FINE, when=when)
    settled, _ = await box.live(box.ask(stream=True, max_tokens=50))
    assert settled.error is not None and box.calls == [0, 0]
    assert (settled.error.status, settled.error.code) == (402, "budget_exceeded")
    assert (settled.error.retry_after is not None) is waits


async def test_a_pin_gets_402(tmp_path: Path) -> None:
    """A pinned request never changes its target, so a spent budget is an error."""
    box = boxed(tmp_path, 0.01, FINE)
    settled, _ = await box.live(box.ask(stream=True, max_tokens=50, model="first"))
    assert settled.error is not None and (settled.error.status, settled.error.code) == (402, "budget_exceeded")
    assert box.calls == [0, 0]


async def test_a_dead_engine_behind_a_spent_budget_is_402(tmp_path: Path) -> None:
    """Local is allowed but not able: the budget is what is missing."""
    box = boxed(tmp_path, 0.01, FINE, local=Turn(refuse=RESET))
    settled, _ = await box.live(box.ask(stream=True, max_tokens=50))
    assert settled.error is not None and box.calls[1] == 0
    assert (settled.error.status, settled.error.code) == (402, "budget_exceeded")


async def test_failures_cost_what_they_were_charged(tmp_path: Path) -> None:
    """A refusal costs nothing; a broken stream what it had said."""
    refused = boxed(tmp_path, 1.0, error(401))
    await refused.live(refused.ask(stream=True, max_tokens=50))
    assert spent(refused) == 0.0
    cut = boxed(tmp_path, 1.0, Turn([ROLE, chunk("he"), CUT]))
    await cut.live(cut.ask(stream=True, max_tokens=50))
    assert spent(cut) > 0.0


async def test_an_unknown_price_is_the_dearest_known(tmp_path: Path) -> None:
    """A target without a price is paid at that of the dearest configured target."""
    box = boxed(tmp_path, 1000.0, FINE, price=None)
    await box.live(box.ask(stream=True, max_tokens=50))
    assert spent(box) == pytest.approx(7 * 30e-6 + 2 * 180e-6)


async def test_cancelled_clients_leave_no_reservation(tmp_path: Path) -> None:
    """Requests that hang upstream are cancelled: they cost their prompt, and nothing stays reserved or in flight."""
    box = boxed(tmp_path, 1000.0, *[Turn([HANG])] * 50)
    tasks = [asyncio.create_task(box.live(box.ask(stream=True, max_tokens=50))) for _ in range(50)]
    while box.calls[1] < 50:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert spent(box) > 0.0 and box.fleet.in_flight == {}


async def test_concurrent_requests_never_exceed_the_budget(tmp_path: Path) -> None:
    """Two hundred at once with room for about fifty answers: the rest is answered locally, and the sum stays below."""
    box = boxed(tmp_path, 0.5, *[FINE] * 200)
    done = await asyncio.gather(*(box.live(box.ask(stream=True, max_tokens=2)) for _ in range(200)))
    assert all(sink.text == "fine" for _, sink in done)
    assert 0.45 < spent(box) <= 0.5 and sum(box.calls) == 200


async def test_time_is_left_for_the_engine_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room that is taken by calls under way is waited for, but only for a part of the request's time."""
    box = boxed(tmp_path, 1.0, FINE)
    waits: list[float] = []
    budget = box.fleet.budget
    assert budget is not None
    reserved = budget.reserved

    def noting(
        micro: int, scopes: Sequence[str], within_s: float, most: int
    ) -> contextlib.AbstractAsyncContextManager[Reservation | Shortfall]:
        waits.append(within_s)
        return reserved(micro, scopes, 0.01, most)

    monkeypatch.setattr(budget, "reserved", noting)
    async with reserved(1_000_000, (ALL,), 0.0):
        _, sink = await box.live(box.ask(stream=True, max_tokens=50))
        budget.when_spent = "refuse"
        await box.live(box.ask(stream=True, max_tokens=50))
    assert (box.calls, sink.text) == ([1, 0], "fine")
    assert sink.head is not None and sink.head.reason is Reason.BUDGET
    assert 0 < waits[0] <= 0.25 * waits[1] * 1.01


async def test_the_plan_does_not_name_a_cloud_that_cannot_be_paid(tmp_path: Path) -> None:
    """An explanation names the engine, the budget as the reason, and what is spent; a cheaper request may still leave."""
    box = boxed(tmp_path, 0.02, FINE)
    made = explained_of(box, max_tokens=50)
    assert [each.target.local for each in made.plan.candidates] == [True]
    assert made.plan.reason is Reason.BUDGET and made.plan.degraded == ("budget",)
    assert "of the $0.02 for" in made.plan.words and made.plan.considered[0].reason is Reason.BUDGET
    assert any("room in the budget for first" in each.words for each in made.changes)
    assert not explained_of(box, max_tokens=1).plan.candidates[0].target.local


@pytest.mark.parametrize("when", ["refuse", "queue"])
async def test_the_plan_refuses_what_would_leave(tmp_path: Path, when: str) -> None:
    """402 before anything is asked; what stays by itself is answered as ever."""
    box = boxed(tmp_path, 0.02, FINE, when=when)
    made = explained_of(box, max_tokens=50)
    assert made.plan.refusal is not None and made.plan.refusal.code == "budget_exceeded"
    assert (made.plan.refusal.retry_after is not None) is (when == "queue")
    assert explained_of(box, max_tokens=50, model="local").plan.candidates[0].target.local


async def test_a_key_pays_from_its_own_budget_too(tmp_path: Path) -> None:
    """Its account stands beside the others and survives a restart; another key's calls go on."""
    box = boxed(tmp_path, 1.0, *[FINE] * 6, when="refuse")
    limits = {ALL: SpendingLimits(1.0), "key:key_1": SpendingLimits(0.012)}
    assert box.fleet.budget is not None
    box.fleet.budget.limits = limits
    mine, other = (Caller(id, frozenset({Scope.GENERATE})) for id in ("key_1", "key_2"))

    async def asked(caller: Caller) -> Settled:
        ask = structs.replace(box.ask(stream=True, max_tokens=2), caller=caller)
        return (await box.live(ask))[0]

    assert (await asked(mine)).error is None
    again = BudgetLedger(SpentFile(tmp_path / "budget.sqlite3"), limits, "UTC", box.wall)
    assert again.spent_usd("key:key_1") == (COST, COST)
    refused = (await asked(mine)).error
    assert refused is not None and refused.status == 402 and "of this key" in refused.message
    assert (await asked(other)).error is None


async def test_a_replay_finds_the_budget_as_it_was(tmp_path: Path) -> None:
    """The record keeps which targets had no room, so that the same settings decide the same."""
    box = boxed(tmp_path, 0.02, FINE)
    settled, _ = await box.live(box.ask(stream=True, max_tokens=50))
    kept = settled.decision.kept
    assert isinstance(kept, Kept) and set(kept.spent) == {"first"}
    local, cloud = (each.target for each in (box.local, *box.clouds))
    idle = IdleFleet(local, {"first": cloud}, {}, lambda lent: cloud)
    made = replayed(kept, box.desk.planner.policy, idle)
    assert (made.reason, made.degraded, made.candidates[0].target.local) == (Reason.BUDGET, ("budget",), True)


def explained_of(box: Box, **members: Any) -> Explanation:
    ask = box.ask(stream=True, **members)
    query = box.desk.planner.read(ask.dialect.name, ask.body.data, {})
    return explain(box.desk.planner, box.fleet, query, box.desk.clock())
