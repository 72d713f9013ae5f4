"""Custom tools of a chat client, with and without a grammar, for servers of other wires: functions of one text there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.events import ArgumentsDelta, BlockEnd, Event, Start, Stop, ToolCallStart
from runtime.contract.messages import Request, ToolCall, ToolChoice
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_chat.profile import PLAIN
from runtime.dialects.openai_chat.write_request import write_request
from runtime.wire.raw_body import RawBody

HI = {"role": "user", "content": "Go."}


def tool(syntax: str | None, definition: str = "", *, flat: bool = False) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": "apply_patch", "description": "Edits."}
    if syntax and flat:  # the shape of the responses wire, which some clients send on this one
        inner["format"] = {"type": "grammar", "syntax": syntax, "definition": definition}
    elif syntax:
        inner["format"] = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    return {"type": "custom", **inner} if flat else {"type": "custom", "custom": inner}


def read(*messages: dict[str, Any], **members: Any) -> Request:
    return CHAT.read_request(RawBody(json.dumps({"model": "m", "messages": messages or [HI], **members}).encode()))


@pytest.mark.parametrize(
    ("given", "words", "dropped"),
    [
        (tool("lark", "start: x"), "Edits.\n\nThe text must match this grammar (lark):\nstart: x", ("tools",)),
        (tool("regex", "[0-9]+", flat=True), "Edits.\n\nThe text must match this grammar (regex):\n[0-9]+", ("tools",)),
        (tool(None), "Edits.", ()),
    ],
)
def test_a_custom_tool_is_a_function_of_one_text(given: dict[str, Any], words: str, dropped: tuple[str, ...]) -> None:
    """Its grammar is told in words, and named."""
    request = read(tools=[given], tool_choice={"type": "custom", "custom": {"name": "apply_patch"}})
    assert request.dropped == dropped
    assert request.tool_choice == ToolChoice("named", "apply_patch")
    (entry,) = json.loads(write_request(request, "m", PLAIN).call.body)["tools"]
    assert entry == {
        "type": "function",
        "function": {"name": "apply_patch", "description": words, "parameters": SCHEMA},
    }


SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


@pytest.mark.parametrize("text", ["*** Begin Patch", "1 + 1", ""])
@pytest.mark.parametrize("pieces", [1, 3])
def test_it_is_called_with_free_text(text: str, pieces: int) -> None:
    """Whole and streamed alike, beside a plain call; the client's next body calls the same function."""
    arguments = json.dumps({"input": text})
    size = -(-len(arguments) // pieces)
    events: list[Event] = [
        Start("r", "m"),
        ToolCallStart(0, "c1", "apply_patch"),
        *(ArgumentsDelta(0, arguments[at : at + size]) for at in range(0, len(arguments), size)),
        BlockEnd(0),
        ToolCallStart(1, "c2", "look"),
        BlockEnd(1),
        Stop("tool_calls"),
    ]
    look = {"type": "function", "function": {"name": "look"}}
    wanted = [
        {"id": "c1", "type": "custom", "custom": {"name": "apply_patch", "input": text}},
        {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
    ]
    for stream in (False, True):
        request = read(tools=[tool("lark", "start: x"), look], stream=stream)
        writer = CHAT.write_answer(request)
        written = b"".join(map(writer.feed, events)) + writer.end()
        calls = streamed(written) if stream else json.loads(written)["choices"][0]["message"]["tool_calls"]
        assert calls == wanted
    results = [{"role": "tool", "tool_call_id": each["id"], "content": "ok"} for each in wanted]
    again = read(HI, {"role": "assistant", "content": None, "tool_calls": wanted}, *results, tools=[tool(None), look])
    made = [part for part in again.messages[1].parts if isinstance(part, ToolCall)]
    assert [(part.name, json.loads(part.arguments)) for part in made] == [
        ("apply_patch", {"input": text}),
        ("look", {}),
    ]


def streamed(written: bytes) -> list[dict[str, Any]]:
    """The calls of a stream, their pieces joined."""
    calls: dict[int, dict[str, Any]] = {}
    for line in written.splitlines():
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            for delta in choice["delta"].get("tool_calls", ()):
                call = calls.setdefault(delta.pop("index"), {})
                for name, value in delta.items():
                    inner = call.setdefault(name, {} if isinstance(value, dict) else value)
                    for key, piece in value.items() if isinstance(value, dict) else ():
                        inner[key] = inner.get(key, "") + piece
    return list(calls.values())


def test_a_call_that_the_limit_cut_has_its_text_so_far() -> None:
    """The block did not end."""
    request = read(tools=[tool(None)], stream=True)
    writer = CHAT.write_answer(request)
    cut = ArgumentsDelta(0, '{"input":"***')
    events: list[Event] = [Start("r", "m"), ToolCallStart(0, "c", "apply_patch"), cut, Stop("length")]
    (call,) = streamed(b"".join(map(writer.feed, events)) + writer.end())
    assert call["custom"]["input"] == '{"input":"***'
