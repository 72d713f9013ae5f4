"""Requests as coding agents send them, over the responses wire, on every wire that a target may speak."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from cloud.openai.two_wires import OpenAITwoWires
from runtime.contract.codec import Encoded, Unsupported
from runtime.contract.events import ArgumentsDelta, BlockEnd, Event, Start, Stop, ToolCallStart
from runtime.contract.messages import Request
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.openai_chat.profile import PLAIN, VLLM
from runtime.dialects.openai_chat.write_request import write_request
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.wire.raw_body import RawBody

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PLAIN_MODEL = Capabilities(modalities=frozenset({"text", "image"}))
REASONER = Capabilities(modalities=frozenset({"text"}), tools_over="openai_responses", thinks_unasked=True)

WIRES: dict[str, Callable[[Request], Encoded]] = {
    "local": lambda request: write_request(request, "m", VLLM),
    "claude": lambda request: AnthropicCodec(lambda: NOW).encode(request, Target("t", "anthropic", "m", PLAIN_MODEL)),
    "gemini": lambda request: GeminiCodec().encode(request, Target("t", "gemini", "m", PLAIN_MODEL)),
    "responses": lambda request: OpenAITwoWires(lambda: NOW, PLAIN).encode(
        request, Target("t", "openai", "m", REASONER)
    ),
}

SPAWN = {"type": "function", "name": "spawn_agent", "parameters": {"type": "object", "properties": {}}}
TEAM = {"type": "namespace", "name": "multi_agent_v1", "description": "Other agents.", "tools": [SPAWN]}
MCP = {"type": "namespace", "name": "mcp__tickets__", "description": "", "tools": [SPAWN | {"name": "close"}]}
SHELL = {"type": "function", "name": "shell", "description": "Runs.", "parameters": {"type": "object"}, "strict": False}
SEARCH = {"type": "web_search", "external_web_access": False}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch"},
}


def read(**members: Any) -> Request:
    body = RawBody(json.dumps({"model": "auto", "input": "Hi", **members}).encode())
    RESPONSES.check(body)
    return RESPONSES.read_request(body)


def sent(wire: str, request: Request) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body that goes up, and the names of what was dropped."""
    encoded = WIRES[wire](request)
    body: dict[str, Any] = json.loads(encoded.call.body)
    return body, tuple(dict.fromkeys((*request.dropped, *encoded.dropped)))


def declared(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and descriptions of the functions of a body, on any wire."""
    for tool in body.get("tools", ()):
        for each in tool.get("functionDeclarations") or [tool.get("function", tool)]:
            if "name" in each:
                yield each["name"], each.get("description", "")


def answered(request: Request, events: Sequence[Event], *, stream: bool) -> dict[str, Any]:
    """The client's whole response, as the body or from the last event of the stream."""
    writer = RESPONSES.write_answer(Request(**{**_members(request), "stream": stream}))
    written = b"".join(map(writer.feed, events)) + writer.end()
    if not stream:
        return dict(json.loads(written))
    last = json.loads(written.strip().split(b"\n")[-1].removeprefix(b"data: "))
    return dict(last["response"])


def _members(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def calling(name: str, arguments: str) -> list[Event]:
    return [
        Start("r", "m"),
        ToolCallStart(0, "c1", name),
        ArgumentsDelta(0, arguments),
        BlockEnd(0),
        Stop("tool_calls"),
    ]


@pytest.mark.parametrize("wire", WIRES)
def test_a_namespace_is_functions(wire: str) -> None:
    """Each under one name made of both; the namespace is described with its first function; a search on offer is dropped."""
    body, dropped = sent(wire, read(tools=[SHELL, TEAM, MCP, SEARCH]))
    assert list(declared(body)) == [
        ("shell", "Runs."),
        ("multi_agent_v1__spawn_agent", "Other agents."),
        ("mcp__tickets__close", ""),
    ]
    assert dropped == (() if wire == "responses" else ("tools",))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("called", "namespace", "name"),
    [
        ("multi_agent_v1__spawn_agent", "multi_agent_v1", "spawn_agent"),
        ("mcp__tickets__close", "mcp__tickets__", "close"),
    ],
)
def test_a_call_into_a_namespace_comes_back_with_both_names(
    called: str, namespace: str, name: str, stream: bool
) -> None:
    """And the client's next body calls the same function."""
    request = read(tools=[SHELL, TEAM, MCP])
    (item,) = answered(request, calling(called, '{"a":1}'), stream=stream)["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", namespace, name)
    back = {"type": "function_call_output", "call_id": item["call_id"], "output": "ok"}
    again = read(tools=[SHELL, TEAM, MCP], input=[{"role": "user", "content": "Go."}, item, back])
    assert again.messages[1].parts[0].name == called  # type: ignore[union-attr]
    assert again.messages[2].parts[0].name == called  # type: ignore[union-attr]


def test_functions_of_the_same_name_stay_apart() -> None:
    """A function may have the name that a namespace's function gets."""
    twin = SHELL | {"name": "multi_agent_v1__spawn_agent"}
    request = read(
        tools=[twin, TEAM], tool_choice={"type": "function", "name": "spawn_agent", "namespace": TEAM["name"]}
    )
    first, second = (tool.name for tool in request.tools)
    assert first != second
    assert request.tool_choice is not None
    assert request.tool_choice.name == second
    (item,) = answered(request, calling(second, "{}"), stream=False)["output"]
    assert item["namespace"] == TEAM["name"]


@pytest.mark.parametrize("tool", [SEARCH, {"type": "image_generation"}, {"type": "local_shell"}])
@pytest.mark.parametrize("wire", ["local", "claude", "gemini"])
def test_a_vendors_tool_that_must_be_called_is_refused(wire: str, tool: dict[str, Any]) -> None:
    """Dropping it would change what the request means."""
    with pytest.raises(Unsupported) as caught:
        sent(wire, read(tools=[tool], tool_choice="required"))
    assert caught.value.param == "tools"


def test_allowed_tools_beside_a_vendors_own() -> None:
    """A namespace allows all its functions; a vendor's own tool that is merely allowed is left out."""
    entries = [{"type": "web_search"}, {"type": "namespace", "name": "multi_agent_v1"}]
    request = read(tools=[SHELL, TEAM, SEARCH], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": entries})
    assert request.tool_choice is not None
    assert request.tool_choice.allowed == ("multi_agent_v1__spawn_agent",)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_tools_inside_the_input_are_the_requests_tools(wire: str, kind: str) -> None:
    """They are declared like all others, and no turn is made of the item."""
    item = {"type": kind, "role": "developer", "call_id": None, "tools": [SHELL, TEAM]}
    body, _ = sent(wire, read(input=[item, {"role": "user", "content": "Go."}]))
    assert [name for name, _ in declared(body)] == ["shell", "multi_agent_v1__spawn_agent"]
    turns = body.get("messages") or body.get("contents") or body["input"]
    assert [turn.get("role") for turn in turns if turn.get("type") != kind] == ["user"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("item", [{"type": "ghost_snapshot", "commit": "abc"}, {"type": "novelty", "role": "user"}])
def test_an_item_that_nobody_can_read_is_dropped_and_named(wire: str, item: dict[str, Any]) -> None:
    """It is never a turn, wherever it stands."""
    said = {"role": "user", "content": "Go."}
    whole, dropped = sent(wire, read(input=[item, said, item]))
    assert whole == sent(wire, read(input=[said]))[0]
    assert dropped == ("input",)


@pytest.mark.parametrize("wire", ["local", "claude", "gemini"])
@pytest.mark.parametrize("kind", ["web_search_call", "compaction", "local_shell_call"])
def test_an_item_that_only_its_vendor_can_read_is_no_turn(wire: str, kind: str) -> None:
    """Nor is the output of such a call."""
    item = {"type": kind, "id": "x_1", "call_id": "k", "status": "completed"}
    back = {"type": "function_call_output", "call_id": "k", "output": "ok"}
    said = {"role": "user", "content": "Go."}
    body, dropped = sent(wire, read(input=[said, item, back, said]))
    turns = body.get("messages") or body["contents"]
    assert {turn["role"] for turn in turns} == {"user"}
    assert set(dropped) == {"messages", "input"}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("syntax", "definition"), [("lark", "start: begin_patch"), ("regex", "[0-9]+")])
def test_a_grammar_is_told_in_words(wire: str, syntax: str, definition: str) -> None:
    """The tool takes any text; its description holds the grammar, and `tools` is named."""
    form = {"type": "grammar", "syntax": syntax, "definition": definition}
    body, dropped = sent(wire, read(tools=[PATCH | {"format": form}, SHELL]))
    (_, described), _ = declared(body)
    assert described == f"Edits files.\n\nThe text must match this grammar ({syntax}):\n{definition}"
    assert dropped == ("tools",)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["*** Begin Patch\n*** End Patch", ""])
def test_a_tool_with_a_grammar_is_called_with_free_text(text: str, stream: bool) -> None:
    """As the client knows it."""
    events = calling("apply_patch", json.dumps({"input": text}))
    (item,) = answered(read(tools=[PATCH]), events, stream=stream)["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", text)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("query", ["tickets", "calendar"])
def test_a_search_for_tools_that_the_client_runs(query: str, stream: bool) -> None:
    """It is a function for the model, and the client's own kind of call for the client; what it finds can be called."""
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "Finds tools.",
        "parameters": {"type": "object"},
    }
    request = read(tools=[search])
    assert [(tool.name, tool.description) for tool in request.tools] == [("tool_search", "Finds tools.")]
    events = calling("tool_search", json.dumps({"query": query}))
    (item,) = answered(request, events, stream=stream)["output"]
    assert (item["type"], item["execution"], item["arguments"]) == ("tool_search_call", "client", {"query": query})
    found = {"type": "tool_search_output", "call_id": item["call_id"], "execution": "client", "tools": [TEAM]}
    again = read(tools=[search], input=[{"role": "user", "content": "Go."}, item, found])
    assert [tool.name for tool in again.tools] == ["tool_search", "multi_agent_v1__spawn_agent"]
    for wire in WIRES:
        body, dropped = sent(wire, again)
        assert len(list(declared(body))) == 2
        assert dropped == ()


@pytest.mark.parametrize("wire", WIRES)
def test_an_output_has_the_kind_of_its_call(wire: str) -> None:
    """A custom tool's text is answered as such where the wire has both kinds."""
    called = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"}
    back = {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."}
    body, _ = sent(wire, read(tools=[PATCH], input=[{"role": "user", "content": "Go."}, called, back]))
    if wire == "responses":
        assert [item.get("type") for item in body["input"]] == [None, "custom_tool_call", "custom_tool_call_output"]
    else:
        assert json.dumps(body).count("Done.") == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("later", [False, True])
def test_several_outputs_of_one_call_are_one(wire: str, later: bool) -> None:
    """A tool that reports while it runs, and after a word of the user, and at its end has one result, right behind its call."""
    called = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"}
    outputs = [
        {"type": "custom_tool_call_output", "call_id": "c1", "output": text} for text in ("Half.", "Done.", "Cleaned.")
    ]
    said = {"role": "user", "content": "Go."}
    between = [said] if later else []
    items = [said, called, outputs[0], *between, *outputs[1:]]
    body, _ = sent(wire, read(tools=[PATCH], input=items))
    written = json.dumps(body)
    places = [written.index(each["output"]) for each in outputs]
    assert places == sorted(places)
    marks = {
        "local": '"tool_call_id"',
        "claude": '"tool_use_id"',
        "gemini": '"functionResponse"',
        "responses": "call_output",
    }
    assert written.count(marks[wire]) == 1
