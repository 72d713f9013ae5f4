"""The feed of events: what each viewer gets, and what it costs the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.server.live.feed import Feed, Viewer, frame
from runtime.server.status import EngineStatus, StatusReport
from runtime.wire.api_error import ApiError
from tests.fakes.box import Box
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, whole

ADMIN = {"authorization": "Bearer root"}


def events_of(data: bytes) -> list[tuple[str, Any]]:
    """(event, data) pairs; comments are left out."""
    found = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class Snapshots:
    """Makes statuses and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> StatusReport:
        self.made += 1
        engine = EngineStatus(model="small", device="cpu")
        return StatusReport(version=str(self.made), started_at=0, uptime_s=0, address="", engine=engine)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def box_and_feed(**limits: int) -> tuple[Box, Feed, Snapshots, Time]:
    clock, made = Time(), Snapshots()
    box = Box(engine_backend((Turn([whole("x")]),)))
    box.desk.clock = clock
    return box, Feed(box.desk, box.engine, made, **limits), made, clock


async def settle(box: Box, times: int = 1) -> None:
    for _ in range(times):
        await box.live(box.ask())


async def test_with_no_viewer_nothing_is_built_and_nobody_listens() -> None:
    """No snapshot is made, and a decision is shown to the same listeners as without a feed."""
    box, feed, made, _ = box_and_feed()
    before = box.desk.settled
    with feed.viewed(frozenset({"status", "decisions", "log"})):
        assert len(box.desk.settled) == len(before) + 1
    assert box.desk.settled == before
    for _ in range(8):
        feed.tick()
    assert made.made == 1  # that of the viewer who has gone


async def test_a_snapshot_is_made_once_a_second_however_many_look() -> None:
    """Three viewers, two seconds: the first at once, then one for each fourth tick."""
    _, feed, made, clock = box_and_feed()
    with feed.viewed(frozenset({"status"})) as a, feed.viewed(frozenset({"status"})) as b:
        for _ in range(8):
            clock.now += 0.25
            feed.tick()
        first, second = await a.take(), await b.take()
    assert first == second and made.made == 3
    assert [data["version"] for _, data in events_of(first)] == ["1", "2", "3"]


async def test_a_viewer_gets_its_topics_alone() -> None:
    """Who asked for decisions gets no status; the log goes to those who asked for it."""
    box, feed, _, _ = box_and_feed()
    with feed.viewed(frozenset({"decisions"})) as some, feed.viewed(frozenset({"log"})) as log:
        await settle(box)
        box.engine.lines += ["one", "two"]
        for _ in range(4):
            feed.tick()
        assert [name for name, _ in events_of(await some.take())] == ["decisions"]
        assert events_of(await log.take()) == [("log", {"lines": ["one", "two"], "left_out": 0})]


async def test_a_frame_of_decisions_holds_fifty_and_counts_the_others() -> None:
    """Seventy between two ticks: the latest fifty, and the number of those left out."""
    box, feed, _, _ = box_and_feed()
    with feed.viewed(frozenset({"decisions"})) as viewer:
        await settle(box, 70)
        feed.tick()
        feed.tick()
        [(_, data)] = events_of(await viewer.take())
    assert (len(data["rows"]), data["left_out"]) == (50, 20)
    assert data["rows"][-1]["target"] == "local/small"


async def test_lines_of_the_log_before_a_viewer_came_are_not_sent_and_a_flood_is_counted() -> None:
    """At most fifty lines a tick: 200 a second."""
    box, feed, _, _ = box_and_feed()
    box.engine.lines += ["old"] * 10
    with feed.viewed(frozenset({"log"})) as viewer:
        box.engine.lines += [f"line {n}" for n in range(80)]
        feed.tick()
        [(_, data)] = events_of(await viewer.take())
    assert (data["lines"][0], len(data["lines"]), data["left_out"]) == ("line 30", 50, 30)


async def test_a_slow_viewer_loses_the_oldest_and_hears_of_it() -> None:
    """The queue has a bound, whatever is pushed; what is left is whole frames, after a `resync`."""
    viewer = Viewer(frozenset({"status"}), 1000)
    for number in range(100):
        viewer.push(frame("status", {"n": number, "pad": "x" * 80}))
    taken = await viewer.take()
    found = events_of(taken)
    assert len(taken) < 1100 and found[0] == ("resync", {})
    assert found[-1][1]["n"] == 99 and [data["n"] for _, data in found[1:]] == list(range(100 - len(found) + 1, 100))


async def test_the_twenty_first_viewer_is_refused_in_words_and_a_place_that_is_left_is_free() -> None:
    """503, with what to do."""
    _, feed, _, _ = box_and_feed(most_viewers=2)
    with feed.viewed(frozenset({"status"})):
        with (
            feed.viewed(frozenset({"status"})),
            pytest.raises(ApiError, match="2 pages are open") as refused,
            feed.viewed(frozenset()),
        ):
            raise AssertionError
        assert refused.value.status == 503
        with feed.viewed(frozenset({"status"})):
            assert len(feed.viewers) == 2


async def test_closing_ends_every_stream_and_refuses_new_ones() -> None:
    """`closing` is the last frame, behind what still waited."""
    _, feed, _, _ = box_and_feed()
    with feed.viewed(frozenset({"status"})) as viewer:
        feed.close()
        assert [name for name, _ in events_of(await viewer.take())] == ["status", "closing"] and viewer.over
    with pytest.raises(ApiError), feed.viewed(frozenset()):
        raise AssertionError


async def lines_of(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            yield line.removeprefix("event: ")


async def test_a_client_reads_the_stream_and_frees_its_place_by_going(tmp_path: Path) -> None:
    """Over a socket: status at once, a decision when one is made; the place is free after the client hung up."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),) * 3)), tmp_path) as door:
        async with door.client.stream("GET", "/hearth/events?topics=status,decisions") as answer:
            assert answer.status_code == 200 and answer.headers["x-accel-buffering"] == "no"
            seen = lines_of(answer)
            assert await anext(seen) == "status"
            await door.chat()
            while await anext(seen) != "decisions":
                pass
        async with asyncio.timeout(10):
            while door.feed.viewers:
                await asyncio.sleep(0.01)


async def test_the_stream_ends_at_once_when_the_server_stops(tmp_path: Path) -> None:
    """The client sees `closing`, and a whole end of the answer."""
    async with (
        opened(Setup(engine_backend(())), tmp_path) as door,
        door.client.stream("GET", "/hearth/events") as answer,
    ):
        seen = lines_of(answer)
        await anext(seen)
        door.feed.close()
        assert [name async for name in seen][-1] == "closing"


async def test_a_quiet_stream_is_kept_awake_and_a_reader_who_reads_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment after a while; a viewer whose connection takes nothing any more gives its place back."""
    from runtime.server.pages.events import EventPages

    async with opened(Setup(engine_backend(())), tmp_path) as door:
        page = EventPages(door.feed, awake_s=0.01, unread_s=0.05)
        door.app._pages["GET", "/hearth/events"] = page.stream  # type: ignore[index]
        async with door.client.stream("GET", "/hearth/events?topics=decisions") as answer:
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    break
        reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]), limit=1)
        writer.write(b"GET /hearth/events?topics=status HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readexactly(1)
        async with asyncio.timeout(10):
            while len(door.feed.viewers) != 1:
                await asyncio.sleep(0.01)
        [viewer] = door.feed.viewers
        async with asyncio.timeout(20):
            while door.feed.viewers:  # it reads no more: the buffers of both sides fill up, then it is let go
                viewer.push(b"x" * 200_000)
                await asyncio.sleep(0.005)
        writer.transport.abort()


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?topics=nonsense", ADMIN, 400),
        ("?topics=log", {"authorization": "Bearer user"}, 403),
        ("", {"authorization": "Bearer no"}, 401),
        ("?topics=status", {}, 401),
    ],
)
async def test_who_may_listen(tmp_path: Path, query: str, headers: dict[str, str], status: int) -> None:
    """Unknown topics are a 400; the log is for admins."""
    setup = Setup(engine_backend(()), keys=("user",), admins=("root",))
    async with opened(setup, tmp_path) as door:
        answer = await door.client.get(f"/hearth/events{query}", headers=headers)
        assert answer.status_code == status


async def test_the_last_hour_has_a_row_for_each_step(tmp_path: Path) -> None:
    """Counts are of the step alone; the ring holds an hour."""
    async with opened(Setup(engine_backend((Turn([whole("x")]),) * 3)), tmp_path) as door:
        await door.chat()
        door.series.sample()
        await door.chat()
        await door.chat()
        door.series.sample()
        shown = (await door.client.get("/hearth/series")).json()
        assert shown["step_s"] == 5 and shown["series"]["requests"] == [1, 2]
        assert shown["series"]["left"] == [0, 0] and len(shown["series"]["at"]) == 2 and shown["reasons"] == {}
        for _ in range(800):
            door.series.sample()
        answer = await door.client.get("/hearth/series")
        assert len(answer.json()["series"]["at"]) == 720 and len(answer.content) < 200_000


async def test_the_last_hour_has_the_reasons_of_those_that_left(tmp_path: Path) -> None:
    """Of this hour alone: what left before it counts no more."""
    setup = Setup(engine_backend(()), [cloud("far", *(Turn([whole("x")]),) * 3)])
    async with opened(setup, tmp_path) as door:
        await door.chat(model="far")
        door.series.sample()
        assert (await door.client.get("/hearth/series")).json()["reasons"] == {"pinned": 1}
        await door.chat(model="far")
        await door.chat(model="far")
        for _ in range(720):
            door.series.sample()
        assert (await door.client.get("/hearth/series")).json()["reasons"] == {"pinned": 2}
        door.series.sample()
        assert (await door.client.get("/hearth/series")).json()["reasons"] == {}


async def test_the_log_is_for_admins_and_bounded(tmp_path: Path) -> None:
    """The last lines, as many as asked for; 403 for others, 400 for too many."""
    async with opened(Setup(engine_backend(()), keys=("user",), admins=("root",)), tmp_path) as door:
        door.engine.lines += ["one", "two", "three"]
        answer = await door.client.get("/hearth/log?limit=2", headers=ADMIN)
        assert answer.json()["data"] == ["two", "three"] and answer.headers["cache-control"] == "no-store"
        assert (await door.client.get("/hearth/log", headers={"x-api-key": "user"})).status_code == 403
        assert (await door.client.get("/hearth/log?limit=9999", headers=ADMIN)).status_code == 400


async def test_a_running_request_is_known_until_it_is_settled() -> None:
    """Its id, its model and its phase; nothing stays behind, also where the request failed."""
    box, _, _, _ = box_and_feed()
    seen: list[list[str]] = []
    from tests.fakes.box import MemorySink

    await box.live(box.ask(), MemorySink(lambda _: seen.append(list(box.desk.running))))
    assert seen and seen[0] == ["dec_1"] and box.desk.running == {}
