"""Media that a client gave by address, fetched for a target that takes none by address.

    wanted, given     pure: which of a request's addresses must be fetched for a target, and the request with what came
    Fetching          the shell: one fetch after another, within the limits of the settings

A client's address is a stranger's: only https, only to public addresses, and to the very one that was looked at (a name
that resolves differently the next moment gains nothing); every redirect begins anew. Nothing of ours goes with it: no
cookie, no key, no proxy. What comes is known by its content. Off unless the settings say otherwise.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

import httpx

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media, Message, Part, Request, Text, ToolResult
from runtime.contract.targets import Capabilities
from runtime.media.public import public
from runtime.media.types import by_content
from runtime.settings import MediaIn

REDIRECTS = 3
CONNECT_S = 5.0  # for each of a name's addresses
_MOVED = frozenset({301, 302, 303, 307, 308})
_PARAMS = {"image": "image_url", "audio": "input_audio", "video": "video_url", "document": "file"}
_MODALITIES = {"document": "pdf"}  # a kind's name among the modalities, where it differs
_HEADERS = (("user-agent", "hearth"), ("accept", "*/*"), ("accept-encoding", "identity"), ("connection", "close"))

Kind = Literal["image", "audio", "video", "document"]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses. Raises OSError."""

# Which


@dataclass(frozen=True, slots=True)
class Content:
    """mime: by content. data: base64."""

    mime: str
    data: str

    @property
    def kind(self) -> Kind:
        match self.mime.partition("/")[0]:
            case "image" | "audio" | "video" as kind:
                return kind
            case _:
                return "document"


def wanted(request: Request, can: Capabilities) -> tuple[Media, ...]:
    """Media to be fetched: by address, of a kind the model takes, where it does not fetch that address itself."""
    return () if can.media_urls else tuple(media for media in _media(request) if _is_wanted(media, can))


def given(request: Request, contents: Mapping[str, Content]) -> Request:
    """The request with contents in place of their addresses."""

    def inner(one: Text | Media) -> Text | Media:
        return _filled(one, contents) if isinstance(one, Media) else one

    def part(one: Part) -> Part:
        if isinstance(one, ToolResult):
            return replace(one, content=tuple(map(inner, one.content)))
        return _filled(one, contents) if isinstance(one, Media) else one

    def message(one: Message) -> Message:
        return replace(one, parts=tuple(map(part, one.parts)))

    return replace(request, messages=tuple(map(message, request.messages))) if contents else request


def _media(request: Request) -> Iterator[Media]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Media):
                yield part
            elif isinstance(part, ToolResult):
                yield from (one for one in part.content if isinstance(one, Media))


def _is_wanted(media: Media, can: Capabilities) -> bool:
    url = (media.url or "").lower()
    taken = _MODALITIES.get(media.kind, media.kind) in can.modalities
    return taken and url.startswith(("https://", "http://")) and not url.startswith(can.media_addresses)


def _filled(media: Media, contents: Mapping[str, Content]) -> Media:
    content = contents.get(media.url or "")
    if content is None:
        return media
    return replace(media, kind=content.kind, mime=content.mime, data=content.data, url=None)


# How


class _UnfetchedError(Exception):
    """Why an address was not fetched, in words for the client: no address of ours, no part of its URL."""


@dataclass(slots=True)
class _Allowance:
    """Bytes that one request may still bring in."""

    left: int

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _UnfetchedError("it is too large")


class Fetching:
    """Fetches within `media`, the settings in force. resolve, transport: the network; one exchange, nothing followed."""

    def __init__(self, media: MediaIn, resolve: Resolve, transport: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self.media = media
        self._resolve = resolve
        self._open = transport
        self._transport: httpx.AsyncBaseTransport | None = None

    async def settled(self, request: Request, can: Capabilities) -> Request:
        """The request as the target can take it; the same where nothing must be fetched or may be. Raises Unsupported."""
        needed = wanted(request, can) if self.media.fetch_urls else ()
        allowance = _Allowance(self.media.max_mb * 1_000_000)
        contents: dict[str, Content] = {}
        until = asyncio.get_running_loop().time() + self.media.timeout
        for media in needed:
            url = media.url or ""
            contents[url] = content = contents.get(url) or await self._content(media, allowance, until)
            if media.kind not in (content.kind, "document"):
                raise _refused(media, f"it holds {content.mime}")
        return given(request, contents)

    async def _content(self, media: Media, allowance: _Allowance, until: float) -> Content:
        try:
            async with asyncio.timeout_at(until):
                data = await self._read(httpx.URL(media.url or ""), allowance)
        except TimeoutError as error:
            raise _refused(media, f"it did not come within {self.media.timeout:g} s") from error
        except (_UnfetchedError, httpx.InvalidURL) as error:
            raise _refused(media, str(error)) from error
        except httpx.HTTPError as error:
            raise _refused(media, f"the connection failed ({type(error).__name__})") from error
        mime = by_content(data)
        if mime is None:
            raise _refused(media, "it is no image, sound, video or PDF that can be passed on")
        return Content(mime, base64.b64encode(data).decode("ascii"))

    async def _read(self, url: httpx.URL, allowance: _Allowance) -> bytes:
        for _ in range(REDIRECTS + 1):
            async with self._answer(url) as response:
                if response.status_code not in _MOVED:
                    return await _body(response, allowance)
                url = url.join(response.headers.get("location", ""))
        raise _UnfetchedError(f"it is redirected more than {REDIRECTS} times")

    @contextlib.asynccontextmanager
    async def _answer(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """The answer of one of the addresses behind a URL, once all of them were looked at."""
        if url.scheme != "https" or not url.host:
            raise _UnfetchedError("only https addresses are fetched")
        if url.userinfo:
            raise _UnfetchedError("an address with a user or a password is not fetched")
        addresses = await self._addresses(url)
        response = await self._connected(url, addresses)
        try:
            yield response
        finally:
            await response.aclose()

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        try:
            addresses = await self._resolve(url.raw_host.decode("ascii"), url.port or 443)
        except (OSError, UnicodeError) as error:
            raise _UnfetchedError("its host is not known") from error
        if not addresses or not all(map(public, addresses)):
            raise _UnfetchedError("its host is not a public one")
        return addresses

    async def _connected(self, url: httpx.URL, addresses: Sequence[str]) -> httpx.Response:
        if self._transport is None:
            self._transport = self._open()
        for address in addresses[:-1]:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._transport.handle_async_request(_to(address, url))
        return await self._transport.handle_async_request(_to(addresses[-1], url))


def _to(address: str, url: httpx.URL) -> httpx.Request:
    """The request to an address that was looked at, in the name of the URL's host: its certificate must be that host's."""
    host = url.netloc.decode("ascii")
    extensions = {"sni_hostname": url.raw_host.decode("ascii"), "timeout": {"connect": CONNECT_S}}
    return httpx.Request(
        "GET", url.copy_with(host=address, fragment=None), headers=(("host", host), *_HEADERS), extensions=extensions
    )


async def _body(response: httpx.Response, allowance: _Allowance) -> bytes:
    """All of it, never more than is allowed."""
    if response.status_code != HTTPStatus.OK:
        raise _UnfetchedError(f"its host answers {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _UnfetchedError("it is compressed")
    told = response.headers.get("content-length", "")
    if told.isdecimal() and int(told) > allowance.left:
        raise _UnfetchedError("it is too large")
    data = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)  # as every asynchronous transport's is
    async for piece in response.stream:
        allowance.take(len(piece))
        data += piece
    return bytes(data)


def _refused(media: Media, why: str) -> Unsupported:
    return Unsupported(f"the {media.kind} could not be fetched: {why}", _PARAMS[media.kind])


# The network


async def resolved(host: str, port: int) -> Sequence[str]:
    """As the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def direct() -> httpx.AsyncBaseTransport:
    """No proxy, and no connection is used twice: the next URL at the same address may be of another host."""
    return httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
