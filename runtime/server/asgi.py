"""ASGI in the few shapes the door needs: a request with its headers read once, and answers of bytes.

A framework's routing and objects would cost more than a request's whole decision; the protocol itself is three messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from runtime.wire.api_error import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pairs = Iterable[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


class ClientRequest:
    """One HTTP request. `headers`: lower-case names, the last of equal ones."""

    __slots__ = ("arrived", "headers", "id", "method", "path", "receive", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, arrived: float) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.arrived = arrived
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.id = ""

    @property
    def query(self) -> str:
        """What follows the question mark of the target, undecoded; "" if nothing does."""
        return str(self.scope["query_string"], "latin-1")

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises ApiError 413 past `limit` bytes, ClientGone when the client hangs up while sending."""
        message = await self.receive()
        if not message.get("more_body") and message["type"] == "http.request":
            return self._bounded(message.get("body", b""), limit)
        pieces, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await self.receive()

    @staticmethod
    def _bounded(body: bytes, limit: int) -> bytes:
        if len(body) > limit:
            raise too_large(limit)
        return body

    async def start(self, status: int, headers: Pairs) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def answer(self, status: int, body: bytes, headers: Pairs = (JSON,)) -> None:
        """A whole answer in one go."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def answer_json(self, status: int, value: Any, headers: Pairs = ()) -> None:
        await self.answer(status, msgspec.json.encode(value), (JSON, *headers))


Page = Callable[[ClientRequest, Pairs], Awaitable[None]]
"""Answers the requests of one route. The pairs are headers that every answer to this request carries."""


class ClientGone(Exception):
    """The client hung up."""


def too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit // 1_000_000} MB (server.max_body_mb)", "request_too_large")
