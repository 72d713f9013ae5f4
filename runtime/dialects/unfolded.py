"""A whole JSON answer as the stream that was asked for: some servers, and proxies before them, send one where events belong.

The answer's own shape says which wire it is on. One that no wire here knows (an error, another vendor's answer) is a stream
of one event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from runtime.dialects.growing import Table
from runtime.wire import sse

_json = msgspec.json.Decoder()
_GROWING = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "signature": "signature_delta",
}  # text members, their deltas


def unfolded(body: bytes) -> bytes:
    """The events; b"" if the body is no JSON object or list."""
    if not body.lstrip().startswith((b"{", b"[")):
        return b""
    try:
        answer = _json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""
    match answer:
        case {"choices": [*choices]} if not answer.get("error"):
            return b"".join(map(sse.encode, _chunks(answer, choices))) + sse.encode(b"[DONE]")
        case {"type": "message", "content": [*blocks]}:
            events = _message(answer, blocks)
        case {"object": "response", "output": [*items]}:
            events = _response(answer, items)
        case _:
            return sse.encode(msgspec.json.encode(answer))
    return b"".join(sse.encode(msgspec.json.encode(event), event["type"].encode()) for event in events)


def _chunks(answer: Table, choices: list[Any]) -> Iterator[bytes]:
    """A chunk of all that the answer says, and one of its usage."""
    chunk: Table = {name: value for name, value in answer.items() if name != "usage"}
    if isinstance(kind := answer.get("object"), str) and kind == "chat.completion":
        chunk["object"] = f"{kind}.chunk"
    chunk["choices"] = [_choice(choice) if isinstance(choice, dict) else choice for choice in choices]
    yield msgspec.json.encode(chunk)
    if answer.get("usage") is not None:
        yield msgspec.json.encode(chunk | {"choices": [], "usage": answer["usage"]})


def _choice(choice: Table) -> Table:
    message = choice.get("message")
    if not isinstance(message, dict):
        return choice
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        numbered = [{"index": place} | call if isinstance(call, dict) else call for place, call in enumerate(calls)]
        message = message | {"tool_calls": numbered}
    return {name: value for name, value in choice.items() if name != "message"} | {"delta": message}


def _message(answer: Table, blocks: list[Any]) -> Iterator[Table]:
    ending = {name: value for name, value in answer.items() if name.startswith("stop_")}
    begun = answer | {"content": []} | dict.fromkeys(ending)
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            continue
        shell, deltas = dict(block), list[Table]()
        if isinstance(cited := block.get("citations"), list):
            shell["citations"] = []
            deltas += [{"type": "citations_delta", "citation": each} for each in cited]
        for name, kind in _GROWING.items():
            if isinstance(text := block.get(name), str) and text and (name != "signature" or "thinking" in block):
                shell[name] = ""
                deltas.append({"type": kind, name: text})
        if block.get("input"):
            shell["input"] = {}
            deltas.append({"type": "input_json_delta", "partial_json": msgspec.json.encode(block["input"]).decode()})
        yield {"type": "content_block_start", "index": index, "content_block": shell}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": ending, "usage": answer.get("usage")}
    yield {"type": "message_stop"}


def _response(answer: Table, items: list[Any]) -> Iterator[Table]:
    status = answer.get("status")
    ending = "incomplete" if status == "incomplete" else "failed" if status == "failed" else "completed"
    events: list[Table] = [{"type": "response.created", "response": answer | {"status": "in_progress", "output": []}}]
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        at = {"output_index": place, "item_id": item.get("id")}
        parts = item.get("content") if item.get("type") == "message" else None
        parts = parts if isinstance(parts, list) else []
        shell = item | ({"status": "in_progress", "content": []} if parts else {})
        events.append({"type": "response.output_item.added", "output_index": place, "item": shell})
        for number, part in enumerate(parts):
            spot = at | {"content_index": number}
            text = part.get("text") if isinstance(part, dict) and part.get("type") == "output_text" else None
            if isinstance(text, str):
                empty = part | {"text": "", "annotations": []}
                events += [
                    {"type": "response.content_part.added", **spot, "part": empty},
                    {"type": "response.output_text.delta", **spot, "delta": text, "logprobs": []},
                    {"type": "response.output_text.done", **spot, "text": text, "logprobs": []},
                    {"type": "response.content_part.done", **spot, "part": part},
                ]
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": f"response.{ending}", "response": answer})
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}
