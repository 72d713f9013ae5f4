"""The client's end of an answer: head and body as ASGI messages, nothing before the commit point."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from runtime.dispatch.job import Head
from runtime.server.asgi import JSON, ClientRequest, Pairs
from runtime.wire import sse

_MOST_WORDS = 1000  # characters
_OTHERS = re.compile(r"[^ -~]")  # than a header may hold
_STREAM = ((b"content-type", sse.MEDIA_TYPE.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class ClientSink(msgspec.Struct, eq=False):
    """A `runtime.dispatch.job.Sink`.

    delivers: takes a whole answer of the box itself, before its body leaves. complete: the last byte was handed over: a
    client that closes now has its answer.
    """

    _request: ClientRequest
    _extra: Pairs
    _delivers: Callable[[dict[str, str]], None] | None = None
    _here: str = ""  # the target, if it is on the box
    _streaming: bool = False
    complete: bool = False
    gone: bool = False

    async def start(self, head: Head) -> None:
        self._streaming = head.length is None
        self._here = head.target.label if head.target.on_box else ""
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
        if head.words:
            headers.append((b"x-hearth-words", _OTHERS.sub("?", head.words[:_MOST_WORDS]).encode()))
        await self._request.start(200, headers)

    async def write(self, data: bytes) -> None:
        if data:
            if not self._streaming:
                self.complete = True
                if self._here and self._delivers is not None:
                    self._delivers({"decision": self._request.id, "target": self._here})
            await self._request.send({"type": "http.response.body", "body": data, "more_body": self._streaming})

    def write_now(self, data: bytes) -> bool:
        """False where the client does not keep up, or where the server cannot write without waiting."""
        return self._streaming and self._request.write_now is not None and self._request.write_now(data)

    async def close(self, last: bytes = b"") -> None:
        """Ends a stream, after its last event where one is pending. A whole answer ended with its only write."""
        if self._streaming:
            self.complete = True
            await self._request.send({"type": "http.response.body", "body": last})
