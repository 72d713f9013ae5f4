"""A client of the responses wire over other vendors' wires: signatures return with the client's next body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from runtime.contract.codec import Codec
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.translating import TranslatingMeter
from runtime.wire import sse
from runtime.wire.raw_body import RawBody

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ALL = Capabilities(modalities=frozenset({"text", "image", "pdf"}), thinking="level", thinking_levels=("low", "high"))
CLAUDE = Target("c", "anthropic", "claude-sonnet-5-5", ALL)
GEMINI = Target("g", "gemini", "gemini-3.8-flash", ALL)
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
ASK: dict[str, Any] = {
    "model": "auto",
    "instructions": "Be brief.",
    "input": [{"role": "user", "content": "Look."}],
    "tools": [LOOK],
    "reasoning": {"effort": "high", "summary": "auto"},
}
CLAUDE_SAYS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-sonnet-5-5", "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "ZGFyaw=="}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"q": "a"}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
CALL = {"functionCall": {"name": "look", "args": {"q": "a"}}, "thoughtSignature": "c2ln"}
GEMINI_SAYS: tuple[dict[str, Any], ...] = (
    {
        "responseId": "r",
        "modelVersion": "gemini-3.8-flash",
        "candidates": [{"content": {"role": "model", "parts": [CALL]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5},
    },
)


def asked(codec: Codec, target: Target, body: dict[str, Any]) -> dict[str, Any]:
    """The body that is sent upstream."""
    request = ResponsesDialect().read_request(RawBody(json.dumps(body).encode()))
    found: dict[str, Any] = json.loads(codec.encode(request, target).call.body)
    return found


def answered(codec: Codec, says: Sequence[dict[str, Any]], *, stream: bool) -> dict[str, Any]:
    """The response the client gets."""
    dialect = ResponsesDialect()
    request = dialect.read_request(RawBody(json.dumps(ASK | {"stream": stream}).encode()))
    meter = TranslatingMeter(codec.decoder(request), dialect.write_answer(request))
    events = b"".join(sse.encode(json.dumps(each).encode(), each.get("type", "").encode()) for each in says)
    body = meter.feed(events) + meter.end()
    assert meter.failure is None
    if not stream:
        return dict(json.loads(body))
    last = [event for event in sse.Events().feed(body) if event.data is not None][-1]
    return dict(json.loads(last.data or b"")["response"])


def echoed(response: dict[str, Any]) -> dict[str, Any]:
    """The client's next body: the items it received, with the result of each call."""
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "found"} for call in calls]
    return ASK | {"input": [*ASK["input"], *response["output"], *results]}


@pytest.mark.parametrize("stream", [True, False])
def test_signed_thinking_comes_home(stream: bool) -> None:
    """Thinking with its signature, redacted thinking and the call, in one turn, and its result in the next."""
    codec = AnthropicCodec(lambda: NOW)
    response = answered(codec, CLAUDE_SAYS, stream=stream)
    assert response["usage"]["input_tokens"] == 9
    up = asked(codec, CLAUDE, echoed(response))
    thinking, redacted, call = up["messages"][1]["content"]
    assert (thinking["thinking"], thinking["signature"], redacted["data"]) == ("Hm.", "c2ln", "ZGFyaw==")
    assert (call["name"], call["input"]) == ("look", {"q": "a"})
    assert up["messages"][2]["content"][0]["type"] == "tool_result"


@pytest.mark.parametrize("stream", [True, False])
def test_a_signed_call_comes_home(stream: bool) -> None:
    """With its thought signature; another vendor's model is not shown it."""
    codec = GeminiCodec(None)
    body = echoed(answered(codec, GEMINI_SAYS, stream=stream))
    up = asked(codec, GEMINI, body)
    assert up["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"
    other = asked(AnthropicCodec(lambda: NOW), CLAUDE, body)
    assert "c2ln" not in json.dumps(other)


@pytest.mark.parametrize(("codec", "target"), [(AnthropicCodec(lambda: NOW), CLAUDE), (GeminiCodec(None), GEMINI)])
def test_this_wires_sealed_reasoning_stays_behind(codec: Codec, target: Target) -> None:
    """No other vendor can read it."""
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    up = asked(
        codec, target, ASK | {"input": [*ASK["input"], sealed, {"role": "assistant", "content": "Yes."}, *ASK["input"]]}
    )
    assert "gAAA" not in json.dumps(up)


@pytest.mark.parametrize(("codec", "target"), [(AnthropicCodec(lambda: NOW), CLAUDE), (GeminiCodec(None), GEMINI)])
def test_another_vendors_tools_are_left_out(codec: Codec, target: Target) -> None:
    """The functions beside them stay."""
    given = ASK | {"tools": [LOOK, {"type": "code_interpreter", "container": {"type": "auto"}}]}
    assert asked(codec, target, given) == asked(codec, target, ASK)
