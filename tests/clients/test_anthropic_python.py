"""What only anthropic-python is asked, of both generations: they authenticate differently and speak different versions."""

from __future__ import annotations

from tests.clients.clients import ANTHROPIC_1, ANTHROPIC_2, Client, each
from tests.clients.conftest import Tried
from tests.fakes.script import PLAIN, THOUGHT

BOTH = (ANTHROPIC_2, ANTHROPIC_1)


@each(*BOTH)
def test_the_two_generations_differ(tried: Tried, client: Client, model: str) -> None:
    """Both are let in: the key as a bearer token or as x-api-key, either version of the wire."""
    expected = {ANTHROPIC_2: ["Authorization", "2026-10-21"], ANTHROPIC_1: ["X-Api-Key", "2023-06-01"]}
    assert tried(client, model)["generation"] == expected[client]


@each(*BOTH)
def test_the_events_of_a_stream(tried: Tried, client: Client, model: str) -> None:
    """In the order that the wire demands."""
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    events = [event for event in tried(client, model)["events"] if event != "ping"]
    assert events == ["message_start", *block, "message_delta", "message_stop"]


@each(*BOTH)
def test_reasoning_is_a_thinking_block(tried: Tried, client: Client, model: str) -> None:
    """Before the text."""
    assert tried(client, model)["thinking"] == [["thinking", THOUGHT], ["text", PLAIN]]


@each(*BOTH)
def test_the_clients_own_tool_runner(tried: Tried, client: Client, model: str) -> None:
    """It calls beta routes."""
    assert tried(client, model)["tool_runner"] == "The tools said: sunny, 21 degrees; snow"


@each(*BOTH)
def test_a_tool_can_be_forced(tried: Tried, client: Client, model: str) -> None:
    """By its name."""
    assert tried(client, model)["forced_tool"] == {"city": "Paris"}


@each(*BOTH)
def test_an_object_can_be_streamed(tried: Tried, client: Client, model: str) -> None:
    """And is parsed at the end."""
    assert tried(client, model)["structured_streamed"] == {"city": "Paris", "inhabitants": 7}


@each(*BOTH)
def test_tokens_are_counted(tried: Tried, client: Client, model: str) -> None:
    """Nothing is generated for it."""
    assert 10 <= tried(client, model)["count_tokens"] <= 200


@each(*BOTH)
def test_the_models_are_listed(tried: Tried, client: Client, model: str) -> None:
    """In this wire's shape, one by one too."""
    outcomes = tried(client, model)
    assert {"auto", "local/scripted", "openai/scripted-cloud"} <= set(outcomes["models"])
    assert outcomes["model"] == ["auto", "model"]


@each(*BOTH)
def test_a_bad_body_is_the_clients_own_error(tried: Tried, client: Client, model: str) -> None:
    """400, with the wire's own type."""
    assert tried(client, model)["bad_body"] == ["BadRequestError", 400, "invalid_request_error"]
