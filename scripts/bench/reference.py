"""The least a Python gateway can do: bare uvicorn, an aiohttp client, no logic. What Hearth's own work is measured against.

python -m scripts.bench.reference --port 8001 --upstream http://127.0.0.1:9000
"""

from __future__ import annotations

import argparse
from typing import Any

import aiohttp
import uvicorn


class Forward:
    """Every POST goes upstream as it is; what comes back goes out as it comes."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {"content-type": "application/json"}
        async with self._session.post(self._upstream + scope["path"], data=body, headers=headers) as reply:
            kept = [(b"content-type", reply.headers["content-type"].encode())]
            if (length := reply.headers.get("content-length")) is not None:
                whole = await reply.read()
                await send(
                    {
                        "type": "http.response.start",
                        "status": reply.status,
                        "headers": [*kept, (b"content-length", length.encode())],
                    }
                )
                await send({"type": "http.response.body", "body": whole})
                return
            await send({"type": "http.response.start", "status": reply.status, "headers": kept})
            async for piece in reply.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    uvicorn.run(
        Forward(options.upstream),
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
