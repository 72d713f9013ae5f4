"""Breakers, demotions and created keys of several Hearths on one real store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import valkey

from runtime.fleet.breaker import BreakerState
from runtime.routing.plan.demotion import DemotedFor
from runtime.shared.breakers import SharedBreakers
from runtime.shared.keys import SharedKeys
from runtime.shared.store import SharedStore, StoreAwayError, key_of
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError
from tests.fakes.box import Box
from tests.fakes.upstream import Turn, cloud, engine_backend, told
from tests.fakes.valkey_server import ValkeyServer

FINE = Turn(told("fine"))
LONG_S = 60.0
LOCAL = "local"


class Member:
    """One Hearth's breakers of the target "first". now: its clock, in seconds."""

    def __init__(self, url: str, name: str) -> None:
        self.now = 1000.0
        self.box = Box(engine_backend((FINE,)), [cloud("first", FINE)])
        self.fleet = self.box.fleet
        self.fleet._clock = lambda: self.now
        self.store = SharedStore(url, name)
        self.store.examine()
        self.shared = SharedBreakers(self.store, self.fleet, lambda: self.now)

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            self.fleet.breaker("first").failure(self.now, "no")

    @property
    def state(self) -> BreakerState:
        return self.fleet.breaker("first").state(self.now)

    @property
    def may(self) -> bool:
        return self.fleet.breaker("first").allows(self.now)


async def turned(*members: Member) -> None:
    for each in members:
        await each.shared.turn()


async def test_a_target_that_failed_on_one_hearth_is_asked_by_none(server: ValkeyServer) -> None:
    """And closes on all once the one that tried it again was answered."""
    one, two, three = (Member(server.url, name) for name in ("one", "two", "three"))
    await turned(one, two, three)
    one.fail()
    await turned(one, two, three)
    assert [each.state for each in (one, two, three)] == [BreakerState.OPEN] * 3
    for each in (one, two, three):
        each.now += 11.0
        assert each.state is BreakerState.HALF_OPEN
        assert not each.may
    await turned(two, one, three)
    assert [each.may for each in (one, two, three)] == [False, True, False]
    assert two.fleet.breaker("first").begin(two.now)
    await turned(one, two, three)
    assert [each.may for each in (one, two, three)] == [False, False, False]
    two.fleet.breaker("first").success()
    await turned(two, one, three)
    assert [each.state for each in (one, two, three)] == [BreakerState.CLOSED] * 3
    assert all(each.may for each in (one, two, three))


async def test_a_probe_that_failed_keeps_the_target_closed_to_all_for_longer(server: ValkeyServer) -> None:
    one, two = Member(server.url, "one"), Member(server.url, "two")
    one.fail()
    await turned(one, two)
    for each in (one, two):
        each.now += 11.0
    await turned(one, two)
    assert one.fleet.breaker("first").begin(one.now)
    one.fail(1)
    await turned(one, two)
    assert two.state is BreakerState.OPEN
    assert two.fleet.breaker("first").retry_in(two.now) > 15.0


async def test_a_hearth_that_slept_takes_over_what_happened_meanwhile(server: ValkeyServer) -> None:
    """The breaker that it knew open was closed and opened again: its own older state is neither used nor told to anybody."""
    one, slept = Member(server.url, "one"), Member(server.url, "slept")
    for times in (1, 2):
        one.fail() if times == 1 else one.fail(1)
        await turned(one, slept)
        one.now, slept.now = one.now + 11.0, slept.now + 11.0
    assert one.fleet.breaker("first").trips == slept.fleet.breaker("first").trips == 2
    for _ in range(2):
        one.fleet.breaker("first").success()
        await turned(one)
        one.fail()
        await turned(one)
        slept.now += 60.0
        assert slept.state is BreakerState.HALF_OPEN
        for _ in range(3):
            await turned(slept, one)
        for each in (one, slept):
            assert each.fleet.breaker("first").trips == 1 and each.state is BreakerState.OPEN
            assert each.fleet.breaker("first").retry_in(each.now) > 5.0


async def test_each_hearth_decides_alone_while_the_store_is_away(server: ValkeyServer) -> None:
    """A target that has recovered meanwhile stays open to the one that found it so, and to the others afterwards."""
    one, two = Member(server.url, "one"), Member(server.url, "two")
    one.fail()
    await turned(one, two)
    server.freeze()
    for each in (one, two):
        with pytest.raises(StoreAwayError):
            await each.shared.turn()
        each.now += 11.0
        assert each.may
    one.fleet.breaker("first").success()
    server.thaw()
    deadline = time.monotonic() + LONG_S
    while one.store.away or two.store.away:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
        for each in (one, two):
            try:
                await each.shared.turn()
            except StoreAwayError:
                continue
    await turned(one, two)
    assert one.state is two.state is BreakerState.CLOSED


async def test_a_demotion_on_one_hearth_holds_on_all(server: ValkeyServer) -> None:
    """Until that Hearth takes it back. The engine's is for engines with the same model."""
    one, two = Member(server.url, "one"), Member(server.url, "two")
    own = {"math": {"other": DemotedFor("by two", 0.1)}}
    two.fleet.demoted = own
    one.fleet.demoted = {"math": {"first": DemotedFor("by one", 0.5), LOCAL: DemotedFor("weak", 0.2)}}
    await turned(one, two, one)
    assert set(two.fleet.demoted["math"]) == set(one.fleet.demoted["math"]) == {"first", LOCAL, "other"}
    one.fleet.demoted = {}
    await turned(one, two)
    assert two.fleet.demoted == own


async def test_a_hearth_that_will_not_come_back_demotes_nothing_any_more(server: ValkeyServer) -> None:
    """Seven days after its last word; one that is away for less keeps its demotions in force, and so does one that is heard."""
    one, retired = Member(server.url, "one"), Member(server.url, "retired")
    retired.fleet.demoted = {"math": {"first": DemotedFor("by the retired one", 0.5)}}
    await turned(retired, one)
    await retired.store.beat()
    with contextlib.closing(valkey.Valkey.from_url(server.url)) as client:
        for days, holds in ((6.9, True), (7.1, False)):
            client.zadd(key_of("seen"), {"retired": int((time.time() - days * 86_400) * 1e6)})
            await turned(one)
            assert bool(one.fleet.demoted) is holds


class KeyMember:
    """The created keys of one Hearth, and those in force."""

    def __init__(self, folder: Path, url: str, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir()
        self.file = KeyStore(folder, clock)
        self.store = SharedStore(url, folder.name)
        self.store.examine()
        self.version = "0"
        self.shared = SharedKeys(self.store, self.file, folder, self.admit)
        self.admit()

    def admit(self) -> None:
        self.keys = Keys((), created=self.file.admissions())

    def good(self, secret: str) -> bool:
        try:
            return bool(self.keys.admit({"x-api-key": secret}).id) and not self.keys.open
        except ApiError:
            return False


async def synced(version: Callable[[], str], *members: KeyMember) -> None:
    for _ in range(2):
        for each in members:
            await each.shared.turn(version())


async def test_a_key_is_created_rotated_and_revoked_for_the_fleet(tmp_path: Path, server: ValkeyServer) -> None:
    """Also one that was made before there was a fleet, and while the store was away."""
    one, two = KeyMember(tmp_path / "one", server.url), KeyMember(tmp_path / "two", server.url)
    turns = iter(range(10**6))
    early, secret = one.file.create(KeyTerms(name="early"))
    other, second = two.file.create(KeyTerms(name="other"))
    await synced(lambda: str(next(turns)), one, two)
    for each in (one, two):
        each.admit()
        assert each.good(secret)
        assert each.good(second)
    renewed = two.file.rotate("early")[1]
    await synced(lambda: str(next(turns)), two, one)
    assert one.good(renewed)
    assert not one.good(secret)
    one.file.revoke(other.id)
    server.kill()
    with pytest.raises(StoreAwayError):
        await one.shared.turn("away")
    two.admit()
    assert two.good(second)
    server.start(empty=True)
    await asyncio.sleep(1.1)
    await synced(lambda: str(next(turns)), two, one)
    assert not two.good(second)
    assert two.good(renewed)
    assert {each.id for each in two.file.list()} == {early.id, other.id}


async def test_a_key_is_rotated_on_a_hearth_whose_clock_is_behind(tmp_path: Path, server: ValkeyServer) -> None:
    """By an hour: the new secret is good on all, and the old one on none; so it is when it is rotated back and forth."""
    turns = iter(range(10**6))
    one = KeyMember(tmp_path / "one", server.url)
    behind = KeyMember(tmp_path / "behind", server.url, lambda: time.time() - 3600.0)
    _, secret = one.file.create(KeyTerms(name="k"))
    await synced(lambda: str(next(turns)), one, behind)
    for member in (behind, one, behind):
        renewed = member.file.rotate("k")[1]
        await synced(lambda: str(next(turns)), member, one, behind)
        for each in (one, behind):
            each.admit()
            assert each.good(renewed) and not each.good(secret)
        secret = renewed
    behind.file.revoke("k")
    await synced(lambda: str(next(turns)), behind, one)
    one.admit()
    assert not one.good(secret)
