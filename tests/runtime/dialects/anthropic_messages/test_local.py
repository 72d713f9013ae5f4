"""A client of Anthropic's wire on a target of OpenAI's chat wire: the whole way there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.codec import Unsupported
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.profile import VLLM
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.write_request import write_request
from runtime.dialects.translating import TranslatingMeter
from runtime.wire import sse
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.anthropic_messages import recordings, sdk

STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def engine_stream(answer: dict[str, Any]) -> bytes:
    """What an engine streams that says what this answer says."""
    text = "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[at : at + 7]} for at in range(0, len(text), 7)]
    for index, call in enumerate(calls):
        arguments = json.dumps(call["input"])
        function = {"name": call["name"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in arguments]
    ends: dict[str, Any] = {"prompt_tokens": 50, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 20}}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": STOPS[answer["stop_reason"]]}]})
    chunks.append({"choices": [], "usage": ends})
    head: dict[str, Any] = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1, "model": "engine"}
    return b"".join(sse.encode(json.dumps(head | chunk).encode()) for chunk in chunks) + b"data: [DONE]\n\n"


def answered(body: RawBody, answer: dict[str, Any]) -> bytes:
    """What the client gets, whatever the engine's chunks are cut to."""
    request = MESSAGES.read_request(body)
    meter = TranslatingMeter(ChatAnswerReader(), MESSAGES.write_answer(request))
    stream = engine_stream(answer)
    out = b"".join(meter.feed(stream[at : at + 100]) for at in range(0, len(stream), 100)) + meter.end()
    assert meter.failure is None
    assert meter.done
    return out


def said(message: dict[str, Any]) -> tuple[str, list[Any]]:
    blocks = message["content"]
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return text, [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]


@pytest.fixture(scope="module")
def plain(shared: Path) -> list[recordings.Recorded]:
    """Recorded exchanges another wire can say: no server tools in the answer, no stop of their own."""
    kinds = {"text", "tool_use", "thinking"}
    return [
        each
        for each in recordings.requests(shared)
        if each.path == "/messages" and each.status == 200 and each.whole is not None
        if each.whole["stop_reason"] in STOPS and {block["type"] for block in each.whole["content"]} <= kinds
    ]


def test_answers_come_back_as_they_were_given(plain: list[recordings.Recorded]) -> None:
    """Text, calls, stop reason and usage reach the vendor's SDK, whole and streamed."""
    assert plain
    for each in plain[::4]:
        whole = each.whole or {}
        for stream in (False, True):
            out = answered(RawBody(json.dumps(each.request | {"stream": stream}).encode()), whole)
            read = sdk.streamed(out) if stream else sdk.whole(out)
            assert said(read) == said(whole), each.name
            assert read["stop_reason"] == whole["stop_reason"], each.name
            usage = read["usage"]
            assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (30, 20, 9)


def test_requests_reach_the_engine(plain: list[recordings.Recorded]) -> None:
    """Texts, calls and limits of a recorded conversation stand in the body the engine gets."""
    refused = 0
    for each in plain:
        try:
            encoded = write_request(MESSAGES.read_request(RawBody(json.dumps(each.request).encode())), "engine", VLLM)
        except Unsupported:  # a document the engine cannot read, a tool only the vendor runs
            refused += 1
            continue
        sent = json.loads(encoded.call.body)
        assert sent["max_completion_tokens"] == each.request["max_tokens"], each.name
        wanted = {entry["name"] for entry in each.request.get("tools") or () if "input_schema" in entry}
        assert {entry["function"]["name"] for entry in sent.get("tools", ())} == wanted, each.name
    assert refused < len(plain) / 3


def test_what_only_the_vendor_runs_is_left_out_and_named() -> None:
    """It was offered, and the model may do without; a choice that demands it is refused."""
    ask: dict[str, Any] = {"model": "local", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    searching = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    for members in (searching, {"mcp_servers": [{"type": "url", "name": "x", "url": "https://a.example"}]}):
        written = write_request(MESSAGES.read_request(RawBody(json.dumps(ask | members).encode())), "engine", VLLM)
        assert "tools" in written.dropped
        assert b'"tools"' not in written.call.body
        for choice in ({"type": "any"}, {"type": "tool", "name": "web_search"}):
            body = RawBody(json.dumps(ask | members | {"tool_choice": choice}).encode())
            with pytest.raises(Unsupported):
                write_request(MESSAGES.read_request(body), "engine", VLLM)


def test_what_the_engine_does_not_know_is_named() -> None:
    """Everything that is left out is named."""
    raw = b'{"model":"l","max_tokens":9,"messages":[{"role":"user","content":"x"}],"context_management":{"edits":[]}}'
    assert write_request(MESSAGES.read_request(RawBody(raw)), "engine", VLLM).dropped == ("context_management",)


def test_a_cut_engine_stream_is_a_failure() -> None:
    """A truncated answer never ends with a stop reason."""
    body = RawBody(b'{"model":"local","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}')
    meter = TranslatingMeter(ChatAnswerReader(), MESSAGES.write_answer(MESSAGES.read_request(body)))
    answer = {"content": [{"type": "text", "text": "Hello there, you"}], "stop_reason": "end_turn"}
    meter.feed(b"\n\n".join(engine_stream(answer).split(b"\n\n")[:3]) + b"\n\n")
    assert meter.end() == b""
    assert meter.failure is not None
