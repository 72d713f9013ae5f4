"""Habits of one vendor that clients and servers keep on another's wire: switches for thinking, ways to count tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.anthropic.codec import AnthropicCodec
from cloud.catalogue import known
from cloud.gemini.codec import GeminiCodec
from cloud.gemini.read_answer import GeminiAnswerReader
from cloud.openai.two_wires import OpenAITwoWires
from cloud.providers import OPENAI
from runtime.contract.events import Event
from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.anthropic_messages.words import usage_object
from runtime.dialects.openai_chat.meter import usage_of as chat_usage
from runtime.dialects.openai_chat.read_request import read_request as read_chat
from runtime.dialects.openai_responses.words import usage_of as responses_usage
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.anthropic_messages import sdk

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HI = [{"role": "user", "content": "Hi"}]
CLAUDE = AnthropicCodec(lambda: NOW)


def target(provider: str, model: str) -> Target:
    catalogued = known(provider, model)
    assert catalogued is not None
    return Target("t", provider, model, catalogued)


@pytest.mark.parametrize(
    ("members", "meant"),
    [
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, ({"type": "adaptive"}, "high")),
        ({"thinking": {"type": "enabled"}}, ({"type": "adaptive"}, "medium")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, ({"type": "adaptive"}, "low")),
        ({"enable_thinking": True, "thinking_budget": 9000}, ({"type": "adaptive"}, "high")),
    ],
)
def test_a_switch_for_thinking_is_an_effort(members: dict[str, Any], meant: tuple[dict[str, str], str]) -> None:
    """DeepSeek's and Qwen's switches reach Claude as thinking that it takes; nothing is dropped and nothing sent as it was."""
    request = read_chat(RawBody(json.dumps({"model": "auto", "messages": HI, **members}).encode()))
    encoded = CLAUDE.encode(request, target("anthropic", "claude-sonnet-5-5"))
    body = json.loads(encoded.call.body)
    assert (body["thinking"]["type"], body["output_config"]["effort"]) == (meant[0]["type"], meant[1])
    assert "enable_thinking" not in body
    older = json.loads(CLAUDE.encode(request, target("anthropic", "claude-haiku-4-5")).call.body)
    assert older["thinking"]["type"] == "enabled"
    assert older["thinking"]["budget_tokens"] >= 1024
    gemini = GeminiCodec().encode(request, target("gemini", "gemini-3.8-flash"))
    assert "thinking" not in gemini.dropped


@pytest.mark.parametrize(
    "members", [{"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, {"enable_thinking": False}]
)
def test_a_switch_that_is_off_wins(members: dict[str, Any]) -> None:
    """Clients leave the effort in their body when they switch thinking off."""
    request = read_chat(RawBody(json.dumps({"model": "auto", "messages": HI, **members}).encode()))
    body = json.loads(CLAUDE.encode(request, target("anthropic", "claude-haiku-4-5")).call.body)
    assert "thinking" not in body


@pytest.mark.parametrize(
    "thinking", [{"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 9000}]
)
def test_a_budget_beside_a_tool_takes_the_responses_wire(thinking: dict[str, Any]) -> None:
    """OpenAI refuses effort and tools together on chat, whichever way the client asked for the effort."""
    tool = {"name": "look", "input_schema": {"type": "object"}}
    ask = {"model": "auto", "max_tokens": 20_000, "messages": HI, "tools": [tool], "thinking": thinking}
    request = MESSAGES.read_request(RawBody(json.dumps(ask).encode()))
    codec = OpenAITwoWires(lambda: NOW, OPENAI)
    call = codec.encode(request, target("openai", "gpt-5.4")).call
    assert call.path == "/responses"
    assert json.loads(call.body)["reasoning"]["effort"] == ("low" if thinking["budget_tokens"] == 2000 else "high")


@pytest.mark.parametrize(("prompt", "cached", "written"), [(24, 161, 0), (0, 7, 0), (24, 161, 40)])
def test_tokens_beside_the_prompt_belong_to_it(prompt: int, cached: int, written: int) -> None:
    """More cached than in the prompt: the prompt is the rest, and a client of the messages wire sees both."""
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    chat = chat_usage({"prompt_tokens": prompt, "completion_tokens": 5, "prompt_tokens_details": details})
    responses = responses_usage(
        {"usage": {"input_tokens": prompt, "output_tokens": 5, "input_tokens_details": details}}
    )
    assert chat == responses
    assert chat is not None
    assert chat.prompt == prompt + cached + written
    assert usage_object(chat)["input_tokens"] == prompt
    assert usage_object(chat)["cache_read_input_tokens"] == cached


def test_tokens_within_the_prompt_stay_there() -> None:
    """The usual way to count; a token that a server counts both as read from the cache and as written to it counts once."""
    for cached, written, counts in ((20, 4, 4), (24, 24, 0)):
        details = {"cached_tokens": cached, "cache_write_tokens": written}
        counted = chat_usage({"prompt_tokens": 24, "completion_tokens": 5, "prompt_tokens_details": details})
        assert counted == Usage(24, 5, cached, counts, 0)


GROUNDS = {
    "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
    "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5, "text": "Paris"}, "groundingChunkIndices": [0]}],
}
CITED = {
    "type": "web_search_result_location",
    "url": "https://a.example",
    "title": "A",
    "cited_text": "Paris",
    "encrypted_index": "hearth:",
}


def grounded(*parts: dict[str, Any], **members: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, **members}
    return json.dumps({"responseId": "r", "modelVersion": "g", "candidates": [candidate]}).encode()


LAST = {"finishReason": "STOP", "groundingMetadata": GROUNDS}


@pytest.mark.parametrize(
    ("chunks", "place"),
    [
        ([grounded({"text": "Paris is."}, **LAST)], 0),
        ([grounded({"text": "Paris"}), grounded({"text": " is."}), grounded({"text": ""}, **LAST)], 0),
        ([grounded({"text": "Hm.", "thought": True}, {"text": "Paris"}), grounded(**LAST)], 1),
        ([grounded({"text": "Paris"}, {"functionCall": {"name": "f", "args": {}}}), grounded(**LAST)], 2),
    ],
)
def test_grounding_reaches_a_client_of_the_messages_wire(chunks: list[bytes], place: int) -> None:
    """Its last event names the sources, behind the end of the text; streamed and whole alike."""
    reader = GeminiAnswerReader(lambda number: f"call_{number}")
    events: list[Event] = [event for chunk in chunks for event in reader.feed("", chunk)]
    events += reader.finish()
    answers = []
    for stream in (True, False):
        ask = {"model": "auto", "max_tokens": 9, "messages": HI, "stream": stream}
        writer = MESSAGES.write_answer(MESSAGES.read_request(RawBody(json.dumps(ask).encode())))
        answers.append(b"".join(map(writer.feed, events)) + writer.end())
    sdk.check_events(answers[0])
    content = sdk.check_message(answers[1])["content"]
    assert sdk.streamed(answers[0]) == sdk.whole(answers[1])
    assert [place for place, block in enumerate(content) if block.get("citations")] == [place]
    assert content[place]["citations"] == [CITED]
    # A text without words goes back to no model.
    again = {"model": "m", "max_tokens": 9, "messages": [*HI, {"role": "assistant", "content": content}]}
    passed = json.loads(MESSAGES.passing(RawBody(json.dumps(again).encode()), "m").body)["messages"][1]["content"]
    assert all(block.get("text") != "" and "citations" not in block for block in passed)
