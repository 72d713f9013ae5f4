"""`GET /hearth/events`: what changes, as server-sent events, for as long as the reader stays and reads."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import msgspec

from runtime.server.asgi import ClientGone, ClientRequest, Page, Pairs
from runtime.server.live.feed import TOPICS, Feed
from runtime.server.presence import Presence
from runtime.trust.caller import Scope
from runtime.wire import sse
from runtime.wire.api_error import ApiError

PATH = "/hearth/events"
_HEAD = ((b"content-type", sse.MEDIA_TYPE.encode()), (b"x-accel-buffering", b"no"))
_AWAKE = b": still here\n\n"


class Reader(msgspec.Struct):
    """The client of an event stream, as `Presence` watches it."""

    complete: bool = False
    gone: bool = False


class EventPages:
    """awake_s: between two comments of a quiet stream. unread_s: how long a reader may read nothing."""

    def __init__(self, feed: Feed, awake_s: float = 15.0, unread_s: float = 30.0) -> None:
        self._feed, self._awake_s, self._unread_s = feed, awake_s, unread_s

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.stream}

    async def stream(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for an unknown topic, 403 for the log without an admin key, 503 with too many viewers."""
        asked = parse_qs(request.query).get("topics", ["status,decisions"])[-1]
        topics = frozenset(filter(None, asked.split(",")))
        if unknown := topics - set(TOPICS):
            words = f"unknown topic {min(unknown)[:100]!r}: one of {', '.join(TOPICS)}"
            raise ApiError(400, words, "invalid_parameter", "topics")
        if "log" in topics and not request.caller.may(Scope.ADMIN):
            raise ApiError(403, "the engine's log may hold prompts: it needs an admin key", "missing_scope")
        reader = Reader()
        with self._feed.viewed(topics) as viewer:
            await request.start(200, [*_HEAD, *extra])
            try:
                with Presence(request.receive, reader):
                    while request.method != "HEAD" and not viewer.over:
                        try:
                            async with asyncio.timeout(self._awake_s):
                                frames = await viewer.take()
                        except TimeoutError:
                            frames = _AWAKE
                        async with asyncio.timeout(self._unread_s):
                            await request.send({"type": "http.response.body", "body": frames, "more_body": True})
                    reader.complete = True
                    await request.send({"type": "http.response.body", "body": b""})
            except TimeoutError:
                raise ClientGone from None  # it reads nothing any more
            except asyncio.CancelledError:
                if reader.gone:
                    raise ClientGone from None
                raise
