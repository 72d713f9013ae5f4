"""In-flight requests of three Hearths over a real Valkey: one of them is killed, then the store stands still."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from runtime.shared.channel import StoreChannel
from runtime.shared.flights import GONE_S
from tests.fakes.flying import UP, FlyingHearth
from tests.fakes.valkey_server import valkey_server

SEEN_S, SLACK_S, LONG_S = 0.3, 1.0, 30.0  # slack: for a machine that is busy with other things
ROOT = Path(__file__).resolve().parents[3]


async def until(holds: Callable[[], bool]) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < LONG_S, "it never held"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def listening(channel: StoreChannel, heard: list[bytes]) -> AsyncIterator[None]:
    """The channel's messages go to `heard`. It is closed at the end."""
    task = asyncio.ensure_future(channel.listen(heard.append))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await channel.aclose()


@contextlib.asynccontextmanager
async def child(store: str, tokens: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A third Hearth with one request in flight, in a process of its own."""
    command = (sys.executable, "-m", "tests.fakes.flying", store, str(tokens))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None and UP in (await process.stdout.readline()).decode()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_flight_is_seen_at_once_and_gone_with_its_hearth_and_with_the_store(tmp_path: Path) -> None:
    """Seen within 0.3 s; three seconds after a SIGKILL it is no more; three seconds after the store froze, own x N holds."""
    with valkey_server(tmp_path) as server:
        one, other = FlyingHearth(server.url, "one"), FlyingHearth(server.url, "other")
        async with one.running(), other.running(), child(server.url, 700) as third:
            await until(lambda: one.waiting == 1 and other.waiting == 1)
            assert one.flights.standings()[0].hearths == 3
            flight = one.sends(100)
            seen = await until(lambda: other.waiting == 2)
            flight.__exit__(None, None, None)
            await until(lambda: other.waiting == 1)
            third.kill()
            gone = await until(lambda: one.waiting == other.waiting == 0)
            assert one.flights.standings()[0].hearths == 2
            one.sends(100)
            await until(lambda: other.waiting == 1)
            server.freeze()
            assumed = await until(lambda: one.waiting == 2 and other.waiting == 0)
            server.thaw()
            back = await until(lambda: one.waiting == 1 and other.waiting == 1)
    print(f"seen after {seen:.3f} s, gone after {gone:.2f} s, assumed after {assumed:.2f} s, back after {back:.2f} s")
    assert seen <= SEEN_S
    assert gone <= GONE_S + SLACK_S and assumed <= GONE_S + SLACK_S
    assert back <= 2.0 + SLACK_S


async def test_a_store_that_is_not_there_costs_nobody_a_wait(tmp_path: Path) -> None:
    """A message is lost, and none is sent for a second; it is heard once it is there."""
    with valkey_server(tmp_path) as server:
        server.kill()
        channel, heard = StoreChannel(server.url, None, time.monotonic), list[bytes]()
        async with listening(channel, heard):
            began = time.monotonic()
            assert not await channel.send(b"lost") and channel.resting
            assert time.monotonic() - began < 0.1 + SLACK_S
            server.start()
            await until(lambda: not channel.resting)
            while not heard:
                await channel.send(b"heard")
                await asyncio.sleep(0.02)
            assert set(heard) == {b"heard"}


async def test_what_piled_up_while_this_process_stood_still_is_not_taken_for_news(tmp_path: Path) -> None:
    """Others' messages of that time lie in the connection. After it was opened anew, messages are heard again."""
    with valkey_server(tmp_path) as server:
        slept_s, heard = 0.0, list[bytes]()
        channel = StoreChannel(server.url, None, lambda: time.monotonic() + slept_s)
        other = StoreChannel(server.url, None, time.monotonic)
        async with listening(channel, heard):
            while not heard:
                await other.send(b"news")
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            heard.clear()
            slept_s = 30.0
            for _ in range(5):
                await other.send(b"old")
            await asyncio.sleep(0.1)
            while not heard:
                await other.send(b"news")
                await asyncio.sleep(0.1)
            assert set(heard) == {b"news"}
        await other.aclose()
