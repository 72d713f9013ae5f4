"""Recorded traffic of this wire, both ways: what the vendor's own SDK makes of an answer, we make of it too."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from runtime.dialects.openai_chat.profile import EFFORTS, ChatProfile
from runtime.dialects.openai_chat.read_request import read_request
from runtime.dialects.openai_chat.write_request import write_request
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.openai_chat.folding import Folded, chunks, decoded, fold, parsed, whole, written
from tests.runtime.dialects.openai_chat.recorded import Exchange, exchanges

RICH = ChatProfile(
    limit="max_completion_tokens",
    efforts=EFFORTS,
    verbosity=True,
    metadata=True,
    refusals=True,
    allowed_tools=True,
    tiers=frozenset({"auto", "default", "flex", "priority", "on_demand"}),
    files=True,
    file_ids=True,
    file_urls=True,
    videos=True,
)
GENEROUS = replace(RICH, marks=True, echo="reasoning_content", echo_turns="all")


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[Exchange]:
    found = exchanges(shared)
    assert len(found) > 300
    return found


@pytest.fixture(scope="module")
def answers(recorded: list[Exchange]) -> list[Exchange]:
    return [each for each in recorded if each.status == 200]


def unfinished(exchange: Exchange) -> bool:
    """A stream without a finish reason and without usage in its last chunk."""
    reasons = (choice.get("finish_reason") for chunk in exchange.chunks for choice in chunk.get("choices") or [])
    return bool(exchange.sse) and not any(reasons) and not exchange.chunks[-1].get("usage")


def of_sdk(exchange: Exchange) -> Folded:
    """The answer as the SDK's own types and its own accumulation have it."""
    if exchange.body is not None:
        completion = ChatCompletion.construct(**exchange.body)
    else:
        state = ChatCompletionStreamState()
        called = set()
        for chunk in exchange.chunks:
            for choice in chunk["choices"]:
                choice["delta"].pop("annotations", None)  # its accumulation refuses this list in two chunks
                for call in choice["delta"].get("tool_calls") or ():
                    if call["index"] in called:
                        call["function"].pop("name", None)  # … and doubles a name that is told twice
                    called.add(call["index"])
            state.handle_chunk(ChatCompletionChunk.construct(**chunk))
        completion = state.current_completion_snapshot
    return _folded(completion.to_dict())


def _folded(body: dict[str, Any]) -> Folded:
    choice = body["choices"][0]
    message = choice["message"]
    functions = [call["function"] for call in message.get("tool_calls") or []] or [
        legacy for legacy in (message.get("function_call"),) if legacy
    ]
    return Folded(
        text=message.get("content") or "",
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        refusal=message.get("refusal") or "",
        calls=[(function["name"], parsed(function["arguments"])) for function in functions],
        finish=choice.get("finish_reason"),
    )


def test_every_answer_is_what_the_sdk_makes_of_it(answers: list[Exchange]) -> None:
    """Text, thinking, refusal, calls and finish reason; the streams without an end are the only exceptions."""
    for exchange in answers:
        got = fold(decoded(exchange.as_stream))
        if exchange.failed or unfinished(exchange):
            assert got.failure, exchange.id
            continue
        want = of_sdk(exchange)
        assert got.failure is None, exchange.id
        got.ids, got.usage = [], None
        assert got == want, exchange.id


def test_usage_is_found_wherever_it_stands(answers: list[Exchange]) -> None:
    """In a chunk of its own, in the last one with choices, and under a vendor's member."""
    seen = 0
    for exchange in answers:
        bodies = [exchange.body] if exchange.body is not None else exchange.chunks
        told = [body.get("usage") or (body.get("x_groq") or {}).get("usage") for body in bodies]
        want = next((usage for usage in reversed(told) if usage), None)
        got = fold(decoded(exchange.as_stream)).usage
        if want is None or exchange.failed:
            continue
        seen += 1
        assert got is not None, exchange.id
        assert (got.prompt, got.completion) == (want["prompt_tokens"], want["completion_tokens"]), exchange.id
        assert got.cached == ((want.get("prompt_tokens_details") or {}).get("cached_tokens") or 0), exchange.id
    assert seen > 250


def test_any_split_of_a_stream_decodes_the_same(answers: list[Exchange]) -> None:
    """Where the network cuts a stream says nothing about it."""
    chance = random.Random(7)
    for exchange in answers:
        if not exchange.sse:
            continue
        stream = exchange.as_stream
        want = decoded(stream)
        for pieces in (1, 7, 40):
            cuts = [chance.randrange(len(stream)) for _ in range(pieces)]
            assert decoded(stream, cuts) == want, exchange.id


def test_a_cut_stream_is_never_whole(answers: list[Exchange]) -> None:
    """Half of any recorded stream ends as a failure."""
    for exchange in answers:
        if exchange.sse and not unfinished(exchange):
            half = exchange.as_stream[: len(exchange.as_stream) // 2]
            assert fold(decoded(half)).failure, exchange.id


@pytest.mark.parametrize("stream", [True, False])
def test_every_answer_written_again_says_the_same(answers: list[Exchange], stream: bool) -> None:
    """Decoded, written as a stream and whole, and read by the SDK: nothing of substance has changed."""
    for exchange in answers:
        if exchange.failed or unfinished(exchange):
            continue
        events = decoded(exchange.as_stream)
        request = replace(
            read_request(RawBody(json.dumps(exchange.request).encode())), stream=stream, include_usage=True
        )
        want, got = fold(events), _read_back(written(events, request), stream)
        want.ids, want.usage, want.finish = [], None, None
        got.finish = None
        assert got == want, exchange.id


def _read_back(out: bytes, stream: bool) -> Folded:
    if not stream:
        return _folded(whole(out))
    state = ChatCompletionStreamState()
    for chunk in chunks(out):
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    return _folded(state.current_completion_snapshot.to_dict())


@cache
def _oracle(shared: Path) -> jsonschema.Draft202012Validator:
    schema = json.loads((shared / "oracles" / "openai_CompletionCreateParams.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def test_every_recorded_request_is_understood(recorded: list[Exchange]) -> None:
    """Each is decoded, and each member it has that the contract does not know is kept for this wire."""
    for exchange in recorded:
        request = read_request(RawBody(json.dumps(exchange.request).encode()))
        assert len(request.messages) <= len(exchange.request["messages"]), exchange.id
        assert len(request.tools) + len(request.extra.get("openai_chat", {}).get("tools", [])) == len(
            (exchange.request.get("tools") or []) + (exchange.request.get("functions") or [])
        ), exchange.id


def test_every_request_encoded_again_is_accepted_by_the_vendors_types(recorded: list[Exchange], shared: Path) -> None:
    """The vendor's types accept of our body what they accept of the recorded one; other hosts' own members pass unchanged."""
    checked, seen = 0, set()
    for exchange in recorded:
        shape = _shape(exchange.request)
        if shape in seen:
            continue
        seen.add(shape)
        if next(_oracle(shared).iter_errors(exchange.request), None) is not None:
            continue  # a host's own members: its types are not these
        request = replace(read_request(RawBody(json.dumps(exchange.request).encode())), n=1, logprobs=None)
        body = json.loads(write_request(request, exchange.request["model"], RICH).call.body)
        assert [error.message[:200] for error in _oracle(shared).iter_errors(body)] == [], exchange.id
        checked += 1
    assert checked > 50


def _shape(value: Any) -> str:
    """The vendor's types' view of a value: of bodies equal in it one is checked."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_shape(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dict.fromkeys(map(_shape, value))) + "]"
    return type(value).__name__


def test_requests_survive_a_round_trip(recorded: list[Exchange]) -> None:
    """Decoded, encoded and decoded again, a request is the same."""
    for exchange in recorded:
        request = read_request(RawBody(json.dumps(exchange.request).encode()))
        plain = replace(request, n=1, logprobs=None, stream=True, include_usage=True)
        again = read_request(RawBody(write_request(plain, request.model, GENEROUS).call.body))
        if "functions" in exchange.request:
            continue  # the old spelling becomes the new one
        assert again == plain, exchange.id
