"""The stand-in for models on OpenAI's responses wire: its bodies as chat ones, so that one script answers all, and its answers.

Reasoning comes encrypted, and nothing is kept: what a client wants remembered it sends again. The text of a custom tool is the
member `input` of the script's arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.script import Answer, Json, pieces

SEALED = "gAAAAABscripted"
USAGE = {
    "input_tokens": 40,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
    "output_tokens": 8,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 48,
}
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}

_CREATED = 1_700_000_000


# What is asked


def as_chat(body: Json) -> Json:
    """A body of this wire as the chat wire would have it, in what the script and tests look at."""
    chat: Json = {"model": body["model"], "messages": list(_messages(body))}
    declared = [tool for tool in body.get("tools") or () if tool["type"] in ("function", "custom")]
    if declared:
        chat["tools"] = [
            {"type": "function", "function": {"name": each["name"], "parameters": each.get("parameters")}}
            for each in declared
        ]
    choice = body.get("tool_choice")
    if choice is not None:
        chat["tool_choice"] = choice if isinstance(choice, str) else {"function": {"name": choice.get("name")}}
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted["schema"]}}
    return chat


def _messages(body: Json) -> Iterator[Json]:
    if body.get("instructions"):
        yield {"role": "system", "content": body["instructions"]}
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        kind = item.get("type", "message")
        if kind == "message":
            yield {"role": "system" if item["role"] == "developer" else item["role"], "content": item["content"]}
        elif kind in CALLS:
            text = item[CALLS[kind]]
            function = {
                "name": item["name"],
                "arguments": text if kind == "function_call" else json.dumps({"input": text}),
            }
            call = {"id": item["call_id"], "type": "function", "function": function}
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
        elif kind in OUTPUTS:
            yield {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}


# What is said


def events(said: Answer, body: Json, new_id: str) -> Iterator[Json]:
    numbered = enumerate(_events(said, body, new_id))
    return ({**event, "sequence_number": number} for number, event in numbered)


def _events(said: Answer, body: Json, new_id: str) -> Iterator[Json]:
    begun = {
        "id": f"resp_{new_id}",
        "object": "response",
        "created_at": _CREATED,
        "status": "in_progress",
        "model": body["model"],
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "store": bool(body.get("store")),
    }
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    items = list(_items(said, body, new_id))
    for index, item in enumerate(items):
        for event in _item_events(item):
            yield {**event, "output_index": index}
    yield {"type": "response.completed", "response": {**begun, "status": "completed", "output": items, "usage": USAGE}}


def _items(said: Answer, body: Json, new_id: str) -> Iterator[Json]:
    custom = {tool["name"] for tool in body.get("tools") or () if tool["type"] == "custom"}
    if said.reasoning:
        summary = [{"type": "summary_text", "text": said.reasoning}]
        yield {"type": "reasoning", "id": f"rs_{new_id}", "summary": summary, "encrypted_content": SEALED}
    if said.text:
        text = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": f"msg_{new_id}", "status": "completed", "role": "assistant"}
        yield {**message, "content": [text]}
    for place, call in enumerate(said.calls):
        kind = "custom_tool_call" if call.name in custom else "function_call"
        given = json.loads(call.arguments)["input"] if call.name in custom else call.arguments
        names = {"id": f"fc_{new_id}_{place}", "call_id": f"call_{new_id}-{place}", "name": call.name}
        yield {"type": kind, **names, CALLS[kind]: given, "status": "completed"}


def _item_events(item: Json) -> Iterator[Json]:
    kind, own = item["type"], {"item_id": item["id"]}
    if kind == "reasoning":
        yield {"type": "response.output_item.added", "item": {**item, "summary": []}}
        events = _part_events(item["summary"][0], "reasoning_summary", "summary_index")
    elif kind == "message":
        yield {"type": "response.output_item.added", "item": {**item, "content": [], "status": "in_progress"}}
        events = _part_events(item["content"][0], "output", "content_index")
    else:
        member = CALLS[kind]
        yield {"type": "response.output_item.added", "item": {**item, member: "", "status": "in_progress"}}
        events = _call_events(item[member], f"{kind}_{member}", member)
    yield from ({**event, **own} for event in events)
    yield {"type": "response.output_item.done", "item": item}


def _part_events(part: Json, kind: str, index: str) -> Iterator[Json]:
    """Those of the text of an item's only part."""
    whole = "content_part" if kind == "output" else f"{kind}_part"
    more: Json = {"logprobs": []} if kind == "output" else {}
    for event in (
        {"type": f"response.{whole}.added", "part": {**part, "text": ""}},
        *({"type": f"response.{kind}_text.delta", "delta": piece, **more} for piece in pieces(part["text"])),
        {"type": f"response.{kind}_text.done", "text": part["text"], **more},
        {"type": f"response.{whole}.done", "part": part},
    ):
        yield {**event, index: 0}


def _call_events(given: str, kind: str, member: str) -> Iterator[Json]:
    yield from ({"type": f"response.{kind}.delta", "delta": piece} for piece in pieces(given))
    yield {"type": f"response.{kind}.done", member: given}


def event_bytes(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
