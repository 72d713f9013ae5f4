"""The HTTP client of `hearth classify`: one address, one key, one question at a time, as batch work. Decides nothing."""

from __future__ import annotations

from typing import Self

import aiohttp

from runtime.cli.bulk.verdicts import LabelReply, retry_after

_CHAT = "/v1/chat/completions"
_CONNECT_S = 5.0
_READ_S = 330.0  # above the runtime's own total, so that it is the one to give up and say why


class Endpoint:
    """The runtime's chat endpoint. Connections are reused; proxies of the environment are not used.

    socket: the path of a Unix socket to connect to instead of the url's host, or "".
    """

    def __init__(self, url: str, key: str | None, connections: int, socket: str = "") -> None:
        headers = {"content-type": "application/json", "x-hearth-priority": "batch"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        connector = (
            aiohttp.UnixConnector(path=socket, limit=connections) if socket else aiohttp.TCPConnector(limit=connections)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S),
        )
        self._chat = url + _CHAT

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, body: bytes) -> LabelReply:
        """One question. A connection that cannot be made or is cut is a reply without a status."""
        try:
            async with self._session.post(self._chat, data=body) as response:
                return LabelReply(
                    response.status,
                    await response.read(),
                    retry_after(response.headers.get("retry-after")),
                    response.headers.get("x-hearth-target", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return LabelReply(None, f"{type(error).__name__}: {error}".encode())
