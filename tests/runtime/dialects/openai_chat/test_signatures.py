"""Signatures come back to their model, through clients that echo everything and clients that strip unknown members."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    OpaqueBlock,
    ReasoningDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
)
from runtime.contract.messages import Message, Opaque, Reasoning, Request, Role, Text, ToolCall
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_chat.read_request import read_request
from runtime.dialects.openai_chat.signatures import Bound, ModelTurn, SignatureCache, Thread
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.openai_chat.folding import asked, whole, written

HELLO = {"role": "user", "content": "hello"}
ORIGIN = {"hearth": {"model": "thinker"}}
SIGNED = Reasoning("hm", "s1", extra=ORIGIN)
SEALED = Reasoning(redacted="d", extra=ORIGIN)
STEP: list[Event] = [
    Start("1", "thinker"),
    ReasoningDelta(0, "hm"),
    ReasoningDelta(0, signature="s1"),
    TextDelta(1, "Let me see."),
    ReasoningDelta(2, redacted="d"),
    ToolCallStart(3, "c1", "weather", "s2"),
    ArgumentsDelta(3, "{}"),
    OpaqueBlock(4, Opaque("other", {"kind": "search"})),
    ToolCallStart(5, "c2", "clock"),
    Stop("tool_calls"),
]
WANT = (
    SIGNED,
    Text("Let me see."),
    SEALED,
    ToolCall("c1", "weather", "{}", "s2", extra=ORIGIN),
    Opaque("other", {"kind": "search"}),
    ToolCall("c2", "clock", "{}"),
)
WORDS: list[Event] = [
    Start("1", "thinker"),
    ReasoningDelta(0, "hm"),
    ReasoningDelta(0, signature="s1"),
    TextDelta(1, "yes"),
    Stop("stop"),
]


def told(events: list[Event], cache: SignatureCache | None = None, request: Request | None = None) -> dict[str, Any]:
    found: dict[str, Any] = whole(written(events, request or asked(), cache))["choices"][0]["message"]
    return found


def read(*messages: dict[str, Any], cache: SignatureCache | None = None) -> Request:
    return read_request(RawBody(json.dumps({"model": "auto", "messages": messages}).encode()), cache)


def stripped(message: dict[str, Any]) -> dict[str, Any]:
    """The message as a client keeps it that knows the wire's own members alone."""
    calls = [{name: call[name] for name in ("id", "type", "function")} for call in message.get("tool_calls", [])]
    return {"role": "assistant", "content": message["content"]} | ({"tool_calls": calls} if calls else {})


def test_an_echoed_turn_is_what_the_model_made() -> None:
    """Thinking, words, calls and foreign blocks in their order, with every signature."""
    assert read(HELLO, told(STEP)).messages[1].parts == WANT


def test_a_stripped_turn_is_remembered_by_its_calls() -> None:
    """The ids of calls are the model's own, and enough."""
    cache = SignatureCache()
    message = stripped(told(STEP, cache))
    assert read(HELLO, message, cache=cache).messages[1].parts == WANT
    assert SIGNED not in read(HELLO, message).messages[1].parts


def test_a_stripped_turn_without_calls_is_remembered_by_its_conversation() -> None:
    """The same words in another conversation are another turn: a signature belongs to one."""
    cache = SignatureCache()
    message = stripped(told(WORDS, cache, read(HELLO)))
    assert read(HELLO, message, HELLO, cache=cache).messages[1].parts == (SIGNED, Text("yes"))
    other = {"role": "user", "content": "bye"}
    assert read(other, message, cache=cache).messages[1].parts == (Text("yes"),)


def test_a_later_turn_is_remembered_too() -> None:
    """Remembered thinking does not change the digest of the conversation behind it."""
    cache = SignatureCache()
    first = stripped(told(WORDS, cache, read(HELLO)))
    told(WORDS, cache, read(HELLO, first, HELLO, cache=cache))
    request = read(HELLO, first, HELLO, first, cache=cache)
    assert [message.parts[0] for message in request.messages if message.role is Role.ASSISTANT] == [SIGNED, SIGNED]


def test_unsigned_thinking_is_echoed_and_not_kept() -> None:
    """No model asks for it back with proof."""
    cache = SignatureCache()
    events: list[Event] = [Start("1", "m"), ReasoningDelta(0, "hm"), TextDelta(1, "yes"), Stop("stop")]
    message = told(events, cache)
    assert "extra_content" not in message
    assert len(cache) == 0
    assert read(HELLO, message).messages[1].parts == (Reasoning("hm"), Text("yes"))


def test_what_a_client_did_to_our_members_breaks_nothing() -> None:
    """They are read for what they still say."""
    for extra in (None, 5, {"hearth": 5}, {"hearth": {"parts": [5, {}, {"wire": 5}, {"reasoning": 5}]}}):
        assert read(HELLO, {"role": "assistant", "content": "yes", "extra_content": extra}).messages[1].parts == (
            Text("yes"),
        )


def test_a_cache_has_a_bound() -> None:
    """The oldest unused goes first, by entries and by bytes."""
    cache = SignatureCache(entries=2)
    turn = ModelTurn("m", (Bound(Reasoning("x", "s")),))
    for key in ("a", "b"):
        cache.remember([key], turn)
    assert cache.recall("a") is turn
    cache.remember(["c"], turn)
    assert cache.recall("b") is None
    assert len(cache) == 2
    small = SignatureCache(size=(turn.size + 1) * 2)  # the keys count too
    small.remember(["a", "b", "c"], turn)
    assert (len(small), small.held) == (2, (turn.size + 1) * 2)
    small.remember(["b"], turn)
    assert small.held == (turn.size + 1) * 2


def test_a_conversations_digest() -> None:
    """Roles and words count, thinking does not."""
    user = Message(Role.USER, (Text("a"),))
    plain = Message(Role.ASSISTANT, (Text("b"),))
    thought = Message(Role.ASSISTANT, (Reasoning("x"), Text("b")))
    assert Thread((user, plain)).key("c") == Thread((user, thought)).key("c")
    assert Thread((user, plain)).key("c") != Thread((plain, user)).key("c")
    assert Thread((user,)).key("c") != Thread((user,)).key("d")


def test_bytes_that_pass_carry_nothing_of_ours() -> None:
    """A conversation that moves to a strict server leaves what was another model's behind; the rest keeps its bytes."""
    message = told(STEP)
    user = '{"role": "user",  "content": "hello", "extra_content": {"vendor": {"a": 1}}}'
    raw = f'{{"model":"auto", "messages": [{user}, {json.dumps(message)}], "seed": 1}}'
    passed = ChatDialect().passing(RawBody(raw.encode()), "served").body.decode()
    assert user in passed
    kept = json.loads(passed)["messages"][1]
    assert set(kept) == {"role", "content", "refusal", "tool_calls"}
    assert all(set(call) == {"id", "type", "function"} for call in kept["tool_calls"])


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"auto","messages":[{"role":"user","content":"\\"extra_content\\""}]}',
        b'{"model":"auto","messages":[{"role":"assistant","tool_calls":[{"id":"c","extra_content":{"vendor":{}}}]}]}',
    ],
)
def test_bytes_without_anything_of_ours_stay_as_they_are(raw: bytes) -> None:
    """A vendor's own members are the vendor's."""
    assert ChatDialect().passing(RawBody(raw), "auto").body == raw
