"""Media by address: what is fetched for whom, and from where nothing is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media, Message, Request, Role, Text, ToolResult
from runtime.contract.targets import Capabilities
from runtime.media.fetching import Fetching, resolved, wanted
from runtime.settings import MediaIn
from tests.fakes.certificates import made_certificate
from tests.fakes.guard import CARGO, GUARD

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PUBLIC = "93.184.216.34"
BLIND = Capabilities(
    modalities=frozenset({"text", "image", "pdf"}), media_urls=False, media_addresses=("gs://", "https://tube.example/")
)
ON = MediaIn(fetch_urls=True, max_mb=1, timeout=5.0)


@dataclass
class Network:
    """hosts: what each name resolves to, one list of addresses for each time it is asked, the last for good.

    pages: what lies at each URL, by its name: an answer, or what makes one. asked: what went out, as (address, URL).
    """

    pages: Mapping[str, httpx.Response | Callable[[], httpx.Response]] = field(default_factory=dict)
    hosts: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        turns = self.hosts.get(host, [[PUBLIC]])
        return turns.pop(0) if len(turns) > 1 else turns[0]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        named = request.url.copy_with(netloc=request.headers["host"].encode())
        page = self.pages.get(str(named), httpx.Response(404))
        return page() if callable(page) else page

    def fetching(self, media: MediaIn = ON) -> Fetching:
        return Fetching(media, GUARD, self.resolve, lambda: httpx.MockTransport(self.answer))


def asking(*media: Media) -> Request:
    return Request("m", (Message(Role.USER, (Text("what is it?"), *media)),))


def image(url: str) -> Media:
    return Media("image", url=url)


async def refusal(network: Network, url: str, media: MediaIn = ON) -> str:
    with pytest.raises(Unsupported) as refused:
        await network.fetching(media).settled(asking(image(url)), BLIND, CARGO)
    assert refused.value.param == "image_url"
    return str(refused.value)


# Which


def test_only_what_the_target_does_not_fetch_itself_is_wanted() -> None:
    """Nothing for a target that takes addresses; of another what it knows and what it cannot read is left."""
    png, own, sound = (
        image("https://a.example/x.png"),
        image("https://tube.example/1"),
        Media("audio", url="https://a/b"),
    )
    request = asking(
        png, own, sound, Media("image", data="AA"), image("gs://b/c"), Media("document", file_id="files/1")
    )
    assert wanted(request, BLIND) == (png,)
    assert wanted(request, Capabilities(modalities=frozenset({"text", "image"}))) == ()


async def test_off_nothing_is_fetched() -> None:
    """The default: the request is what it was."""
    network, request = Network(), asking(image("https://a.example/x.png"))
    assert await network.fetching(MediaIn()).settled(request, BLIND, CARGO) is request
    assert network.asked == []


# What comes


async def test_an_image_comes_as_data() -> None:
    """Its type is what it is, not what it is called; it is fetched once, also from inside a tool's result."""
    url = "https://media.example:8443/a.txt?sig=1"
    network = Network({url: httpx.Response(200, content=PNG, headers={"content-type": "text/plain"})})
    inside = ToolResult("call_1", (Text("seen"), image(url)))
    request = Request("m", (Message(Role.USER, (image(url), inside)),))
    settled = await network.fetching().settled(request, BLIND, CARGO)
    expected = Media("image", mime="image/png", data=base64.b64encode(PNG).decode())
    first, result = settled.messages[0].parts
    assert first == expected and isinstance(result, ToolResult) and result.content == (Text("seen"), expected)
    assert len(network.asked) == 1


async def test_the_address_that_was_looked_at_is_asked_in_the_name_of_the_host() -> None:
    """So that a name that resolves differently the next moment gains nothing; nothing of ours goes along."""
    network = Network({"https://media.example/x": httpx.Response(200, content=PNG)})
    network.hosts["media.example"] = [[PUBLIC], ["127.0.0.1"]]
    await network.fetching().settled(asking(image("https://media.example/x")), BLIND, CARGO)
    (sent,) = network.asked
    assert sent.url.host == PUBLIC and sent.headers["host"] == "media.example"
    assert sent.extensions["sni_hostname"] == "media.example"
    assert set(sent.headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_a_file_is_what_it_holds() -> None:
    """A document may turn out to be an image; an image no PDF."""
    pdf = httpx.Response(200, content=b"%PDF-1.7\n")
    network = Network({"https://m.example/a": httpx.Response(200, content=PNG), "https://m.example/b": pdf})
    settled = await network.fetching().settled(asking(Media("document", url="https://m.example/a")), BLIND, CARGO)
    assert [part.kind for part in settled.messages[0].parts if isinstance(part, Media)] == ["image"]
    assert "application/pdf" in await refusal(network, "https://m.example/b")


# What is refused


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.8", "169.254.169.254", "::ffff:192.168.0.1"])
async def test_a_host_that_is_not_public_is_refused(address: str) -> None:
    """Whatever its name, and also where only one of its addresses is not; nothing is connected to."""
    network = Network(hosts={"inside.example": [[PUBLIC, address]]})
    assert "not a public one" in await refusal(network, "https://inside.example/x.png")
    assert network.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/x.png",
        "https://user:word@a.example/x.png",
        "https:///x.png",
        "https://./x.png",
        "https://a.example:port/x.png",
        "https://a.example:99999/x.png",
        "https://a.example:22/x.png",
        "https://a.example:25/x.png",
        "https://a.example:80/x.png",
        "https://[::1/x.png",
    ],
)
async def test_an_address_of_another_shape_is_refused(url: str) -> None:
    """Not encrypted, with a password, without a host, or with a port of another service."""
    network = Network()
    await refusal(network, url)
    assert network.asked == []


async def test_loopback_by_number_is_refused_by_the_system_s_own_resolver() -> None:
    """However it is spelt: short, decimal, octal, hexadecimal, IPv6, mapped, translated, with a trailing dot."""
    network = Network()
    real = Fetching(ON, GUARD, resolved, lambda: httpx.MockTransport(network.answer))
    hosts = ("127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "localhost", "localhost.", "0.0.0.0")
    literals = (
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[2002:7f00:1::1]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
    )
    for host in (*hosts, *literals):
        with pytest.raises(Unsupported, match=r"not a public one|InvalidURL"):
            await real.settled(asking(image(f"https://{host}/x.png")), BLIND, CARGO)
    assert network.asked == []


async def test_a_redirect_to_an_inner_host_is_refused() -> None:
    """Every step is looked at anew, also one to another scheme; three are followed."""

    def to(place: str) -> httpx.Response:
        return httpx.Response(302, headers={"location": place})

    pages = {f"https://a.example/{n}": to(f"/{n + 1}") for n in range(1, 5)}
    pages["https://a.example/5"] = httpx.Response(200, content=PNG)
    network = Network(
        {**pages, "https://a.example/in": to("https://inside.example/"), "https://a.example/h": to("http://b/")}
    )
    network.hosts["inside.example"] = [["192.168.0.1"]]
    assert "not a public one" in await refusal(network, "https://a.example/in")
    assert "only https" in await refusal(network, "https://a.example/h")
    assert "redirected" in await refusal(network, "https://a.example/1")
    assert await network.fetching().settled(asking(image("https://a.example/2")), BLIND, CARGO)


async def test_a_name_that_turns_inward_between_redirects_is_refused() -> None:
    """The same host is resolved and looked at again."""
    network = Network({"https://a.example/1": httpx.Response(302, headers={"location": "/2"})})
    network.hosts["a.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert "not a public one" in await refusal(network, "https://a.example/1")
    assert len(network.asked) == 1


async def test_what_is_too_large_is_refused_before_it_has_all_come() -> None:
    """By what its host says, and by counting; the limit is for all of one request together."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield bytes(100_000)

    half = PNG + bytes(600_000)
    pages = {
        "https://a.example/told": lambda: httpx.Response(200, headers={"content-length": "1000001"}),
        "https://a.example/endless": lambda: httpx.Response(200, content=endless()),
        "https://a.example/1": lambda: httpx.Response(200, content=half),
        "https://a.example/2": lambda: httpx.Response(200, content=half),
    }
    network = Network(pages)
    assert "too large" in await refusal(network, "https://a.example/told")
    assert "too large" in await refusal(network, "https://a.example/endless")
    assert sent <= 1_200_000
    with pytest.raises(Unsupported, match="too large"):
        both = asking(image("https://a.example/1"), image("https://a.example/2"))
        await network.fetching().settled(both, BLIND, CARGO)


async def test_what_is_slow_is_refused() -> None:
    """The time is for all of one request, from the first look at a name to the last byte."""

    async def drip() -> AsyncIterator[bytes]:
        yield PNG
        await asyncio.Event().wait()

    network = Network({"https://a.example/x": lambda: httpx.Response(200, content=drip())})
    said = await refusal(network, "https://a.example/x", MediaIn(fetch_urls=True, timeout=0.05))
    assert "within 0.05 s" in said


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(200, content=b"<html>"), "no image"),
        (httpx.Response(200, content=b""), "no image"),
        (httpx.Response(403, content=b"secret words"), "403"),
        (httpx.Response(200, content=b"", headers={"content-encoding": "br"}), "compressed"),
    ],
)
async def test_what_is_no_media_is_refused(answer: httpx.Response, why: str) -> None:
    """The refusal says what is wrong, and nothing of what the host answered or of the URL."""
    said = await refusal(Network({"https://a.example/x?token=t0ken": answer}), "https://a.example/x?token=t0ken")
    assert why in said and "secret" not in said and "t0ken" not in said


async def test_a_host_nobody_knows_is_refused() -> None:
    """As is one that lets nobody in."""

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    request = asking(image("https://a.example/x"))
    with pytest.raises(Unsupported, match="not known"):
        await Fetching(ON, GUARD, unknown, lambda: httpx.MockTransport(down)).settled(request, BLIND, CARGO)
    with pytest.raises(Unsupported, match="connection failed"):
        await Fetching(ON, GUARD, Network().resolve, lambda: httpx.MockTransport(down)).settled(request, BLIND, CARGO)


async def test_a_trailing_dot_names_the_same_host() -> None:
    """The certificate and the Host header are asked for without it."""
    network = Network({"https://media.example:8443/x": httpx.Response(200, content=PNG)})
    await network.fetching().settled(asking(image("https://media.example.:8443/x")), BLIND, CARGO)
    (sent,) = network.asked
    assert sent.headers["host"] == "media.example:8443" and sent.extensions["sni_hostname"] == "media.example"


@pytest.mark.parametrize(
    "place", ["data:image/png;base64,iVBORw0KGgo=", "file:///etc/passwd", "ftp://a.example/x", "//", ""]
)
async def test_a_redirect_to_another_scheme_is_refused(place: str) -> None:
    """Nothing but https is fetched, at whichever step; a redirect to itself ends."""
    network = Network({"https://a.example/1": httpx.Response(302, headers={"location": place})})
    await refusal(network, "https://a.example/1")
    assert len(network.asked) <= 4


async def test_data_urls_are_not_fetched() -> None:
    """However large they are: they are the client's own body, which the door has bounded."""
    network, request = (
        Network(),
        asking(image("data:image/png;base64," + "A" * 5_000_000), image("data:" + ";" * 5_000_000)),
    )
    assert await network.fetching().settled(request, BLIND, CARGO) is request
    assert network.asked == []


async def test_the_different_addresses_of_a_request_are_counted() -> None:
    """A request with more of them than are allowed is refused before anything is fetched; the same one counts once."""
    network = Network({"https://a.example/x": httpx.Response(200, content=PNG)})
    many = asking(*(image(f"https://a.example/{n}") for n in range(3)))
    fetching = Fetching(ON, GUARD, network.resolve, lambda: httpx.MockTransport(network.answer), most_media=2)
    with pytest.raises(Unsupported, match="2 different addresses"):
        await fetching.settled(many, BLIND, CARGO)
    assert network.asked == []
    await fetching.settled(asking(*(image("https://a.example/x") for _ in range(9))), BLIND, CARGO)
    assert len(network.asked) == 1


async def test_few_requests_fetch_at_the_same_time() -> None:
    """The others wait, and their time runs: what the process holds is bounded."""
    inside, most, go = 0, 0, asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            yield PNG
            await go.wait()
        finally:
            inside -= 1

    network = Network({"https://a.example/x": lambda: httpx.Response(200, content=held())})
    transport = httpx.MockTransport(network.answer)
    fetching = Fetching(
        MediaIn(fetch_urls=True, timeout=0.2), GUARD, network.resolve, lambda: transport, most_requests=2
    )
    request = asking(image("https://a.example/x"))
    late = await asyncio.gather(*(fetching.settled(request, BLIND, CARGO) for _ in range(6)), return_exceptions=True)
    assert all(isinstance(each, Unsupported) and "within 0.2 s" in str(each) for each in late)
    assert most == 2
    go.set()
    assert await fetching.settled(request, BLIND, CARGO)


async def test_a_name_has_few_addresses_that_are_tried() -> None:
    """A name with a thousand dead addresses does not keep a request busy."""

    def down(request: httpx.Request) -> httpx.Response:
        network.asked.append(request)
        raise httpx.ConnectError("refused")

    network = Network(hosts={"a.example": [[PUBLIC] * 1000]})
    with pytest.raises(Unsupported, match="connection failed"):
        await Fetching(ON, GUARD, network.resolve, lambda: httpx.MockTransport(down)).settled(
            asking(image("https://a.example/x")), BLIND, CARGO
        )
    assert len(network.asked) == 4


HTTPX = [each for each in vars(httpx).values() if isinstance(each, type) and issubclass(each, Exception)]
HTTPX.remove(httpx.CookieConflict)  # there are no cookies
WITHOUT_WORDS = {httpx.ResponseNotRead, httpx.RequestNotRead, httpx.StreamClosed, httpx.StreamConsumed}
PLAIN: list[type[Exception]] = [OSError, ssl.SSLError, ConnectionResetError, RuntimeError, TypeError, ValueError]


@pytest.mark.parametrize("kind", [*HTTPX, *PLAIN], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("in_body", [False, True])
async def test_every_exception_of_the_network_is_a_refusal(kind: Any, in_body: bool) -> None:
    """Whether it is raised by the exchange or in the middle of the body; the refusal holds none of its words."""
    if kind is httpx.HTTPStatusError:
        error: Exception = kind("secret", request=httpx.Request("GET", ""), response=httpx.Response(500))
    else:
        error = kind() if kind in WITHOUT_WORDS else kind("secret")

    async def cut() -> AsyncIterator[bytes]:
        yield PNG
        raise error

    def answer(request: httpx.Request) -> httpx.Response:
        if in_body:
            return httpx.Response(200, content=cut())
        raise error

    fetching = Fetching(ON, GUARD, Network().resolve, lambda: httpx.MockTransport(answer))
    with pytest.raises(Unsupported, match="connection failed") as refused:
        await fetching.settled(asking(image("https://a.example/x")), BLIND, CARGO)
    assert "secret" not in str(refused.value)


# Over a real connection


class _Detour(httpx.AsyncBaseTransport):
    """A real transport that takes the public address for a port of this machine."""

    def __init__(self, port: int, trusted: Path) -> None:
        self._port = port
        self._real = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=str(trusted)))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._real.handle_async_request(request)

    async def aclose(self) -> None:
        await self._real.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One file with the key and the certificate of media.example."""
    return made_certificate(tmp_path, "DNS:media.example")


@contextlib.asynccontextmanager
async def https(certificate: Path, heads: list[bytes]) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(PNG) + PNG)
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def test_the_certificate_must_be_the_host_s(certificate: Path) -> None:
    """Connected to by number, asked by name: the name's certificate is taken, another name's is not."""
    heads: list[bytes] = []
    async with https(certificate, heads) as port:
        detour = _Detour(port, certificate)
        fetching = Fetching(ON, GUARD, Network().resolve, lambda: detour)
        settled = await fetching.settled(asking(image("https://media.example/x.png")), BLIND, CARGO)
        assert isinstance(settled.messages[0].parts[1], Media) and settled.messages[0].parts[1].mime == "image/png"
        assert b"\r\nhost: media.example\r\n" in heads[0].lower()
        with pytest.raises(Unsupported, match="connection failed"):
            await fetching.settled(asking(image("https://other.example/x.png")), BLIND, CARGO)
        await detour.aclose()
