"""Signatures of other wires' models: carried through clients of this wire, never sent to this wire's own models."""

from __future__ import annotations

import json
from typing import Any

from runtime.contract.events import ArgumentsDelta, Event, ReasoningDelta, Start, Stop, TextDelta, ToolCallStart
from runtime.contract.messages import Reasoning, ToolCall
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.anthropic_messages.test_write_answer import written

ASK = {"role": "user", "content": "Hi"}


def body(*messages: Any) -> RawBody:
    return RawBody(json.dumps({"model": "auto", "max_tokens": 9, "messages": messages}).encode())


def answer() -> dict[str, Any]:
    """A signed call of another wire's model, as a client of this wire stores it."""
    events: list[Event] = [
        Start(model="maker"),
        ReasoningDelta(0, "Hm.", signature="dGhvdWdodA=="),
        ReasoningDelta(1, "Unsigned."),
        ReasoningDelta(2, redacted="b3A="),
        ToolCallStart(3, "c1", "look", signature="c2lnbmVk:+/="),
        ArgumentsDelta(3, "{}"),
        Stop("tool_calls"),
    ]
    message = json.loads(written(events, stream=False))
    return {"role": "assistant", "content": message["content"]}


def test_signatures_come_back_to_their_maker() -> None:
    """A client that sends its history back unchanged sends back every signature."""
    parts = MESSAGES.read_request(body(ASK, answer())).messages[1].parts
    assert parts == (
        Reasoning("Hm.", "dGhvdWdodA=="),
        Reasoning("Unsigned."),
        Reasoning(redacted="b3A="),
        ToolCall("c1", "look", "{}", signature="c2lnbmVk:+/=", extra={"hearth": {"model": "maker"}}),
    )


def test_a_damaged_signature_is_ignored() -> None:
    """A value that a client changed signs no call and breaks no request."""
    torn = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "hearth:call:???"}]}
    assert len(MESSAGES.read_request(body(ASK, torn)).messages) == 1


def test_foreign_blocks_are_not_sent_to_this_wires_models() -> None:
    """A target of this wire refuses signatures it did not make; it gets the conversation without those blocks."""
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "7"}]}
    passed = json.loads(MESSAGES.passing(body(ASK, answer(), result), "m").body)
    call = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    assert passed["messages"] == [ASK, {"role": "assistant", "content": [call]}, result]


def test_a_message_of_foreign_blocks_alone_is_left_out() -> None:
    """An empty message would be refused."""
    lone = {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "hearth:"}]}
    assert json.loads(MESSAGES.passing(body(ASK, lone, ASK), "m").body)["messages"] == [ASK, ASK]


def test_foreign_citations_are_not_sent() -> None:
    """A citation from another wire's search is taken off its text."""
    own = {"type": "web_search_result_location", "encrypted_index": "abc", "url": "u", "title": "t", "cited_text": "c"}
    text = {"type": "text", "text": "So.", "citations": [own, own | {"encrypted_index": "hearth:"}]}
    alone = {"type": "text", "text": "So.", "citations": [own | {"encrypted_index": "hearth:"}]}
    passed = json.loads(MESSAGES.passing(body(ASK, {"role": "assistant", "content": [text, alone]}), "m").body)
    assert passed["messages"][1]["content"] == [text | {"citations": [own]}, {"type": "text", "text": "So."}]


def test_every_other_byte_stays_as_written() -> None:
    """Only the foreign block is cut out of the bytes; spelling and order around it survive."""
    raw = (
        b'{"max_tokens": 1e1, "model": "auto", "messages": [{"content": [ '
        b'{"signature":"hearth:x","thinking":"","type":"thinking"},'
        b' {"text" : "\\u0041", "type":"text"} ], "role": "assistant"},{"role":"user","content":"\\"hearth: no mark"}]}'
    )
    passed = MESSAGES.passing(RawBody(raw), "m").body
    assert b'{"content": [{"text" : "\\u0041", "type":"text"}], "role": "assistant"}' in passed
    assert b'{"role":"user","content":"\\"hearth: no mark"}' in passed
    assert passed.startswith(b'{"max_tokens": 1e1, "model": "m", ')


def test_text_that_begins_like_a_foreign_value_is_left_alone() -> None:
    """A user may write `hearth:`; only signatures are looked at."""
    raw = b'{"model": "auto", "messages": [ {"role": "user", "content": [{"type": "text", "text": "hearth:x"}]} ]}'
    assert MESSAGES.passing(RawBody(raw), "auto").body == raw


def test_the_vendors_own_signatures_are_not_touched() -> None:
    """Thinking of this wire's own models is sent byte for byte."""
    raw = b'{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"Erc="}]}]}'
    assert MESSAGES.passing(RawBody(raw), "m").body == raw


def test_an_answer_of_text_alone_carries_nothing() -> None:
    """The prefix appears only where there is a signature."""
    assert b"hearth:" not in written([TextDelta(0, "Hi"), Stop("stop")], stream=True)
