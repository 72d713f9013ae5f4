"""The stand-in for models on Anthropic's wire: its bodies as chat ones, so that one script answers both, and its answers.

Thinking comes with a signature, and what comes back is not checked here: tests read it in the bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.script import Answer, Json, pieces

SIGNATURE = "c2lnbmVkLWJ5LXRoZS1zdGFuZC1pbg=="
USAGE = {"input_tokens": 30, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 0, "output_tokens": 8}

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_STOPS = {"tool_calls": "tool_use", "stop": "end_turn"}


# What is asked


def as_chat(body: Json) -> Json:
    """A body of the messages wire as the chat wire would have it, in what the script and tests look at."""
    chat: Json = {"model": body["model"], "messages": list(_messages(body))}
    if tools := [tool for tool in body.get("tools") or () if "input_schema" in tool]:
        chat["tools"] = [
            {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}
            for tool in tools
        ]
    if choice := body.get("tool_choice"):
        chat["tool_choice"] = _CHOICES.get(choice["type"]) or {"function": {"name": choice["name"]}}
    if wanted := (body.get("output_config") or {}).get("format"):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted["schema"]}}
    return chat


def _messages(body: Json) -> Iterator[Json]:
    if body.get("system"):
        yield {"role": "system", "content": body["system"]}
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from _results(blocks)
        texts = [block for block in blocks if block["type"] == "text"]
        calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
        if texts or calls:
            yield {"role": message["role"], "content": texts, **({"tool_calls": calls} if calls else {})}


def _results(blocks: list[Json]) -> Iterator[Json]:
    for block in blocks:
        if block["type"] == "tool_result":
            yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": block.get("content") or ""}


def _call(block: Json) -> Json:
    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


# What is said


def whole(said: Answer, model: str, new_id: str) -> Json:
    return {
        **_head(model, new_id),
        "content": _blocks(said, new_id),
        "stop_reason": _STOPS[said.finish],
        "usage": USAGE,
    }


def events(said: Answer, model: str, new_id: str) -> Iterator[Json]:
    begun = {**USAGE, "output_tokens": 1}
    head = {**_head(model, new_id), "content": [], "stop_reason": None, "usage": begun}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(_blocks(said, new_id)):
        empty, deltas = _in_deltas(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": _STOPS[said.finish], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": USAGE}
    yield {"type": "message_stop"}


def _head(model: str, new_id: str) -> Json:
    return {"id": f"msg_{new_id}", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _blocks(said: Answer, new_id: str) -> list[Json]:
    blocks: list[Json] = []
    if said.reasoning:
        blocks.append({"type": "thinking", "thinking": said.reasoning, "signature": SIGNATURE})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    for place, call in enumerate(said.calls):
        given = json.loads(call.arguments)
        blocks.append({"type": "tool_use", "id": f"toolu_{new_id}-{place}", "name": call.name, "input": given})
    return blocks


def _in_deltas(block: Json) -> tuple[Json, Iterator[Json]]:
    """The block as it starts, and what comes after."""
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}, _thinking_deltas(block)
    if block["type"] == "text":
        return {"type": "text", "text": ""}, ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
    parts = pieces(json.dumps(block["input"])) if block["input"] else iter(())
    return {**block, "input": {}}, ({"type": "input_json_delta", "partial_json": part} for part in parts)


def _thinking_deltas(block: Json) -> Iterator[Json]:
    yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
    yield {"type": "signature_delta", "signature": block["signature"]}


def count(body: Json) -> Json:
    """What `count_tokens` answers: a quarter of the characters."""
    return {"input_tokens": len(json.dumps(body)) // 4}


def event_bytes(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
