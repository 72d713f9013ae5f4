"""Budgets of several Hearths on one real store: never more than the limit, whatever dies."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from runtime.money.budget import ALL
from runtime.money.cost import MICRO
from tests.fakes.valkey_server import ValkeyServer
from tests.runtime.shared.spenders import LIMIT_USD, LONG_S, Spender, SpendingProcess

FAULTS = ["none", "a process is killed", "the store is killed", "the store is emptied"]


async def spent_by_three(
    folder: Path, server: ValkeyServer, fault: str, calls: int, limit_usd: float, within_s: float = 5.0
) -> int:
    """Micro-dollars that three processes spent of one budget. fault: what happens after about half of the calls."""
    three = await asyncio.gather(
        *[SpendingProcess.started(folder / f"h{n}", server.url, n, calls, limit_usd, within_s) for n in range(3)]
    )
    for each in three:
        each.go()
    sums = asyncio.gather(*[each.ended() for each in three])
    while sum(each.spent for each in three) < 0.3 * limit_usd * MICRO and not sums.done():
        await asyncio.sleep(0.02)
    if fault == "a process is killed":
        three[0].process.send_signal(signal.SIGKILL)
    elif fault.startswith("the store"):
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(1.5)
        await asyncio.to_thread(server.start, empty=fault == "the store is emptied")
    spent = sum(await asyncio.wait_for(sums, 90))
    print(f"{fault}: {spent / MICRO:.4f} of {limit_usd}")
    return spent


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_three_processes_spend_one_budget_and_not_more(tmp_path: Path, server: ValkeyServer, fault: str) -> None:
    """A thousand calls at a time, with estimates up to 3.3 times the cost."""
    spent = await spent_by_three(tmp_path, server, fault, 1000, LIMIT_USD)
    assert spent <= LIMIT_USD * MICRO
    if fault == "none":
        assert spent >= 0.97 * LIMIT_USD * MICRO


async def test_a_budget_of_three_processes_of_which_one_is_killed_is_not_exceeded(
    tmp_path: Path, server: ValkeyServer
) -> None:
    """A tenth of the calls and of the budget: the others go on, with all but what the dead one may have spent."""
    spent = await spent_by_three(tmp_path, server, "a process is killed", 100, LIMIT_USD / 10, 1.0)
    assert 0.3 * LIMIT_USD / 10 * MICRO < spent <= LIMIT_USD / 10 * MICRO


async def test_a_store_that_is_away_leaves_what_is_leased_and_nothing_beyond_it(
    tmp_path: Path, server: ValkeyServer
) -> None:
    """What does not fit is refused at once; nobody waits for the store."""
    made = Spender(tmp_path / "h", server.url)
    async with made.running():
        await made.until_leased()
        assert await made.call(5_000, 10_000) == 5_000
        server.freeze()
        line = made.line
        spent = 0
        for _ in range(10_000):
            began = time.monotonic()
            cost = await made.call(9_000, 10_000, 0.0)
            assert time.monotonic() - began < 2.0
            if not cost and made.store.away:
                break
            spent += cost
        else:
            pytest.fail("it was unlimited")
        assert spent <= made.leases.leased(line) <= LIMIT_USD * MICRO / 10
        refused = made.ledger.shortfall((ALL, "t"), 10**6)
        assert refused is not None
        assert "store is away" in refused.words
        server.thaw()
        deadline = time.monotonic() + LONG_S
        while not await made.call(9_000, 10_000, 0.0):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
