"""Servers on loopback that speak a vendor's wire, fail as vendors do, and keep every byte that reached their socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

MARK = re.compile(rb"secret-\d+")
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}


@dataclass
class Vendor:
    """seen: mark of a prompt -> when its bytes arrived here, and as what: model | upload | count. fails: share of the calls."""

    name: str
    fails: float
    random: random.Random
    port: int = 0
    seen: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    head: bytes = b""  # of the latest request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                path = head.split(b" ")[1].decode()
                kind = (
                    "upload" if path.startswith("/upload/") else "count" if path.endswith("count_tokens") else "model"
                )
                for mark in MARK.findall(head + body):
                    self.seen.setdefault(mark.decode(), []).append((time.monotonic(), kind))
                self.head = head
                if not await self._answered(path, body, writer):
                    break

    async def _answered(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """False where the connection ends with the answer."""
        if path.endswith("/models"):
            return await _say(writer, 200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
        chance = self.random.random()
        if chance < self.fails:
            if chance < self.fails / 4:
                writer.transport.abort()
                return False
            if chance < self.fails / 2:
                await asyncio.sleep(0.03)  # so long that a hedge starts
            return await _say(writer, self.random.choice((429, 500, 503)), {"error": {"message": "no", "type": "x"}})
        if path.startswith("/upload/"):
            place = {"x-goog-upload-url": f"{self.url}/upload/v1beta/put", "x-goog-upload-status": "active"}
            file = {"file": {"name": "files/a", "uri": f"{self.url}/files/a", "state": "ACTIVE"}}
            return await _say(writer, 200, file, place)
        if path.endswith("count_tokens"):
            return await _say(writer, 200, {"input_tokens": 3})
        if not json.loads(body or b"{}").get("stream") and "stream" not in path:
            return await _say(writer, 200, _whole())
        await _head(writer, 200, {"content-type": "text/event-stream", "connection": "close"})
        writer.write(_streamed(path))
        await writer.drain()
        return False


class Collector(Vendor):
    """A collector of traces and metrics: takes everything."""

    async def _answered(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        return await _say(writer, 200, {})


def _whole() -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": usage}


def _streamed(path: str) -> bytes:
    """One short answer in the wire of the path."""
    if path.endswith("/messages"):
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**_MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 0}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)
    if "streamGenerateContent" in path:
        content = {"role": "model", "parts": [{"text": "ok"}]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        answer = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        return f"data: {json.dumps(answer)}\n\n".encode()
    if path.endswith("/responses"):
        item = {"type": "message", "id": "i", "role": "assistant", "status": "completed"}
        text = {"type": "output_text", "text": "ok", "annotations": []}
        whole = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        events = [
            {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
            {
                "type": "response.output_text.delta",
                "output_index": 0,
                "content_index": 0,
                "item_id": "i",
                "delta": "ok",
            },
            {"type": "response.output_item.done", "output_index": 0, "item": {**item, "content": [text]}},
            {
                "type": "response.completed",
                "response": {**whole, "output": [{**item, "content": [text]}], "usage": usage},
            },
        ]
        return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)
    first = {
        **_CHUNK,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": None}],
    }
    last = {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in (first, last)) + b"data: [DONE]\n\n"


async def _head(writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())


async def _say(writer: asyncio.StreamWriter, status: int, value: object, more: dict[str, str] | None = None) -> bool:
    body = json.dumps(value).encode()
    await _head(writer, status, {"content-type": "application/json", "content-length": str(len(body)), **(more or {})})
    writer.write(body)
    await writer.drain()
    return True


@contextlib.asynccontextmanager
async def serving(*vendors: Vendor) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for vendor in vendors:
            server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0, limit=1 << 24)
            vendor.port = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        yield
