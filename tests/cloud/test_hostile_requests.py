"""Requests that a client made to break a writer: each vendor's codec writes them or refuses them, quickly."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.catalogue import known, plain
from cloud.providers import PROVIDERS
from runtime.contract.codec import Codec, Unsupported
from runtime.contract.messages import Format, Media, Message, Request, Role, Text, Tool, ToolCall, ToolResult
from runtime.contract.targets import Target

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MODELS = {
    "anthropic": "claude-sonnet-5-5",
    "gemini": "gemini-3.8-flash",
    "openai": "gpt-6.1-sol",
    "deepseek": "deepseek-flash",
}


def deep(levels: int) -> dict[str, Any]:
    """A schema of objects inside each other."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def doubling(word: str, levels: int = 40) -> dict[str, Any]:
    """A schema of a few kilobytes that is 2 ** levels long once its references are replaced."""
    both = {n: [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}] for n in range(levels)}
    definitions: dict[str, Any] = {f"d{n}": {word: pair} for n, pair in both.items()}
    definitions[f"d{levels}"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    return {"$defs": definitions, "type": "object", word: [{"$ref": "#/$defs/d0"}]}


SCHEMAS = {
    "deep": deep(200),
    "too deep": deep(900),
    "doubling allOf": doubling("allOf"),
    "doubling anyOf": doubling("anyOf"),
    "circle": {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "allOf": [{"$ref": "#/$defs/a"}]},
    "wide": {"type": "object", "properties": {f"p{n}": {"type": "string", "pattern": "x"} for n in range(5000)}},
    "no schema": [[[]]],
    "odd properties": {"properties": ["abc"], "anyOf": [{"required": ["a"]}]},
    "odd": {"type": {"a": 1}, "required": 7, "properties": [1], "allOf": {"b": 2}, "$defs": "x", "enum": 3},
}


def asked(**more: Any) -> Request:
    return Request("m", (Message(Role.USER, (Text("x"),)),), **more)


REQUESTS = {f"tool: {name}": asked(tools=(Tool("f", schema=schema),)) for name, schema in SCHEMAS.items()}
REQUESTS |= {
    f"strict tool: {name}": asked(tools=(Tool("f", schema=each, strict=True),)) for name, each in SCHEMAS.items()
}
REQUESTS |= {f"format: {name}": asked(format=Format(schema=schema)) for name, schema in SCHEMAS.items()}
for _name, _text in {
    "deep": "[" * 900 + "]" * 900,
    "deeper": "[" * 100_000,
    "object": '{"a":' * 900,
}.items():
    _turns = (
        Message(Role.USER, (Text("x"),)),
        Message(Role.ASSISTANT, (ToolCall("c", "f", _text),)),
        Message(Role.USER, (ToolResult("c", (Text(_text),)),)),
    )
    REQUESTS[f"arguments: {_name}"] = Request("m", _turns)
    REQUESTS[f"result: {_name}"] = Request(
        "m", (_turns[0], Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),)), _turns[2])
    )
for _wire in ("openai_chat", "anthropic_messages", "gemini"):
    _nested: Any = {}
    for _ in range(900):
        _nested = {"generationConfig": _nested, "tools": [_nested]} if _ == 0 else {"a_b": _nested}
    REQUESTS[f"extra: {_wire}"] = asked(extra={_wire: {"generation_config": _nested, "safety_settings": _nested}})


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_hostile_request_is_written_or_refused(provider: str, name: str) -> None:
    """No other exception leaves a codec, the body is JSON, and the event loop stands still for less than a second."""
    model = MODELS[provider]
    entry = known(provider, model)
    target = Target("t", provider, model, capabilities=entry or plain(provider))
    codec: Codec = PROVIDERS[provider].codec(lambda: NOW, None)
    began = time.process_time()
    with contextlib.suppress(Unsupported):
        encoded = codec.encode(REQUESTS[name], target)
        assert len(encoded.call.body) < 2_000_000
        assert name.startswith("extra") or json.loads(encoded.call.body)
    assert time.process_time() - began < 1.0


# Members of the vendors' own wires, as their clients and other dialects' clients may write them.
MEMBERS = (
    "cache_control",
    "container",
    "context_management",
    "output_config",
    "speed",
    "thinking",
    "mcp_servers",
    "fallbacks",
    "betas",
    "modalities",
    "web_search_options",
    "generationConfig",
    "generation_config",
    "toolConfig",
    "tool_config",
    "safetySettings",
    "cachedContent",
    "extra_body",
    "google",
    "gemini",
    "thinkingConfig",
    "thinking_config",
    "responseSchema",
    "response_schema",
    "metadata",
    "continue_final_message",
    "audio",
    "tools",
)
ODD: tuple[Any, ...] = (0, 1, -1.5, True, "", "x", [], [1], [[]], ["x"], {}, {"a": 1}, [{"type": 1}], {"edits": 7})
ODD += ({"edits": [7]}, {"skills": 3}, {"functionCallingConfig": []}, {"thinkingConfig": 4}, [{"type": "x_20250101"}])


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("wire", ["openai_chat", "anthropic_messages", "gemini"])
def test_odd_members_are_written_or_refused(provider: str, wire: str) -> None:
    """A member of a wire with a value of any other type never raises anything but a refusal."""
    model = MODELS[provider]
    entry = known(provider, model)
    target = Target("t", provider, model, capabilities=entry or plain(provider))
    codec: Codec = PROVIDERS[provider].codec(lambda: NOW, None)
    tool = Tool("f", schema={"type": "object", "properties": {"a": {"type": "string"}}})
    for name in MEMBERS:
        # Readers keep nothing but lists under "tools".
        for value in (each for each in ODD if name != "tools" or isinstance(each, list)):
            for tools in ((), (tool,)):
                with contextlib.suppress(Unsupported):
                    assert codec.encode(asked(extra={wire: {name: value}}, tools=tools), target).call.body


ADDRESSES = (
    "https://[",
    "http://[::1",
    "https://h:port/x",
    "//",
    "",
    "\x00",
    "https://é.example/ü",
    "data:,",
    "gs:",
    "files/",
)
CONTENTS = ("", "é", "====", "A", "iVBORw0KGgo", "\n", "JVBERi0", "_-_-", "A" * 4)
FILE_IDS = ("file_1", "files/1", "[", "http://[", "")


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("kind", ["image", "audio", "video", "document"])
def test_odd_media_are_written_or_refused(provider: str, kind: Any) -> None:
    """An address that is none, or content that is no base64, never raises anything but a refusal."""
    model = MODELS[provider]
    entry = known(provider, model)
    target = Target("t", provider, model, capabilities=entry or plain(provider))
    codec: Codec = PROVIDERS[provider].codec(lambda: NOW, None)
    media = [Media(kind, url=address) for address in ADDRESSES]
    media += [
        Media(kind, mime, data=content)
        for content in CONTENTS
        for mime in ("", "a/b", "image/png", "é;;", "text/plain")
    ]
    media += [Media(kind, file_id=file_id) for file_id in FILE_IDS]
    for one in media:
        with contextlib.suppress(Unsupported):
            assert codec.encode(Request("m", (Message(Role.USER, (Text("x"), one)),)), target).call.body
