"""Histories as agents send them, on every wire: each call is followed by its result, whatever stands between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from cloud.openai.two_wires import OpenAITwoWires
from runtime.contract.codec import Encoded
from runtime.contract.messages import Message, Request, Role, Text, ToolCall, ToolResult
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.profile import PLAIN, VLLM
from runtime.dialects.openai_chat.read_request import read_request as read_chat
from runtime.dialects.openai_chat.write_request import write_request
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.openai_responses.signatures import Carried, write_foreign
from runtime.dialects.tool_results import results_in_place
from runtime.wire.raw_body import RawBody
from tests.cloud.anthropic.recorded import target as claude
from tests.cloud.gemini.recorded import target as gemini
from tests.fakes import strict
from tests.fakes.scripted_responses import CALLS, OUTPUTS, SEALED

NOW = datetime(2026, 11, 22, tzinfo=UTC)
REASONER = Capabilities(modalities=frozenset({"text"}), tools_over="openai_responses", thinks_unasked=True)
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}

PATHS = {
    "local": strict.CHAT,
    "chat": strict.CHAT,
    "claude": strict.MESSAGES,
    "gemini": "/v1beta/models/gemini-3.8-flash:streamGenerateContent",
    "responses": strict.RESPONSES,
}
WRITERS: dict[str, Callable[[Request], Encoded]] = {
    "local": lambda request: write_request(request, strict.ENGINE, VLLM),
    "chat": lambda request: write_request(request, "m", PLAIN),
    "claude": lambda request: AnthropicCodec(lambda: NOW).encode(request, claude("claude-haiku-5-5")),
    "gemini": lambda request: GeminiCodec().encode(request, gemini("gemini-3.8-flash")),
    "responses": lambda request: OpenAITwoWires(lambda: NOW, PLAIN).encode(
        request, Target("t", "openai", "m", REASONER)
    ),
}

ANOTHERS = Carried(model="gemini-3.8-flash", signature="gemini#dGhlaXJz")
BETWEEN: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "Wait."},
    {"role": "developer", "content": "Mind the budget."},
    {"role": "assistant", "content": "Looking."},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": SEALED,
    },
    {"type": "reasoning", "id": "rs_2", "summary": []},
    {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": write_foreign(ANOTHERS)},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "ghost_snapshot", "commit": "abc"},
    {"type": "additional_tools", "role": "developer", "tools": [TOOL]},
)
PATCH = {"type": "custom", "name": "patch"}
ARGUMENTS = ("{}", "", "null", '{"q":1}', None)


@st.composite
def items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns of parallel calls and their results in any order, with other items before, between and behind them."""
    out: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    between = st.lists(st.sampled_from(BETWEEN), max_size=2)
    for turn in range(draw(st.integers(1, 3))):
        ids = [f"c{turn}_{place}" for place in range(draw(st.integers(1, 3)))]
        kinds = {call_id: draw(st.sampled_from(["function_call", "custom_tool_call"])) for call_id in ids}
        for call_id, kind in kinds.items():
            if kind == "function_call":
                given = {"name": "look", "arguments": draw(st.sampled_from(ARGUMENTS))}
            else:
                given = {"name": "patch", "input": draw(st.sampled_from(["", "+ line"]))}
            out.append({"type": kind, "call_id": call_id, **given})
            out += draw(between)
        again = draw(st.lists(st.sampled_from(ids), max_size=1))  # a tool that reports while it runs
        for call_id in (*draw(st.permutations(ids)), *again):
            out.append({"type": f"{kinds[call_id]}_output", "call_id": call_id, "output": "ok"})
            out += draw(between)
    return out


def sequence(wire: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """("call", id), ("result", id) and ("other", role) in the order of the body; a turn's calls come one by one."""
    for entry in body.get("input") or body.get("contents") or body["messages"]:
        role = entry.get("role")
        if wire == "responses":
            written = entry.get("type", "")
            kind = "call" if written in CALLS else "result" if written in OUTPUTS else "other"
            if kind != "other" or role in ("user", "developer"):  # the rest is the model's own turn
                yield kind, entry.get("call_id", role)
        elif wire in ("local", "chat"):
            calls = entry.get("tool_calls", ())
            yield from (("call", call["id"]) for call in calls)
            if role == "tool":
                yield "result", entry["tool_call_id"]
            elif not calls:
                yield "other", role
        else:
            yield from _parts(entry)


def _parts(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in entry.get("parts") or entry["content"]:
        if part.get("type") == "tool_use" or "functionCall" in part:
            yield "call", part["id"] if "id" in part else part["functionCall"]["id"]
        elif part.get("type") == "tool_result" or "functionResponse" in part:
            yield "result", part["tool_use_id"] if "tool_use_id" in part else part["functionResponse"]["id"]
        elif entry["role"] not in ("assistant", "model"):
            yield "other", entry["role"]


def check(wire: str, body: dict[str, Any]) -> None:
    """A strict server takes it; after a turn's calls come their results and nothing else, each once, before any other role."""
    assert strict.refused(PATHS[wire], body) == []
    pending: list[Any] = []
    answered = False
    for kind, name in sequence(wire, body):
        if kind == "call":
            assert not (pending and answered), "a call between the results of an earlier turn"
            pending.append(name)
            answered = False
        elif kind == "result":
            assert name in pending
            pending.remove(name)
            answered = True
        else:
            assert not pending, f"{name} before the results of {pending}"
    assert not pending
    for turn in body.get("contents") or body.get("messages") or ():
        assert turn.get("content") or turn.get("parts") or turn.get("tool_calls") or turn.get("reasoning"), turn


@pytest.mark.parametrize("wire", WRITERS)
@given(history=items())
@settings(max_examples=60, deadline=None)
def test_a_history_of_the_responses_wire(wire: str, history: list[dict[str, Any]]) -> None:
    """Any mixture of items reaches every wire in an order that its strict servers accept."""
    body = RawBody(json.dumps({"model": "m", "input": history, "tools": [TOOL, PATCH]}).encode())
    RESPONSES.check(body)
    check(wire, json.loads(WRITERS[wire](RESPONSES.read_request(body)).call.body))


CHAT_BETWEEN: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "Wait."},
    {"role": "system", "content": "Mind the budget."},
    {"role": "assistant", "content": "Looking."},
)


@pytest.mark.parametrize("wire", WRITERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_history_of_the_chat_wire(wire: str, data: st.DataObject) -> None:
    """With calls of one turn in one message or in several, and other messages before their results."""
    between = st.lists(st.sampled_from(CHAT_BETWEEN), max_size=1)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    for turn in range(data.draw(st.integers(1, 3))):
        ids = [f"c{turn}_{place}" for place in range(data.draw(st.integers(1, 3)))]
        arguments = data.draw(st.sampled_from(ARGUMENTS))
        calls = [{"id": each, "type": "function", "function": {"name": "look", "arguments": arguments}} for each in ids]
        groups = [[call] for call in calls] if data.draw(st.booleans()) else [calls]
        for group in groups:
            messages.append({"role": "assistant", "content": None, "tool_calls": group})
            messages += data.draw(between)
        for call_id in data.draw(st.permutations(ids)):
            messages.append({"role": "tool", "tool_call_id": call_id, "content": "ok"})
            messages += data.draw(between)
    tool = {"type": "function", "function": {"name": "look"}}
    body = RawBody(json.dumps({"model": "m", "messages": messages, "tools": [tool]}).encode())
    check(wire, json.loads(WRITERS[wire](read_chat(body)).call.body))


@pytest.mark.parametrize("wire", WRITERS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_history_of_the_messages_wire(wire: str, data: st.DataObject) -> None:
    """With thinking of another model, instructions before the results, and the results before or behind the user's words."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "hearth:s"}
    words = {"type": "text", "text": "Wait."}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    for turn in range(data.draw(st.integers(1, 3))):
        ids = [f"c{turn}_{place}" for place in range(data.draw(st.integers(1, 3)))]
        calls = [{"type": "tool_use", "id": each, "name": "look", "input": None} for each in ids]
        messages.append({"role": "assistant", "content": [*data.draw(st.sampled_from([[thought], []])), *calls]})
        if data.draw(st.booleans()):
            messages.append({"role": "system", "content": "Mind the budget."})
        results = [{"type": "tool_result", "tool_use_id": each, "content": "ok"} for each in ids]
        messages.append(
            {"role": "user", "content": data.draw(st.sampled_from([results, [words, *results], [*results, words]]))}
        )
    ask = {"model": "m", "max_tokens": 9, "messages": messages, "tools": [{"name": "look", "input_schema": {}}]}
    check(wire, json.loads(WRITERS[wire](MESSAGES.read_request(RawBody(json.dumps(ask).encode()))).call.body))


def test_a_conversation_in_order_is_left_alone() -> None:
    """Its messages are the same objects."""
    call, result = ToolCall("c", "f", "{}"), ToolResult("c", (Text("ok"),))
    talk = (
        Message(Role.ASSISTANT, (call,)),
        Message(Role.USER, (result, Text("And?"))),
        Message(Role.USER, (Text("x"),)),
    )
    assert all(ours is theirs for ours, theirs in zip(results_in_place(talk), talk, strict=True))


def test_an_id_that_two_turns_share_belongs_to_the_later_call() -> None:
    """Each result stays with the call before it."""
    call, first, second = ToolCall("c", "f", "{}"), ToolResult("c", (Text("1"),)), ToolResult("c", (Text("2"),))
    wait = Message(Role.SYSTEM, (Text("Wait."),))
    turn = Message(Role.ASSISTANT, (call,))
    found = results_in_place((turn, wait, Message(Role.USER, (first,)), turn, wait, Message(Role.USER, (second,))))
    assert [message.parts[0] for message in found] == [call, first, wait.parts[0], call, second, wait.parts[0]]
