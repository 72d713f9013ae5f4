"""A runtime on loopback that gives scripted answers and records the requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEADERS = {
    "x-hearth-decision": "dec_0000000000000001",
    "x-hearth-target": "local/m",
    "x-hearth-reason": "default",
    "x-hearth-attempts": "1",
}


@dataclass
class Reply:
    """chunks: written one after another; `hold` keeps the connection open after them until the client goes."""

    status: int = 200
    chunks: tuple[bytes, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    hold: bool = False


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Answer = Callable[[Asked], Reply]


@dataclass
class FakeRuntime:
    url: str
    asked: list[Asked] = field(default_factory=list)
    first_asked: threading.Event = field(default_factory=threading.Event)
    client_gone: threading.Event = field(default_factory=threading.Event)


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> Reply:
    return Reply(status, (json.dumps(value).encode(),), headers)


def stream(*pieces: str, finish: str | None = "stop", hold: bool = False, degraded: str = "") -> Reply:
    """A chat stream; without a finish it just ends."""
    events: list[Any] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    if finish:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}})
    chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    if not hold:
        chunks.append(b"data: [DONE]\n\n")
    headers = {**HEADERS, "x-hearth-degraded": degraded} if degraded else HEADERS
    return Reply(200, tuple(chunks), headers, "text/event-stream", hold)


@contextmanager
def fake_runtime(answer: Answer, port: int = 0) -> Iterator[FakeRuntime]:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            fake.asked.append(asked)
            fake.first_asked.set()
            reply = answer(asked)
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for chunk in reply.chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
            if reply.hold and self.connection.recv(1) == b"":
                fake.client_gone.set()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Door)
    fake = FakeRuntime(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
