"""Names and ids longer than OpenAI takes, from a client of the messages wire, on both of OpenAI's wires and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.openai.compatible import OpenAICodec
from cloud.openai.limits import MOST, short_name
from cloud.openai.two_wires import OpenAITwoWires
from cloud.providers import OPENAI
from runtime.contract.codec import Codec
from runtime.contract.events import ToolCallStart
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.wire.raw_body import RawBody

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CHAT = Target("t", "openai", "m", Capabilities())
RESPONSES = Target("t", "openai", "m", Capabilities(tools_over="openai_responses", thinks_unasked=True))
WIRES: dict[str, tuple[Callable[[], Codec], Target]] = {
    "chat": (lambda: OpenAITwoWires(lambda: NOW, OPENAI), CHAT),
    "responses": (lambda: OpenAITwoWires(lambda: NOW, OPENAI), RESPONSES),
    "a server of the dialect": (lambda: OpenAICodec(lambda: NOW), CHAT),
}
LONG = "mcp__" + "a" * 82
TWIN = "mcp__" + "a" * 82 + "b"


def asked(name: str, call_id: str, user: str) -> Request:
    body = {
        "model": "auto",
        "max_tokens": 99,
        "metadata": {"user_id": user},
        "tools": [{"name": each, "input_schema": {"type": "object"}} for each in (name, "short", TWIN)],
        "tool_choice": {"type": "tool", "name": name},
        "messages": [
            {"role": "user", "content": "Go."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": name, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": "ok"}]},
        ],
    }
    return MESSAGES.read_request(RawBody(json.dumps(body).encode()))


def called(name: str, wire: str) -> list[bytes]:
    """A server's stream with one call."""
    if wire == "responses":
        item = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
        return [json.dumps({"type": "response.output_item.done", "output_index": 0, "item": item}).encode()]
    call = {"index": 0, "id": "c", "function": {"name": name, "arguments": "{}"}}
    return [json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode()]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("name", "call_id", "user"), [(LONG, "toolu_" + "x" * 90, "u" * 191), ("files.read/all", "c" * 65, "v" * 65)]
)
def test_names_and_ids_are_within_the_limits(wire: str, name: str, call_id: str, user: str) -> None:
    """Each alike wherever it stands, different ones different, and the answer's call under the client's own name."""
    make, target = WIRES[wire]
    codec, request = make(), asked(name, call_id, user)
    encoded = codec.encode(request, target)
    body: dict[str, Any] = json.loads(encoded.call.body)
    tools = [tool.get("function", tool)["name"] for tool in body["tools"]]
    assert tools[1] == "short"
    assert len(set(tools)) == 3
    assert all(len(each) <= MOST and each.replace("_", "").replace("-", "").isalnum() for each in tools)
    assert body["tool_choice"].get("function", body["tool_choice"])["name"] == tools[0]
    text = json.dumps(body.get("messages") or body["input"])
    assert name not in text
    assert call_id not in text
    if wire == "responses":
        made, result = body["input"][1:]
        ids = made["call_id"], result["call_id"]
        assert made["name"] == tools[0]
    else:
        made, result = body["messages"][1]["tool_calls"][0], body["messages"][2]
        ids = made["id"], result["tool_call_id"]
        assert made["function"]["name"] == tools[0]
    assert ids[0] == ids[1]
    assert len(ids[0]) <= MOST
    assert len(body.get("user") or body["safety_identifier"]) <= MOST
    assert "user" in encoded.dropped
    assert codec.encode(request, target).call.body == encoded.call.body
    decoder = codec.decoder(request)
    events = [event for piece in called(tools[0], wire) for event in decoder.feed("", piece)] + list(decoder.finish())
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == [name]


@pytest.mark.parametrize("name", ["look", "a" * MOST, "with-dash_1"])
def test_what_is_within_the_limits_stays(name: str) -> None:
    """Byte for byte."""
    assert short_name(name) == name
    request = asked(name, "c" * MOST, "u" * MOST)
    encoded = OpenAICodec(lambda: NOW).encode(request, CHAT)
    assert "user" not in encoded.dropped
    assert ("c" * MOST).encode() in encoded.call.body
