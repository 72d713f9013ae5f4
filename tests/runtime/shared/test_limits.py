"""The limits of keys over several Hearths on one real store."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator

import pytest
import valkey

from runtime.shared.limits import SharedLimiter
from runtime.shared.store import SharedStore, StoreAwayError, key_of
from runtime.trust.caller import Caller, RateLimits, Scope
from runtime.trust.rates import LimitedError
from tests.fakes.valkey_server import ValkeyServer

LONG_S = 60.0
slow = pytest.mark.slow


def key(**limits: int) -> Caller:
    return Caller("key", frozenset({Scope.GENERATE}), limits=RateLimits(**limits))


class Member:
    """The limiter of one Hearth. loop: the turns that a runtime's chore makes."""

    def __init__(self, url: str, name: str, beat_s: float = 0.0) -> None:
        self.beat_s = beat_s
        self.store = SharedStore(url, name)
        self.store.examine()
        self.wake = asyncio.Event()
        self.limiter = SharedLimiter(self.store, self.wake.set, time.monotonic)

    async def run(self) -> None:
        beat_at = -self.beat_s
        while True:
            self.wake.clear()
            with contextlib.suppress(StoreAwayError):
                if self.store.away or time.monotonic() - beat_at >= self.beat_s:
                    await self.store.beat()
                    beat_at = time.monotonic()
                await self.limiter.turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self.wake.wait()

    async def admitted(self, caller: Caller, lasts_s: float = 0.0, tokens: int = 0) -> bool:
        await self.limiter.ready(caller)
        try:
            with self.limiter.held(caller):
                if tokens:
                    await self.limiter.ready(caller, tokens)
                    self.limiter.reserve(f"{id(self)}{time.monotonic()}", caller, tokens)
                await asyncio.sleep(lasts_s)
                return True
        except LimitedError:
            return False


@contextlib.asynccontextmanager
async def fleet(url: str, number: int = 3, beat_s: float = 0.0) -> AsyncIterator[list[Member]]:
    """Hearths that have heard each other, on a store that was first used two seconds ago."""
    with contextlib.closing(valkey.Valkey.from_url(url)) as client:
        client.set(key_of("epoch"), int((time.time() - 2) * 1e6))
    made = [Member(url, f"h{n}", beat_s) for n in range(number)]
    tasks = [asyncio.create_task(each.run()) for each in made]
    deadline = time.monotonic() + LONG_S
    while any(each.store.alive < number for each in made):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    try:
        yield made
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("limit", "each_s", "for_s"),
    [
        (60, 0.002, 0.8),
        pytest.param(5, 0.05, 8.0, marks=slow),
        pytest.param(60, 0.01, 8.0, marks=slow),
        pytest.param(6000, 0.0003, 8.0, marks=slow),
    ],
)
async def test_a_minute_holds_no_more_requests_than_the_limit(
    server: ValkeyServer, limit: int, each_s: float, for_s: float
) -> None:
    """Three Hearths are asked without end, in turn; all of the limit is used, and few calls are made of a large one."""
    caller, admitted = key(requests_per_minute=limit), deque[float]()
    async with fleet(server.url) as members:
        before = sum(each.store.calls for each in members)
        began, asked = time.monotonic(), 0
        while time.monotonic() - began < for_s:
            asked += 1
            if await members[asked % 3].admitted(caller):
                admitted.append(time.monotonic())
            await asyncio.sleep(each_s)
        calls = sum(each.store.calls for each in members) - before
    print(f"{limit} a minute: {len(admitted)} of {asked} admitted, {calls} calls")
    assert len(admitted) <= limit
    assert len(admitted) >= 0.9 * min(limit, asked)


async def test_a_token_limit_is_one_of_the_fleet(server: ValkeyServer) -> None:
    caller = key(tokens_per_minute=1000)
    async with fleet(server.url) as members:
        found = [await members[n % 3].admitted(caller, tokens=100) for n in range(20)]
        assert sum(found) == 10
        assert members[0].limiter.standings("key")["tokens"].remaining < 100


@pytest.mark.parametrize("clients", [1000, pytest.param(10_000, marks=slow)])
async def test_requests_at_a_time_are_counted_over_the_fleet(server: ValkeyServer, clients: int) -> None:
    """Clients that go away at once leak no slot."""
    caller, running, most = key(parallel=7), 0, 0

    async def one(member: Member) -> bool:
        nonlocal running, most
        await member.limiter.ready(caller)
        try:
            with member.limiter.held(caller):
                running += 1
                most = max(most, running)
                try:
                    await asyncio.sleep(0.02)
                finally:
                    running -= 1
                return True
        except LimitedError:
            return False

    async with fleet(server.url) as members:
        for start in range(0, clients, clients // 20):
            tasks = [asyncio.create_task(one(members[n % 3])) for n in range(start, start + clients // 20)]
            await asyncio.sleep(0.01)
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert 0 < most <= 7
        assert all(each.limiter.running == {} for each in members)
        deadline = time.monotonic() + LONG_S
        free = 0
        while free < 7:
            assert time.monotonic() < deadline
            free = sum(await asyncio.gather(*[members[1].admitted(caller, 0.2) for _ in range(7)]))


class Places:
    """Clients of three Hearths that share a limit of requests at a time. most: that ran at one time."""

    def __init__(self, members: list[Member], caller: Caller) -> None:
        self._members, self._caller = members, caller
        self.running = self.most = self.served = 0
        self.refused = 0

    async def client(self, n: int) -> None:
        """Without a pause, at one Hearth; its requests take from 0.02 to 0.3 s."""
        rng = random.Random(n)
        while True:
            member = self._members[n % len(self._members)]
            await member.limiter.ready(self._caller)
            try:
                with member.limiter.held(self._caller):
                    self.running += 1
                    self.most = max(self.most, self.running)
                    try:
                        await asyncio.sleep(rng.uniform(0.02, 0.3))
                    finally:
                        self.running -= 1
                    self.served += 1
            except LimitedError:
                self.refused += 1
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("limit", [6, 120])
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=slow)])
async def test_a_store_that_is_emptied_lets_no_more_requests_run_at_a_time(
    server: ValkeyServer, limit: int, times: int
) -> None:
    """Every Hearth says what it holds before anybody gets more; within seconds all of the limit is used again."""
    async with fleet(server.url, beat_s=1.0) as members:
        places = Places(members, key(parallel=limit))
        clients = [asyncio.create_task(places.client(n)) for n in range(2 * limit)]
        with contextlib.closing(valkey.Valkey.from_url(server.url)) as client:
            for _ in range(times):
                deadline = time.monotonic() + LONG_S
                while places.running < 0.9 * limit:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.01)
                client.flushall()
                await asyncio.sleep(2.2)
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    print(f"limit {limit}: {places.most} at a time, {places.served} served, {places.refused} refused")
    assert places.most <= limit


async def test_what_runs_since_the_store_was_away_counts_once_it_is_back(server: ValkeyServer) -> None:
    """Each Hearth has its part while it is away, and held nothing before."""
    caller = key(parallel=6)
    async with fleet(server.url, 2) as members:
        server.freeze()
        deadline = time.monotonic() + LONG_S
        while any(not each.store.away for each in members):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        with contextlib.ExitStack() as held:
            for _ in range(3):
                for each in members:
                    held.enter_context(each.limiter.held(caller))
            server.thaw()
            while any(each.store.away for each in members):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)  # a turn of each
            assert not any([await each.admitted(caller) for each in members])
        await asyncio.sleep(0.1)
        assert await members[0].admitted(caller)


async def test_a_client_that_changes_its_hearth_finds_its_slot(server: ValkeyServer) -> None:
    """One request at a time, each to another Hearth, as a balancer sends them."""
    caller = key(parallel=1)
    async with fleet(server.url) as members:
        found = [await members[n % 3].admitted(caller, 0.001) for n in range(60)]
        assert sum(found) >= 57


@slow
async def test_the_slots_of_a_dead_hearth_are_free_within_thirty_seconds(server: ValkeyServer) -> None:
    caller = key(parallel=2)
    async with fleet(server.url, 2) as members:
        dead = Member(server.url, "dead")
        task = asyncio.create_task(dead.run())
        await dead.limiter.ready(caller)
        with dead.limiter.held(caller):
            await dead.limiter.ready(caller)
            with dead.limiter.held(caller):
                task.cancel()  # it gives nothing back
                await asyncio.gather(task, return_exceptions=True)
                began = time.monotonic()
                assert not await members[0].admitted(caller)
                while not await members[0].admitted(caller):
                    assert time.monotonic() - began < 30.0
                    await asyncio.sleep(0.1)
                print(f"free after {time.monotonic() - began:.1f} s")


async def test_an_emptied_store_hears_what_was_admitted_in_the_last_minute(server: ValkeyServer) -> None:
    """The limit is one of the same minute, before and after."""
    caller, found = key(requests_per_minute=60), 0
    async with fleet(server.url) as members:
        for n in range(30):
            found += await members[n % 3].admitted(caller)
        assert found == 30
        with contextlib.closing(valkey.Valkey.from_url(server.url)) as client:
            before = members[0].store.epoch
            client.flushall()
        deadline = time.monotonic() + LONG_S
        while any(each.store.epoch == before for each in members):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # a turn of each
        for n in range(120):
            found += await members[n % 3].admitted(caller)
            await asyncio.sleep(0.002)
        assert 54 <= found <= 60


async def test_a_store_that_is_away_leaves_each_hearth_its_part(server: ValkeyServer) -> None:
    """Ninety-five hundredths of the limit together, and nobody waits for the store."""
    caller = key(requests_per_minute=60, parallel=6)
    async with fleet(server.url) as members:
        server.freeze()
        deadline = time.monotonic() + LONG_S
        while any(not each.store.away for each in members):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        took = []
        found = 0
        for n in range(120):
            began = time.monotonic()
            found += await members[n % 3].admitted(caller)
            took.append(time.monotonic() - began)
        assert found == 57
        assert sorted(took)[len(took) // 2] < 0.05
        with contextlib.ExitStack() as held:
            other = key(parallel=6)
            for _ in range(2):
                held.enter_context(members[0].limiter.held(other))
            with pytest.raises(LimitedError):
                held.enter_context(members[0].limiter.held(other))
