"""The parts of a fleet's limits in memory, before a played store: what is held, asked for, and left while it is away."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.fleet.breaker import Breaker
from runtime.money.budget import ALL, BudgetLedger, Reservation, Shortfall, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.shared.budgets import BudgetLeases
from runtime.shared.journal import SharedJournal
from runtime.shared.limits import SharedLimiter
from runtime.shared.store import SharedStore, StoreAwayError
from runtime.trust.caller import Caller, RateLimits, Scope
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.trust.rates import LimitedError

LIMIT = 10_000_000  # micro-dollars


class PlayedStore(SharedStore):
    """answer: takes the rows of a call. asked: those of every call. since: set while it is away."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], Any], alive: int = 1) -> None:
        self.answer, self.owner, self.alive, self.since = answer, "one", alive, None
        self.epoch, self.outages, self.tried_at = "", 0, math.inf
        self.asked: list[list[dict[str, Any]]] = []

    async def call(self, function: str, keys: Sequence[str], *args: str | int) -> Any:
        if self.away:
            raise StoreAwayError("away")
        rows: list[dict[str, Any]] = next(json.loads(str(each)) for each in args if str(each).startswith("["))
        self.asked.append(rows)
        return self.answer(rows)


def budget(folder: Path, store: PlayedStore) -> tuple[BudgetLedger, BudgetLeases]:
    ledger = BudgetLedger(
        SpentFile(folder / "budget.sqlite3"), {ALL: SpendingLimits(LIMIT / 1e6)}, "UTC", lambda: 1.8e9
    )
    clock = iter(range(10**6)).__next__
    leases = BudgetLeases(store, SharedJournal(folder / "shared.json"), ledger, lambda: None, lambda: float(clock()))
    ledger.leases = leases
    return ledger, leases


def granting(others: int) -> Callable[[list[dict[str, Any]]], Any]:
    """As the store's function does, with another Hearth that holds so much and has spent half of it."""

    def answer(rows: list[dict[str, Any]]) -> Any:
        row = rows[0]
        granted = max(0, min(row["want"], row["limit"] - others - row["held"]))
        return [[granted, row["number"], [["other", f"{others}:{others // 2}:1:1", str(others // 2)]], row["held"]]]

    return answer


async def test_a_lease_is_a_small_part_of_what_is_left_and_reserved_from_in_memory(tmp_path: Path) -> None:
    """Room for a call like the latest; nothing before the first one."""
    ledger, leases = budget(tmp_path, store := PlayedStore(granting(2_000_000)))
    await leases.turn()
    line = ledger.limited()[0][0]
    assert leases.leased(line) == 0
    ledger.usual = 40_000
    await leases.turn()
    assert leases.leased(line) == store.asked[-1][0]["want"] == 40_000
    async with ledger.reserved(40_000, (ALL, "t"), 1.0) as room:
        assert isinstance(room, Reservation)
        room.settle(1000)
    assert len(store.asked) == 2
    assert ledger.standings()[0].others_usd == 2.0
    ledger.close()


async def test_a_call_without_room_in_the_lease_waits_for_the_next_one(tmp_path: Path) -> None:
    ledger, leases = budget(tmp_path, PlayedStore(granting(0)))

    async def reserved() -> Reservation | Shortfall:
        async with ledger.reserved(400_000, (ALL, "t"), 30.0) as room:
            return room

    call = asyncio.ensure_future(reserved())
    await asyncio.sleep(0)
    assert not call.done()
    await leases.turn()
    assert isinstance(await call, Reservation)
    ledger.close()


async def test_what_the_others_spent_is_not_to_be_had(tmp_path: Path) -> None:
    """What they hold besides may come back: a call waits for it and is not refused."""
    ledger, leases = budget(tmp_path, store := PlayedStore(granting(LIMIT)))
    await leases.turn()
    refused = ledger.shortfall((ALL, "t"), LIMIT * 6 // 10)
    assert refused is not None
    assert "by other Hearths" in refused.words
    assert ledger.shortfall((ALL, "t"), LIMIT * 4 // 10) is None
    assert store.asked[0][0]["held"] == 0
    ledger.close()


async def test_while_the_store_is_away_nobody_waits_and_the_lease_is_all_there_is(tmp_path: Path) -> None:
    ledger, leases = budget(tmp_path, store := PlayedStore(granting(0)))
    ledger.usual = 40_000
    await leases.turn()
    held = leases.leased(ledger.limited()[0][0])
    assert held == 40_000
    store.since = 0.0
    with pytest.raises(StoreAwayError):
        ledger.usual = held * 4
        await leases.turn()
    async with ledger.reserved(held, (ALL, "t"), 30.0) as first:
        assert isinstance(first, Reservation)
        async with ledger.reserved(held, (ALL, "t"), 30.0) as second:
            assert isinstance(second, Shortfall)
            assert "store is away" in second.words
    ledger.close()


async def test_a_hearth_that_finds_an_emptied_store_says_what_it_knew_of_the_others(tmp_path: Path) -> None:
    """Also after a restart: its file remembers."""
    first = PlayedStore(granting(3_000_000))
    ledger, leases = budget(tmp_path, first)
    await leases.turn()
    leases._journal.write()
    ledger.close()
    again, leases = budget(tmp_path, second := PlayedStore(granting(3_000_000)))
    assert again.standings()[0].others_usd == 3.0
    await leases.turn()
    assert second.asked[0][0]["others"] == {"other": "3000000:1500000:1:1"}
    again.close()


async def test_what_the_fleet_has_spent_is_heard_where_nobody_spends(tmp_path: Path) -> None:
    """Every two seconds, and not more often; the standing shows it beside what is spent here."""
    theirs, now = [500_000], [0.0]

    def answer(rows: list[dict[str, Any]]) -> Any:
        return [[rows[0]["want"], rows[0]["number"], [["other", "1000000:1:1:1", str(theirs[0])]], rows[0]["held"]]]

    ledger, leases = budget(tmp_path, store := PlayedStore(answer))
    leases._clock = lambda: now[0]
    assert ledger.standings()[0].others_spent_usd is None
    for now[0] in (10.0, 11.0, 12.0):
        await leases.turn()
    asked, theirs[0] = len(store.asked), 750_000
    for now[0] in (13.0, 13.9, 14.0, 15.0):
        await leases.turn()
    day = ledger.standings()[0]
    assert len(store.asked) == asked + 1
    assert (day.spent_usd, day.others_spent_usd, day.total_usd) == (0.0, 0.75, 0.75)
    ledger.close()


async def test_a_limit_that_the_fleet_has_spent_is_given_notice_of_once(tmp_path: Path) -> None:
    """Also by a Hearth that has spent nothing of it itself. What a silent Hearth held and did not spend is room again."""
    words = list[str]()
    ledger, leases = budget(tmp_path, store := PlayedStore(granting(2 * LIMIT)))
    ledger.spent = words.append
    await leases.turn()
    for _ in range(2):
        assert ledger.shortfall((ALL, "t"), 10_000) is not None
    assert words == ["the budget of all targets for 2027-01-15 is spent: $10, $10.00 of it by other Hearths"]
    assert ledger.standings()[0].is_spent
    store.answer = granting(LIMIT)
    while ledger.standings()[0].others_spent_usd != 5.0:
        await leases.turn()
    assert ledger.shortfall((ALL, "t"), 10_000) is None
    store.since = 0.0
    assert ledger.shortfall((ALL, "t"), LIMIT) is not None
    assert len(words) == 1
    ledger.close()


def test_a_probe_is_not_made_while_another_hearth_makes_it() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failure(0.0)
    breaker.probes = False
    assert not breaker.begin(11.0)
    breaker.probes = True
    assert breaker.begin(11.0)
    assert breaker.probing


def test_a_key_of_one_file_is_good_in_another(tmp_path: Path) -> None:
    """With its digest's pepper; the later state of a key has the higher version, and a revoked one the highest."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = KeyStore(tmp_path / "one", time.time), KeyStore(tmp_path / "two", time.time)
    record, _ = one.create(KeyTerms(name="k"))
    copies, peppers = one.exported()
    two.merge(copies, peppers)
    assert two.exported()[0] == copies
    assert peppers[0] in two.admissions().peppers
    two.rotate(record.id)
    assert two.exported()[0][record.id].version > copies[record.id].version
    one.revoke(record.id)
    assert one.exported()[0][record.id].version > two.exported()[0][record.id].version


async def test_a_hearth_that_was_frozen_takes_no_request_on_slots_that_lapsed() -> None:
    """After 25 s without a word the store gives them to others: the one in use is all that it says it holds."""
    store = PlayedStore(lambda rows: [[each["want"], each["number"], each["held"]] for each in rows])
    now = 100.0
    limiter = SharedLimiter(store, lambda: None, lambda: now, lambda: 1.8e9)
    caller = Caller("k", frozenset({Scope.GENERATE}), limits=RateLimits(None, None, 80))
    asking = asyncio.ensure_future(limiter.ready(caller))
    await asyncio.sleep(0)
    await limiter.turn()
    await asking
    with limiter.held(caller):
        with limiter.held(caller):
            pass
        now += 26.0
        with pytest.raises(LimitedError), limiter.held(caller):
            pass
        await limiter.turn()
        assert store.asked[-1][0]["held"] == 1


async def test_each_hearth_admits_its_part_of_a_limit_while_the_store_is_away() -> None:
    """Requests at a time, and requests of a minute without the last twentieth."""
    store = PlayedStore(lambda rows: [], alive=3)
    store.since = 0.0
    limiter = SharedLimiter(store, lambda: None, lambda: 0.0, lambda: 1.8e9)
    caller = Caller("k", frozenset({Scope.GENERATE}), limits=RateLimits(60, None, 6))
    await limiter.ready(caller)
    with limiter.held(caller), limiter.held(caller), pytest.raises(LimitedError), limiter.held(caller):
        pass
    for _ in range(17):
        with limiter.held(caller):
            pass
    with pytest.raises(LimitedError), limiter.held(caller):
        pass
    assert limiter.running == {}


async def test_requests_admitted_while_the_store_was_away_are_counted_there_once(tmp_path: Path) -> None:
    """Those of the last minute too, once, where it was emptied."""
    store = PlayedStore(lambda rows: [[each["want"], "7", 50, "0"] for each in rows])
    store.since, wall = 0.0, 1.8e9
    limiter = SharedLimiter(store, lambda: None, lambda: 0.0, lambda: wall)
    caller = Caller("k", frozenset({Scope.GENERATE}), limits=RateLimits(60, None, None))
    for _ in range(3):
        with limiter.held(caller):
            wall += 1
    store.since = None
    await limiter.turn()
    await limiter.turn()
    assert [rows[0]["late"] for rows in store.asked] == [{"3": 1, "2": 1, "1": 1}]
    store.epoch, wall = "another", wall + 58.0
    await limiter.turn()
    await limiter.turn()
    assert [rows[0]["late"] for rows in store.asked[1:]] == [{"60": 1, "59": 1}]
