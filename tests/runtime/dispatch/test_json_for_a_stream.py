"""A server that answers with one JSON body where a stream was asked for: the stream the client wants, or its one body."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.seam import Dialect
from runtime.life.ask import Ask
from runtime.settings import Retries
from runtime.wire.raw_body import RawBody
from tests.fakes.box import CHAT, LEAVE, Box, MemorySink
from tests.fakes.upstream import CUT, FakeBackend, Piece, Turn, engine_backend, told
from tests.fakes.wires import CHAT as CHAT_WIRE
from tests.fakes.wires import ENGINE, GENERATE, MESSAGES
from tests.runtime.dispatch.test_fetched_as_streams import COUNTS, RESPONSE, ResponsesWire

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
SAID: dict[str, Any] = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "tool_calls": [CALL]}
USED = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
CHOICE: dict[str, Any] = {"index": 0, "message": SAID, "finish_reason": "tool_calls"}
CHATTED = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [CHOICE],
    "usage": USED,
    "odd": 1,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 2},
    "odd": {"a": 1},
}
GENERATED = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2},
}
WIRES: dict[str, tuple[Any, dict[str, Any]]] = {
    "claude": (MESSAGES, MESSAGE),
    "gemini": (GENERATE, GENERATED),
    "chat": (CHAT_WIRE, CHATTED),
    "responses": (ResponsesWire(), RESPONSE | {"usage": COUNTS}),
    "engine": (ENGINE, CHATTED),
}
CLIENTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "chat": (CHAT, {"messages": [{"role": "user", "content": "hi"}]}),
    "messages": (MESSAGES_DIALECT, {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}),
    "responses": (ResponsesDialect(), {"input": "hi"}),
}


async def asked(wire: Any, dialect: Dialect, turn: Turn, **members: Any) -> tuple[Any, MemorySink]:
    backend: FakeBackend = wire.target("first", turn)
    local = backend if wire is ENGINE else engine_backend((Turn(told("never")),))
    box = Box(local, [] if wire is ENGINE else [backend], LEAVE, Retries(attempts=1), total_s=30.0)
    body = {"model": "local" if wire is ENGINE else "first", **members}
    ask = Ask("dec_1", dialect, RawBody(json.dumps(body).encode()), {}, box.clock())
    return await asyncio.wait_for(box.live(ask), 25)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [1_000_000, 7])
async def test_a_json_body_in_place_of_a_stream_is_a_whole_answer(
    wire: str, client: str, stream: bool, size: int
) -> None:
    """From every kind of upstream to every kind of client, in one piece or many, with its usage."""
    (upstream, answer), (dialect, members) = WIRES[wire], CLIENTS[client]
    raw = json.dumps(answer, indent=1).encode()
    turn = Turn([raw[at : at + size] for at in range(0, len(raw), size)], headers={"content-type": "application/json"})
    settled, sink = await asked(upstream, dialect, turn, stream=stream, **members)
    assert settled.error is None, settled.error
    assert b"Hello" in sink.body and (not stream or sink.body.startswith((b"data:", b"event:")))
    (row,) = settled.decision.attempts
    assert (row.prompt_tokens, row.completion_tokens) == (7, 2)


@pytest.mark.parametrize("wire", ["claude", "chat", "responses"])
async def test_on_the_same_wire_the_one_body_keeps_every_member(wire: str) -> None:
    """Those that nobody here knows too."""
    (upstream, answer), name = WIRES[wire], {"claude": "messages"}.get(wire, wire)
    dialect, members = CLIENTS[name]
    _, sink = await asked(upstream, dialect, Turn([b"\n\n  " + json.dumps(answer).encode()]), **members)
    assert json.loads(sink.body) == answer


async def test_a_json_completion_is_a_stream_too() -> None:
    """The completions wire, which only passes."""
    choice = {"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "stop"}
    answer = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": USED}
    for wire in (ENGINE, replace(CHAT_WIRE, dialects=frozenset({"openai_completions"}))):
        for stream in (True, False):
            turn = Turn([json.dumps(answer).encode()])
            settled, sink = await asked(wire, COMPLETIONS, turn, prompt="hi", stream=stream)
            assert settled.error is None and b"Hello" in sink.body
            assert stream or json.loads(sink.body) == answer


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wire", WIRES)
async def test_half_a_json_body_is_a_cut(wire: str, client: str) -> None:
    """It is no answer, however it ends."""
    (upstream, answer), (dialect, members) = WIRES[wire], CLIENTS[client]
    half = json.dumps(answer).encode()[:-20]
    cases: tuple[list[Piece], ...] = ([half], [half, CUT])
    for pieces in cases:
        settled, sink = await asked(upstream, dialect, Turn(pieces), stream=True, **members)
        assert settled.error is not None and sink.body == b""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wire", WIRES)
async def test_an_error_as_json_in_place_of_a_stream_is_judged_by_its_words(wire: str, client: str) -> None:
    """Status 200 or not."""
    upstream, (dialect, members) = WIRES[wire][0], CLIENTS[client]
    refused = CHAT_WIRE.refuses(200) if wire == "responses" else upstream.refuses(200)
    settled, sink = await asked(upstream, dialect, Turn(refused.pieces), stream=True, **members)
    assert settled.error is not None and sink.body == b""
    assert settled.decision.attempts[0].outcome != "ok"
