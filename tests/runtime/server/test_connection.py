"""A client's connection under clients that send too much, too slowly, or without end, and under honest ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import uvicorn
import uvloop

from runtime.server.asgi import WRITE_NOW, ClientGone, ClientRequest, Receive, Scope, Send
from runtime.server.connection import ConnectionLimits, HttpProtocol, http_protocol
from runtime.server.listening import listening
from runtime.wire.api_error import ApiError

QUICK = ConnectionLimits(head_s=0.2, window_s=0.1, body_s=0.2, write_s=0.2, body_rate=10_000)
GET = b"GET /%b HTTP/1.1\r\nhost: a\r\n"
END = b"\r\n"


Served = tuple["Echo", int, type[HttpProtocol]]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class Echo:
    """Answers with what it read of a request; paths choose how. `bodies`: sizes of the bodies read."""

    def __init__(self) -> None:
        self.bodies: list[int] = []
        self.gone = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = ClientRequest(scope, receive, send, 0.0)
        if request.path == "/early":
            await request.answer_json(413, {"early": True})
            return
        if request.path == "/stream":
            await self.stream(request)
            return
        if request.path == "/drip":
            await self.drip(request)
            return
        if request.path == "/wait":
            await self.release.wait()
        try:
            body = await request.body(64_000_000)
        except ClientGone:
            self.gone += 1
            return
        except ApiError as error:
            await request.answer_json(error.status, {})
            return
        self.bodies.append(len(body))
        shown = {"path": request.path, "query": request.query, "host": request.values("host"), "size": len(body)}
        await request.answer_json(200, shown | {"names": sorted({name.decode() for name, _ in scope["headers"]})})

    async def stream(self, request: ClientRequest) -> None:
        await request.start(200, [])
        for _ in range(2000):
            await request.send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await request.send({"type": "http.response.body", "body": b""})

    async def drip(self, request: ClientRequest) -> None:
        await request.start(200, [])
        for _ in range(5000):
            await asyncio.sleep(0)
            await request.send({"type": "http.response.body", "body": b"x" * 50, "more_body": True})
        await request.send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def serving_on(listener: socket.socket, limits: ConnectionLimits = QUICK) -> AsyncIterator[Served]:
    echo, protocol = Echo(), http_protocol(limits)
    server = _Server(uvicorn.Config(echo, lifespan="off", log_config=None, ws="none", http=protocol))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    name = listener.getsockname()
    try:
        yield echo, 0 if isinstance(name, str) else name[1], protocol
    finally:
        echo.release.set()
        server.should_exit = server.force_exit = True
        await task


@contextlib.asynccontextmanager
async def serving(limits: ConnectionLimits = QUICK) -> AsyncIterator[Served]:
    with listening("127.0.0.1", 0) as listener:
        async with serving_on(listener, limits) as served:
            yield served


async def said(port: int, *pieces: bytes, then: float = 0.0) -> bytes:
    """All that the server answers to some bytes, until it closes. then: seconds after which the sending side is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    if then:
        await asyncio.sleep(then)
        writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def flood(port: int, head: bytes, pieces: Iterable[bytes]) -> tuple[bytes, int]:
    """The answer to pieces sent without end, and how many bytes were taken before the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken = 0
    with contextlib.suppress(ConnectionError):
        writer.write(head)
        for piece in pieces:
            writer.write(piece)
            taken += len(piece)
            await writer.drain()
            if reader.at_eof() or writer.is_closing():
                break
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer, taken


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def body(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_request_passes_and_the_connection_is_kept() -> None:
    """Two requests on one connection, a body in pieces, trailers that are no headers."""
    async with serving() as (echo, port, _):
        chunked = b"POST /p?q=1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n"
        last = b"0\r\nhost: evil\r\ncontent-encoding: gzip\r\n\r\n"
        answer = await said(port, chunked, last + GET % b"second" + b"connection: close\r\n" + END)
        first, second = answer.split(b"HTTP/1.1 200 OK")[1:]
        assert body(first) == {
            "path": "/p",
            "query": "q=1",
            "host": ["a"],
            "size": 3,
            "names": ["host", "transfer-encoding"],
        }
        assert body(second)["path"] == "/second" and echo.bodies == [3, 0]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /caf\xe9 HTTP/1.1\r\nhost: a\r\n\r\n".encode("latin-1"), 400),
        (b"GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"CONNECT evil:443 HTTP/1.1\r\nhost: a\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (GET % (b"x" * 9000) + END, 414),
        (GET % b"" + b"".join(b"x-%d: y\r\n" % number for number in range(300)) + END, 431),
        (GET % b"" + b"x: " + b"y" * 70_000 + END + END, 431),
        (GET % b"" + b"x: " + b"y" * 400_000, 431),
    ],
)
async def test_requests_that_are_refused(request_: bytes, code: int) -> None:
    """With a JSON error that clients of each wire can read, and the connection is closed."""
    async with serving() as (echo, port, _):
        answer = await said(port, request_)
        assert status(answer) == code and b"connection: close" in answer
        assert body(answer)["type"] == "error" and body(answer)["error"]["message"]
        assert echo.bodies == []


@pytest.mark.parametrize("piece", [b"x" * 65_536, b"x-a: " + b"y" * 60 + b"\r\n"])
async def test_heads_without_end_take_no_memory(piece: bytes) -> None:
    """A gigabyte of one header, or of many, is refused after a few hundred kilobytes."""
    async with serving(ConnectionLimits()) as (_, port, _protocol):
        tracemalloc.start()
        answer, taken = await flood(port, GET % b"" + b"x: ", (piece for _ in range((1 << 30) // len(piece))))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert status(answer) in (0, 431)  # sent without end, a reset may overtake the answer
        assert taken < 16 << 20 and peak < 24 << 20


CHUNKED = b"POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"3;", b"x" * 65_536),  # an extension that does not end
        (b"", b"1;" + b"x" * 2000 + b"\r\na\r\n"),  # a long extension for every byte
        (b"0\r\n", b"x-trailer: y\r\n" * 4000),
    ],
)
async def test_framing_without_end_takes_no_memory(start: bytes, piece: bytes) -> None:
    """Chunk extensions and trailers are read by no application: they are bounded here."""
    async with serving(ConnectionLimits()) as (echo, port, _):
        tracemalloc.start()
        answer, taken = await flood(port, CHUNKED + start, (piece for _ in range((1 << 29) // len(piece))))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert status(answer) in (0, 400) and taken < 24 << 20 and peak < 32 << 20
        assert echo.bodies == []


async def test_a_body_in_tiny_chunks_is_read() -> None:
    """An honest client may send each byte as a chunk of its own."""
    async with serving() as (_, port, _protocol):
        answer = await said(port, CHUNKED + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n", then=0.5)
        assert body(answer)["size"] == 30_000


async def test_slow_heads_and_bodies_are_given_up() -> None:
    """408 where something was sent, a silent end where nothing was."""
    async with serving() as (echo, port, _):
        silent, head, sent, rate = await asyncio.gather(
            said(port),
            said(port, GET % b""),
            said(port, b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 90\r\n\r\nab"),
            said(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", GET % b""),
        )
        assert silent == b"" and status(head) == status(sent) == 408
        assert status(rate) == 200 and b" 408 " in rate  # the second head, after an answer to the first
        while not echo.gone:
            await asyncio.sleep(0.01)


async def test_a_head_byte_by_byte_is_given_up() -> None:
    """The clock runs for the whole head, whatever arrives meanwhile."""
    async with serving() as (_, port, _protocol):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /")
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(5):
            while not reading.done():
                writer.write(b"x")
                await asyncio.wait([reading], timeout=0.02)
        assert status(reading.result()) == 408
        writer.close()


async def test_a_body_byte_by_byte_is_given_up() -> None:
    """Something arrives in every window, and too little for the time that the whole of it takes."""
    async with serving() as (_, port, _protocol):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\n")
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(5):
            while not reading.done():
                writer.write(b"x")
                await asyncio.wait([reading], timeout=0.02)
        assert status(reading.result()) == 408
        writer.close()


async def test_a_body_that_keeps_its_rate_is_read() -> None:
    """Slow, and longer than a window, and whole."""
    async with serving() as (_, port, _protocol):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 30000\r\n\r\n")
        for _ in range(10):
            writer.write(b"x" * 3000)
            await asyncio.sleep(0.05)
        assert body(await reader.read())["size"] == 30_000
        writer.close()


async def test_a_body_that_this_server_does_not_read_yet_is_not_judged() -> None:
    """The client cannot send while reading is paused: no time-out of its own making."""
    async with serving() as (echo, port, _):
        asking = asyncio.create_task(
            said(
                port,
                b"POST /wait HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9000000\r\n\r\n",
                b"x" * 9_000_000,
            )
        )
        await asyncio.sleep(0.5)  # five windows: that nothing happens in them is the thing under test
        echo.release.set()
        assert body(await asking)["size"] == 9_000_000


async def test_what_follows_an_early_answer_is_read_for_a_while() -> None:
    """The client gets its answer although it is still sending; one that does not stop is cut."""
    async with serving() as (_, port, _protocol):
        head = b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
        answer = await said(port, head % 3_000_000, b"x" * 3_000_000, GET % b"next" + b"connection: close\r\n" + END)
        assert status(answer) == 413 and b'"/next"' in answer
        answer, taken = await flood(port, head % (1 << 30), (b"x" * 65_536 for _ in range(1 << 14)))
        assert taken < 64 << 20


async def test_an_offer_of_another_protocol_is_ignored() -> None:
    """h2c with a body, as some clients send first, and a websocket: answered as plain HTTP, and the connection lives."""
    async with serving() as (echo, port, _):
        offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
        post = b"POST /p HTTP/1.1\r\nhost: a\r\n" + offer + b"content-length: 3\r\n\r\nabc"
        socket = GET % b"socket" + b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n"
        answer = await said(port, post + socket + GET % b"last" + b"connection: close\r\n" + END)
        first, second, third = (body(each) for each in answer.split(b"HTTP/1.1 200 OK")[1:])
        assert (first["size"], second["path"], third["path"]) == (3, "/socket", "/last") and echo.bodies == [3, 0, 0]
        split = await said(port, post[:-2], post[-2:], then=0.3)
        assert body(split)["size"] == 3


async def test_an_offer_with_close_is_closed() -> None:
    """What else stood beside it is kept."""
    async with serving() as (_, port, _protocol):
        answer = await said(port, GET % b"" + b"connection: Upgrade, close\r\nupgrade: h2c\r\n\r\n")
        assert status(answer) == 200 and b"connection: close" in answer


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://evil.example:81/v1?x=y", "evil.example:81", "/v1"),
        (b"http://evil.example", "evil.example", "/"),
        (b"HTTP://[::1]:8000/v1", "[::1]:8000", "/v1"),
    ],
)
async def test_the_host_of_an_absolute_target_counts(target: bytes, host: str, path: str) -> None:
    """Not the header beside it, which may say anything."""
    async with serving() as (_, port, _protocol):
        shown = body(await said(port, b"GET %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" % target))
        assert (shown["host"], shown["path"]) == ([host], path)


async def test_requests_sent_without_waiting_are_bounded() -> None:
    """A few may be sent ahead and are answered in order; hundreds end the connection."""
    async with serving() as (echo, port, _):
        few = GET % b"1" + END + GET % b"2" + END + GET % b"3" + b"connection: close\r\n" + END
        answer = await said(port, few)
        assert [body(each)["path"] for each in answer.split(b"HTTP/1.1 200 OK")[1:]] == ["/1", "/2", "/3"]
        before = len(echo.bodies)
        await said(port, (GET % b"" + END) * 500)
        assert len(echo.bodies) - before <= 2


async def test_half_a_head_behind_a_long_answer_does_not_end_it() -> None:
    """Reading is paused while requests wait in line: the clock of the next head does not run then."""
    async with serving() as (echo, port, _):
        line = GET % b"wait" + END + GET % b"2" + END + b"GET /3 HTT"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line)
        await asyncio.sleep(0.6)  # three times a head's limit: that nothing happens is the thing under test
        echo.release.set()
        writer.write(b"P/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert [body(each)["path"] for each in answer.split(b"HTTP/1.1 200 OK")[1:]] == ["/wait", "/2", "/3"]
        writer.close()


async def test_beyond_its_number_of_connections_the_longest_idle_gives_way() -> None:
    """With none idle the new one gets a 503."""
    async with serving(ConnectionLimits(connections=2)) as (echo, port, _):
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        idle.write(GET % b"idle" + END)
        await idle_reader.readuntil(b"}")
        busy_reader, busy = await asyncio.open_connection("127.0.0.1", port)
        busy.write(GET % b"wait" + END)
        third_reader, third = await asyncio.open_connection("127.0.0.1", port)
        third.write(GET % b"wait" + END)
        assert await idle_reader.read() == b""
        while len(asyncio.all_tasks()) < 3:
            await asyncio.sleep(0.01)
        fourth = await said(port)
        assert status(fourth) == 503 and body(fourth)["error"]["code"] == "too_many_connections"
        echo.release.set()
        assert b" 200 " in await busy_reader.readuntil(b"}") and b" 200 " in await third_reader.readuntil(b"}")
        for writer in (idle, busy, third):
            writer.close()


async def test_idle_connections_are_bounded() -> None:
    """The longest idle is closed first."""
    async with serving(ConnectionLimits(idle=1)) as (_, port, protocol):
        first_reader, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(GET % b"" + END)
        await first_reader.readuntil(b"}")
        second_reader, second = await asyncio.open_connection("127.0.0.1", port)
        second.write(b"\r\n" + GET % b"" + END)
        await second_reader.readuntil(b"}")
        assert await asyncio.wait_for(first_reader.read(), 5) == b"" and len(protocol.idle) == 1
        second.write(b"\r\n")  # a blank line is no request: the connection stays idle
        second.write(GET % b"again" + END)
        assert b"/again" in await second_reader.readuntil(b"}")
        first.close()
        second.close()


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    """Its answer would hold its place for ever. One that reads slowly keeps its connection."""
    async with serving() as (_, port, _protocol):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET % b"stream" + END)
        slow, other = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        other.write(GET % b"stream" + END)
        read = 0
        while read < 40 << 20:  # ten times the kernel's buffers
            read += len(await slow.read(1 << 20))
            await asyncio.sleep(0.002)
        left = 0
        while piece := await reader.read(1 << 20):
            left += len(piece)
        assert left < 40 << 20  # of 125 MiB
        writer.close()
        other.close()


def test_200_hang_ups_in_a_stream_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """On the loop that serves: a write to a connection that is gone is no fault worth a traceback."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, caplog.at_level(logging.WARNING):
        runner.run(_hang_up())
    assert [record.getMessage() for record in caplog.records] == []


async def _hang_up() -> None:
    async with serving(ConnectionLimits()) as (_, port, _protocol):

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"drip" + END)
            await reader.read(1000)
            writer.transport.abort()

        for _ in range(10):
            await asyncio.gather(*(one() for _ in range(20)))
        while any("run_asgi" in repr(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


async def test_a_request_takes_its_way_out_of_the_scope() -> None:
    """What writes at once knows the connection, and the connection the scope: left there, each request would be a circle."""

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: object) -> None: ...

    scope: dict[str, object] = {
        "method": "GET",
        "path": "/",
        "headers": [],
        "extensions": {WRITE_NOW: lambda data: True},
    }
    request = ClientRequest(scope, receive, send, 0.0)
    assert request.write_now is not None
    assert scope["extensions"] == {}
