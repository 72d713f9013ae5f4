"""Media that a client gave by address, fetched for a target that takes none by address.

    wanted, given     pure: the addresses of a request that must be fetched for a target, and the request with their contents
    Fetching          the shell: fetches one request's media one after another, within the limits of the settings

A client's address is a stranger's. Only https is fetched, only from public addresses and usual ports, and the connection is
made to the very address that was checked, so that a name that resolves differently the next moment gains nothing. Each redirect
is checked anew. Nothing of this machine is sent: no cookie, no key, no proxy. The media type is found by content. Off unless
the settings turn it on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

import httpx
import msgspec

from runtime.contract.codec import Unsupported
from runtime.contract.guard import Cargo, DepartureRefused, Guard, Receiver, Way
from runtime.contract.messages import Media, Message, Part, Request, Text, ToolResult
from runtime.contract.targets import Capabilities
from runtime.media.public import public
from runtime.media.types import by_content
from runtime.settings import MediaIn

CONNECT_S = 5.0  # for each of a name's addresses
_MOST_ADDRESSES = 4  # of a name, that are tried
_MOVED = frozenset({301, 302, 303, 307, 308})
_PARAMS = {"image": "image_url", "audio": "input_audio", "video": "video_url", "document": "file"}
_MODALITIES = {"document": "pdf"}  # a kind's name among the modalities, where it differs
_HEADERS = (("user-agent", "hearth"), ("accept", "*/*"), ("accept-encoding", "identity"), ("connection", "close"))
# httpx has two families of errors; the others are of ssl, of the socket, and of addresses that cannot be written.
_FOREIGN = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, RuntimeError, TypeError, ValueError)

MediaKind = Literal["image", "audio", "video", "document"]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses. Raises OSError."""


@dataclass(frozen=True, slots=True)
class FetchedMedia:
    """mime: by content. data: base64."""

    mime: str
    data: str

    @property
    def kind(self) -> MediaKind:
        match self.mime.partition("/")[0]:
            case "image" | "audio" | "video" as kind:
                return kind
            case _:
                return "document"


def wanted(request: Request, can: Capabilities) -> tuple[Media, ...]:
    """The media given by address, of a kind that the model takes, whose address the target does not fetch itself."""
    if can.media_urls:
        return ()
    parts = [part for message in request.messages for part in message.parts]
    inside = [one for part in parts if isinstance(part, ToolResult) for one in part.content]
    out = []
    for media in (part for part in (*parts, *inside) if isinstance(part, Media)):
        url = (media.url or "").lower()
        fetched_there = url.startswith(can.media_addresses) or not url.startswith(("https://", "http://"))
        if _MODALITIES.get(media.kind, media.kind) in can.modalities and not fetched_there:
            out.append(media)
    return tuple(out)


def given(request: Request, contents: Mapping[str, FetchedMedia]) -> Request:
    """The request with contents in place of their addresses."""

    def filled(one: Text | Media) -> Text | Media:
        content = contents.get(one.url or "") if isinstance(one, Media) else None
        if content is None or not isinstance(one, Media):
            return one
        return replace(one, kind=content.kind, mime=content.mime, data=content.data, url=None)

    def part(one: Part) -> Part:
        if isinstance(one, ToolResult):
            return replace(one, content=tuple(map(filled, one.content)))
        return filled(one) if isinstance(one, Media) else one

    def message(one: Message) -> Message:
        return replace(one, parts=tuple(map(part, one.parts)))

    return replace(request, messages=tuple(map(message, request.messages))) if contents else request


class _UnfetchedError(Exception):
    """The reason why an address was not fetched, in words for the client: no resolved address, no part of its URL."""


class Fetching:
    """Fetches media within the settings in force: `max_mb` and `timeout` hold for all media of one request together.

    guard: is shown each address before it is looked up. resolve, transport: the network; the transport makes one exchange and
    follows nothing. most_redirects: of one address. most_media: different addresses of one request. most_requests: fetch at
    the same time, while others wait within their time-out; so the process holds at most `most_requests` times `max_mb`.
    """

    def __init__(
        self,
        media: MediaIn,
        guard: Guard,
        resolve: Resolve,
        transport: Callable[[], httpx.AsyncBaseTransport],
        *,
        most_redirects: int = 3,
        most_media: int = 32,
        most_requests: int = 16,
    ) -> None:
        self.media = media
        self._guard = guard
        self._resolve = resolve
        self._make_transport = transport
        self._transport: httpx.AsyncBaseTransport | None = None
        self._most_redirects, self._most_media = most_redirects, most_media
        self._places = asyncio.Semaphore(most_requests)

    async def settled(self, request: Request, can: Capabilities, cargo: Cargo) -> Request:
        """The request as the target takes it; unchanged where nothing must or may be fetched. Raises Unsupported.

        cargo: the request's. Its addresses are part of its prompt, and no host of a stranger is certified for anything.
        """
        needed = wanted(request, can) if self.media.fetch_urls else ()
        if not needed:
            return request
        if len({media.url for media in needed}) > self._most_media:
            raise _refused(needed[0], f"a request may hold {self._most_media} different addresses")
        contents: dict[str, FetchedMedia] = {}
        left = self.media.max_mb * 1_000_000
        media, cargo = needed[0], msgspec.structs.replace(cargo, way=Way.MEDIA)
        try:
            async with asyncio.timeout(self.media.timeout), self._places:
                for media in needed:
                    url = media.url or ""
                    if url not in contents:
                        contents[url], size = await self._fetched(media, cargo, left)
                        left -= size
                    if media.kind not in (contents[url].kind, "document"):
                        raise _refused(media, f"it holds {contents[url].mime}")
        except TimeoutError as error:
            raise _refused(media, f"it did not arrive within {self.media.timeout:g} s") from error
        return given(request, contents)

    async def _fetched(self, media: Media, cargo: Cargo, at_most: int) -> tuple[FetchedMedia, int]:
        """The content, redirects followed, and the number of its bytes. Raises Unsupported, TimeoutError."""
        data: bytes | None = None
        try:
            url = httpx.URL(media.url or "")
            for _ in range(self._most_redirects + 1):
                response = await self._ask(url, cargo)
                async with contextlib.aclosing(response):
                    if response.status_code not in _MOVED:
                        data = await _body(response, at_most)
                        break
                    url = url.join(response.headers.get("location", ""))
        except TimeoutError:
            raise
        except (_UnfetchedError, DepartureRefused) as error:
            raise _refused(media, str(error)) from error
        except _FOREIGN as error:
            raise _refused(media, f"the connection failed ({type(error).__name__})") from error
        if data is None:
            raise _refused(media, f"it is redirected more than {self._most_redirects} times")
        mime = by_content(data)
        if mime is None:
            raise _refused(media, "it is no image, sound, video or PDF that can be passed on")
        return FetchedMedia(mime, base64.b64encode(data).decode("ascii")), len(data)

    async def _ask(self, url: httpx.URL, cargo: Cargo) -> httpx.Response:
        """The answer of one of the addresses behind a URL, once all of them were checked."""
        host, port = url.raw_host.decode("ascii").removesuffix("."), url.port or 443
        # (1) The URL alone.
        if url.scheme != "https" or not host:
            raise _UnfetchedError("only https addresses are fetched")
        if url.userinfo:
            raise _UnfetchedError("an address with a user or a password is not fetched")
        if port != 443 and not 1024 <= port <= 65_535:
            raise _UnfetchedError("its port is not one of a web server")
        self._guard.check(cargo, Receiver(host, f"https://{host}:{port}"))  # a name that is looked up has left already
        # (2) Every address of its host.
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise _UnfetchedError("its host is not known") from error
        if not addresses or not all(map(public, addresses)):
            raise _UnfetchedError("its host is not a public one")
        # (3) The first that can be connected to. A transport costs a TLS context: it is made in a thread.
        if self._transport is None:
            made = await asyncio.to_thread(self._make_transport)
            self._transport = self._transport or made
        *others, last = addresses[:_MOST_ADDRESSES]
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._transport.handle_async_request(_to(address, url, host))
        return await self._transport.handle_async_request(_to(last, url, host))


def _to(address: str, url: httpx.URL, host: str) -> httpx.Request:
    """The request to a checked address in the name of the URL's host, whose certificate it must show."""
    named = url.copy_with(host=host).netloc.decode("ascii")
    extensions = {"sni_hostname": host, "timeout": {"connect": CONNECT_S}}
    return httpx.Request(
        "GET", url.copy_with(host=address, fragment=None), headers=(("host", named), *_HEADERS), extensions=extensions
    )


async def _body(response: httpx.Response, at_most: int) -> bytes:
    """The whole body. Raises _UnfetchedError as soon as it is longer than `at_most` bytes."""
    if response.status_code != HTTPStatus.OK:
        raise _UnfetchedError(f"its host answers {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _UnfetchedError("it is compressed")
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > at_most):
        raise _UnfetchedError("it is too large")
    data = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)  # as every asynchronous transport's is
    async for piece in response.stream:
        data += piece
        if len(data) > at_most:
            raise _UnfetchedError("it is too large")
    return bytes(data)


def _refused(media: Media, why: str) -> Unsupported:
    return Unsupported(f"the {media.kind} could not be fetched: {why}", _PARAMS[media.kind])


# The network

# A client chooses the names, and a name server may take long: resolving has threads of its own, so that others do not wait.
_RESOLVERS = ThreadPoolExecutor(4, thread_name_prefix="media-names")


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver."""

    def look_up() -> list[str]:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    return await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look_up)


def direct() -> httpx.AsyncBaseTransport:
    """No proxy, and no connection is used twice: the next URL at the same address may be of another host."""
    return httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
