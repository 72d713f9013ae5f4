"""Facts read off a body of the responses wire."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import Hints
from runtime.routing.facts.query import RoutingQuery, read_query
from runtime.routing.facts.tokens import TokenEstimate


def query(**body: Any) -> RoutingQuery:
    return read_query("openai_responses", {"model": "auto", **body}, Hints(), {}, TokenEstimate())


def facts(**body: Any) -> Facts:
    return query(**body).facts


def test_a_text_and_its_instructions() -> None:
    """Both are counted, and what the user asks is what is scored."""
    found = facts(input="word " * 400, instructions="word " * 400, stream=True, max_output_tokens=50)
    assert 960 <= found.prompt_tokens <= 1060
    assert (found.model, found.stream, found.max_tokens, found.media) == ("auto", True, 50, False)
    assert query(input="Hi").score == query(input="Hi", instructions="word " * 400).score


def test_a_conversation() -> None:
    """Messages, calls, results and thinking; sealed thinking costs nothing that could be known."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "word " * 100}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "word " * 100}],
            "encrypted_content": "g" * 9999,
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": "' + "word " * 100 + '"}'},
        {"type": "function_call_output", "call_id": "c", "output": "word " * 100},
    ]
    assert 480 <= facts(input=items).prompt_tokens <= 600


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, "image"),
        ({"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"}, "pdf"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
    ],
)
def test_media(part: dict[str, Any], modality: str) -> None:
    """By what the parts are."""
    assert modality in facts(input=[{"role": "user", "content": [part]}]).modalities


def test_tools_formats_and_probabilities() -> None:
    """In the members of this wire."""
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    found = facts(input="x", tools=[{"type": "function", "name": "f"}], text={"format": schema}, top_logprobs=2)
    assert (found.tools, found.structured, found.logprobs) == (True, True, True)
    assert facts(input="x", include=["message.output_text.logprobs"]).logprobs
    plain = facts(input="x", text={"format": {"type": "text"}})
    assert (plain.tools, plain.structured, plain.logprobs) == (False, False, False)


@pytest.mark.parametrize("given", [None, 3, [3], [[]], [{"content": {"a": 1}}], [{"type": 4, "id": []}], {}])
def test_nothing_strange_stops_the_reading(given: Any) -> None:
    """Reading judges no body."""
    assert facts(input=given, instructions=given, text=given, tools=given).prompt_tokens >= 0
