"""Bodies of Anthropic's wire as requests: nothing is lost, and errors name the place."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Cache,
    Format,
    Media,
    Message,
    Opaque,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.wire.raw_body import BadBody, RawBody

ASK: dict[str, Any] = {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
NAME = "anthropic_messages"

_MEMBERS = st.sampled_from(
    [
        "type",
        "text",
        "source",
        "content",
        "id",
        "name",
        "input",
        "tool_use_id",
        "data",
        "signature",
        "thinking",
        "title",
        "context",
        "citations",
        "tool",
        "definition",
        "input_schema",
        "cache_control",
        "is_error",
        "url",
        "media_type",
        "file_id",
        "budget_tokens",
        "effort",
        "format",
        "schema",
        "user_id",
        "display",
    ]
)


def decoded(**members: Any) -> Request:
    return MESSAGES.read_request(RawBody(json.dumps(ASK | members).encode()))


def turn(*blocks: Any, role: str = "user") -> Message:
    return decoded(messages=[{"role": role, "content": list(blocks)}]).messages[0]


def test_plain_members() -> None:
    """Limits, sampling, stops and the user are the request's own members."""
    request = decoded(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u1"},
        service_tier="standard_only",
    )
    assert request == Request(
        model="auto",
        messages=(Message(Role.USER, (Text("Hi"),)),),
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("END",),
        user="u1",
        service_tier="default",
        stream=True,
        include_usage=True,
    )


def test_a_limit_of_zero_is_no_request_for_another_wire() -> None:
    """It only warms a cache, which no other wire can do."""
    with pytest.raises(Unsupported):
        decoded(max_tokens=0)


def test_instructions_keep_their_place_and_their_cache_marks() -> None:
    """The system text comes first; instructions in the middle of the conversation stay there."""
    request = decoded(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": [{"type": "text", "text": "Now be long."}]},
            {"role": "user", "content": "Go"},
        ],
    )
    assert [message.role for message in request.messages] == [Role.SYSTEM, Role.USER, Role.SYSTEM, Role.USER]
    assert request.messages[0].parts == (Text("Be brief.", Cache("1h")),)
    assert request.messages[2].parts == (Text("Now be long."),)


def test_a_line_for_the_vendors_accounts_is_no_instruction() -> None:
    """It changes with every request and would cost other targets their prefix cache; what follows it stays."""
    line = "x-anthropic-billing-header: cc_version=2.1; cch=abc12;"
    request = decoded(system=[{"type": "text", "text": line}, {"type": "text", "text": f"{line}\nBe brief."}])
    assert request.messages[0].parts == (Text("Be brief."),)


def test_images_by_data_url_and_id() -> None:
    """Each source of an image is media of that kind."""
    message = turn(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://a.example/b"},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    )
    assert message.parts == (
        Media("image", "image/png", data="aGk="),
        Media("image", url="https://a.example/b", cache=Cache()),
        Media("image", file_id="file_1"),
    )


def test_documents() -> None:
    """PDFs stay PDFs, plain text stays plain text, and a document of blocks becomes its blocks."""
    message = turn(
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVA="},
        },
        {
            "type": "document",
            "context": "From 1999.",
            "source": {"type": "text", "media_type": "text/plain", "data": "Ünder"},
        },
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        {
            "type": "document",
            "source": {"type": "url", "url": "https://a.example/p.pdf"},
            "citations": {"enabled": True},
        },
    )
    assert message.parts == (
        Media("document", "application/pdf", data="JVA=", name="T"),
        Text("From 1999."),
        Media("document", "text/plain", data=base64.b64encode("Ünder".encode()).decode()),
        Text("a"),
        Media(
            "document", "application/pdf", url="https://a.example/p.pdf", extra={NAME: {"citations": {"enabled": True}}}
        ),
    )


def test_calls_and_results_belong_together() -> None:
    """A result knows the name of the call it answers; errors, media and references in it are kept."""
    request = decoded(
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": [1.5, "é"]}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "is_error": True,
                        "cache_control": {"type": "ephemeral"},
                        "content": [
                            {"type": "text", "text": "no"},
                            {"type": "image", "source": {"type": "url", "url": "https://a.example/i"}},
                            {"type": "tool_reference", "tool_name": "other"},
                            {
                                "type": "search_result",
                                "title": "S",
                                "source": "s",
                                "content": [{"type": "text", "text": "b"}],
                            },
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "t2"},
                    {"type": "text", "text": "Go on."},
                ],
            },
        ]
    )
    assert request.messages[1].parts == (ToolCall("t1", "look", '{"at":[1.5,"é"]}'),)
    content = (Text("no"), Media("image", url="https://a.example/i"), Text("other"), Text("S\ns\nb"))
    assert request.messages[2].parts == (
        ToolResult("t1", content, name="look", is_error=True, cache=Cache()),
        ToolResult("t2", ()),
        Text("Go on."),
    )


def test_thinking_and_what_only_this_wire_knows() -> None:
    """Signatures are kept; blocks of server tools stay as they are."""
    block = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    message = turn(
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3A="},
        block,
        {"type": "text", "text": "Yes.", "citations": [{"type": "char_location"}]},
        role="assistant",
    )
    assert message.parts == (
        Reasoning("Hm.", "c2ln", extra={NAME: {}}),
        Reasoning(redacted="b3A=", extra={NAME: {}}),
        Opaque(NAME, block),
        Text("Yes.", extra={NAME: {"citations": [{"type": "char_location"}]}}),
    )


def test_tools() -> None:
    """Functions are tools; tools that the vendor runs are kept apart; a search among deferred tools is not needed elsewhere."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    request = decoded(
        tools=[
            {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "later", "input_schema": {"type": "object"}, "defer_loading": True},
            {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
            search,
        ],
        tool_choice={"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    )
    assert request.tools == (
        Tool("look", "Looks.", {"type": "object"}, strict=True),
        Tool("later", None, {"type": "object"}, extra={NAME: {"defer_loading": True}}),
    )
    assert request.tool_choice == ToolChoice("named", "look")
    assert request.parallel_tool_calls is False
    assert request.extra == {NAME: {"tools": [search]}}


@pytest.mark.parametrize(("given", "mode"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_tool_choices(given: str, mode: Any) -> None:
    """Each choice has its equal in the contract."""
    assert decoded(tool_choice={"type": given}).tool_choice == ToolChoice(mode)


def test_tools_that_come_and_go_in_the_conversation() -> None:
    """The tools at the end of the conversation count."""
    inline = {"type": "tool_definition", "definition": {"name": "c", "input_schema": {"type": "object"}}}
    request = decoded(
        tools=[{"name": "a", "input_schema": {}}, {"name": "b", "input_schema": {}}],
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "system",
                "content": [
                    {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "a"}},
                    {"type": "tool_addition", "tool": inline},
                    {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "b"}},
                ],
            },
        ],
    )
    assert [tool.name for tool in request.tools] == ["b", "c"]
    assert len(request.messages) == 1


@pytest.mark.parametrize(
    ("members", "thinking"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Thinking(budget=2048)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(show=True)),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking(show=False)),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, Thinking("xhigh")),
        ({"thinking": {"type": "disabled"}}, Thinking("none")),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}}, Thinking("none")),
        ({"output_config": {"effort": "max"}}, Thinking("max")),
        ({}, None),
    ],
)
def test_thinking(members: dict[str, Any], thinking: Thinking | None) -> None:
    """Budget, effort and display, in every form the wire has had."""
    assert decoded(**members).thinking == thinking


@pytest.mark.parametrize("place", ["output_config", "output_format"])
def test_structured_output(place: str) -> None:
    """The schema is found where it is today and where it was before."""
    wanted = {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {}}}}
    members = {"output_config": {"format": wanted}} if place == "output_config" else {place: wanted}
    assert decoded(**members).format == Format(schema=wanted["schema"])


def test_unknown_members_are_kept_and_hints_are_not() -> None:
    """Members that no other wire has are kept, so that they can be named as dropped; hints are taken out."""
    request = decoded(
        hearth={"requires": ["hipaa"]},
        inference_geo="eu",
        context_management={"edits": []},
        output_config={"task_budget": {"total": 9}},
        speed=None,
    )
    kept = {"inference_geo": "eu", "context_management": {"edits": []}, "output_config": {"task_budget": {"total": 9}}}
    assert request.extra == {NAME: kept}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "name": "x"}]}]}, "messages[0].content[0].id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": 1}]}]},
            "messages[0].content[0].source",
        ),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ],
)
def test_a_wrong_member_is_refused_with_its_place(members: dict[str, Any], place: str) -> None:
    """A body that no wire could read is refused with the place."""
    with pytest.raises(BadBody) as caught:
        decoded(**members)
    assert caught.value.place == place


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "text", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBERS, inner, max_size=4),
    max_leaves=8,
)
_block = st.builds(
    lambda kind, members: {"type": kind} | members,
    st.sampled_from(
        [
            "text",
            "image",
            "document",
            "tool_use",
            "tool_result",
            "thinking",
            "redacted_thinking",
            "search_result",
            "tool_addition",
            "mcp_toolset",
        ]
    ),
    st.dictionaries(_MEMBERS, _json, max_size=5),
)
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(_block | _json, max_size=3) | _json}
)
_bodies = st.fixed_dictionaries(
    {"messages": st.lists(_message, max_size=3) | _json},
    optional={
        "system": st.lists(_block, max_size=2) | _json,
        "tools": st.lists(_block | _json, max_size=2),
        "max_tokens": _json,
        "output_format": _block | _json,
        **dict.fromkeys(
            ("thinking", "output_config", "tool_choice", "metadata", "mcp_servers", "stop_sequences"), _json
        ),
    },
)


@settings(max_examples=60, deadline=None)
@given(_bodies)
def test_any_body_is_understood_or_refused(members: dict[str, Any]) -> None:
    """A strange body is the client's mistake, never a crash; and it passes to a target of this wire as it is."""
    body = RawBody(json.dumps({"model": "m"} | members).encode())
    assert MESSAGES.passing(body, "m").body == body.raw
    with contextlib.suppress(BadBody):
        MESSAGES.check(body)
    with contextlib.suppress(BadBody, Unsupported):
        MESSAGES.read_request(body)


def test_turns_of_the_model_in_a_row_are_one() -> None:
    """As the wire has it: the calls in them are parallel, and their results come together."""
    calls: list[Any] = [{"type": "tool_use", "id": name, "name": "look", "input": {}} for name in ("a", "b")]
    results = [{"type": "tool_result", "tool_use_id": name, "content": "ok"} for name in ("a", "b")]
    said = [{"role": "user", "content": "Go"}, *({"role": "assistant", "content": [call]} for call in calls)]
    request = decoded(messages=[*said, {"role": "user", "content": results}])
    assert [(message.role, len(message.parts)) for message in request.messages] == [
        (Role.USER, 1),
        (Role.ASSISTANT, 2),
        (Role.USER, 2),
    ]
