"""Media too large for a body: uploaded beforehand, each content once; the request refers to them by address.

    oversized, referring   pure: which media must be uploaded, and the request with addresses in their place
    Files                  the shell: the vendor's resumable upload over a given hop, one per account

A file lives for 48 hours at the vendor, belongs to the account's project, and may take a while before it can be used.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from cloud.gemini.faults import classify
from cloud.gemini.media import refused
from cloud.gemini.names import API_VERSION
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.guard import Cargo, Way
from runtime.contract.hop import Hop, HttpCall, Reply, error_page
from runtime.contract.messages import Media, Message, Part, Request, ToolResult

# Bytes of base64 in one body. The vendor took 20 MB, takes 100 now (ai.google.dev/gemini-api/docs/file-input-methods); but
# what is uploaded once need not travel with every turn.
INLINE_BYTES = 18_000_000
LIFETIME_S = 46 * 3600.0  # a file is not used again in its last hours
_ANSWER_BYTES = 262_144  # of an upload's answer: a file's description is a few hundred bytes
_POLL_S, _POLL_MOST_S = 0.5, 5.0
_TRIES = 3  # of an upload that is cut
_ACTIVE, _PROCESSING = "ACTIVE", "PROCESSING"


def oversized(request: Request, limit: int = INLINE_BYTES) -> tuple[Media, ...]:
    """The media to upload, largest first, so that the rest fits. limit: bytes of base64."""
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
    """The request with the media of these contents (`content_key`) given by address."""

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
    """A digest of the media type and the bytes."""
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
    """uri: the address that requests use. until: wall-clock seconds."""

    uri: str
    until: float


@dataclass(slots=True)
class _Upload:
    """The upload of one content. users: requests that run it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Files:
    """The files of one account.

    base_url: the hop's own. clock: wall-clock seconds. most_files: remembered, the least recently uploaded forgotten.
    most_wait_s: how long the vendor may process a file before the request fails.
    """

    def __init__(
        self,
        hop: Hop,
        base_url: str,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        version: str | None = None,
        *,
        most_files: int = 4096,
        most_wait_s: float = 240.0,
    ) -> None:
        self._hop = hop
        self._base_url = base_url
        self._clock, self._sleep = clock, sleep
        self._version = version or API_VERSION
        self._most_files, self._most_wait_s = most_files, most_wait_s
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._uploads: dict[str, _Upload] = {}

    async def settled(self, request: Request, cargo: Cargo, *, connect_s: float, limit: int = INLINE_BYTES) -> Request:
        """The request as it can be written: oversized media are uploaded. Raises HopError, Unsupported."""
        uris, cargo = {}, msgspec.structs.replace(cargo, way=Way.UPLOAD)
        for media in oversized(request, limit):
            key = content_key(media)
            async with self._alone(key):
                file = self._files.get(key)
                if file is None or file.until <= self._clock():
                    until = self._clock() + LIFETIME_S
                    file = self._files[key] = _File(await self._upload(media, cargo, connect_s), until)
                    self._files.move_to_end(key)
                    if len(self._files) > self._most_files:
                        self._files.popitem(last=False)
                uris[key] = file.uri
        return referring(request, uris)

    @contextlib.asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """Of the requests with the same content one runs at a time. The last one takes the lock out of the table."""
        upload = self._uploads.setdefault(key, _Upload())
        upload.users += 1
        try:
            async with upload.lock:
                yield
        finally:
            upload.users -= 1
            if not upload.users:
                del self._uploads[key]

    async def _upload(self, media: Media, cargo: Cargo, connect_s: float) -> str:
        """The file's address. Raises HopError, Unsupported."""
        try:
            raw = base64.b64decode(media.data or "", altchars=b"-_" if set(media.data or "") & {"-", "_"} else None)
        except ValueError as error:
            raise refused(media, "the data is not base64") from error
        headers = (
            ("content-type", "application/json"),
            ("x-goog-upload-protocol", "resumable"),
            ("x-goog-upload-command", "start"),
            ("x-goog-upload-header-content-length", str(len(raw))),
            ("x-goog-upload-header-content-type", media.mime),
        )
        body = msgspec.json.encode({"file": {"displayName": media.name} if media.name else {}})
        reply, _ = await self._ask(HttpCall(f"/upload/{self._version}/files", body, headers, cargo=cargo), connect_s)
        # Only the path of the upload's address is used: the key is sent to no other host.
        try:
            place = urlsplit(reply.headers.get("x-goog-upload-url", ""))
            prefix = urlsplit(self._base_url).path.rstrip("/")
        except ValueError as error:
            raise HopError(_garbled("the upload's address is none")) from error
        if not place.path:
            raise HopError(_garbled("the upload has no address"))
        address = place.path.removeprefix(prefix) + (f"?{place.query}" if place.query else "")
        return await self._ready(await self._send(address, raw, cargo, connect_s), cargo, connect_s)

    async def _send(self, address: str, raw: bytes, cargo: Cargo, connect_s: float) -> Any:
        """Sends the bytes, and after a cut those that are missing; the file's description."""
        at = 0
        for tries in range(1, _TRIES + 1):
            headers = (("x-goog-upload-offset", str(at)), ("x-goog-upload-command", "upload, finalize"))
            try:
                _, body = await self._ask(HttpCall(address, raw[at:], headers, cargo=cargo), connect_s)
                return _file(body)
            except HopError as error:
                if error.failure.status is not None or tries == _TRIES:
                    raise
            query = HttpCall(address, b"", (("x-goog-upload-command", "query"),), cargo=cargo)
            reply, _ = await self._ask(query, connect_s)
            received = reply.headers.get("x-goog-upload-size-received", "")
            at = min(int(received), len(raw)) if received.isdecimal() and len(received) < 20 else 0
        raise AssertionError("the last try returns or raises")

    async def _ready(self, file: Any, cargo: Cargo, connect_s: float) -> str:
        """The file's address, once the vendor has processed it. Polls less and less often."""
        pause, waited = _POLL_S, 0.0
        while file.get("state") == _PROCESSING:
            if waited >= self._most_wait_s:
                message = f"the uploaded file is still not ready after {waited:.0f} s"
                raise HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, message))
            await self._sleep(pause)
            waited, pause = waited + pause, min(pause * 2, _POLL_MOST_S)
            call = HttpCall(f"/{self._version}/{quote(file['name'])}", b"", (), "GET", cargo)
            _, body = await self._ask(call, connect_s)
            file = _file(body)
        if file.get("state", _ACTIVE) != _ACTIVE:
            error = file.get("error")
            why = error.get("message") if isinstance(error, dict) else None
            message = str(why or "the provider could not read the file")
            raise HopError(Failure(Kind.REJECTED, Disposition.TELL_CALLER, message))
        return str(file["uri"])

    async def _ask(self, call: HttpCall, connect_s: float) -> tuple[Reply, bytes]:
        """A reply and its body. Raises HopError for every status but 200."""
        reply = await self._hop.open(call, connect_s=connect_s)
        try:
            if reply.status != HTTPStatus.OK:
                raise HopError(classify(reply.status, reply.headers, await error_page(reply)))
            return reply, await reply.read(_ANSWER_BYTES)
        finally:
            reply.close()


def _file(body: bytes) -> Any:
    """The description of a file in a reply. Raises HopError."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HopError(_garbled("the upload's answer is not JSON")) from error
    file = value.get("file", value) if isinstance(value, dict) else None
    if not isinstance(file, dict) or not isinstance(file.get("uri"), str) or not isinstance(file.get("name"), str):
        raise HopError(_garbled("the upload's answer names no file"))
    return file


def _garbled(message: str) -> Failure:
    return Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message)
