"""Bodies that began as good ones and had parts exchanged, removed and nested, through every dialect's reader and every writer.

Each is read or refused: no other exception, no hang. `HEARTH_TEST_BODIES` sets how many are made for each dialect.
"""

# ruff: noqa: E501 - a document is read in one piece

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from cloud.openai.compatible import OpenAICodec
from runtime.contract.codec import Codec, Unsupported
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.anthropic_messages.counting import COUNT_TOKENS
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.conversation import references
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.pooling import EMBEDDINGS, RERANK
from runtime.dialects.seam import Dialect
from runtime.quality.sample.answers import answer_text
from runtime.routing.facts.hints import BadHint, read_hints
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate
from runtime.trust.personal import kinds_of, redacted_value
from runtime.wire.raw_body import BadBody, RawBody

BODIES = int(os.environ.get("HEARTH_TEST_BODIES", "60"))
LONGEST_S = 2.0  # CPU of one body of a few kilobytes, on the slowest machine
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CAN = Capabilities(modalities=frozenset({"text", "image", "audio", "document"}))
CODECS: dict[str, Codec] = {
    "anthropic": AnthropicCodec(lambda: NOW),
    "gemini": GeminiCodec(),
    "openai": OpenAICodec(lambda: NOW),
}

SCHEMA = {"type": "object", "properties": {"a": {"type": ["string", "null"], "enum": ["x"]}}, "required": ["a"]}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":"x"}'}}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
LIMITS = {"temperature": 1, "top_p": 0.5, "stop": ["x"], "stream": True, "user": "u", "metadata": {"a": "b"}}
GOOD: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "chat": (
        ChatDialect(wall=lambda: 0.0),
        {
            "model": "auto",
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": IMAGE}},
                                             {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": "r"},
            ],
            "tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}, "max_completion_tokens": 9,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            "reasoning_effort": "low", "stream_options": {"include_usage": True}, "logprobs": True, "top_logprobs": 2, "n": 1,
            "hearth": {"requires": ["hipaa"], "ttft_ms": 5, "session": "s", "sample": False}, **LIMITS,
        },
    ),
    "messages": (
        MESSAGES,
        {
            "model": "auto", "max_tokens": 9,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                                             {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}, "title": "t", "citations": {"enabled": True}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "s"}, {"type": "tool_use", "id": "c", "name": "f", "input": {"a": "x"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "r"}], "is_error": False}]},
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "tool", "name": "f"}, "thinking": {"type": "enabled", "budget_tokens": 1024}, "stop_sequences": ["x"],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}, "stream": True, "metadata": {"user_id": "u"},
        },
    ),
    "responses": (
        ResponsesDialect(),
        {
            "model": "auto", "instructions": "s", "max_output_tokens": 9, "reasoning": {"effort": "low", "summary": "auto"},
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": IMAGE}]},
                {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "h"}], "encrypted_content": "e"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":"x"}'},
                {"type": "function_call_output", "call_id": "c", "output": "r"},
                {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "g", "parameters": SCHEMA}]},
                {"type": "item_reference", "id": "i"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}, {"type": "web_search"},
                      {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "h", "parameters": SCHEMA}]},
                      {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}],
            "tool_choice": "auto", "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}, "store": True,
            "include": ["message.output_text.logprobs"], "previous_response_id": None, "stream": True, "metadata": {"a": "b"},
        },
    ),
    "completions": (COMPLETIONS, {"model": "auto", "prompt": ["a", "b"], "max_tokens": 5, "suffix": "s", "echo": True, "logprobs": 1, **LIMITS}),
    "embeddings": (EMBEDDINGS, {"model": "auto", "input": ["a", [1, 2]], "encoding_format": "float", "dimensions": 8}),
    "rerank": (RERANK, {"model": "auto", "query": "a", "documents": ["b", {"text": "c"}], "top_n": 1}),
    "count": (COUNT_TOKENS, {"model": "auto", "system": "s", "messages": [{"role": "user", "content": "t"}], "tools": [{"name": "f", "input_schema": SCHEMA}]}),
}  # fmt: skip

DEEP: Any = "x"
for _ in range(150):
    DEEP = [DEEP]
ODD = st.sampled_from(
    [None, True, 0, -1, 1e308, 1 << 62, "", "x", "\x00", "\ud800", "data:", "data:;base64,", "https://[", "null", "{", "9" * 400,
     "x" * 5000, [], {}, [None], [[]], [{}], {"": None}, {"type": None}, {"type": "text"}, {"type": []}, {"$ref": "#"}, DEEP, "auto", "tool",
     "user", "assistant", "function", "file", {"type": "function"}, {"content": 1}, ["text", 1, {}]]
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list and object of a document with each of its keys."""
    for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(each, dict | list):
            yield from places(each)


@st.composite
def bodies(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """A good body with one to five changes."""
    body = deepcopy(good)
    for _ in range(draw(st.integers(1, 5))):
        where = list(places(body))
        if not where:
            break
        holder, key = draw(st.sampled_from(where))
        match draw(st.sampled_from(["exchange", "exchange", "remove", "copy", "rename", "repeat"])):
            case "exchange":
                holder[key] = deepcopy(draw(ODD))
            case "remove":
                del holder[key]
            case "copy":
                other, name = draw(st.sampled_from(where))
                if name in other if isinstance(other, dict) else name < len(other):
                    holder[key] = deepcopy(other[name])
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["type", "content", "id", "x", "role", "name"]))] = holder.pop(key)
            case "repeat" if isinstance(holder, list):
                holder.extend(deepcopy(holder[:1]) * draw(st.integers(1, 30)))
            case _:
                pass
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # half of a character: JSON has it as an escape
        return json.dumps(body).encode()


def pushed_through(dialect: Dialect, raw: bytes) -> None:
    """All that a body meets between the door and a vendor's address. Raises what is no refusal."""
    try:
        body = RawBody(raw)
        dialect.check(body)
        hints = read_hints(body.data, {})
    except (BadBody, BadHint):
        return
    query = read_query(dialect.name, body.data, hints, {}, TokenEstimate())
    assert 0 <= query.score < 1 and query.task and query.facts.prompt_tokens >= 0
    kinds_of(body.data)
    redacted_value(body.data)
    dialect.streams(body)
    answer_text(dialect.name, raw)
    try:
        if dialect.name == "openai_responses":
            references(body)
        dialect.passing(body, "m")
        request = dialect.read_request(body)
    except (BadBody, Unsupported):
        return
    for provider, codec in CODECS.items():
        try:
            codec.encode(request, Target("t", provider, "m", CAN))
        except (Unsupported, BadBody):
            continue
    dialect.write_answer(request)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_body_passes(name: str) -> None:
    """The changes below begin with bodies that reach the writers."""
    dialect, good = GOOD[name]
    raw = msgspec.json.encode(good)
    dialect.check(RawBody(raw))
    pushed_through(dialect, raw)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.timeout(7200)
def test_a_changed_body_is_read_or_refused(name: str) -> None:
    """In little time."""
    dialect, good = GOOD[name]

    @settings(max_examples=BODIES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(bodies(good))
    def run(raw: bytes) -> None:
        began = time.process_time()
        pushed_through(dialect, raw)
        assert time.process_time() - began < LONGEST_S, raw[:2000]

    run()


FOUND: list[tuple[str, bytes]] = [
    # A description that is no text, beside a keyword that goes into the description.
    (
        "chat",
        b'{"messages":[{"role":"user","content":"s"}],"tools":[{"type":"function","function":{"name":"f","parameters":'
        b'{"type":"object","properties":{"a":{"description":true,"strict":true,"not":{}}}}}}]}',
    )
]
"""Bodies that once ended in another exception."""


@pytest.mark.parametrize(("name", "raw"), FOUND)
def test_what_was_found_once_is_read_or_refused(name: str, raw: bytes) -> None:
    pushed_through(GOOD[name][0], raw)
