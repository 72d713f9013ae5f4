"""A server that does exactly what a test says, over a real Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from runtime.contract.hop import HttpCall

CALL = HttpCall("/chat/completions", b'{"model":"m"}')
WHOLE = b"HTTP/1.1 200 OK\r\nServer: uvicorn\r\ncontent-length: 5\r\n\r\nhello"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """One connection as the server sees it. `requests` are whole: head and body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        return head, await self.reader.readexactly(int(lines.get(b"content-length", b"0")))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def hang_up(self) -> None:
        self.writer.close()


Script = Callable[[Peer], Awaitable[None]]


class Engine:
    """A server whose every connection runs the script; `gone` is set whenever a client has gone."""

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        self._peers: list[Peer] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for peer in self._peers:
            peer.hang_up()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer = Peer(reader, writer)
        self._peers.append(peer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.script(peer)
            await reader.read()
        self.gone.set()
        peer.hang_up()


Start = Callable[[Script], Awaitable[Engine]]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def answer_all(peer: Peer) -> None:
    """Answers every request of a connection with the same whole answer."""
    while True:
        await peer.request()
        await peer.send(WHOLE)
