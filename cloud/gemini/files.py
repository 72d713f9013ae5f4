"""Media too large for a body: they go up beforehand, each content once, and the request refers to them.

    oversized, referring   pure: what must go up, and the request with references in its place
    Files                  the shell: the vendor's resumable upload over a given hop, one per account

A file lives for 48 hours at the vendor, belongs to the account's project, and may take a while before it can be used.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cloud.gemini.faults import classify
from cloud.gemini.media import refused
from cloud.gemini.names import API_VERSION
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import Hop, HttpCall, Reply
from runtime.contract.messages import Media, Message, Part, Request, ToolResult

# Of base64 in one body. The vendor took 20 MB, takes 100 now (ai.google.dev/gemini-api/docs/file-input-methods); but what
# goes up once need not go with every turn.
INLINE_BYTES = 18_000_000
LIFETIME_S = 46 * 3600.0  # a file is not used again in its last hours
_KEPT = 4096  # files remembered
_POLL_S, _POLL_MOST_S = 0.5, 5.0
_TRIES = 3  # times an upload that was cut goes on
_ACTIVE, _PROCESSING = "ACTIVE", "PROCESSING"


def oversized(request: Request, limit: int = INLINE_BYTES) -> tuple[Media, ...]:
    """The largest media that must go up for the rest to fit. limit: bytes of base64."""
    inline = {content_key(media): media for media in _media(request) if media.data is not None}
    total = sum(len(media.data or "") for media in _media(request))
    out = []
    for media in sorted(inline.values(), key=lambda one: len(one.data or ""), reverse=True):
        if total <= limit:
            break
        out.append(media)
        total -= sum(len(one.data or "") for one in _media(request) if one.data == media.data)
    return tuple(out)


def referring(request: Request, uris: Mapping[str, str]) -> Request:
    """The request with media of these contents (`content_key`) given by their address."""

    def part(one: Part) -> Part:
        if isinstance(one, Media):
            return _moved(one, uris)
        if isinstance(one, ToolResult):
            content = tuple(_moved(item, uris) if isinstance(item, Media) else item for item in one.content)
            return replace(one, content=content)
        return one

    def message(one: Message) -> Message:
        return replace(one, parts=tuple(map(part, one.parts)))

    return replace(request, messages=tuple(map(message, request.messages))) if uris else request


def content_key(media: Media) -> str:
    """The same for the same bytes of the same type."""
    return hashlib.sha256(f"{media.mime}\n{media.data}".encode()).hexdigest()


def _moved(media: Media, uris: Mapping[str, str]) -> Media:
    uri = uris.get(content_key(media)) if media.data is not None else None
    return replace(media, data=None, url=uri) if uri else media


def _media(request: Request) -> Iterator[Media]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Media):
                yield part
            elif isinstance(part, ToolResult):
                yield from (item for item in part.content if isinstance(item, Media))


@dataclass(frozen=True, slots=True)
class _File:
    """uri: what a request refers to. until: wall-clock seconds."""

    uri: str
    until: float


class Files:
    """The files of one account. clock: wall-clock seconds. base_url: the hop's own."""

    def __init__(
        self,
        hop: Hop,
        base_url: str,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        version: str | None = None,
    ) -> None:
        self._hop = hop
        self._prefix = urlsplit(base_url).path.rstrip("/")
        self._clock, self._sleep = clock, sleep
        self._version = version or API_VERSION
        self._known: OrderedDict[str, _File] = OrderedDict()
        self._running: dict[str, asyncio.Lock] = {}

    async def settled(self, request: Request, *, connect_s: float, limit: int = INLINE_BYTES) -> Request:
        """The request as it can be encoded: what is too large has gone up. Raises HopError, Unsupported."""
        uris = {content_key(media): await self._uri(media, connect_s) for media in oversized(request, limit)}
        return referring(request, uris)

    async def _uri(self, media: Media, connect_s: float) -> str:
        """Of two requests with the same content one uploads, the other waits."""
        key = content_key(media)
        lock = self._running.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                if known is None or known.until <= self._clock():
                    until = self._clock() + LIFETIME_S
                    known = _File(await self._upload(media, connect_s), until)
                    self._remember(key, known)
                return known.uri
        finally:
            if not lock.locked():
                self._running.pop(key, None)

    def _remember(self, key: str, file: _File) -> None:
        self._known[key] = file
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    async def _upload(self, media: Media, connect_s: float) -> str:
        try:
            raw = base64.b64decode(media.data or "", altchars=b"-_" if set(media.data or "") & {"-", "_"} else None)
        except binascii.Error as error:
            raise refused(media, "the data is not base64") from error
        address = await self._begin(media, len(raw), connect_s)
        file = await self._send(address, raw, connect_s)
        return await self._ready(file, connect_s)

    async def _begin(self, media: Media, size: int, connect_s: float) -> str:
        """The path that takes the bytes. Only this hop's own address is used, so that the key goes nowhere else."""
        body = msgspec.json.encode({"file": {"displayName": media.name} if media.name else {}})
        headers = (
            ("content-type", "application/json"),
            ("x-goog-upload-protocol", "resumable"),
            ("x-goog-upload-command", "start"),
            ("x-goog-upload-header-content-length", str(size)),
            ("x-goog-upload-header-content-type", media.mime),
        )
        call = HttpCall(f"/upload/{self._version}/files", body, headers)
        reply, _ = await self._asked(call, connect_s)
        place = urlsplit(reply.headers.get("x-goog-upload-url", ""))
        if not place.path:
            raise HopError(_garbled("the upload has no address"))
        return place.path.removeprefix(self._prefix) + (f"?{place.query}" if place.query else "")

    async def _send(self, address: str, raw: bytes, connect_s: float) -> Any:
        """The bytes; where the connection is cut, those that are missing."""
        at = 0
        for tries in range(1, _TRIES + 1):
            headers = (("x-goog-upload-offset", str(at)), ("x-goog-upload-command", "upload, finalize"))
            try:
                _, body = await self._asked(HttpCall(address, raw[at:], headers), connect_s)
                return _file(body)
            except HopError as error:
                if error.failure.status is not None or tries == _TRIES:
                    raise
            at = await self._received(address, len(raw), connect_s)
        raise AssertionError("the last try returns or raises")

    async def _received(self, address: str, size: int, connect_s: float) -> int:
        reply, _ = await self._asked(HttpCall(address, b"", (("x-goog-upload-command", "query"),)), connect_s)
        said = reply.headers.get("x-goog-upload-size-received", "")
        return min(int(said), size) if said.isdecimal() else 0

    async def _ready(self, file: Any, connect_s: float) -> str:
        wait = _POLL_S
        while file.get("state") == _PROCESSING:
            await self._sleep(wait)
            wait = min(wait * 2, _POLL_MOST_S)
            call = HttpCall(f"/{self._version}/{file['name']}", b"", (), "GET")
            _, body = await self._asked(call, connect_s)
            file = _file(body)
        if file.get("state", _ACTIVE) != _ACTIVE:
            why = (file.get("error") or {}).get("message") or "the provider could not read the file"
            raise HopError(Failure(Kind.REJECTED, Disposition.TELL_CALLER, str(why)))
        return str(file["uri"])

    async def _asked(self, call: HttpCall, connect_s: float) -> tuple[Reply, bytes]:
        reply = await self._hop.open(call, connect_s=connect_s)
        try:
            body = await reply.read()
        finally:
            reply.close()
        if reply.status != HTTPStatus.OK:
            raise HopError(classify(reply.status, reply.headers, body))
        return reply, body


def _file(body: bytes) -> Any:
    """The file a reply tells of. Raises HopError."""
    try:
        value: Any = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise HopError(_garbled("the upload's answer is not JSON")) from error
    file = value.get("file", value) if isinstance(value, dict) else None
    if not isinstance(file, dict) or not isinstance(file.get("uri"), str) or not isinstance(file.get("name"), str):
        raise HopError(_garbled("the upload's answer names no file"))
    return file


def _garbled(message: str) -> Failure:
    return Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message)
