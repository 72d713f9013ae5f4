"""The client's end of an answer: head and body as ASGI messages, nothing before the commit point."""

from __future__ import annotations

from collections.abc import Callable

from runtime.dispatch.job import Head
from runtime.server.asgi import JSON, ClientRequest, Pairs
from runtime.wire import sse

_STREAM = ((b"content-type", sse.MEDIA_TYPE.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class ClientSink:
    """A `runtime.dispatch.job.Sink`. `describe` gives the x-hearth headers of an answer about to start."""

    __slots__ = ("_describe", "_request", "_streaming", "head", "started")

    def __init__(self, request: ClientRequest, describe: Callable[[Head], Pairs]) -> None:
        self._request = request
        self._describe = describe
        self._streaming = False
        self.started = False
        self.head: Head | None = None

    async def start(self, head: Head) -> None:
        self.started, self.head = True, head
        self._streaming = head.length is None
        kind = _STREAM if self._streaming else (JSON, (b"content-length", str(head.length).encode()))
        await self._request.start(200, [*kind, *self._describe(head)])

    async def write(self, data: bytes) -> None:
        if data:
            await self._request.send({"type": "http.response.body", "body": data, "more_body": self._streaming})

    async def close(self, last: bytes = b"") -> None:
        """Ends a stream, after its last event where one is owed. A whole answer ended with its only write."""
        if self._streaming:
            await self._request.send({"type": "http.response.body", "body": last})
