"""ASGI as the server needs it: a request with its headers read once, and answers of bytes.

A framework's routing and objects would cost more than a request's whole decision; the protocol itself is three messages.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from runtime.server.bodies import too_large, unpacked
from runtime.trust.caller import STRANGER, Caller
from runtime.wire.api_error import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pairs = Iterable[tuple[bytes, bytes]]

WRITE_NOW = "hearth.write_now"
"""ASGI extension of our own server: writes a part of a chunked body at once; False where it would have to wait."""

JSON = (b"content-type", b"application/json")
_MOST_HEADER_BYTES = 4096  # of one value that we send
_UNFIT = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")  # what no header value may hold


class ClientRequest:
    """One HTTP request.

    headers: lower-case names, the last of equal ones. path: without the path prefix. arrived: on the monotonic clock.
    caller: a stranger without any scope until the key was checked. peer: the client's address where it is known.
    repeated: true if a header came more than once. started: true once the head of the answer has left. link: how
    the Hearth is connected that sent it on for what is stored here, "sealed" or "plain"; "" for everybody else's.
    """

    __slots__ = (
        "arrived",
        "caller",
        "headers",
        "id",
        "link",
        "method",
        "path",
        "peer",
        "receive",
        "repeated",
        "scope",
        "send",
        "started",
        "write_now",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, arrived: float) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.arrived = arrived
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.repeated = len(self.headers) != len(scope["headers"])
        self.id = self.link = ""
        self.caller: Caller = STRANGER
        self.peer: str | None = client[0] if (client := scope.get("client")) else None
        self.started = False
        # Taken out of the scope: it knows the scope's own connection, a circle that only the collector would find.
        self.write_now: Callable[[bytes], bool] | None = (scope.get("extensions") or {}).pop(WRITE_NOW, None)

    @property
    def query(self) -> str:
        """What follows the question mark of the target, undecoded; "" if nothing does."""
        return str(self.scope["query_string"], "latin-1")

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for each, value in self.scope["headers"] if each == wanted]

    async def body(self, limit: int) -> bytes:
        """The whole body, unpacked.

        Raises ApiError 413 past `limit` bytes, compressed or not, 415 and 400 where it cannot be unpacked, ClientGone
        when the client hangs up while sending.
        """
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > limit:
            raise too_large(limit)
        message = await self.receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            received = bytearray(body)  # one buffer, not a list: a client may send byte by byte
            while message.get("more_body") and len(received) <= limit:
                message = await self.receive()
                received += message.get("body", b"")
            body = bytes(received)
        if message["type"] == "http.disconnect":
            raise ClientGone
        if len(body) > limit:
            raise too_large(limit)
        if "content-encoding" in self.headers:
            return await unpacked(body, ",".join(self.values("content-encoding")), limit)
        return body

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises ApiError 413 past `limit` bytes, 415 for a packed one, ClientGone."""
        if self.headers.get("content-encoding", "identity") != "identity":
            raise ApiError(415, "an upload cannot be compressed: send it as it is", "unsupported_encoding")
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece: bytes = message.get("body", b"")
            size, more = size + len(piece), message.get("more_body", False)
            if size > limit:
                raise ApiError(413, f"the upload is larger than {limit // 1_000_000} MB", "request_too_large")
            yield piece

    async def start(self, status: int, headers: Pairs) -> None:
        """Sends the head. Characters that no header value may hold are replaced: they would cost the client its answer."""
        pairs = list(headers)
        together = b"".join([value for _, value in pairs])
        if len(together) > _MOST_HEADER_BYTES or _UNFIT.search(together):
            pairs = [(name, _UNFIT.sub(b"?", value[:_MOST_HEADER_BYTES])) for name, value in pairs]
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def answer(self, status: int, body: bytes, headers: Pairs = (JSON,)) -> None:
        """Sends a whole answer."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def answer_json(self, status: int, value: Any, headers: Pairs = ()) -> None:
        await self.answer(status, msgspec.json.encode(value), (JSON, *headers))


Page = Callable[[ClientRequest, Pairs], Awaitable[None]]
"""Answers the requests of one route. The pairs are headers that every answer to this request carries."""


class ClientGone(Exception):
    """The client hung up."""
