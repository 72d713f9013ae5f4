"""Requests about what another Hearth stores, sent on to it by the id: responses, batches, files and decisions.

A page is asked first. If it knows nothing of an id that names another Hearth, the request goes there, with the fleet's key and
for the caller's: its owner decides by that key who may see what. A request that was sent on is never sent on again. An owner
that is away is a 503 with a wait, because what it stores is not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from runtime.contract.failures import HopError, Kind
from runtime.contract.guard import Cargo, Way
from runtime.contract.hop import Hop, HttpCall, Reply
from runtime.contract.owner_ids import owner_of
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.life.desk import Desk
from runtime.server.asgi import ClientGone, ClientRequest, Page, Pairs
from runtime.server.pages.requires import requires_of
from runtime.server.presence import Presence
from runtime.wire import sse
from runtime.wire.api_error import ApiError

FOR, LINK, HOST = "x-hearth-for", "x-hearth-link", "x-hearth-host"
SEALED, PLAIN = "sealed", "plain"
STORED = ("/v1/responses", "/v1/files/", "/v1/batches", "/v1/messages/batches/", "/hearth/decisions/")
_CONNECT_S = 2.0
_HEAD_S, _STALE_S = 10.0, 2.0  # for the first byte, of an owner that is alive, and of one that was not heard lately
_IDLE_S = 60.0
_RETRY_AFTER_S = 5.0
_MOST_BODY = 1 << 16  # of a request whose page reads none
_OUR_HEADERS = frozenset(
    {
        *("host", "connection", "keep-alive", "te", "upgrade", "expect", "transfer-encoding", "content-length"),
        *(
            "content-encoding",
            "accept-encoding",
            "authorization",
            "x-api-key",
            "cookie",
            "origin",
            "referer",
            "forwarded",
        ),
        *("x-hearth-hop", FOR, LINK, HOST),
    }
)
_ITS_HEADERS = frozenset(
    ["connection", "transfer-encoding", "keep-alive", "date", "server", "x-request-id", "request-id"]
)


class PeerWay(NamedTuple):
    """Another Hearth. hop: to its root. sealed: nobody else can read the connection. alive: it was heard lately."""

    hop: Hop
    sealed: bool
    alive: bool


@dataclass(frozen=True, slots=True)
class StoredElsewhere(ApiError):
    """Another Hearth stores what a request names. sent: the request's body, which its page has read.

    The error is this Hearth's own answer, for a request that may not be sent on.
    """

    owner: str = ""
    sent: bytes = b""


def elsewhere(error: ApiError, id: str, sent: bytes) -> ApiError:
    """The error of a page that found nothing under an id in a body, so that the request can be sent on to its owner."""
    return StoredElsewhere(error.status, error.message, error.code, error.param, owner=owner_of(id), sent=sent)


def reads(request: ClientRequest, requires: frozenset[str]) -> None:
    """Raises ApiError 403 if what was stored under a demand would go to another Hearth over a connection in the clear."""
    if requires and request.link == PLAIN:
        words = f"it was stored under {' and '.join(sorted(requires))} and is not sent to another Hearth without TLS"
        raise ApiError(403, words, "no_compliant_target")


class _Hinted(msgspec.Struct):
    hearth: object = None


class _Reader(msgspec.Struct):
    complete: bool = False
    gone: bool = False


class Forwarding:
    """name: of this Hearth. owner: another one by its name; None: none of that name was heard.

    sent: how many requests were sent on, by the owner's name and "answered", "away" or "refused". Names that were never
    heard are counted as one, "": a client may make up any.
    """

    def __init__(self, desk: Desk, name: str, owner: Callable[[str], PeerWay | None]) -> None:
        self._desk, self._name, self._owner = desk, name, owner
        self.sent: dict[tuple[str, str], int] = {}

    def around(self, pages: Mapping[tuple[str, str], Page]) -> dict[tuple[str, str], Page]:
        """The pages, those of stored things with the way to their owners."""
        stored = {route for route in pages if route[1].startswith(STORED)}
        return {route: partial(self.answer, page) if route in stored else page for route, page in pages.items()}

    async def answer(self, page: Page, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError as the page does; 503 where the owner is away."""
        try:
            await page(request, extra)
        except ApiError as error:
            if isinstance(error, StoredElsewhere):
                name, sent = error.owner, error.sent
            elif error.status == 404:
                below = next((each for each in STORED if request.path.startswith(each)), "")
                name = owner_of(request.path.removeprefix(below).strip("/").partition("/")[0])
                sent = None
            else:
                raise
            if name in ("", self._name) or request.link or request.started:
                raise
        else:
            return
        outcome, known = "away", self._owner(name) is not None
        try:
            await self._send_on(name, request, extra, await request.body(_MOST_BODY) if sent is None else sent)
            outcome = "answered"
        except ApiError as error:
            outcome = "refused" if error.status == 403 else outcome
            raise
        finally:
            key = name if known else "", outcome
            self.sent[key] = self.sent.get(key, 0) + 1

    async def _send_on(self, name: str, request: ClientRequest, extra: Pairs, sent: bytes) -> None:
        away = ApiError(
            503, f"the Hearth {name!r}, which stores this, is away", "owner_away", retry_after=_RETRY_AFTER_S
        )
        owner = self._owner(name)
        if owner is None:
            raise away
        generates = request.method == "POST" and request.path == "/v1/responses"
        within = self._desk.total_s if generates else _HEAD_S if owner.alive else _STALE_S
        reader = _Reader()
        try:
            with Presence(request.receive, reader):
                try:
                    async with asyncio.timeout(within):
                        reply = await owner.hop.open(self._call(owner, request, sent), connect_s=_CONNECT_S)
                except TimeoutError:
                    raise away from None
                except HopError as error:
                    if error.failure.kind is Kind.FORBIDDEN:
                        raise ApiError(403, error.failure.message, "no_compliant_target") from error
                    raise away from error
                try:
                    await _give_back(reply, request, extra, reader)
                finally:
                    reply.close()
        except asyncio.CancelledError:
            if reader.gone:
                raise ClientGone from None
            raise

    def _call(self, owner: PeerWay, request: ClientRequest, sent: bytes) -> HttpCall:
        hints = msgspec.json.decode(sent, type=_Hinted).hearth if sent else None
        demanded = frozenset(requires_of(request, hints)) if sent else request.caller.requires
        headers = {name: value for name, value in request.headers.items() if name not in _OUR_HEADERS}
        link, host = SEALED if owner.sealed else PLAIN, request.headers.get("host", "")
        headers |= {"x-hearth-hop": "1", FOR: request.caller.id, LINK: link, HOST: host}
        query = f"?{request.query}" if request.query else ""
        return HttpCall(
            quote(request.path) + query,
            sent,
            tuple(headers.items()),
            "GET" if request.method == "HEAD" else request.method,
            Cargo(Way.MODEL, request.id, demanded),
        )


async def _give_back(reply: Reply, request: ClientRequest, extra: Pairs, reader: _Reader) -> None:
    """The owner's answer as it comes. One that breaks off is visibly cut: a stream by an error, all else by its end."""
    own = {name for name, _ in extra}
    passed = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    kept = [pair for pair in passed if pair[0].decode() not in _ITS_HEADERS and pair[0] not in own]
    await request.start(reply.status, [*kept, *extra])
    if request.method == "HEAD":
        await request.send({"type": "http.response.body", "body": b""})
        return
    events = sse.Events() if sse.MEDIA_TYPE in reply.headers.get("content-type", "") else None
    try:
        more = True
        while more:
            async with asyncio.timeout(_IDLE_S):
                piece = await reply.chunk()
            more = bool(piece)
            if events is not None:  # whole events alone, so that an error can follow
                piece = b"".join([each.raw for each in events.feed(piece)]) if more else events.rest()
            if piece:
                await request.send({"type": "http.response.body", "body": piece, "more_body": True})
    except (HopError, TimeoutError) as error:
        cut = ApiError(502, "the Hearth that stores this broke off its answer", "owner_away")
        if events is None:
            raise cut from error  # less than its content-length, or no last chunk
        await request.send({"type": "http.response.body", "body": RESPONSES.error_event(cut), "more_body": True})
    reader.complete = True
    await request.send({"type": "http.response.body", "body": b""})
