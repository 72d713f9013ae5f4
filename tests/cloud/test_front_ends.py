"""Requests of common chat front ends, as each sends them, on every wire that a target may speak: a strict server takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.wire.raw_body import RawBody
from tests.cloud.test_histories import PATHS, WRITERS
from tests.fakes import strict

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"index": 0, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "Does it.", "parameters": parameters}}


# Open WebUI: native tools; calls with an index, as they were streamed; an interrupted answer as an empty turn.
OPEN_WEBUI = {
    "stream": True,
    "model": "m",
    "messages": [
        SYSTEM,
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "What is the weather in Oslo?"},
        {"role": "assistant", "content": "", "tool_calls": [call("call_1", "get_weather", '{"city": "Oslo"}')]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Snow"},
    ],
    "stream_options": {"include_usage": True},
    "tools": [function("get_weather", city={"type": "string", "description": "Where."})],
    "temperature": 0.8,
}
# Its title and tags: a single message, not streamed, a small limit.
OPEN_WEBUI_TITLE = {
    "model": "m",
    "messages": [{"role": "user", "content": '### Task:\nGenerate a title. JSON format: { "title": "…" }'}],
    "stream": False,
    "max_tokens": 1000,
}
OPEN_WEBUI_IMAGE = {
    "stream": True,
    "model": "m",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        }
    ],
}
# Continue: parallel calls, whose results come as tool messages; calls without arguments have an empty text; parts of text.
CONTINUE = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "<important_rules>You are in agent mode.</important_rules>"},
        {"role": "user", "content": [{"type": "text", "text": "List the files."}]},
        {
            "role": "assistant",
            "content": " ",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "builtin_ls", "arguments": ""}},
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "builtin_read_file", "arguments": '{"filepath":"a.py"}'},
                },
            ],
        },
        {"role": "tool", "content": "a.py", "tool_call_id": "a"},
        {"role": "tool", "content": "", "tool_call_id": "b"},
    ],
    "max_tokens": 4096,
    "stream": True,
    "tools": [function("builtin_ls"), function("builtin_read_file", filepath={"type": "string"})],
    "parallel_tool_calls": False,
}
# Cline: instructions in XML instead of tools, every text in parts, environment details behind each.
CLINE = {
    "model": "m",
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "You are Cline. Tools: <read_file><path>…</path></read_file>"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<task>\nMend it\n</task>"},
                {"type": "text", "text": "<environment_details>\n# Current Time\n</environment_details>"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "<read_file>\n<path>a.py</path>\n</read_file>"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[read_file for 'a.py'] Result:"},
                {"type": "text", "text": "print(1)"},
            ],
        },
    ],
}
# Cline's native calls: reasoning in the history, and what it tells of the environment before the result.
CLINE_NATIVE = {
    "model": "m",
    "stream": True,
    "messages": [
        {"role": "system", "content": "You are Cline."},
        {"role": "user", "content": [{"type": "text", "text": "<task>\nMend it\n</task>"}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "I should read it.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}],
        },
        {"role": "user", "content": [{"type": "text", "text": "<environment_details>…</environment_details>"}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "print(1)"}]},
    ],
    "tools": [function("read_file", path={"type": "string"})],
    "tool_choice": "auto",
}
CHATS = {
    "open-webui": OPEN_WEBUI,
    "open-webui-title": OPEN_WEBUI_TITLE,
    "open-webui-image": OPEN_WEBUI_IMAGE,
    "continue": CONTINUE,
    "cline": CLINE,
    "cline-native": CLINE_NATIVE,
}
# Cline and Continue with Anthropic as the provider: marks for the cache, thinking with a budget, an empty result.
CLINE_MESSAGES = {
    "model": "m",
    "max_tokens": 8192,
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "system": [{"type": "text", "text": "You are Cline.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Mend it.", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I read.", "signature": "hearth:"},
                {"type": "text", "text": "I read it."},
                {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a.py"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": ""},
                {"type": "text", "text": "<environment_details>…</environment_details>"},
            ],
        },
    ],
    "tools": [{"name": "read_file", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}],
}


@pytest.mark.parametrize("wire", WRITERS)
@pytest.mark.parametrize("name", CHATS)
def test_a_front_end_of_the_chat_wire(wire: str, name: str) -> None:
    """Its words and its tools arrive, in a body that the strict server takes."""
    if name == "open-webui-image" and wire not in ("local", "chat"):
        pytest.skip("the models of this table see no images")
    body = RawBody(json.dumps(CHATS[name]).encode())
    CHAT.check(body)
    check(wire, CHAT.read_request(body), CHATS[name])


@pytest.mark.parametrize("wire", WRITERS)
def test_a_front_end_of_the_messages_wire(wire: str) -> None:
    """As on the chat wire."""
    body = RawBody(json.dumps(CLINE_MESSAGES).encode())
    MESSAGES.check(body)
    check(wire, MESSAGES.read_request(body), CLINE_MESSAGES)


def check(wire: str, request: Any, given: dict[str, Any]) -> None:
    sent = json.loads(WRITERS[wire](request).call.body)
    path = (
        strict.CHAT if wire == "responses" and "messages" in sent else PATHS[wire]
    )  # it takes tools alone on the other wire
    assert strict.refused(path, sent) == []
    written = json.dumps(sent)
    for text in _texts(given["messages"]):
        assert json.dumps(text)[1:-1] in written
    for tool in given.get("tools", ()):
        assert tool.get("function", tool)["name"] in written


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    texts = [message["content"] for message in messages if isinstance(message["content"], str)]
    return [text for text in (*texts, *(part.get("text", "") for part in parts)) if text.strip()]
