"""A stand-in for models that can call tools: a process that speaks both of OpenAI's wires, Anthropic's and Gemini's.

    python -m tests.fakes.scripted_model --port N

What it says, `script` says; what strict servers refuse, it refuses as they do (`strict`). GET /_scripted/asked gives every body
that reached it: [{"path", "headers", "body", "faults"}, …], canaries included. Usage is always 40 tokens in, 10 of them from a
cache, and 8 out. Any model name is served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator
from itertools import count

from tests.fakes import scripted_generate, scripted_messages, scripted_responses, strict
from tests.fakes.script import PLAIN, Answer, Call, Json, answer, pieces
from tests.fakes.tiny_http import Exchange, listen

MODEL = "scripted"
WINDOW = 200_000
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 8,
    "total_tokens": 48,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 0},
}

_CREATED = 1_700_000_000


# The chat wire


def whole(said: Answer, model: str, new_id: str) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.calls:
        message["tool_calls"] = [_call(each, f"{new_id}-{place}") for place, each in enumerate(said.calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
    head = {"id": new_id, "object": "chat.completion", "created": _CREATED, "model": model}
    return {**head, "choices": [choice], "usage": USAGE}


def chunks(said: Answer, model: str, new_id: str, *, usage: bool) -> Iterator[Json]:
    head = {"id": new_id, "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    for delta in _deltas(said, new_id):
        yield {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": said.finish}]}
    if usage:
        yield {**head, "choices": [], "usage": USAGE}


def _deltas(said: Answer, new_id: str) -> Iterator[Json]:
    yield {"role": "assistant", "content": ""}
    for piece in pieces(said.reasoning):
        yield {"reasoning_content": piece}
    for piece in pieces(said.text):
        yield {"content": piece}
    for place, each in enumerate(said.calls):
        begun = _call(Call(each.name, ""), f"{new_id}-{place}")
        yield {"tool_calls": [{"index": place, **begun}]}
        for piece in pieces(each.arguments):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def _call(call: Call, call_id: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _event_bytes(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _refusal(path: str, message: str) -> Json:
    if scripted_generate.is_asked(path):
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
    error: Json = {"type": "invalid_request_error", "message": message}
    if path == strict.MESSAGES and message == strict.NO_THREADS:
        error["details"] = {"error_code": "thread_unsupported_request"}
    return {"type": "error", "error": error} if path == strict.MESSAGES else {"error": error | {"code": None}}


# The server


class Server:
    def __init__(self) -> None:
        self.asked: list[Json] = []
        self._ids = count(1)

    async def serve(self, exchange: Exchange) -> None:
        """Every request comes here."""
        if exchange.path == "/_scripted/asked":
            return await exchange.say(self.asked)
        if exchange.path == "/v1/models":
            entry = {"id": MODEL, "object": "model", "created": _CREATED, "owned_by": "test", "max_model_len": WINDOW}
            return await exchange.say({"object": "list", "data": [entry]})
        if exchange.method != "POST" or not exchange.path.startswith(("/v1/", "/v1beta/")):
            return await exchange.say({"detail": "Not Found"}, 404)
        body = json.loads(exchange.body)
        faults = strict.refused(exchange.path, body)
        self.asked.append({"path": exchange.path, "headers": exchange.headers, "body": body, "faults": faults})
        if faults:
            return await exchange.say(_refusal(exchange.path, "; ".join(faults)), 400)
        if exchange.path == "/v1/chat/completions":
            return await self._chat(exchange, body)
        if exchange.path == "/v1/responses":
            said = answer(scripted_responses.as_chat(body))
            events = list(scripted_responses.events(said, body, self._id()))
            if not body.get("stream"):
                return await exchange.say(events[-1]["response"])
            return await self._stream(exchange, map(scripted_responses.event_bytes, events))
        if exchange.path == "/v1/messages":
            return await self._messages(exchange, body)
        if scripted_generate.is_asked(exchange.path):
            return await self._generate(exchange, body)
        if exchange.path == "/v1/messages/count_tokens":
            return await exchange.say(scripted_messages.count(body))
        if exchange.path == "/v1/completions":
            choice = {"index": 0, "text": PLAIN, "logprobs": None, "finish_reason": "stop"}
            head = {"id": self._id(), "object": "text_completion", "created": _CREATED, "model": body["model"]}
            return await exchange.say({**head, "choices": [choice], "usage": USAGE})
        return await exchange.say({"detail": "Not Found"}, 404)

    async def _chat(self, exchange: Exchange, body: Json) -> None:
        said, new_id, model = answer(body), self._id(), body["model"]
        if not body.get("stream"):
            return await exchange.say(whole(said, model, new_id))
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = (_event_bytes(chunk) for chunk in chunks(said, model, new_id, usage=usage))
        return await self._stream(exchange, (*events, b"data: [DONE]\n\n"))

    async def _messages(self, exchange: Exchange, body: Json) -> None:
        said, new_id, model = answer(scripted_messages.as_chat(body)), self._id(), body["model"]
        if not body.get("stream"):
            return await exchange.say(scripted_messages.whole(said, model, new_id))
        events = scripted_messages.events(said, model, new_id)
        return await self._stream(exchange, map(scripted_messages.event_bytes, events))

    async def _generate(self, exchange: Exchange, body: Json) -> None:
        model = exchange.path.rpartition("/")[2].partition(":")[0]
        chunks = scripted_generate.chunks(answer(scripted_generate.as_chat(body)), model, self._id())
        return await self._stream(exchange, map(scripted_generate.event_bytes, chunks))

    async def _stream(self, exchange: Exchange, events: Iterable[bytes]) -> None:
        await exchange.stream("text/event-stream; charset=utf-8")
        for event in events:
            await exchange.send(event)
        await exchange.end()

    def _id(self) -> str:
        return f"scripted-{next(self._ids)}"


async def serve(port: int) -> None:
    async with await listen(Server().serve, socket_path=None, port=port) as server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
