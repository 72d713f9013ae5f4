"""A small HTTP/1.1 server for fakes: quick to import, keep-alive, chunked answers, and it notices a client that leaves.

No chunked requests, no pipelining: none of our clients sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit


class Exchange:
    """One request and the means to answer it. Header names are lower-case."""

    def __init__(self, line: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        self.method, target, _ = line.split(" ", 2)
        self.path = urlsplit(target).path  # of the whole address, too, which a proxy is asked for
        self.headers = headers
        self.body = body
        self._writer = writer
        self._streaming = False
        self.open = True  # whether the connection may be used again

    async def say(self, payload: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer: bytes or text as they are, anything else as JSON."""
        kind = "text/plain" if isinstance(payload, bytes | str) else "application/json"
        body = payload if isinstance(payload, bytes) else _text(payload).encode()
        await self._head(status, {"content-type": kind, "content-length": str(len(body)), **(headers or {})})
        await self.send(body)

    async def stream(self, kind: str) -> None:
        """Begins an answer in chunks."""
        self._streaming = True
        await self._head(200, {"content-type": kind, "transfer-encoding": "chunked"})

    async def send(self, data: bytes) -> None:
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._streaming else data)
            await self._writer.drain()

    async def end(self) -> None:
        if self._streaming:
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()

    def abort(self) -> None:
        """Cuts the connection."""
        self.open = False
        self._writer.transport.abort()

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


Answer = Callable[[Exchange], Awaitable[None]]


async def listen(answer: Answer, *, socket_path: str | None, port: int | None) -> asyncio.Server:
    """Serves until closed. `answer` is cancelled when its client leaves."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await _serve(answer, reader, writer)
        finally:
            writer.close()

    if socket_path is not None:
        return await asyncio.start_unix_server(connected, socket_path)
    return await asyncio.start_server(connected, "127.0.0.1", port)


async def _serve(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    ahead = b""
    while True:
        head = ahead + await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(line, headers, body, writer)
        ahead = await _unless_left(answer(exchange), reader)
        if not exchange.open:
            return


async def _unless_left(work: Awaitable[None], reader: asyncio.StreamReader) -> bytes:
    """Runs `work`, and cancels it when the client closes. Returns the first bytes of the next request, if any came.

    Tasks are waited for and not awaited: a suppressed CancelledError could be the server's own end, which would be lost.
    """
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and not listening.result():
            working.cancel()
        await asyncio.wait((working,))
        if not working.cancelled():
            working.result()
        listening.cancel()
        await asyncio.wait((listening,))
    finally:
        working.cancel()
        listening.cancel()
    if listening.cancelled():
        return b""
    early = listening.result()
    if not early:
        raise ConnectionResetError
    return early


def _text(payload: object) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload)
