"""The numbers by which hangs are found: requests in flight and the time of the last byte."""

from __future__ import annotations

import asyncio

from local_models.wire.hop import EngineHop
from tests.local_models.wire.peer import CALL, STREAM, WHOLE, Clock, Peer, Start, answer_all


async def test_only_good_body_bytes_move_the_clock(engine: Start, hop: EngineHop, clock: Clock) -> None:
    """A hung engine's front still writes heads and refusals: they are no sign of life."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM)
        await go.wait()
        await peer.chunk(b"data: one\n\n")

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    assert (hop.last_byte_at, hop.quiet_since) == (None, 100.0)
    clock.now = 107.0
    go.set()
    await reply.chunk()
    assert (hop.last_byte_at, hop.quiet_since) == (107.0, 107.0)
    reply.close()
    assert hop.quiet_since is None


async def test_a_refusal_is_no_progress(engine: Start, hop: EngineHop) -> None:
    """A 400 comes from the front alone."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE.replace(b"200 OK", b"400 Bad Request"))

    await engine(script)
    assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert hop.last_byte_at is None


async def test_quiet_since_starts_with_the_first_request(engine: Start, hop: EngineHop, clock: Clock) -> None:
    """An engine that was idle for an hour is not hung the moment it gets a request."""
    await engine(answer_all)
    await (await hop.open(CALL, connect_s=1)).read()
    clock.now += 3600
    reply = await hop.open(CALL, connect_s=1)
    assert hop.quiet_since is None or hop.quiet_since == clock.now
    await reply.read()


async def test_many_at_once_are_counted_exactly(engine: Start, hop: EngineHop) -> None:
    """A hundred calls, a third of them abandoned, leave nothing in flight."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(STREAM)
            await peer.chunk(b"data: one\n\n")
            await asyncio.sleep(0)
            await peer.send(b"0\r\n\r\n")

    async def one(number: int) -> None:
        reply = await hop.open(CALL, connect_s=5)
        if number % 3:
            await reply.read()
        reply.close()

    await engine(script)
    await asyncio.gather(*map(one, range(100)))
    assert hop.in_flight == 0
    assert hop.busy_since is None
