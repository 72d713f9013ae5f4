"""The client's end of an answer: head and body as ASGI messages, nothing before the commit point."""

from __future__ import annotations

from time import monotonic

from runtime.dispatch.job import Head
from runtime.server.asgi import JSON, ClientRequest, Pairs
from runtime.wire import sse

_STREAM = ((b"content-type", sse.MEDIA_TYPE.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class ClientSink:
    """A `runtime.dispatch.job.Sink`.

    complete: the last byte was handed over: a client that closes now has its answer. writing_since: when the write in
    progress began, None between two; it lasts where the client does not read.
    """

    __slots__ = ("_extra", "_request", "_streaming", "complete", "gone", "writing_since")

    def __init__(self, request: ClientRequest, extra: Pairs) -> None:
        self._request = request
        self._extra = extra
        self._streaming = False
        self.complete = False
        self.gone = False
        self.writing_since: float | None = None

    @property
    def started(self) -> bool:
        """True once the head has left."""
        return self._request.started

    async def start(self, head: Head) -> None:
        self._streaming = head.length is None
        headers = [
            *(_STREAM if self._streaming else (JSON, (b"content-length", str(head.length).encode()))),
            *self._extra,
            (b"x-hearth-decision", self._request.id.encode()),
            (b"x-hearth-target", head.target.label.encode()),
            (b"x-hearth-attempts", str(head.attempts).encode()),
            (b"x-hearth-reason", head.reason.encode()),
        ]
        if head.degraded:
            headers.append((b"x-hearth-degraded", ",".join(head.degraded).encode()))
        await self._request.start(200, headers)

    async def write(self, data: bytes) -> None:
        if data:
            self.complete = not self._streaming
            self.writing_since = monotonic()
            await self._request.send({"type": "http.response.body", "body": data, "more_body": self._streaming})
            self.writing_since = None

    async def close(self, last: bytes = b"") -> None:
        """Ends a stream, after its last event where one is pending. A whole answer ended with its only write."""
        if self._streaming:
            self.complete = True
            await self._request.send({"type": "http.response.body", "body": last})
