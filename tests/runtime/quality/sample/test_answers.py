"""The text and the calls of an answer, on each wire, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.quality.sample.answers import WIRES, AnswerText, SampledCall, answer_text


def stream(*documents: Any) -> bytes:
    return b"".join(f"event: e\ndata: {json.dumps(each)}\n\n".encode() for each in documents) + b"data: [DONE]\n\n"


def delta(**more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": more}, {"index": 1, "delta": {"content": "another choice"}}]}


CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
MESSAGE = {"role": "assistant", "content": "see", "tool_calls": [CALL]}
BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "see"},
    {"type": "tool_use", "id": "t", "name": "find", "input": {"a": 1}},
]
OUTPUT = [
    {"type": "reasoning", "summary": []},
    {"type": "message", "content": [{"type": "output_text", "text": "see"}]},
    {"type": "function_call", "name": "find", "arguments": '{"a":1}'},
]
CHAT, MESSAGES, RESPONSES = "openai_chat", "anthropic_messages", "openai_responses"


@pytest.mark.parametrize(
    ("wire", "raw"),
    [
        (CHAT, json.dumps({"choices": [{"index": 0, "message": MESSAGE}]}).encode()),
        (
            CHAT,
            stream(
                delta(role="assistant", content=""),
                delta(content="se"),
                delta(content="e"),
                delta(tool_calls=[{"index": 0, "function": {"name": "find", "arguments": '{"a'}}]),
                delta(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}]),
                {"choices": [], "usage": {}},
            ),
        ),
        (MESSAGES, json.dumps({"type": "message", "content": BLOCKS}).encode()),
        (
            MESSAGES,
            stream(
                {"type": "message_start", "message": {}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "see"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "content_block_start", "index": 1, "content_block": {**BLOCKS[1], "input": {}}},
                {"type": "content_block_delta", "index": 1, "delta": {"type": "x", "partial_json": '{"a":1}'}},
                {"type": "message_stop"},
            ),
        ),
        (RESPONSES, json.dumps({"object": "response", "output": OUTPUT}).encode()),
        (RESPONSES, stream({"type": "response.created"}, {"type": "response.completed", "response": {"output": OUTPUT}})),
    ],
)  # fmt: skip
def test_text_and_calls(wire: str, raw: bytes) -> None:
    assert answer_text(wire, raw) == AnswerText("see", (SampledCall("find", '{"a":1}'),))


def test_completions() -> None:
    pieces = [{"choices": [{"index": 0, "text": text}]} for text in ("se", "e")]
    assert answer_text("openai_completions", stream(*pieces)) == AnswerText("see")


@pytest.mark.parametrize("wire", [*sorted(WIRES), "openai_embeddings"])
@pytest.mark.parametrize(
    "raw", [b"{", b'{"choices":[1],"output":1,"content":1,"type":"message"}', b"data: {\n\n", b"\xff{}"]
)
def test_what_is_no_answer_is_none(wire: str, raw: bytes) -> None:
    """Nothing raises."""
    found = answer_text(wire, raw)
    assert found is None or found.text == ""
