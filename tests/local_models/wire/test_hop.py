"""The hop to one engine, against a scripted server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models.wire.hop import EngineHop
from runtime.contract.failures import Disposition, HopError, Kind
from runtime.contract.hop import HttpCall, Reply
from tests.local_models.wire.peer import CALL, STREAM, WHOLE, Clock, Engine, Peer, Start, answer_all


async def test_sends_the_call_byte_for_byte_below_v1(engine: Start, hop: EngineHop) -> None:
    """The engine gets method, path, headers and body as they were given, and no encoding is asked for."""
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(WHOLE)

    await engine(script)
    call = HttpCall("/chat/completions", b"{ }", (("content-type", "application/json"), ("x-request-id", "r1")))
    reply = await hop.open(call, connect_s=1)
    assert (reply.status, reply.headers["server"], await reply.read()) == (200, "uvicorn", b"hello")
    head, body = seen[0]
    assert head == (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\naccept-encoding: identity\r\n"
        b"content-type: application/json\r\nx-request-id: r1\r\ncontent-length: 3\r\n\r\n"
    )
    assert body == b"{ }"


async def test_headers_that_are_the_hops_own_are_not_the_callers(engine: Start, hop: EngineHop) -> None:
    """A caller's length, encoding or authorization never reaches the engine."""
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.send(WHOLE)

    await engine(script)
    theirs = tuple((name, "9") for name in ("content-length", "accept-encoding", "authorization", "host", "connection"))
    await (await hop.open(HttpCall("/x", b"ab", theirs), connect_s=1)).read()
    assert b"9" not in heads[0]


async def test_a_header_with_a_line_break_is_refused(hop: EngineHop) -> None:
    """No caller smuggles a second header, or a second request."""
    with pytest.raises(ValueError, match="line break"):
        await hop.open(HttpCall("/x", b"", (("x-a", "1\r\nx-b: 2"),)), connect_s=1)


async def test_chunks_arrive_as_they_are_sent(engine: Start, hop: EngineHop) -> None:
    """A stream is handed on chunk by chunk, before it ends."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM)
        await peer.chunk(b"data: one\n\n")
        await go.wait()
        await peer.chunk(b"data: two\n\n")
        await peer.send(b"0\r\n\r\n")

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    assert await reply.chunk() == b"data: one\n\n"
    assert hop.in_flight == 1
    go.set()
    assert await reply.read() == b"data: two\n\n"
    assert await reply.chunk() == b""
    assert hop.in_flight == 0


async def test_a_connection_is_used_again(engine: Start, hop: EngineHop) -> None:
    """Answers read to their end leave their connection to the next call."""
    one = await engine(answer_all)
    for _ in range(5):
        assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert one.connections == 1


async def test_a_connection_the_engine_closes_after_the_answer_is_not(engine: Start, hop: EngineHop) -> None:
    """`connection: close` is obeyed: the next call dials anew."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

    one = await engine(script)
    for _ in range(2):
        assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert one.connections == 2


async def test_a_connection_idle_too_long_is_not_used(engine: Start, hop: EngineHop, clock: Clock) -> None:
    """The engine closes idle connections after 120 s; the hop drops them before that."""
    one = await engine(answer_all)
    await (await hop.open(CALL, connect_s=1)).read()
    clock.now += 115
    await (await hop.open(CALL, connect_s=1)).read()
    assert one.connections == 2


async def test_a_stale_connection_is_replaced_once(engine: Start, hop: EngineHop) -> None:
    """A pooled connection that dies before any byte of the answer costs the caller nothing."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE)
        await peer.request()
        peer.hang_up()

    one = await engine(once)
    await (await hop.open(CALL, connect_s=1)).read()
    assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert one.connections == 2


async def test_a_fresh_connection_cut_before_the_answer_is_down(engine: Start, hop: EngineHop) -> None:
    """The hop does not ask twice where nothing was stale: that is the dispatcher's to decide."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.hang_up()

    one = await engine(script)
    with pytest.raises(HopError) as raised:
        await hop.open(CALL, connect_s=1)
    assert (raised.value.failure.kind, raised.value.failure.disposition) == (Kind.DOWN, Disposition.RETRY_HERE)
    assert one.connections == 1


async def test_a_stale_connection_with_a_first_byte_is_not_replaced(engine: Start, hop: EngineHop) -> None:
    """Once a byte of the answer came, asking again could pay for it twice."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE)
        await peer.request()
        await peer.send(b"HTTP/1.1 2")
        peer.hang_up()

    one = await engine(script)
    await (await hop.open(CALL, connect_s=1)).read()
    with pytest.raises(HopError):
        await hop.open(CALL, connect_s=1)
    assert one.connections == 1


async def test_no_engine_is_down(hop: EngineHop) -> None:
    """A missing or refusing socket is a failure with its address in words."""
    with pytest.raises(HopError) as raised:
        await hop.open(CALL, connect_s=1)
    assert raised.value.failure.kind is Kind.DOWN
    assert raised.value.failure.disposition is Disposition.RETRY_HERE
    assert "e.sock" in raised.value.failure.message


async def test_a_cut_in_the_body_is_a_broken_stream(engine: Start, hop: EngineHop) -> None:
    """What came is delivered, then the cut is told: never a cut answer as a whole one."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM)
        await peer.chunk(b"data: one\n\n")
        peer.hang_up()

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    assert await reply.chunk() == b"data: one\n\n"
    with pytest.raises(HopError) as raised:
        await reply.chunk()
    failure = raised.value.failure
    assert (failure.kind, failure.disposition) == (Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE)
    assert hop.in_flight == 0


async def test_a_counted_body_cut_short_is_a_broken_stream(engine: Start, hop: EngineHop) -> None:
    """A whole answer shorter than its announced length is not taken for whole."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE[:-2])
        peer.hang_up()

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    with pytest.raises(HopError):
        await reply.read()


async def test_a_body_without_length_ends_with_the_connection(engine: Start, hop: EngineHop) -> None:
    """HTTP allows it; attached servers behind old proxies do it."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello")
        peer.hang_up()

    await engine(script)
    assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"


async def test_what_is_not_http_is_garbled(engine: Start, hop: EngineHop) -> None:
    """Another protocol on the socket is told apart from a dead engine."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"SSH-2.0-OpenSSH\r\n\r\n")

    await engine(script)
    with pytest.raises(HopError) as raised:
        await hop.open(CALL, connect_s=1)
    assert raised.value.failure.kind is Kind.GARBLED


async def test_bytes_after_an_answer_spoil_the_connection(engine: Start, hop: EngineHop) -> None:
    """An answer nobody asked for is never given to the next caller."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(WHOLE + WHOLE.replace(b"hello", b"WRONG"))
        await peer.request()
        await peer.send(WHOLE)

    one = await engine(script)
    for _ in range(2):
        assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert one.connections == 2


async def test_an_interim_answer_is_passed_over(engine: Start, hop: EngineHop) -> None:
    """100 and 103 come before the answer, and are not it."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE)

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    assert (reply.status, "link" in reply.headers, await reply.read()) == (200, False, b"hello")


async def test_closing_an_unread_reply_hangs_up(engine: Start, hop: EngineHop) -> None:
    """The engine sees its client gone, so it stops generating."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM)
        await peer.chunk(b"data: one\n\n")

    one = await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    reply.close()
    reply.close()
    async with asyncio.timeout(1):
        await one.gone.wait()
    assert hop.in_flight == 0
    assert await reply.chunk() == b""


@pytest.mark.parametrize("headed", [False, True])
async def test_who_is_given_up_is_silent(engine: Start, hop: EngineHop, headed: bool) -> None:
    """Its requests end at once, before the head and after it, and are not asked again there."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if headed:
            await peer.send(STREAM)
            await peer.chunk(b"data: one\n\n")

    one = await engine(script)
    opening = asyncio.create_task(hop.open(CALL, connect_s=1))
    task: asyncio.Task[Reply] | asyncio.Task[bytes] = opening
    if headed:
        reply = await opening
        assert await reply.chunk()
        task = asyncio.create_task(reply.chunk())
    while not hop.in_flight:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    hop.give_up("it is gone")
    with pytest.raises(HopError, match="it is gone") as caught:
        await task
    assert (caught.value.failure.kind, caught.value.failure.disposition) == (Kind.SILENT, Disposition.NEXT_CANDIDATE)
    async with asyncio.timeout(1):
        await one.gone.wait()
    assert hop.in_flight == 0
    hop.give_up("nothing is in progress")


async def test_cancelling_open_hangs_up(engine: Start, hop: EngineHop) -> None:
    """A caller that goes before the head arrives frees the engine as well."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()

    one = await engine(script)
    task = asyncio.create_task(hop.open(CALL, connect_s=1))
    await asked.wait()
    assert hop.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await one.gone.wait()
    assert hop.in_flight == 0


async def test_closing_a_finished_reply_keeps_the_connection(engine: Start, hop: EngineHop) -> None:
    """`close` after the end is a formality, also when the connection already serves another call."""
    one = await engine(answer_all)
    first = await hop.open(CALL, connect_s=1)
    await first.read()
    second = await hop.open(CALL, connect_s=1)
    first.close()
    assert await second.read() == b"hello"
    assert one.connections == 1


async def test_a_probe_asks_beside_v1_and_counts_for_nothing(engine: Start, hop: EngineHop) -> None:
    """/health and /metrics live at U for an engine at U/v1."""
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        assert hop.in_flight == 0
        await peer.send(WHOLE)

    await engine(script)
    assert await hop.probe("/health", 1) == (200, b"hello")
    assert heads[0].startswith(b"GET /health HTTP/1.1\r\n")
    assert hop.last_byte_at is None


async def test_a_probe_without_an_answer_is_named_without_its_query(engine: Start, hop: EngineHop) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    await engine(script)
    with pytest.raises(HopError, match=r"did not answer /hearth/fleet within 0\.05 s"):
        await hop.probe("/hearth/fleet?asker=%7B%22", 0.05)


async def test_a_probe_has_a_time_limit(engine: Start, hop: EngineHop) -> None:
    """A silent engine is silent, not down."""

    async def script(peer: Peer) -> None:
        await peer.request()

    one = await engine(script)
    with pytest.raises(HopError) as raised:
        await hop.probe("/health", 0.05)
    assert raised.value.failure.kind is Kind.SILENT
    async with asyncio.timeout(1):
        await one.gone.wait()


async def test_a_slow_reader_stops_the_flow_and_loses_nothing(engine: Start, hop: EngineHop) -> None:
    """What a reader has not taken is bounded, and all of it arrives in the end."""
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(STREAM)
        for _ in range(400):
            await peer.chunk(b"x" * 20_000)
            sent += 1
        await peer.send(b"0\r\n\r\n")

    await engine(script)
    reply = await hop.open(CALL, connect_s=1)
    held = -1
    while held != sent:  # until the sender can send no more
        held = sent
        await asyncio.sleep(0.02)
    assert sent < 400
    assert len(await reply.read()) == 400 * 20_000


async def test_a_large_body_arrives_whole(engine: Start, hop: EngineHop) -> None:
    """Images in a prompt are megabytes."""
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        got.append((await peer.request())[1])
        await peer.send(WHOLE)

    await engine(script)
    body = bytes(range(256)) * 20_000
    await (await hop.open(HttpCall("/x", body), connect_s=2)).read()
    assert got == [body]


async def test_a_restarted_engine_is_reached_after_reset(engine: Start, hop: EngineHop) -> None:
    """Pooled connections of the old process are dropped, and the hop goes on."""
    first = await engine(answer_all)
    await (await hop.open(CALL, connect_s=1)).read()
    await first.stop()
    await hop.reset()
    second = await engine(answer_all)
    assert await (await hop.open(CALL, connect_s=1)).read() == b"hello"
    assert second.connections == 1


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


async def test_an_attached_engine_gets_its_key_and_its_own_path(tcp: socket.socket) -> None:
    """`base_url` may have a path before /v1; probes go beside it, with the key."""
    heads: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                heads.append((await peer.request())[0])
                await peer.send(WHOLE)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, sock=tcp)
    port = tcp.getsockname()[1]
    hop = EngineHop(base_url=f"http://127.0.0.1:{port}/llm/v1", key="s3cret", clock=time.monotonic)
    await (await hop.open(CALL, connect_s=1)).read()
    await hop.probe("/metrics", 1)
    await hop.aclose()
    server.close()
    await ended.wait()
    assert heads[0].startswith(b"POST /llm/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % port)
    assert heads[1].startswith(b"GET /llm/metrics ")
    assert all(b"authorization: Bearer s3cret\r\n" in head for head in heads)
    assert "s3cret" not in hop.address


async def test_a_refused_port_is_down() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    hop = EngineHop(base_url=f"http://127.0.0.1:{port}/v1", clock=time.monotonic)
    with pytest.raises(HopError) as raised:
        await hop.open(CALL, connect_s=1)
    assert raised.value.failure.kind is Kind.DOWN


def test_the_hop_outlives_an_event_loop(tmp_path: Path) -> None:
    """A connection of a loop that has ended is not used in the next."""
    hop = EngineHop(socket_path=tmp_path / "e.sock", clock=time.monotonic)

    async def once(close: bool) -> bytes:
        one = Engine(tmp_path / "e.sock", answer_all)
        await one.start()
        body = await (await hop.open(CALL, connect_s=1)).read()
        if close:
            await hop.aclose()
        await one.stop()
        await asyncio.sleep(0.01)
        return body

    with asyncio.Runner() as first:
        assert first.run(once(close=False)) == b"hello"
    with asyncio.Runner() as second:
        assert second.run(once(close=True)) == b"hello"


@pytest.mark.parametrize("wrong", [{}, {"socket_path": Path("/x"), "base_url": "http://a/v1"}, {"base_url": "ftp://a"}])
def test_an_address_is_one_of_two(wrong: dict[str, object]) -> None:
    """Neither, both, or none of ours: an error at once."""
    with pytest.raises(ValueError, match="engine"):
        EngineHop(clock=time.monotonic, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_packed_answer_of_an_attached_engine_is_unpacked(size: int) -> None:
    """Some proxies compress although no encoding was asked for: whole, streamed, cut, and in a coding nobody knows."""
    text = b'data: {"x":1}\n\n' * 100
    packed = gzip.compress(text)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].rpartition(b"/")[2].decode()
        coding, body = ("br", packed) if wanted == "br" else ("gzip", packed[:-20] if wanted == "cut" else packed)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (coding.encode(), len(body))
        )
        for at in range(0, len(body), size):
            writer.write(body[at : at + size])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    hop = EngineHop(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", clock=time.monotonic)
    try:
        assert await (await hop.open(HttpCall("/whole"), connect_s=5)).read() == text
        pieces = list[bytes]()
        reply = await hop.open(HttpCall("/stream"), connect_s=5)

        def take(piece: bytes) -> bool:
            pieces.append(piece)
            return True

        assert await reply.relay(take) and b"".join(pieces) == text
        assert await hop.probe("/metrics", 5) == (200, text)
        for path, kind in (("/cut", Kind.BROKEN_STREAM), ("/br", Kind.GARBLED)):
            with pytest.raises(HopError) as caught:
                await (await hop.open(HttpCall(path), connect_s=5)).read()
            assert caught.value.failure.kind is kind
        assert hop.in_flight == 0
    finally:
        await hop.aclose()
        server.close()
        await server.wait_closed()
