"""A server on this machine in place of a cloud: it answers every chat with the same few words, streamed or whole."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

MODEL = "stand-in"
WORDS = ("an ", "answer ", "from ", "elsewhere")


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))))
        streamed = bool(asked.get("stream"))
        body = b"".join(_chunks()) if streamed else json.dumps(_whole()).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the report has its own lines."""


def _chunks() -> list[bytes]:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": {"content": word}, "finish_reason": None} for word in WORDS
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    usage = {"prompt_tokens": 5, "completion_tokens": len(WORDS), "total_tokens": 5 + len(WORDS)}
    frames: list[dict[str, object]] = [{**head, "choices": [choice]} for choice in choices]
    frames.append({**head, "choices": [], "usage": usage})
    return [f"data: {json.dumps(frame)}\n\n".encode() for frame in frames] + [b"data: [DONE]\n\n"]


def _whole() -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": len(WORDS), "total_tokens": 5 + len(WORDS)}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}


class StandInCloud:
    """The server, in threads of its own while the context lasts."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> StandInCloud:
        threading.Thread(target=self._server.serve_forever, name="hearth: stand-in", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
