"""What the Hearths of a fleet tell each other of engines that nobody owns, over a channel in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.load.ledger import InFlight
from runtime.settings import Escalation
from runtime.shared.flights import GONE_S, LARGEST, SharedFlights, engine_name
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import Turn, engine_backend, told

BATCH_S = 0.05
ENGINES = ("http://one:8000/v1", "http://two:8000/v1")


class Member:
    """One Hearth before both engines."""

    def __init__(self, channel: Channel, name: str, hearths: int = 1) -> None:
        backend = engine_backend((Turn(told("fine")),), (Turn(told("fine")),))
        self.fleet = LiveFleet(FakeEngine(backend), backend, Clouds({}), Escalation(), lambda: channel.now, alone=False)
        self.lanes = backend.lanes
        engines = {lane.name: (engine_name(url), url) for lane, url in zip(self.lanes, ENGINES, strict=True)}
        self.flights = SharedFlights(self.fleet, engines, name, hearths, lambda: channel.now)
        self._channel = channel

    def sends(self, tokens: int = 100, engine: int = 0) -> InFlight:
        """A request that is in flight from now on."""
        ledger = self.fleet.ledger(self.lanes[engine])
        return ledger.claim(tokens, None, lambda: self._channel.now).__enter__()

    def sees(self, engine: int = 0) -> tuple[int, int]:
        """The others' waiting requests, and the tokens of their prompts."""
        found = self.flights.standings()[engine]
        return found.waiting, found.prompt_tokens

    def waiting(self, engine: int = 0) -> int:
        """Requests that its decisions reckon with."""
        return self.fleet.ledger(self.lanes[engine]).waiting_now(self._channel.now)


class Channel:
    """The store's channel and the time. away: nothing is delivered; dead: Hearths that say and hear nothing."""

    def __init__(self) -> None:
        self.now = 100.0
        self.away = False
        self.members: list[Member] = []
        self.dead: set[Member] = set()
        self.said: list[bytes] = []

    def joins(self, name: str, hearths: int = 1) -> Member:
        self.members.append(made := Member(self, name, hearths))
        return made

    def run(self, seconds: float) -> None:
        """Time passes, batch after batch."""
        for _ in range(round(seconds / BATCH_S)):
            self.now += BATCH_S
            alive = [each for each in self.members if each not in self.dead]
            for each in alive:
                each.flights.turn()
                message = each.flights.message()
                if message is not None and self.away:
                    each.flights.lost()
                elif message is not None:
                    self.said.append(message)
                    for other in alive:
                        other.flights.take(message)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def three(channel: Channel) -> list[Member]:
    found = [channel.joins(name) for name in "abc"]
    channel.run(0.5)
    return found


def test_a_flight_of_one_is_seen_by_the_others_within_a_batch(channel: Channel, three: list[Member]) -> None:
    """On the engine it went to; and its end is."""
    a, b, c = three
    flight = a.sends(300, engine=1)
    channel.run(BATCH_S)
    assert b.sees(1) == c.sees(1) == (1, 300) and a.sees(1) == (0, 0) and b.sees(0) == (0, 0)
    assert b.waiting(1) == 1 and b.flights.standings()[1].hearths == 3
    flight.first_token(channel.now)
    flight.tokens(4, channel.now)
    channel.run(BATCH_S)
    assert b.sees(1) == (0, 0) and (b.flights.standings()[1].running, b.flights.standings()[1].kv_tokens) == (1, 305)
    flight.__exit__(None, None, None)
    channel.run(BATCH_S)
    assert b.flights.standings()[1].running == 0


def test_where_nothing_changes_little_is_said(channel: Channel, three: list[Member]) -> None:
    """The whole picture once a second, and no more; it says that the Hearth is alive."""
    three[0].sends()
    channel.run(BATCH_S)
    channel.said.clear()
    channel.run(10.0)
    assert 27 <= len(channel.said) <= 33
    assert three[1].sees() == (1, 100)


def test_a_message_is_small(channel: Channel, three: list[Member]) -> None:
    """As `docs/scaling.md` has it."""
    for each in three:
        each.sends(1234)
    channel.said.clear()
    channel.run(1.0)
    assert max(map(len, channel.said)) < 150


def test_the_flights_of_a_dead_hearth_are_gone_after_three_seconds(channel: Channel, three: list[Member]) -> None:
    """The others are two then, and nothing is assumed."""
    a, b, _ = three
    a.sends()
    channel.run(BATCH_S)
    channel.dead.add(a)
    channel.run(GONE_S - 1.1)
    assert b.waiting() == 1
    channel.run(1.3)
    assert b.waiting() == 0 and b.flights.standings()[0].hearths == 2
    assert not b.flights.standings()[0].assumed


def test_without_the_store_own_requests_count_for_all(channel: Channel, three: list[Member]) -> None:
    """After three seconds the others' rows are dropped, and each is taken to have as much as this one; back, they are heard."""
    a, b, _ = three
    a.sends()
    b.sends(engine=1)
    channel.run(BATCH_S)
    channel.away = True
    channel.run(GONE_S - 1.1)
    assert (b.waiting(0), b.waiting(1)) == (1, 1)
    channel.run(1.4)
    assert (b.waiting(0), b.waiting(1)) == (0, 3) and b.flights.standings()[0].assumed
    assert b.flights.standings()[0].hearths == 3
    channel.run(60.0)
    assert b.waiting(1) == 3, "as many as were last alive, however long ago"
    channel.away = False
    channel.run(0.6)
    assert (b.waiting(0), b.waiting(1)) == (1, 1) and not b.flights.standings()[0].assumed


def test_a_store_that_comes_and_goes_takes_no_hearth_away(channel: Channel, three: list[Member]) -> None:
    """Back for a moment only, the others are not all heard: their number stays."""
    three[0].sends()
    for _ in range(5):
        channel.away = True
        channel.run(4.0)
        assert three[0].waiting() == 3
        channel.away = False
        channel.run(0.1)
    channel.away = True
    channel.run(4.0)
    assert three[0].flights.standings()[0].hearths == 3


def test_before_the_store_was_ever_heard_the_number_of_hearths_is_the_one_given(channel: Channel) -> None:
    """That of the last run, or of the settings."""
    channel.away = True
    one = channel.joins("a", hearths=4)
    one.sends()
    assert one.waiting() == 4
    channel.away = False
    channel.run(0.5)
    assert one.waiting() == 1


def test_one_that_ends_in_order_is_gone_at_once(channel: Channel, three: list[Member]) -> None:
    a, b, _ = three
    a.sends()
    channel.run(BATCH_S)
    channel.dead.add(a)
    b.flights.take(a.flights.farewell())
    assert b.waiting() == 0 and b.flights.standings()[0].hearths == 2


def test_one_that_joins_hears_everything_at_once(channel: Channel, three: list[Member]) -> None:
    """It need not wait for the others' next whole picture."""
    three[0].sends()
    channel.run(0.3)
    young = channel.joins("d")
    channel.run(0.5)
    assert young.waiting() == 1 and three[0].flights.standings()[0].hearths == 4


@contextlib.contextmanager
def unchanged(member: Member) -> Iterator[None]:
    before = member.flights.standings()
    yield
    assert member.flights.standings() == before


def test_messages_that_cannot_be_read_change_nothing(channel: Channel, three: list[Member]) -> None:
    """Garbage, another protocol, a negative number, one that is too long, and one that was overtaken."""
    a, b, _ = three
    old = a.flights.farewell()
    channel.run(1.0)
    a.sends()
    channel.run(BATCH_S)
    name = engine_name(ENGINES[0])
    encode = msgspec.msgpack.encode
    with unchanged(b):
        b.flights.take(b"\x93garbage")
        b.flights.take(encode([2, "x", 1, True, {name: [9, 900]}]))
        b.flights.take(encode([1, "x", 1, True, {name: [-9, 900]}]))
        b.flights.take(encode([1, "x", 1, True, {name: [9, 900]}, "x" * 65]))
        b.flights.take(encode([1, "x", 1, True, {str(n): [9] for n in range(LARGEST // 8)}]))
        b.flights.take(old)
        b.flights.take(encode({"not": "a message"}))


def test_members_of_a_newer_version_are_ignored(channel: Channel, three: list[Member]) -> None:
    """What is known of its message is read."""
    row = [2, 200, 1, 50, 7, 700, 8, 20, 100, 90, 10, 1, 3, 5, 1, "new", {"more": 1}]
    three[1].flights.take(msgspec.msgpack.encode([1, "x", 1, True, {engine_name(ENGINES[0]): row}, "d", "new", [1]]))
    assert three[1].sees() == (2, 200)


def test_hearths_without_end_are_not_remembered(channel: Channel, three: list[Member]) -> None:
    """A bound, and after three seconds nothing of them is left."""
    for number in range(1_000):
        three[0].flights.take(msgspec.msgpack.encode([1, f"run{number}", 1, True, {engine_name(ENGINES[0]): [1, 1]}]))
    assert three[0].sees()[0] <= 256
    channel.run(GONE_S + 0.1)
    assert three[0].sees() == (0, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://Engine:80/v1", "http://engine/v1/", True),
        ("https://engine:443/v1", "https://engine/v1", True),
        ("http://engine:8000/v1", "http://engine:8001/v1", False),
        ("http://engine/a/v1", "http://engine/b/v1", False),
        ("http://engine/v1", "https://engine/v1", False),
        ("http://user:secret@engine/v1", "http://engine/v1", True),
    ],
)
def test_an_engine_has_one_name_in_all_spellings_of_its_url(one: str, other: str, same: bool) -> None:
    assert (engine_name(one) == engine_name(other)) is same


def test_a_loopback_address_is_another_engine_on_each_machine() -> None:
    """However it is spelled."""
    assert engine_name("http://localhost:8000/v1", "m1") == engine_name("http://127.0.0.1:8000/v1", "m1")
    assert engine_name("http://127.0.0.1:8000/v1", "m1") != engine_name("http://127.0.0.1:8000/v1", "m2")
