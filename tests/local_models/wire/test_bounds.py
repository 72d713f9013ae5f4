"""Replies without an end, and connections that must not be used again."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from local_models.wire.hop import EngineHop
from runtime.contract.failures import HopError, Kind
from runtime.contract.hop import HttpCall
from tests.local_models.wire.peer import CALL, STREAM, WHOLE, Clock, Peer, Start

MIB = 1 << 20
FEED = 64 * 1024
ENOUGH = 12 * MIB  # bytes each endless part is fed, unless it is refused before
STREAM_HEAD = STREAM.removesuffix(b"\r\n")


async def fed(peer: Peer, first: bytes, again: bytes) -> None:
    """`first`, then `again` over and over until the client hangs up or has taken 12 MiB."""
    await peer.request()
    await peer.send(first)
    block = again * max(1, FEED // len(again))
    for _ in range(ENOUGH // len(block)):
        await peer.send(block)


ENDLESS = {
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"x-filler: 0123456789\r\n"),
    "a header's value": (b"HTTP/1.1 200 OK\r\nx-filler: ", b"x" * 1024),
    "a header's name": (b"HTTP/1.1 200 OK\r\n", b"x" * 1024),
    "a reason phrase": (b"HTTP/1.1 200 ", b"x" * 1024),
    "interim replies": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "a chunk extension": (STREAM + b"5;", b"x" * 1024),
    "a chunk extension's value": (STREAM + b"5;name=", b"x" * 1024),
    "a chunk size": (STREAM, b"0" * 1024),
    "trailers": (STREAM + b"5\r\nhello\r\n0\r\n", b"x-filler: 0123456789\r\n"),
    "a trailer's value": (STREAM + b"5\r\nhello\r\n0\r\nx-filler: ", b"x" * 1024),
}


@pytest.mark.parametrize("part", ENDLESS)
async def test_a_part_without_an_end_is_refused(engine: Start, hop: EngineHop, part: str) -> None:
    """The reply is garbled after about 64 KiB, the connection is closed, and memory stays flat."""
    first, again = ENDLESS[part]
    server = await engine(lambda peer: fed(peer, first, again))
    tracemalloc.start()
    try:
        with pytest.raises(HopError) as raised:
            reply = await hop.open(CALL, connect_s=1)
            while await reply.chunk():
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.failure.kind is Kind.GARBLED
    assert peak < 4 * MIB
    await asyncio.wait_for(server.gone.wait(), 5)


async def test_a_head_has_a_limit_of_the_hops_own(engine: Start, clock: Clock, tmp_path: Path) -> None:
    """Also a head that arrives whole, in one piece; one below the limit is read."""

    async def script(peer: Peer) -> None:
        for size in (900, 1100):
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nx: %b\r\ncontent-length: 0\r\n\r\n" % (b"y" * size))

    await engine(script)
    hop = EngineHop(socket_path=tmp_path / "e.sock", clock=clock, most_head=1000)
    reply = await hop.open(CALL, connect_s=1)
    assert (len(reply.headers["x"]), await reply.read()) == (900, b"")
    with pytest.raises(HopError, match="the reply's head is longer than 1000 bytes"):
        await hop.open(CALL, connect_s=1)
    await hop.aclose()


async def test_a_stream_of_tiny_chunks_is_no_endless_frame(engine: Start, hop: EngineHop) -> None:
    """A long stream has more bytes of framing than the limit, each between two parts of the body."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    assert await reply.read() == b"x" * 50_000


async def test_a_body_read_whole_has_a_limit(engine: Start, hop: EngineHop) -> None:
    """`read` stops at its limit and a probe at its own, though the server goes on sending."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    await engine(lambda peer: fed(peer, head, b"x" * 1024))
    reply = await hop.open(CALL, connect_s=1)
    with pytest.raises(HopError, match="longer than 100000 bytes") as raised:
        await reply.read(100_000)
    reply.close()
    assert raised.value.failure.kind is Kind.GARBLED
    with pytest.raises(HopError, match="longer than 100000 bytes"):
        await hop.probe("/metrics", 5.0, at_most=100_000)


async def test_a_reply_before_the_request_was_sent_spoils_the_connection(engine: Start, hop: EngineHop) -> None:
    """A server that answers without reading the body: the next request gets a connection of its own and no time-out."""

    async def early(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(WHOLE)
        await asyncio.Event().wait()

    server = await engine(early)
    big = HttpCall("/chat/completions", b"x" * (8 * MIB))
    for _ in range(2):
        reply = await hop.open(big, connect_s=1)
        assert await asyncio.wait_for(reply.read(), 5) == b"hello"
    assert server.connections == 2


@pytest.mark.parametrize("codings", [b"gzip", b"chunked, identity", b"identity"])
async def test_a_body_whose_last_coding_is_not_chunked_ends_with_the_connection(
    engine: Start, hop: EngineHop, codings: bytes
) -> None:
    """RFC 9112 6.3: no chunk is read, the end of the connection is the end of the body."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: %b\r\n\r\nhello" % codings)
        peer.hang_up()

    await engine(script)
    assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"


async def test_a_switch_of_protocols_is_named(engine: Start, hop: EngineHop) -> None:
    """A 101 is an answer to a question that was not asked."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")

    await engine(script)
    with pytest.raises(HopError, match=r"switched protocols \(101\)") as raised:
        await hop.open(CALL, connect_s=1)
    assert raised.value.failure.kind is Kind.GARBLED
