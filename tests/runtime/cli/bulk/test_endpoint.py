"""The HTTP client of `hearth classify`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runtime.cli.bulk.endpoint import Endpoint


async def test_a_runtime_on_a_unix_socket_is_asked_there(tmp_path: Path) -> None:
    """The url gives only the path of the request."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend((await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-hearth-target: local/m\r\n\r\nok")
        await writer.drain()
        writer.close()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(answer, path)
    async with server, Endpoint("http://localhost", None, 1, path) as endpoint:
        reply = await endpoint.ask(b"{}")
    assert (reply.status, reply.body, reply.target) == (200, b"ok", "local/m")
    assert asked[0] == b"post /v1/chat/completions http/1.1"
    assert b"x-hearth-priority: batch" in asked, "rows stand in the way of other requests"
