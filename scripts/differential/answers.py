"""Written answers, as the vendors' events; both translators turn them into chat answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.differential.cases import MODELS, Answer

Json = Any

_THOUGHT = {"type": "thinking", "thinking": "Turin is in Italy.", "signature": "c2lnbmVk"}
_SAID = {"type": "text", "text": "It is sunny in Turin."}
_CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Turin"}}
_CLOCK = {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}
_CACHED = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 7}
_COUNTS = {"input_tokens": 10, "output_tokens": 7}

# blocks, stop reason, usage
_ANTHROPIC: Mapping[str, tuple[list[Json], str, Json]] = {
    "words": ([_SAID], "end_turn", _COUNTS),
    "thought and words": ([_THOUGHT, _SAID], "end_turn", _COUNTS),
    "calls": ([_CALL, _CLOCK], "tool_use", _COUNTS),
    "words and a call": ([_SAID, _CALL], "tool_use", _COUNTS),
    "cut at the limit": ([_SAID], "max_tokens", _COUNTS),
    "a stop sequence": ([_SAID], "stop_sequence", _COUNTS),
    "the window is full": ([_SAID], "model_context_window_exceeded", _COUNTS),
    "refused": ([], "refusal", _COUNTS),
    "cached": ([_SAID], "end_turn", _CACHED),
}

_TOLD = {"text": "It is sunny in Turin."}
_FUNCTION = {"functionCall": {"name": "weather", "args": {"city": "Turin"}}}
_TOKENS = {"promptTokenCount": 10, "candidatesTokenCount": 7, "totalTokenCount": 17}

# parts, finish reason, usage
_GEMINI: Mapping[str, tuple[list[Json], str, Json]] = {
    "words": ([_TOLD], "STOP", _TOKENS),
    "thought and words": (
        [{"text": "Turin is in Italy.", "thought": True}, _TOLD],
        "STOP",
        _TOKENS | {"thoughtsTokenCount": 5, "totalTokenCount": 22},
    ),
    "calls": ([_FUNCTION, {"functionCall": {"name": "clock", "args": {}}}], "STOP", _TOKENS),
    "a signed call": ([_FUNCTION | {"thoughtSignature": "c2lnbmVk"}], "STOP", _TOKENS),
    "cut at the limit": ([_TOLD], "MAX_TOKENS", _TOKENS),
    "unsafe": ([], "SAFETY", _TOKENS),
    "recited": ([_TOLD], "RECITATION", _TOKENS),
    "a call that is none": ([], "MALFORMED_FUNCTION_CALL", _TOKENS),
    "cached": ([_TOLD], "STOP", _TOKENS | {"cachedContentTokenCount": 4}),
    "the search's own prompt": ([_TOLD], "STOP", _TOKENS | {"toolUsePromptTokenCount": 30, "totalTokenCount": 47}),
}


def answers() -> Iterator[Answer]:
    for name, answer in _ANTHROPIC.items():
        yield Answer(name, "anthropic", MODELS["anthropic"][0], _messages(*answer))
    for name, (parts, reason, usage) in _GEMINI.items():
        chunks: list[Json] = [
            {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]} for part in parts
        ]
        last = {"candidates": [{"index": 0, "finishReason": reason}], "usageMetadata": usage, "modelVersion": "m"}
        stream = "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in [*chunks, last])
        yield Answer(name, "gemini", MODELS["gemini"][0], stream)


def _messages(blocks: list[Json], reason: str, usage: Json) -> str:
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    events: list[Json] = [{"type": "message_start", "message": message | {"usage": usage | {"output_tokens": 1}}}]
    for place, block in enumerate(blocks):
        begun, deltas = _block(block)
        events.append({"type": "content_block_start", "index": place, "content_block": begun})
        events += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": place})
    events.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage})
    events.append({"type": "message_stop"})
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _block(block: Json) -> tuple[Json, list[Json]]:
    """The start of a block, and its deltas."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                signed,
            ]
        case _:
            written = json.dumps(block["input"])
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": written}]
