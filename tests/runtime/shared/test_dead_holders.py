"""What a Hearth held of a budget, after it was killed or frozen, and after the store has forgotten it. On a real store."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import valkey
from hypothesis import given
from hypothesis import strategies as st

from runtime.money.budget import ALL, Reservation
from runtime.shared.budgets import spare
from runtime.shared.store import key_of
from tests.fakes.valkey_server import ValkeyServer
from tests.runtime.shared.spenders import Spender

DOLLAR = 1_000_000
HEARTHS = 3
micro = st.integers(0, 100 * DOLLAR)


@given(left=micro, usual=micro, second=micro, idle=st.booleans())
def test_a_lease_is_small_beside_what_is_left_and_nothing_before_the_first_call(
    left: int, usual: int, second: int, idle: bool
) -> None:
    kept = spare(left, usual, second, idle=idle)
    assert 0 <= kept <= left / 20
    assert kept <= max(second, usual, 0 if idle else left / 200)
    assert spare(left, 0, 0, idle=True) == 0


def emptied(server: ValkeyServer) -> None:
    with contextlib.closing(valkey.Valkey.from_url(server.url)) as client:
        client.flushall()


def aged(server: ValkeyServer) -> None:
    """The store as if it had been emptied two seconds ago."""
    with contextlib.closing(valkey.Valkey.from_url(server.url)) as client:
        client.set(key_of("epoch"), int((time.time() - 2) * 1e6))


async def held(made: Spender, amount: int) -> None:
    """A Hearth without calls keeps about so much beyond what it has used."""
    made.ledger.usual = amount
    for _ in range(5):
        made.skew += 1.0
        await made.turn()
    assert amount / 2 <= made.leases.leased(made.line) - made.used <= 1.5 * amount


@contextlib.asynccontextmanager
async def pair(folder: Path, server: ValkeyServer) -> AsyncIterator[tuple[Spender, Spender]]:
    """Two Hearths with a dollar, of which the first has spent half and holds a lease."""
    one, other = Spender(folder / "one", server.url, 1.0), Spender(folder / "other", server.url, 1.0)
    await other.turn()
    aged(server)
    async with one.running():
        for _ in range(10):
            assert await one.call(50_000, 60_000) == 50_000
    await held(one, 20_000)
    yield one, other


async def test_what_a_dead_hearth_held_is_free_at_its_return_to_the_cent(tmp_path: Path, server: ValkeyServer) -> None:
    """While it is dead the others have all but its small lease. Its own file says what it really spent."""
    async with pair(tmp_path, server) as (one, other):
        lost = one.leases.leased(one.line) - one.used
        one.ledger.close()
        async with other.running():
            spent = await other.spent_to_the_end(10_000)
            assert 10_000 <= lost <= 30_000
            assert DOLLAR - 500_000 - lost - 10_000 < spent <= DOLLAR - 500_000 - lost
            returned = Spender(tmp_path / "one", server.url, 1.0)
            await returned.turn()
            await returned.leases.give_back()
            returned.ledger.close()
            other.skew += 2.0
            while (rest := DOLLAR - 500_000 - spent) and await other.call(min(rest, 10_000), min(rest, 10_000)):
                spent += min(rest, 10_000)
        assert 500_000 + spent == DOLLAR


async def test_a_hearth_without_a_call_holds_nothing_when_it_dies(tmp_path: Path, server: ValkeyServer) -> None:
    """One that is started again and again, each time without its folder, costs the others nothing."""
    other = Spender(tmp_path / "other", server.url, 1.0)
    await other.turn()
    aged(server)
    for n in range(20):
        dead = Spender(tmp_path / f"dead{n}", server.url, 1.0)
        await dead.turn()
        dead.ledger.close()
    async with other.running():
        assert await other.spent_to_the_end(50_000) == DOLLAR


async def test_a_lease_without_calls_is_given_back_but_for_a_call(tmp_path: Path, server: ValkeyServer) -> None:
    made = Spender(tmp_path / "h", server.url)
    await made.turn()
    aged(server)
    async with made.running():
        for _ in range(20):
            await made.call(9_000, 10_000, 0.0)
    assert made.leases.leased(made.line) - made.used > 15_000
    for _ in range(600):
        made.skew += 1.0
        await made.turn()
    assert 10_000 <= made.leases.leased(made.line) - made.used <= 15_000


async def test_a_hearth_that_has_no_calls_says_what_it_holds_to_an_emptied_store(
    tmp_path: Path, server: ValkeyServer
) -> None:
    """Also where no other Hearth knew of it."""
    async with pair(tmp_path, server) as (one, other):
        emptied(server)
        one.skew += 1.0
        await one.turn()
        aged(server)
        async with other.running():
            spent = await other.spent_to_the_end(10_000)
        assert spent + one.leases.leased(one.line) <= DOLLAR
        assert spent > 400_000


async def test_a_frozen_hearth_asks_before_it_goes_on(tmp_path: Path, server: ValkeyServer) -> None:
    """What it held was another's meanwhile, for the store was emptied and nobody knew of it: it keeps what it has spent."""
    async with pair(tmp_path, server) as (one, other):
        emptied(server)
        await other.turn()
        aged(server)
        async with other.running():
            spent = await other.spent_to_the_end(10_000)
        assert spent == DOLLAR  # nobody has said that half of it was spent
        one.skew += 60.0
        assert one.leases.leased(one.line) == 0
        async with one.running():
            assert await one.call(10_000, 10_000, within_s=0.3) == 0
        assert one.leases.leased(one.line) == one.used == 500_000


async def test_a_frozen_hearth_goes_on_with_its_lease_where_the_store_still_knows_it(
    tmp_path: Path, server: ValkeyServer
) -> None:
    """Its first call waits for a turn, and no longer. With the store away, for one try."""
    async with pair(tmp_path, server) as (one, other):
        async with other.running():
            await other.spent_to_the_end(10_000)
        for away in (False, True):
            one.skew += 60.0
            if away:
                server.freeze()
            async with one.running():
                began = time.monotonic()
                assert await one.call(5_000, 5_000, 0.0) == 5_000
                assert time.monotonic() - began < 2.0
        server.thaw()


async def test_the_journal_forgets_days_that_are_over(tmp_path: Path, server: ValkeyServer) -> None:
    """Every day leaves a row for each limit and Hearth: only those of this day and month are kept."""
    async with pair(tmp_path, server) as (one, other):
        await one.turn()
        today = set(one.journal.view.others)
        one.journal.view.others["2020-02-29|"] = {"h": "1:1:1:1"}
        one.journal.view.others["2020-02|"] = {"h": "1:1:1:1"}
        one.journal.write()
        for each in (one, other):
            each.ledger.close()
        again = Spender(tmp_path / "one", server.url, 1.0)
        assert "2020-02|" in again.journal.view.others
        await again.turn()
        assert set(again.journal.view.others) == today != set()
        again.ledger.close()


class Fleet:
    """Hearths before one budget, to which anything may happen. dead: what each dead one has cost, at most."""

    def __init__(self, folder: Path, server: ValkeyServer) -> None:
        self.folder, self.server = folder, server
        self.living: dict[int, Spender] = {}
        self.frozen: dict[int, Spender] = {}
        self.dead = dict.fromkeys(range(HEARTHS), 0)
        self.answers: dict[int, list[asyncio.Future[int]]] = {}  # of the calls under way: what each has cost
        self.calls: list[asyncio.Task[None]] = []
        for n in range(HEARTHS):
            self.born(n)

    def born(self, n: int) -> None:
        if n in self.dead:
            self.living[n] = Spender(self.folder / f"h{n}", self.server.url, 1.0)
            self.answers[n] = []
            del self.dead[n]

    @property
    def total(self) -> int:
        """Micro-dollars that were surely spent, and may yet be by calls under way."""
        return sum(each.used for each in (*self.living.values(), *self.frozen.values())) + sum(self.dead.values())

    async def happen(self, kind: str, n: int, amount: int) -> None:
        if kind == "born":
            self.born(n)
        elif kind == "thaws" and n in self.frozen:
            self.living[n] = self.frozen.pop(n)
            self.living[n].skew += 60.0
        elif kind == "emptied" and self.living:
            # Who is dead or frozen cannot say what it held: the living have heard it, which takes five seconds.
            for _ in range(2 if len(self.living) < HEARTHS else 0):
                await self.passed(5.1)
            emptied(self.server)
            await self.passed(1.1)
            aged(self.server)
        elif n not in self.living:
            return
        elif kind == "call":
            self.calls.append(asyncio.create_task(self.called(self.living[n], self.answers[n], amount)))
        elif kind == "spend":
            await self.happen("call", n, amount)
            for _ in range(3):
                await self.happen("turn", n, 0)
        elif kind == "answer" and self.answers[n]:
            self.answers[n].pop(0).set_result(amount)
        elif kind == "turn":
            self.living[n].skew += 0.3
            await self.living[n].turn()
        elif kind == "killed":
            one = self.living.pop(n)
            self.dead[n] = one.used
            one.ledger.close()
        elif kind == "freezes":
            self.frozen[n] = self.living.pop(n)

    async def called(self, made: Spender, answers: list[asyncio.Future[int]], amount: int) -> None:
        async with made.ledger.reserved(amount, (ALL, "t"), 1e6) as room:
            if isinstance(room, Reservation):
                answers.append(answer := asyncio.get_running_loop().create_future())
                room.settle(min(await answer, room.micro))

    async def passed(self, seconds: float) -> None:
        for each in self.living.values():
            each.skew += seconds
            await each.turn()

    async def close(self) -> None:
        for task in self.calls:
            task.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)
        for each in (*self.living.values(), *self.frozen.values()):
            each.ledger.close()
            each.store.close()


WEIGHTS = {
    "spend": 8,
    "call": 3,
    "answer": 6,
    "turn": 3,
    "killed": 1,
    "born": 2,
    "freezes": 1,
    "thaws": 1,
    "emptied": 1,
}


# Everything that is left is spent.
AT_LAST = [("thaws", n, 0) for n in range(HEARTHS)] + [("spend", n, 150_000) for _ in range(4) for n in range(HEARTHS)]


async def play(folder: Path, server: ValkeyServer, games: int) -> None:
    rng = random.Random(7)
    for game in range(games):
        emptied(server)
        aged(server)
        fleet = Fleet(folder / str(game), server)
        kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=30)
        events = [(kind, rng.randrange(HEARTHS), rng.randint(10_000, 100_000)) for kind in kinds]
        for n, each in enumerate(played := (*events, *AT_LAST)):
            await fleet.happen(*each)
            await asyncio.sleep(0)
            assert fleet.total <= DOLLAR, played[: n + 1]
        await fleet.close()


async def test_no_budget_is_exceeded_whatever_happens(tmp_path: Path, server: ValkeyServer) -> None:
    """Calls, deaths, returns, sleeps and emptied stores in any order. A dead Hearth's calls under way count in full."""
    await play(tmp_path, server, 25)


@pytest.mark.slow
async def test_no_budget_is_exceeded_whatever_happens_at_length(tmp_path: Path, server: ValkeyServer) -> None:
    await play(tmp_path, server, 800)
