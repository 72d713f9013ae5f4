"""The facts of a body in Anthropic's messages wire."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import NO_HINTS
from runtime.routing.facts.query import RoutingQuery, read_query
from runtime.routing.facts.tokens import IMAGE_TOKENS, TokenEstimate


def query(**members: Any) -> RoutingQuery:
    body = {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}], **members}
    return read_query("anthropic_messages", body, NO_HINTS, {}, TokenEstimate())


def facts(**members: Any) -> Facts:
    return query(**members).facts


def messages_of(*blocks: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(blocks)}]


def test_text_is_counted_wherever_it_stands() -> None:
    """Instructions, text blocks, calls, results, thinking and tools all cost tokens."""
    long = "word " * 400
    plain = facts().prompt_tokens
    places: list[dict[str, Any]] = [
        {"system": long},
        {"system": [{"type": "text", "text": long}]},
        {"messages": messages_of({"type": "text", "text": long})},
        {"messages": messages_of({"type": "tool_use", "id": "t", "name": "f", "input": {"a": long}}, role="assistant")},
        {"messages": messages_of({"type": "tool_result", "tool_use_id": "t", "content": long})},
        {
            "messages": messages_of(
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": long}]}
            )
        },
        {"messages": messages_of({"type": "thinking", "thinking": long, "signature": "x" * 9000}, role="assistant")},
        {"messages": messages_of({"type": "document", "source": {"type": "text", "data": long}})},
        {"messages": messages_of({"type": "document", "source": {"type": "content", "content": long}})},
        {"tools": [{"name": "f", "description": long, "input_schema": {"type": "object"}}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {"description": long}}}},
    ]
    for members in places:
        assert 450 < facts(**members).prompt_tokens - plain < 600, members


def test_what_the_user_asked_is_not_what_a_tool_answered() -> None:
    """A result is seen, and the question stays the user's last own words."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "def answer(): return 42"}
    messages = [
        *messages_of({"type": "text", "text": "Why?"}),
        *messages_of(call, role="assistant"),
        *messages_of(result),
    ]
    read = query(messages=messages)
    assert "def answer()" in read.head
    assert "why?" in read.head


@pytest.mark.parametrize(
    ("block", "modality"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://a.example/i"}}, "image"),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVA="}}, "pdf"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "pdf"),
        ({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]}, "image"),
    ],
)
def test_media_are_seen(block: dict[str, Any], modality: str) -> None:
    """Images and documents, also in what a tool answered."""
    read = facts(messages=messages_of({"type": "text", "text": "What is it?"}, block))
    assert read.modalities == {"text", modality}
    assert read.prompt_tokens >= IMAGE_TOKENS


def test_text_documents_are_text() -> None:
    """A target that reads text can read them."""
    assert facts(messages=messages_of({"type": "document", "source": {"type": "text", "data": "x"}})).modalities == {
        "text"
    }


def test_limits_tools_and_schemas() -> None:
    """The constraints on a target are read off this wire's own members."""
    plain = facts()
    assert (plain.max_tokens, plain.tools, plain.structured, plain.n) == (64, False, False, 1)
    assert facts(tools=[{"name": "f"}]).tools
    wanted = {"type": "json_schema", "schema": {}}
    assert facts(output_config={"format": wanted}).structured
    assert facts(output_format=wanted).structured


@pytest.mark.parametrize("odd", [None, 7, "x", [], [None], [{"type": []}], {"type": {}}])
def test_no_body_raises(odd: Any) -> None:
    """Reading judges no body."""
    facts(messages=odd, system=odd, tools=odd, output_config=odd)
    facts(messages=[{"role": odd, "content": odd}, odd])
    facts(messages=messages_of(odd, {"type": "document", "source": odd}, {"type": "tool_result", "content": odd}))
