"""What only one of the other clients does."""

from __future__ import annotations

from tests.clients.clients import (
    AI_SDK,
    AI_SDK_ANTHROPIC,
    INSTRUCTOR,
    LANGCHAIN,
    OPENAI_NODE,
    PYDANTIC_AI,
    PYDANTIC_AI_ANTHROPIC,
    Client,
    each,
)
from tests.clients.conftest import Tried
from tests.clients.serving import Served
from tests.fakes.script import PLAIN, THOUGHT

CITY = {"city": "Paris", "inhabitants": 7}
TARGETS = {"local": "local/scripted", "cloud": "openai/scripted-cloud", "claude": "anthropic/claude-haiku-5-5"}


@each(INSTRUCTOR)
def test_instructor_asks_again_when_an_object_does_not_fit(
    tried: Tried, served: Served, client: Client, model: str
) -> None:
    """Its second body carries the bad call and what was wrong with it."""
    assert tried(client, model)["retried"] == CITY
    first, second = served.asked(f"[{client.name}/{model}/retried]")
    assert len(second["messages"]) > len(first["messages"])


@each(INSTRUCTOR)
def test_instructor_streams_partial_objects_and_uses_schemas(tried: Tried, client: Client, model: str) -> None:
    """By a streamed tool call, and by the wire's structured output."""
    outcomes = tried(client, model)
    assert outcomes["streamed"] == [CITY, True]
    assert outcomes["schema"] == CITY
    assert outcomes["structured"]["usage"] == [40, 8, 10]


@each(PYDANTIC_AI, PYDANTIC_AI_ANTHROPIC)
def test_pydantic_ai_gets_typed_output_by_a_tool_it_demands(tried: Tried, client: Client, model: str) -> None:
    """After a call of another tool, with a tool demanded in every turn."""
    assert tried(client, model)["typed_by_tool"] == CITY


@each(PYDANTIC_AI, PYDANTIC_AI_ANTHROPIC)
def test_pydantic_ai_sees_thinking(tried: Tried, client: Client, model: str) -> None:
    """As a part of its own, on either wire."""
    assert tried(client, model)["thinking"] == [["thinking", THOUGHT], ["text", PLAIN]]


@each(LANGCHAIN)
def test_langchain_gets_objects_by_tool_and_as_json(tried: Tried, client: Client, model: str) -> None:
    """Its two other methods."""
    outcomes = tried(client, model)
    assert outcomes["typed_by_tool"] == CITY
    assert outcomes["json_mode"] == {"city": "Paris"}


@each(AI_SDK, AI_SDK_ANTHROPIC)
def test_the_ai_sdk_sees_reasoning(tried: Tried, client: Client, model: str) -> None:
    """On either wire."""
    assert tried(client, model)["thinking"] == [THOUGHT, PLAIN]


@each(AI_SDK, AI_SDK_ANTHROPIC)
def test_the_ai_sdk_gets_objects_by_default(tried: Tried, client: Client, model: str) -> None:
    """By a schema on one wire, by a tool it demands on the other."""
    assert tried(client, model)["structured_by_default"] == CITY


@each(OPENAI_NODE)
def test_openai_node_reads_headers_models_and_streamed_objects(tried: Tried, client: Client, model: str) -> None:
    """And may leave a stream in its middle."""
    outcomes = tried(client, model)
    assert outcomes["headers"] == TARGETS[model]
    assert "auto" in outcomes["models"]
    assert outcomes["structured_streamed"] == CITY
    assert outcomes["aborted"] is True
