"""A stub upstream of the OpenAI dialect that answers at once: one JSON body, or a stream of chunks, paced or in a burst.

    python -m scripts.bench.stub --port 9000 [--chunks 64]

A raw asyncio protocol, so that its own cost stays small beside what is measured. What a request wants beyond `stream` it
says in its prompt, which every gateway passes on: `pace=5` sends a chunk every 5 ms, `hold` sends the first chunk and
then nothing (idle streams). A body with `"logprobs": true` gets a stream with log probabilities. Serves …/completions and
…/models, and the same stream in a burst on two other wires: …/v1/messages and …:streamGenerateContent; anything else is an
empty object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import cast

import uvloop

MODEL = "stub"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_PACE = re.compile(rb"pace=(\d+)")
_HOLD = b"hold"
_LOGPROBS = re.compile(rb'"logprobs": *true')
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


def _chunk(
    delta: dict[str, str], finish: str | None = None, usage: dict[str, int] | None = None, logprobs: object = None
) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices}
    if usage is not None:
        body |= {"choices": [], "usage": usage}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _logged(place: int) -> dict[str, object]:
    """The log probabilities of one token and five alternatives, in vLLM's shape. They differ from chunk to chunk."""
    tops = [{"token": f" w{n}", "logprob": -0.1 - n - place / 1000, "bytes": [32, 119, 48 + n]} for n in range(5)]
    return {"content": [{"token": " word", "logprob": -0.1 - place / 1000, "bytes": [32, 119], "top_logprobs": tops}]}


def _named(name: str, **members: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + json.dumps({"type": name, **members}).encode() + b"\n\n"


def messages_stream(chunks: int) -> bytes:
    """The stream on the Messages wire."""
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    delta = {"type": "text_delta", "text": " word"}
    events = [
        _named("message_start", message=message | {"stop_reason": None, "stop_sequence": None}),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[_named("content_block_delta", index=0, delta=delta)] * chunks,
        _named("content_block_stop", index=0),
        _named(
            "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": chunks}
        ),
        _named("message_stop"),
    ]
    return b"".join(map(_framed, events)) + b"0\r\n\r\n"


def generate_stream(chunks: int) -> bytes:
    """The stream on the generateContent wire."""
    usage = {"promptTokenCount": 9, "candidatesTokenCount": chunks, "totalTokenCount": 9 + chunks}
    piece = {"content": {"role": "model", "parts": [{"text": " word"}]}, "index": 0}
    one = b"data: " + json.dumps({"candidates": [piece], "usageMetadata": usage}).encode() + b"\r\n\r\n"
    last = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": usage}
    end = b"data: " + json.dumps(last).encode() + b"\r\n\r\n"
    return _framed(one) * chunks + _framed(end) + b"0\r\n\r\n"


def _framed(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Answers:
    """Every byte that can be sent, made once."""

    def __init__(self, chunks: int) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": 9 + chunks}
        message = {"role": "assistant", "content": "word " * 12}
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage}
        whole["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self.whole = self._json(json.dumps(whole).encode())
        self.models = self._json(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())
        self.empty = self._json(b"{}")
        self.stream_head = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
        first = _framed(_chunk({"role": "assistant", "content": ""}))
        self.stream = [first, *(_framed(_chunk({"content": " word"})) for _ in range(chunks))]
        self.logged = [
            first,
            *(_framed(_chunk({"content": " word"}, logprobs=_logged(place))) for place in range(chunks)),
        ]
        self.stream_end = (
            _framed(_chunk({}, "stop")) + _framed(_chunk({}, None, usage)) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        )

        self.messages, self.generate = messages_stream(chunks), generate_stream(chunks)

    @staticmethod
    def _json(body: bytes) -> bytes:
        return _HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(body) + body


class Stub(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            length = _LENGTH.search(head)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self._rest) < stop:
                return
            body, self._rest = self._rest[end + 4 : stop], self._rest[stop:]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        answers, write = self._answers, self._transport.write
        if path.endswith(b"/models"):
            write(answers.models)
        elif path.endswith(b"/messages"):
            write(answers.stream_head + answers.messages)
        elif b":streamGenerateContent" in path:
            write(answers.stream_head + answers.generate)
        elif not path.endswith(b"/completions"):
            write(answers.empty)
        elif _STREAM.search(body) is None:
            write(answers.whole)
        elif _HOLD in body:
            write(answers.stream_head + answers.stream[0] + answers.stream[1])
        else:
            chunks = answers.logged if _LOGPROBS.search(body) else answers.stream
            if (pace := _PACE.search(body)) is not None:
                write(answers.stream_head)
                self._next(chunks, 0, int(pace[1]) / 1000)
            else:
                write(answers.stream_head + b"".join(chunks) + answers.stream_end)

    def _next(self, chunks: list[bytes], place: int, pace_s: float) -> None:
        if self._transport.is_closing():
            return
        if place == len(chunks):
            self._transport.write(self._answers.stream_end)
            return
        self._transport.write(chunks[place])
        asyncio.get_running_loop().call_later(pace_s, self._next, chunks, place + 1, pace_s)


async def serve(port: int, chunks: int) -> None:
    answers = Answers(chunks)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(answers), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--chunks", type=int, default=64)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.chunks))


if __name__ == "__main__":
    main()
