"""The budget: never over under concurrency, exact after a kill, and no reservation left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.money.budget import ALL, KEY, UNKNOWN, BudgetLedger, Reservation, Shortfall, SpendingLimits
from runtime.money.spent_file import SpentFile

NOON = 1_795_953_600.0  # 2026-11-29 12:00 UTC
CENT = 10_000


def budget(folder: Path, *, usd: float | None = 1.0, wall: float = NOON, zone: str = "UTC") -> BudgetLedger:
    return BudgetLedger(SpentFile(folder / "budget.sqlite3"), {ALL: SpendingLimits(usd)}, zone, lambda: wall)


async def call(of: BudgetLedger, micro: int, true: int, within_s: float = 60.0) -> bool:
    """One call that takes a turn of the loop. True if it was allowed."""
    async with of.reserved(micro, (ALL, "claude"), within_s) as room:
        if isinstance(room, Shortfall):
            return False
        await asyncio.sleep(0)
        room.settle(true)
        return True


@pytest.mark.parametrize("calls", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_concurrent_calls_never_exceed_the_budget(tmp_path: Path, calls: int) -> None:
    """Of many calls at once, exactly those that the budget pays for are made."""
    of = budget(tmp_path)
    allowed = await asyncio.gather(*(call(of, CENT, CENT) for _ in range(calls)))
    assert sum(allowed) == 100
    assert of.spent_usd() == (1.0, 1.0)
    assert of.reserved_micro == 0


@pytest.mark.parametrize("calls", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_what_fits_in_the_end_waits_and_is_not_refused(tmp_path: Path, calls: int) -> None:
    """Calls that reserve ten times what they cost are all made, one after another, if their true cost has room."""
    of = budget(tmp_path, usd=calls * 0.01 / 0.6)
    assert all(await asyncio.gather(*(call(of, 10 * CENT, CENT) for _ in range(calls))))
    assert of.spent_usd()[0] == pytest.approx(calls * 0.01)
    assert of.reserved_micro == 0


@pytest.mark.parametrize("clients", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_cancelled_clients_leave_no_reservation(tmp_path: Path, clients: int) -> None:
    """Neither those that hold room nor those that wait for it leave anything behind."""
    of = budget(tmp_path)
    never = asyncio.Event()

    async def hold() -> None:
        async with of.reserved(CENT, (ALL, "claude"), 600) as room:
            try:
                await never.wait()
            finally:
                assert isinstance(room, Reservation)
                room.settle(0)

    tasks = [asyncio.create_task(hold()) for _ in range(clients)]
    await asyncio.sleep(0)
    assert of.reserved_micro == 100 * CENT
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert of.reserved_micro == 0 and of.spent_usd() == (0.0, 0.0)
    assert await call(of, 100 * CENT, 0)


async def test_room_that_comes_as_the_time_is_up_is_taken(tmp_path: Path) -> None:
    """A wait that ends in the same turn of the loop in which room is given: the call is made, and no reservation is lost."""
    of = budget(tmp_path)
    loop, end = asyncio.get_running_loop(), asyncio.Event()

    async def holder() -> None:
        async with of.reserved(100 * CENT, (ALL,), 1) as room:
            assert isinstance(room, Reservation)
            await end.wait()
            room.settle(0)

    held = asyncio.create_task(holder())
    await asyncio.sleep(0)
    waits = asyncio.create_task(call(of, CENT, CENT, within_s=0.02))
    await asyncio.sleep(0)
    end.set()
    due = loop.time() + 0.05
    while loop.time() < due:  # the timer and the holder are then both ready in the loop's next turn
        pass
    await asyncio.gather(held, waits)
    assert waits.result() and of.reserved_micro == 0 and of.spent_usd()[0] == 0.01


async def test_a_long_answer_has_its_room_up_to_a_small_share_of_the_limit(tmp_path: Path) -> None:
    """The last call before the limit could be the longest: it is refused where only a usual one would fit."""
    of = budget(tmp_path)
    async with of.reserved(CENT, (ALL,), 1, 3 * CENT) as room:
        assert isinstance(room, Reservation) and room.micro == 3 * CENT
    async with of.reserved(CENT, (ALL,), 1, 90 * CENT) as room:
        assert isinstance(room, Reservation) and room.micro == 5 * CENT
        room.settle(95 * CENT)
    assert of.shortfall((ALL,), CENT) is None and of.shortfall((ALL,), CENT, 90 * CENT) is not None


async def test_a_call_without_its_true_cost_counts_in_full(tmp_path: Path) -> None:
    """Whoever leaves a reservation without settling it has spent all of it."""
    of = budget(tmp_path)
    async with of.reserved(CENT, (ALL, "claude"), 1):
        pass
    assert of.spent_usd()[0] == 0.01


async def test_a_target_has_a_limit_of_its_own(tmp_path: Path) -> None:
    """The limit of one target refuses its calls, and no other's."""
    of = budget(tmp_path)
    of.limits = {ALL: SpendingLimits(1.0), "claude": SpendingLimits(0.01)}
    assert await call(of, CENT, CENT)
    assert not await call(of, CENT, CENT)
    async with of.reserved(CENT, (ALL, "gemini"), 1) as room:
        assert isinstance(room, Reservation)


async def test_a_day_ends_at_midnight_of_its_zone(tmp_path: Path) -> None:
    """At 12:00 UTC it is already the next day in Auckland eleven hours before UTC's midnight."""
    at = [NOON]
    of = BudgetLedger(SpentFile(tmp_path / "b"), {ALL: SpendingLimits(0.01)}, "UTC", lambda: at[0])
    assert await call(of, CENT, CENT)
    async with of.reserved(CENT, (ALL, "claude"), 1) as room:
        assert isinstance(room, Shortfall) and room.wait_s == 12 * 3600
    at[0] += 12 * 3600
    assert await call(of, CENT, CENT)
    east = BudgetLedger(SpentFile(tmp_path / "e"), {ALL: SpendingLimits(0.01)}, "Pacific/Auckland", lambda: NOON)
    assert await call(east, CENT, CENT)
    async with east.reserved(CENT, (ALL, "claude"), 1) as room:
        assert isinstance(room, Shortfall) and room.wait_s == 23 * 3600


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from runtime.money.budget import ALL, BudgetLedger, SpendingLimits
from runtime.money.spent_file import SpentFile

of = BudgetLedger(SpentFile(Path(sys.argv[1])), {ALL: SpendingLimits(1.0)}, "UTC", lambda: float(sys.argv[2]))

async def main():
    made = 0
    async def call():
        nonlocal made
        async with of.reserved(10_000, (ALL, "claude"), 60) as room:
            await asyncio.sleep(0)
            made += 1
            if made == 40:
                os.kill(os.getpid(), signal.SIGKILL)
            room.settle(5_000)
    await asyncio.gather(*(call() for _ in range(300)))

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_counts_what_was_not_settled_in_full(tmp_path: Path) -> None:
    """39 calls were settled at half a cent; all others that had room are counted at what they had reserved."""
    done = subprocess.run(  # noqa: ASYNC221 (nothing else runs meanwhile)
        [sys.executable, "-c", _KILLED, str(tmp_path / "budget.sqlite3"), str(NOON)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL
    of = budget(tmp_path)
    spent = of.spent_usd()[0]
    assert 39 * 0.005 + 0.01 < spent <= 1.0
    assert of.reserved_micro == 0
    left = round((1.0 - spent) / 0.01 - 0.5)
    assert sum(await asyncio.gather(*(call(of, CENT, CENT) for _ in range(200)))) in (left, left + 1)
    assert of.spent_usd()[0] <= 1.0


async def test_no_cloud_is_called_while_the_file_cannot_be_written(tmp_path: Path) -> None:
    """The refusal names the file, and calls go on once it can be written."""
    of = budget(tmp_path / "later")
    async with of.reserved(CENT, (ALL, "claude"), 1) as room:
        assert isinstance(room, Shortfall) and "cannot be written" in room.words
    assert of.trouble is not None
    (tmp_path / "later").mkdir()
    assert await call(of, CENT, CENT)
    assert of.trouble is None


async def test_a_full_disk_refuses_and_keeps_what_was_spent(tmp_path: Path) -> None:
    """A reservation that cannot be written is refused; a settlement is written later."""
    file = SpentFile(tmp_path / "budget.sqlite3")
    of = BudgetLedger(file, {ALL: SpendingLimits(1.0)}, "UTC", lambda: NOON)
    async with of.reserved(CENT, (ALL, "claude"), 1) as room:
        assert isinstance(room, Reservation)
        room.settle(CENT // 2)
        assert file._database is not None
        file._database.execute("PRAGMA query_only = ON")
    assert of.trouble is not None and of.spent_usd()[0] == 0.005
    assert not await call(of, CENT, CENT)
    file._database.execute("PRAGMA query_only = OFF")
    assert await call(of, CENT, CENT)
    file.close()
    assert budget(tmp_path).spent_usd()[0] == 0.015


async def test_a_damaged_file_stops_calls_and_stays_where_it_is(tmp_path: Path) -> None:
    """Beginning a new one would count from zero what was spent already."""
    content = b"no database at all, but long enough to be read as one" * 40
    (tmp_path / "budget.sqlite3").write_bytes(content)
    of = budget(tmp_path)
    assert not await call(of, CENT, CENT)
    assert "hearth doctor --repair" in (of.trouble or "")
    assert (tmp_path / "budget.sqlite3").read_bytes() == content


async def test_a_file_that_is_removed_while_it_is_used_stops_calls(tmp_path: Path) -> None:
    """Nothing is written to a file that no later process would find."""
    of = budget(tmp_path)
    assert await call(of, CENT, CENT)
    (tmp_path / "budget.sqlite3").rename(tmp_path / "elsewhere")
    assert not await call(of, CENT, CENT)
    assert "no cloud is called" in (of.trouble or "")
    (tmp_path / "elsewhere").rename(tmp_path / "budget.sqlite3")
    assert await call(of, CENT, CENT) and of.trouble is None


async def test_a_spent_month_lasts_until_its_last_day_is_over(tmp_path: Path) -> None:
    """The wait that a client is told is that of the period which is spent."""
    of = budget(tmp_path)
    of.limits = {ALL: SpendingLimits(None, 1.0)}
    assert await call(of, 100 * CENT, 100 * CENT)
    async with of.reserved(CENT, (ALL, "claude"), 0.0) as room:
        assert isinstance(room, Shortfall) and room.wait_s == 36 * 3600  # to the first of December


async def test_a_standing_shows_what_is_spent_reserved_and_left(tmp_path: Path) -> None:
    """Of all targets day and month are shown, of a target and a key only what is limited."""
    of = budget(tmp_path)
    of.limits = {ALL: SpendingLimits(1.0), "claude": SpendingLimits(0.02), f"{KEY}k": SpendingLimits(None, 3.0)}
    assert await call(of, CENT, CENT // 2)
    async with of.reserved(CENT, of.scopes("claude", "k"), 1):
        day, month, target, key = of.standings()
    assert (day.scope, day.span, day.limit_usd, day.spent_usd, day.reserved_usd) == (ALL, "day", 1.0, 0.005, 0.01)
    assert day.left_usd == pytest.approx(0.985) and day.ends_in_s == 12 * 3600 and not day.is_spent
    assert (month.span, month.limit_usd, month.left_usd, month.spent_usd) == ("month", None, None, 0.005)
    assert target.scope == "claude" and target.left_usd == pytest.approx(0.005)
    assert (key.scope, key.span, key.spent_usd, key.reserved_usd) == ("key:k", "month", 0.0, 0.01)


async def test_a_limit_is_spent_when_an_ordinary_call_has_no_room(tmp_path: Path) -> None:
    """A call that no whole budget would pay does not mark it; one of a cent does, once, and a new day is fresh."""
    at, words = [NOON], list[str]()
    of = BudgetLedger(SpentFile(tmp_path / "b"), {ALL: SpendingLimits(1.0)}, "UTC", lambda: at[0], words.append)
    assert not await call(of, 200 * CENT, CENT)
    assert not of.standings()[0].is_spent and not words
    assert await call(of, 99 * CENT, 99 * CENT + 1)
    assert not await call(of, CENT, CENT) and not await call(of, CENT, CENT)
    assert of.standings()[0].is_spent
    assert words == ["the budget of all targets for 2026-11-29 is spent: $1"]
    at[0] += 12 * 3600
    assert not of.standings()[0].is_spent


async def test_a_limit_with_nothing_left_is_spent_for_dear_calls_too(tmp_path: Path) -> None:
    """Where no call is an ordinary one, notice is given once all of it is gone."""
    words: list[str] = []
    of = BudgetLedger(SpentFile(tmp_path / "b"), {ALL: SpendingLimits(1.0)}, "UTC", lambda: NOON, words.append)
    assert await call(of, 50 * CENT, 50 * CENT)
    assert not await call(of, 60 * CENT, CENT) and not words
    assert await call(of, 50 * CENT, 51 * CENT)
    assert not await call(of, 60 * CENT, CENT) and not await call(of, 60 * CENT, CENT)
    assert words == ["the budget of all targets for 2026-11-29 is spent: $1"]


async def test_a_call_grows_by_another_exchange_if_there_is_room(tmp_path: Path) -> None:
    """What it grew by is kept free like the rest, also by a killed process."""
    of = budget(tmp_path, usd=0.04)
    async with of.reserved(CENT, (ALL, "claude"), 1) as room:
        assert isinstance(room, Reservation)
        assert of.grow(room, 2 * CENT) and not of.grow(room, 2 * CENT)
        assert of.reserved_micro == 3 * CENT
        assert budget(tmp_path, usd=0.04).spent_usd() == (0.03, 0.03)
        room.settle(CENT)
    assert of.reserved_micro == 0 and of.spent_usd()[0] == 0.01


async def test_a_shortfall_is_known_without_a_call(tmp_path: Path) -> None:
    """The least room is measured; whoever asks for more is refused in words, and nothing is reserved."""
    of = budget(tmp_path)
    assert of.room == UNKNOWN
    assert await call(of, 40 * CENT, 40 * CENT)
    of.measure()
    assert of.room == 60 * CENT
    assert of.shortfall((ALL, "claude"), 60 * CENT) is None
    refused = of.shortfall((ALL, "claude"), 61 * CENT)
    assert refused is not None and refused.wait_s == 12 * 3600 and "$0.4000 of the $1 for 2026-11-29" in refused.words


async def test_a_file_that_can_be_written_again_is_noticed(tmp_path: Path) -> None:
    """While it cannot be written every call is short of room; a second later it is tried again."""
    at, file = [NOON], SpentFile(tmp_path / "budget.sqlite3")
    of = BudgetLedger(file, {ALL: SpendingLimits(1.0)}, "UTC", lambda: at[0])
    assert await call(of, CENT, CENT)
    assert file._database is not None
    file._database.execute("PRAGMA query_only = ON")
    assert not await call(of, CENT, CENT)
    assert (refused := of.shortfall((ALL, "claude"), CENT)) is not None and "cannot be written" in refused.words
    at[0] += 2
    assert of.shortfall((ALL, "claude"), CENT) is not None
    file._database.execute("PRAGMA query_only = OFF")
    assert of.shortfall((ALL, "claude"), CENT) is not None
    at[0] += 2
    assert of.shortfall((ALL, "claude"), CENT) is None and of.trouble is None


async def test_calls_that_cost_nothing_leave_nothing(tmp_path: Path) -> None:
    """Several at a time, beside one that costs something."""
    of = budget(tmp_path)
    assert all(await asyncio.gather(*(call(of, micro, micro) for micro in (0, 0, CENT, 0))))
    assert (of.reserved_micro, of.spent_usd()[0]) == (0, 0.01)
