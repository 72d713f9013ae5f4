"""Requests as bodies of the responses wire: valid for the vendor's own types, with dropped members named and others refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Cache,
    Format,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from runtime.contract.targets import Capabilities
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.openai_responses.profile import ResponsesProfile, fitted
from runtime.dialects.openai_responses.signatures import native_signature
from runtime.dialects.openai_responses.write_request import nearest, write_request
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.openai_responses.recorded import exchanges
from tests.runtime.dialects.openai_responses.schema import faults

FULL = ResponsesProfile(least_output=16, breakpoints=True, file_ids=True, longest=100_000)
HI = Message(Role.USER, (Text("Hi"),))
ASKED = Request("auto", (HI,))
LOOK = Tool("look", "Looks.", {"type": "object", "properties": {}}, strict=True)


def body_of(request: Request, profile: ResponsesProfile = FULL, *, whole: bool = True) -> dict[str, Any]:
    """whole: nothing is dropped."""
    encoded = write_request(request, "m", profile)
    body: dict[str, Any] = json.loads(encoded.call.body)
    assert faults(body) == []
    assert not (whole and encoded.dropped)
    return body


def dropped(request: Request, profile: ResponsesProfile = FULL) -> tuple[str, ...]:
    return write_request(request, "m", profile).dropped


def items_of(*messages: Message, profile: ResponsesProfile = FULL) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(replace(ASKED, messages=messages), profile)["input"]
    return found


def test_a_plain_request() -> None:
    """Streamed, not stored at the server, with encrypted reasoning in the answer."""
    encoded = write_request(ASKED, "m", FULL)
    assert encoded.call.path == "/responses"
    assert body_of(ASKED) == {
        "model": "m",
        "input": [{"role": "user", "content": "Hi"}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


def test_settings() -> None:
    """Every setting that this wire has a member for."""
    request = replace(
        ASKED,
        tools=(LOOK, Tool("now")),
        tool_choice=ToolChoice("named", "look"),
        parallel_tool_calls=False,
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        format=Format({"type": "object"}, "an answer", True, "What it is."),
        thinking=Thinking("high", show=True),
        verbosity="low",
        user="u",
        service_tier="flex",
        metadata={"a": "b"},
    )
    body = body_of(request)
    assert body["tools"] == [
        {"type": "function", "name": "look", "description": "Looks.", "parameters": LOOK.schema, "strict": True},
        {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ({"type": "function", "name": "look"}, False)
    assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (50, 0.5, 0.9)
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert body["text"]["format"]["name"] == "an_answer"
    assert body["text"]["verbosity"] == "low"
    assert (body["safety_identifier"], body["service_tier"], body["metadata"]) == ("u", "flex", {"a": "b"})


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("required"), "required"),
        (ToolChoice("none"), "none"),
        (
            ToolChoice("required", allowed=("look",)),
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, written: Any) -> None:
    """In the flat forms of this wire."""
    assert body_of(replace(ASKED, tools=(LOOK,), tool_choice=choice))["tool_choice"] == written


def test_a_conversation_keeps_its_order() -> None:
    """Instructions in their place, calls with their results, text between them."""
    found = items_of(
        Message(Role.SYSTEM, (Text("Be brief."),)),
        HI,
        Message(Role.ASSISTANT, (Text("I look."), ToolCall("c1", "look", "{}"), ToolCall("c2", "look", '{"a":1}'))),
        Message(Role.USER, (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),), is_error=True))),
        Message(Role.SYSTEM, (Text("Now in French."),)),
        Message(Role.USER, (Text("And?"),)),
        Message(Role.ASSISTANT, (Refusal("No."),)),
        HI,
    )
    assert found == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": '{"error":"two"}'},
        {"role": "developer", "content": "Now in French."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Hi"},
    ]


def test_media() -> None:
    """Images and files, inline or by address; plain documents as text; results of tools with images."""
    png, pdf = Media("image", "image/png", data="AAAA", detail="low"), Media("document", "application/pdf", data="AAAA")
    note = Media("document", "text/plain", data="SGk=", name="a.txt")
    user = Message(Role.USER, (Text("See", Cache()), png, Media("image", url="https://x/y"), pdf, note))
    (item,) = items_of(user)
    assert item["content"] == [
        {"type": "input_text", "text": "See", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_image", "detail": "auto", "image_url": "https://x/y"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_text", "text": "a.txt:\nHi"},
    ]
    called = Message(Role.ASSISTANT, (ToolCall("c", "look", "{}"),))
    shown = Message(Role.USER, (ToolResult("c", (Text("this"), png)),))
    assert [part["type"] for part in items_of(called, shown)[1]["output"]] == ["input_text", "input_image"]


def test_thinking_goes_home_or_nowhere() -> None:
    """Encrypted items of this wire go back as they were; reasoning of other vendors and in plain words does not."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "status": "completed"}
    turn = Message(
        Role.ASSISTANT,
        (
            Reasoning("Hm.", native_signature("rs_2", "gBBB")),
            Reasoning("", extra={"openai_responses": item}),
            Reasoning("Hm.", "anthropic_messages/x#sig"),
            Reasoning("Hm."),
            Text("Yes."),
        ),
    )
    sealed = {"type": "reasoning", "id": "rs_2", "encrypted_content": "gBBB"}
    assert items_of(turn, HI)[:-1] == [
        sealed | {"summary": [{"type": "summary_text", "text": "Hm."}]},
        {name: item[name] for name in ("type", "id", "summary", "encrypted_content")},
        {"role": "assistant", "content": "Yes."},
    ]


def test_plain_thinking_goes_back_in_words_where_it_is_wanted() -> None:
    """Open models read their own reasoning."""
    (item, _) = json.loads(
        write_request(
            replace(ASKED, messages=(Message(Role.ASSISTANT, (Reasoning("Hm."),)), HI)),
            "m",
            ResponsesProfile(plain_thinking=True, sealed=False),
        ).call.body
    )["input"]
    assert item == {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"top_k": 3, "seed": 5, "presence_penalty": 0.1}, ("top_k", "seed", "presence_penalty")),
        ({"max_tokens": 1}, ("max_tokens",)),
        ({"max_tokens": 1_000_000}, ("max_tokens",)),
        ({"messages": (Message(Role.USER, (Text("x"),), name="Ann"),)}, ("name",)),
        ({"thinking": Thinking(budget=4000)}, ("reasoning_effort",)),
        ({"extra": {"openai_chat": {"prediction": {"x": 1}, "stream_options": {}}}}, ("prediction",)),
        ({"messages": (Message(Role.ASSISTANT, (Opaque("other", {}), Text("x"))), HI)}, ("messages",)),
        ({"messages": (Message(Role.USER, (Opaque("other", {}), Text("x"))),)}, ("messages",)),
        ({"extra": {"gemini": {"tools": [{"type": "google_search"}]}}}, ("tools",)),
    ],
)
def test_hints_that_go_are_named(more: dict[str, Any], names: tuple[str, ...]) -> None:
    """By the client's own names."""
    request = replace(ASKED, **more)
    body_of(request, whole=False)
    assert dropped(request) == names


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": 0}, "logprobs"),
        ({"logit_bias": {"1": 2.0}}, "logit_bias"),
        ({"stop": ("x",)}, "stop"),
        ({"messages": (Message(Role.USER, (Media("audio", "audio/wav", data="AAAA"),)),)}, "messages"),
        ({"messages": (Message(Role.USER, (Media("video", url="https://x"),)),)}, "messages"),
        ({"extra": {"openai_chat": {"modalities": ["audio"]}}}, "modalities"),
        (
            {"extra": {"gemini": {"tools": [{"type": "s"}]}}, "tools": (), "tool_choice": ToolChoice("required")},
            "tools",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused(more: dict[str, Any], param: str) -> None:
    """With the member at fault."""
    with pytest.raises(Unsupported) as told:
        write_request(replace(ASKED, **more), "m", FULL)
    assert told.value.param == param


def test_a_model_narrows_its_server() -> None:
    """Sampling it does not take, efforts it does not know, a choice it cannot be made to follow."""
    can = Capabilities(sampling=False, thinking_levels=("low", "high"), thinking_off="none", forced_tools=False)
    narrow = fitted(FULL, can)
    request = replace(ASKED, temperature=0.5, thinking=Thinking("minimal"))
    assert dropped(request, narrow) == ("temperature", "reasoning_effort")
    assert body_of(request, narrow, whole=False)["reasoning"] == {"effort": "none"}
    with pytest.raises(Unsupported):
        write_request(replace(ASKED, tools=(LOOK,), tool_choice=ToolChoice("required")), "m", narrow)


@pytest.mark.parametrize(
    ("wanted", "found"), [("minimal", "low"), ("max", "high"), ("xhigh", "high"), ("medium", "low"), ("odd", "high")]
)
def test_the_nearest_effort(wanted: str, found: str) -> None:
    """The weaker of two equally near ones."""
    assert nearest(wanted, ("low", "high")) == found


def test_the_same_wire_gives_back_what_it_was_given() -> None:
    """A client's body that is read and written again asks for the same."""
    web = {"type": "web_search"}
    given = {
        "model": "m",
        "input": [
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "q"},
            },
            {"role": "assistant", "content": "I look.", "phase": "commentary"},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "d", "name": "write", "input": "text"},
            {"type": "function_call_output", "call_id": "c", "output": "one"},
        ],
        "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "write"},
            web,
        ],
        "tool_choice": {"type": "custom", "name": "write"},
        "reasoning": {"effort": "low", "summary": "auto", "context": "all_turns"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "prompt_cache_key": "k",
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }
    assert faults(given) == []
    assert body_of(RESPONSES.read_request(RawBody(json.dumps(given).encode()))) == given


def test_recorded_bodies_keep_their_meaning(shared: Path) -> None:
    """Items, tools and settings of real traffic, through the contract and back, for a server that takes reasoning in words."""
    plain = ResponsesProfile(sealed=False, plain_thinking=True)
    for exchange in exchanges(shared):
        request = RESPONSES.read_request(RawBody(json.dumps(exchange.request).encode()))
        encoded = write_request(request, exchange.request["model"], plain)
        body = json.loads(encoded.call.body)
        assert encoded.dropped == (), exchange.name
        assert body.get("tools") == exchange.request.get("tools")
        assert _gist(body["input"]) == _gist(exchange.request["input"]), exchange.name


def _gist(items: list[dict[str, Any]]) -> list[Any]:
    """Kind, and text, arguments or output, of each item."""
    return [
        (
            item.get("type", "message"),
            item.get("role"),
            item.get("arguments") or item.get("output") or [part["text"] for part in item["content"]]
            if item.get("type") == "reasoning"
            else item.get("arguments") or item.get("output") or item.get("content"),
        )
        for item in items
    ]


def test_reasoning_that_led_to_nothing_is_dropped() -> None:
    """A turn that was stopped after it: the server refuses reasoning without the item that followed."""
    thought = Reasoning("Hm.", extra={RESPONSES.name: {"encrypted_content": "gAAA"}})
    stopped = (
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.ASSISTANT, (thought,)),
        Message(Role.USER, (Text("Well?"),)),
    )
    encoded = write_request(Request("m", stopped), "m", ResponsesProfile())
    assert [item["role"] for item in json.loads(encoded.call.body)["input"]] == ["user", "user"]
    assert encoded.dropped == ("messages",)
