"""One HTTP client for all accounts: one TLS context, shared connections, bounded heads, the environment's proxies."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from cloud.backend import Account, connect, facts
from cloud.client import CloudClient, proxy_of
from cloud.hop import CloudHop
from runtime.contract.failures import Disposition, HopError, Kind
from runtime.contract.hop import HttpCall
from tests.fakes.certificates import made_certificate
from tests.fakes.guard import GUARD, TO
from tests.fakes.tiny_http import Exchange, listen

GET = HttpCall("/x", b"", (), "GET")
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Counted:
    """TLS contexts made, and the server's connections and requests."""

    def __init__(self) -> None:
        self.contexts = 0
        self.exchanges: list[Exchange] = []

    def context(self) -> ssl.SSLContext:
        self.contexts += 1
        return ssl.create_default_context()

    async def answer(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        await exchange.say({"ok": True}, headers={"set-cookie": "session=1"})


@contextlib.asynccontextmanager
async def served(answer: Callable[[Exchange], Awaitable[None]]) -> AsyncIterator[str]:
    server = await listen(answer, socket_path=None, port=0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def raw_server(talk: Raw) -> AsyncIterator[str]:
    """Answers with bytes of its own choosing; one that goes on for ever ends with the test."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def opened(client: CloudClient) -> AsyncIterator[CloudClient]:
    try:
        yield client
    finally:
        await client.aclose()


def now() -> datetime:
    return datetime(2026, 11, 22, tzinfo=UTC)


async def refused(hop: CloudHop, call: HttpCall = GET) -> HopError:
    """The error of a call that fails at its head."""
    with pytest.raises(HopError) as caught:
        await asyncio.wait_for(hop.open(call, connect_s=5.0), 10)
    return caught.value


async def read_whole(hop: CloudHop) -> bytes:
    reply = await hop.open(GET, connect_s=5.0)
    return await reply.read()


async def test_invented_names_and_reloads_share_one_client_and_one_tls_context() -> None:
    """600 connects make one session, one context and one connection, and take less than a millisecond each."""
    counted = Counted()
    async with served(counted.answer) as url, opened(CloudClient({}, tls=counted.context)) as client:
        gc.collect()
        before = sum(isinstance(each, aiohttp.ClientSession) for each in gc.get_objects())
        account = Account("openai", url, "sk-secret")
        began = time.process_time()
        backends = [
            connect(client, facts(f"openai/m{n}", account, f"m{n}", None, None), account, GUARD, now)
            for n in range(600)
        ]
        assert (time.process_time() - began) / 600 < 0.001
        for backend in backends[::60]:
            reply = await backend.lanes[0].hop.open(GET, connect_s=5.0)
            assert await reply.read() == b'{"ok": true}'
            await backend.lanes[0].hop.aclose()
        after = sum(isinstance(each, aiohttp.ClientSession) for each in gc.get_objects())
        assert after - before == 1
        assert len({id(exchange._writer) for exchange in counted.exchanges}) == 1
        assert counted.contexts == 0  # no TLS without an https address


async def test_the_tls_context_is_made_once() -> None:
    """Calls at the same time wait for one context; those after it find it made."""
    counted = Counted()
    async with opened(CloudClient({}, tls=counted.context)) as client:
        hops = [CloudHop(client, "https://127.0.0.1:9", {}, GUARD, TO) for _ in range(5)]
        for error in [*await asyncio.gather(*map(refused, hops)), await refused(hops[0])]:
            assert error.failure.kind is Kind.DOWN
        assert counted.contexts == 1


async def test_certificates_that_cannot_be_read_are_a_failure_and_read_again() -> None:
    """A mistaken SSL_CERT_FILE refuses the call, and the next one works once the file is there."""
    contexts: list[ssl.SSLContext] = []

    def late() -> ssl.SSLContext:
        contexts.append(ssl.create_default_context())
        if len(contexts) == 1:
            raise FileNotFoundError("no such file: ca.pem")
        return contexts[-1]

    async with opened(CloudClient({}, tls=late)) as client:
        hop = CloudHop(client, "https://127.0.0.1:9", {}, GUARD, TO)
        assert "ca.pem" in str(await refused(hop))
        assert "ca.pem" not in str(await refused(hop))


async def test_each_account_sends_its_own_key_and_no_cookie() -> None:
    """Nothing of one account's exchange reaches another's."""
    counted = Counted()
    async with served(counted.answer) as url, opened(CloudClient({})) as client:
        for key in ("one", "two"):
            reply = await CloudHop(client, url, {"x-api-key": key}, GUARD, TO).open(GET, connect_s=5.0)
            await reply.read()
    assert [exchange.headers["x-api-key"] for exchange in counted.exchanges] == ["one", "two"]
    for exchange in counted.exchanges:
        assert exchange.headers.keys() == {"host", "x-api-key", "accept-encoding", "user-agent"}
        assert exchange.headers["accept-encoding"] == "identity"


async def test_a_large_body_goes_up_whole() -> None:
    """A body that is written in pieces keeps its length and its bytes."""
    bodies: list[bytes] = []

    async def answer(exchange: Exchange) -> None:
        bodies.append(exchange.body)
        await exchange.say({})

    sent = bytes(range(256)) * 20_000
    async with served(answer) as url, opened(CloudClient({})) as client:
        reply = await CloudHop(client, url, {}, GUARD, TO).open(HttpCall("/x", sent), connect_s=5.0)
        await reply.read()
    assert bodies == [sent]


async def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: the key goes nowhere else."""

    async def answer(exchange: Exchange) -> None:
        await exchange.say("", 307, {"location": "http://127.0.0.1:9/elsewhere"})

    async with served(answer) as url, opened(CloudClient({})) as client:
        reply = await CloudHop(client, url, {}, GUARD, TO).open(GET, connect_s=5.0)
        assert reply.status == 307
        reply.close()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br"])
async def test_an_answer_in_a_packing_that_is_not_read_is_refused(coding: str) -> None:
    """`identity` was asked for: gzip and deflate are unpacked all the same, and nothing else."""

    async def answer(exchange: Exchange) -> None:
        await exchange.say(b"\x1f\x8b", headers={"content-encoding": coding})

    async with served(answer) as url, opened(CloudClient({})) as client:
        error = await refused(CloudHop(client, url, {}, GUARD, TO))
        assert (error.failure.kind, error.failure.disposition) == (Kind.GARBLED, Disposition.NEXT_CANDIDATE)


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: yes\r\n" * 1000)
        await writer.drain()


async def endless_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-more: ")
    while True:
        writer.write(b"y" * 10_000)
        await writer.drain()


async def endless_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 ")
    while True:
        writer.write(b"O" * 10_000)
        await writer.drain()


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await writer.drain()


@pytest.mark.parametrize("talk", [endless_headers, endless_line, endless_status, no_http])
async def test_a_head_without_end_is_refused(talk: Raw) -> None:
    """The head's lines and their number are bounded; what is no HTTP is refused."""
    async with raw_server(talk) as url, opened(CloudClient({})) as client:
        error = await refused(CloudHop(client, url, {}, GUARD, TO))
        assert (error.failure.kind, error.failure.disposition) == (Kind.GARBLED, Disposition.NEXT_CANDIDATE)


async def test_endless_trailers_cut_the_answer() -> None:
    """Trailers after a chunked body are bounded as the head is."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        while True:
            writer.write(b"x-more: yes\r\n" * 1000)
            await writer.drain()

    async with raw_server(talk) as url, opened(CloudClient({})) as client:
        with pytest.raises(HopError):
            await asyncio.wait_for(read_whole(CloudHop(client, url, {}, GUARD, TO)), 10)


async def test_an_answer_that_is_not_read_is_not_buffered() -> None:
    """A slow reader pauses the connection: an endless body does not grow."""
    written = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"z" * 65_536)
            await writer.drain()
            written += 65_536
            stuck.cancel()
            arm()

    stuck: asyncio.TimerHandle
    paused = asyncio.Event()

    def arm() -> None:
        nonlocal stuck
        stuck = asyncio.get_running_loop().call_later(0.2, paused.set)

    arm()
    async with raw_server(talk) as url, opened(CloudClient({}, read_ahead=65_536)) as client:
        reply = await CloudHop(client, url, {}, GUARD, TO).open(GET, connect_s=5.0)
        await asyncio.wait_for(paused.wait(), 10)
        assert written < 32 << 20  # the sockets' buffers, which are the kernel's
        assert len(await reply.chunk()) <= 1 << 20
        reply.close()


async def test_a_full_pool_fails_within_the_connect_timeout() -> None:
    """A call that finds no free connection does not wait for ever."""

    async def answer(exchange: Exchange) -> None:
        await exchange.stream("text/event-stream")
        await asyncio.Event().wait()

    async with served(answer) as url, opened(CloudClient({}, most_per_host=1)) as client:
        hop = CloudHop(client, url, {}, GUARD, TO)
        reply = await hop.open(GET, connect_s=5.0)
        with pytest.raises(HopError) as caught:
            await hop.open(GET, connect_s=0.05)
        assert caught.value.failure.kind is Kind.SILENT
        reply.close()
        (await hop.open(GET, connect_s=5.0)).close()


async def test_closing_a_reply_closes_its_connection() -> None:
    """The upstream stops generating for a caller that left."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.stream("text/event-stream")
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with served(answer) as url, opened(CloudClient({})) as client:
        reply = await CloudHop(client, url, {}, GUARD, TO).open(GET, connect_s=5.0)
        reply.close()
        reply.close()
        await asyncio.wait_for(left.wait(), 5)


async def test_a_closed_client_refuses() -> None:
    """After the end a call is a failure, not a new session."""
    client = CloudClient({})
    await client.aclose()
    await client.aclose()
    assert (await refused(CloudHop(client, "http://127.0.0.1:9", {}, GUARD, TO))).failure.kind is Kind.DOWN


async def test_the_environments_proxy_is_used() -> None:
    """A call to a host that is not exempt goes to the proxy, whole address included."""
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, opened(CloudClient({"HTTPS_PROXY": proxy, "http_proxy": proxy})) as client:
        reply = await CloudHop(client, "http://vendor.invalid", {}, GUARD, TO).open(GET, connect_s=5.0)
        assert reply.status == 403
        error = await refused(CloudHop(client, "https://vendor.invalid", {}, GUARD, TO))
        assert (error.failure.kind, error.failure.disposition) == (Kind.DOWN, Disposition.NEXT_CANDIDATE)
    assert lines == [b"GET http://vendor.invalid/x HTTP/1.1\r\n", b"CONNECT vendor.invalid:443 HTTP/1.1\r\n"]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with the key and the certificate of 127.0.0.1, which nobody trusts."""
    return made_certificate(tmp_path, "IP:127.0.0.1")


async def test_ssl_cert_file_decides_whom_to_trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a certificate of its own is refused, and not asked again, unless SSL_CERT_FILE names it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        finally:
            writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        async with opened(CloudClient({})) as client:
            failure = (await refused(CloudHop(client, url, {}, GUARD, TO))).failure
            assert (failure.kind, failure.disposition) == (Kind.DOWN, Disposition.NEXT_CANDIDATE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with opened(CloudClient({})) as client:
            assert await read_whole(CloudHop(client, url, {}, GUARD, TO)) == b"ok"


P = "http://p:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://a.com/v1", {}, None),
        ("https://a.com/v1", {"HTTPS_PROXY": P}, P),
        ("https://a.com/v1", {"HTTPS_PROXY": "p:3128"}, P),
        ("https://a.com/v1", {"HTTPS_PROXY": P, "https_proxy": "http://q"}, "http://q"),
        ("https://a.com/v1", {"HTTP_PROXY": P}, None),
        ("http://a.com/v1", {"HTTP_PROXY": P}, P),
        ("http://a.com/v1", {"ALL_PROXY": P}, P),
        ("https://a.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": "*"}, None),
        ("https://a.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": "b.com, A.com"}, None),
        ("https://x.a.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": "a.com"}, None),
        ("https://x.a.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": ".a.com"}, None),
        ("https://x.a.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": "*.a.com"}, None),
        ("https://xa.com/v1", {"HTTPS_PROXY": P, "NO_PROXY": "a.com"}, P),
        ("https://a.com:8443/v1", {"HTTPS_PROXY": P, "NO_PROXY": "a.com:8443"}, None),
        ("https://a.com:8444/v1", {"HTTPS_PROXY": P, "NO_PROXY": "a.com:8443"}, P),
        ("https://[::1]:1/v1", {"HTTPS_PROXY": P, "NO_PROXY": "[::1]"}, None),
        ("https://[::1]:1/v1", {"HTTPS_PROXY": P, "NO_PROXY": "localhost,::1"}, None),
        ("https://127.0.0.1/v1", {"HTTPS_PROXY": P, "NO_PROXY": ""}, None),
        ("http://localhost:8000/v1", {"HTTP_PROXY": P}, None),
        ("http://[::ffff:127.0.0.1]:8000/v1", {"ALL_PROXY": "socks5://p"}, None),
        ("https://10.0.0.1/v1", {"HTTPS_PROXY": P}, P),
    ],
)
def test_the_proxy_of_an_address(url: str, environ: dict[str, str], proxy: str | None) -> None:
    """Scheme, host, port and exemptions decide, as in other programs."""
    assert proxy_of(url, environ) == proxy


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_a_proxy_that_is_not_spoken_to_over_http_is_named(name: str) -> None:
    """The sentence says which variable to change, and shows no password."""
    with pytest.raises(ValueError, match=r"ALL_PROXY names speaks socks5.*NO_PROXY") as raised:
        proxy_of("https://a.com/v1", {name: "socks5://user:hidden@p:1080"})
    assert "hidden" not in str(raised.value)
