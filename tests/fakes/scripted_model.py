"""A stand-in for models that can call tools: a process of the OpenAI chat dialect whose answers follow from what is asked.

    python -m tests.fakes.scripted_model --port N

What it says, first match (`answer`; each row but the first and the last is asked for in the prompt or by a parameter):

    a tool must be called        the tool that the prompt names, else one not called yet, with arguments that fit its schema;
                                 with `{}` while the prompt says `badly at first` and nothing has come back yet
    tool results came back       text: `The tools said: …`
    `call NAME with {…}`         those calls, of the tools that are offered
    a schema, or JSON            an object that fits
    anything else                text; with `think` in the prompt, reasoning before it

GET /_scripted/asked gives every body that reached it: [{"path", "headers", "body"}, …], canaries included. Usage is
always 40 tokens in, 10 of them from a cache, and 8 out. Any model name is served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.fakes.tiny_http import Exchange, listen

MODEL = "scripted"
PLAIN = "Paris is the capital of France, and has been for a long time."
THOUGHT = "They ask for a capital."
WINDOW = 200_000
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 8,
    "total_tokens": 48,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 0},
}

_ORDER = re.compile(r"call (\w+) with (?=\{)")
_BADLY = "badly at first"
_THINK = "think"
_CREATED = 1_700_000_000

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """arguments: JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Text, or calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""

    @property
    def finish(self) -> str:
        return "tool_calls" if self.calls else "stop"


# What is said


def answer(body: Json) -> Answer:
    messages: list[Json] = body["messages"]
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or () if "function" in tool}
    prompt = _prompt(messages)
    results = _results(messages)
    ordered = tuple(call for call in _orders(prompt) if call.name in tools)
    choice = body.get("tool_choice")
    if tools and (choice == "required" or isinstance(choice, dict)):
        return Answer(calls=(_forced(choice, tools, messages, ordered, bad=_BADLY in prompt and not results),))
    if results:
        return Answer("The tools said: " + "; ".join(results))
    if ordered and choice != "none":
        return Answer(calls=ordered)
    wanted = _schema(body.get("response_format"))
    if wanted is not None:
        return Answer(json.dumps(example(wanted)))
    return Answer(PLAIN, reasoning=THOUGHT if _THINK in prompt else "")


def _forced(
    choice: str | Json, tools: Mapping[str, Json], messages: list[Json], ordered: tuple[Call, ...], *, bad: bool
) -> Call:
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    fresh = [call for call in ordered if call.name not in called]
    if isinstance(choice, str) and fresh:
        return fresh[0]
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    name = named or next((name for name in tools if name not in called), list(tools)[-1])
    return Call(name, "{}" if bad else json.dumps(example(tools[name].get("parameters") or {"type": "object"})))


def _prompt(messages: list[Json]) -> str:
    """The text of the last user message that has any."""
    texts = [_text(message.get("content")) for message in messages if message["role"] == "user"]
    return next((text for text in reversed(texts) if text), "")


def _results(messages: list[Json]) -> list[str]:
    """What tools gave since the model last spoke."""
    last = max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return [_text(message.get("content")) for message in messages[last + 1 :] if message["role"] == "tool"]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def _orders(prompt: str) -> Iterator[Call]:
    for order in _ORDER.finditer(prompt):
        given, _ = json.JSONDecoder().raw_decode(prompt[order.end() :])
        yield Call(order[1], json.dumps(given))


def _schema(wanted: Json | None) -> Json | None:
    """The schema that a `response_format` asks for; None where it asks for none."""
    kind = (wanted or {}).get("type")
    if wanted is not None and kind == "json_schema":
        schema: Json = wanted["json_schema"]["schema"]
        return schema
    return {"properties": {"city": {"type": "string"}}} if kind == "json_object" else None


def example(schema: Json, root: Json | None = None) -> Any:
    """A value that fits the schema, as far as types, enumerations and references go."""
    root = schema if root is None else root
    if "$ref" in schema:
        return example(_resolve(schema["$ref"], root), root)
    for member in ("enum", "const"):
        if member in schema:
            return schema["enum"][0] if member == "enum" else schema["const"]
    for member in ("anyOf", "oneOf", "allOf"):
        if member in schema:
            return example(next(each for each in schema[member] if each.get("type") != "null"), root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(each, root) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), root)]
    return {"string": "Paris", "integer": 7, "number": 7.5, "boolean": True}.get(kind)


def _resolve(reference: str, root: Json) -> Json:
    found = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


# How it is said


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
    for piece in _pieces(said.reasoning):
        yield {"reasoning_content": piece}
    for piece in _pieces(said.text):
        yield {"content": piece}
    for place, each in enumerate(said.calls):
        begun = _call(Call(each.name, ""), f"{new_id}-{place}")
        yield {"tool_calls": [{"index": place, **begun}]}
        for piece in _pieces(each.arguments):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def _call(call: Call, call_id: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _pieces(text: str, size: int = 7) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


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
        if exchange.method != "POST" or not exchange.path.startswith("/v1/"):
            return await exchange.say({"detail": "Not Found"}, 404)
        body = json.loads(exchange.body)
        self.asked.append({"path": exchange.path, "headers": exchange.headers, "body": body})
        if exchange.path == "/v1/chat/completions":
            return await self._chat(exchange, body)
        if exchange.path == "/v1/completions":
            choice = {"index": 0, "text": PLAIN, "logprobs": None, "finish_reason": "stop"}
            head = {"id": self._id(), "object": "text_completion", "created": _CREATED, "model": body["model"]}
            return await exchange.say({**head, "choices": [choice], "usage": USAGE})
        return await exchange.say({"detail": "Not Found"}, 404)

    async def _chat(self, exchange: Exchange, body: Json) -> None:
        said, new_id, model = answer(body), self._id(), body["model"]
        if not body.get("stream"):
            return await exchange.say(whole(said, model, new_id))
        await exchange.stream("text/event-stream; charset=utf-8")
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        for chunk in chunks(said, model, new_id, usage=usage):
            await exchange.send(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await exchange.send(b"data: [DONE]\n\n")
        return await exchange.end()

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
