"""The budget at the attempt: who pays, what a spent budget does, and that no way out leaves a reservation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.money.budget import ALL, BudgetLedger, Reservation, Shortfall, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.record.decisions import OK
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
    """The file of the budget is not even made."""
    box = boxed(tmp_path, 0.0, FINE)
    _, sink = await box.live(box.ask(stream=True, model="local"))
    assert sink.text == "fine" and not (tmp_path / "budget.sqlite3").exists()


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
        micro: int, scopes: Sequence[str], within_s: float
    ) -> contextlib.AbstractAsyncContextManager[Reservation | Shortfall]:
        waits.append(within_s)
        return reserved(micro, scopes, 0.01)

    monkeypatch.setattr(budget, "reserved", noting)
    async with reserved(1_000_000, (ALL,), 0.0):
        _, sink = await box.live(box.ask(stream=True, max_tokens=50))
    assert (box.calls, sink.text) == ([1, 0], "fine")
    assert sink.head is not None and sink.head.reason is Reason.BUDGET
    budget.when_spent = "refuse"
    await box.live(box.ask(stream=True, max_tokens=50))
    assert 0 < waits[0] <= 0.25 * waits[1] * 1.01
