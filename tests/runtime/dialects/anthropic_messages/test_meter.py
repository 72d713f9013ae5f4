"""Answers that pass through: the commit point, the end, usage, and everything that is no answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.failures import Kind
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.meter import MessagesStreamMeter, MessagesWholeMeter
from runtime.wire import sse


def event(kind: str, **members: Any) -> bytes:
    return sse.encode(msgspec.json.encode({"type": kind} | members), kind.encode())


START = event("message_start", message={"model": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3}})
BEGIN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
CLOSE = event("content_block_stop", index=0)
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP = event("message_stop")
PING = event("ping")
ERROR = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def test_the_commit_point_is_the_first_content() -> None:
    """Neither the beginning, a ping nor an empty text block is content."""
    meter = MessagesStreamMeter()
    assert meter.feed(START + PING + BEGIN) == START + PING + BEGIN
    assert not meter.began
    meter.feed(TEXT)
    assert meter.began


@pytest.mark.parametrize("block", [{"type": "thinking", "thinking": ""}, {"type": "tool_use", "id": "t", "name": "f"}])
def test_thinking_and_calls_are_content_as_soon_as_they_begin(block: dict[str, Any]) -> None:
    """A model that reasons unseen is at work."""
    meter = MessagesStreamMeter()
    meter.feed(START + event("content_block_start", index=0, content_block=block))
    assert meter.began


def test_the_end() -> None:
    """The stop reason finishes, message_stop closes; usage is cumulative over both places it stands in."""
    meter = MessagesStreamMeter()
    meter.feed(START + BEGIN + TEXT + CLOSE + END)
    assert (meter.finished, meter.done, meter.finish) == (True, False, "stop")
    assert meter.feed(STOP + b"data: after\n\n") == STOP
    assert meter.done
    assert meter.usage == Usage(prompt=8, completion=9, cached=3)
    assert meter.end() == b""


def test_a_whole_answer_without_its_closing_event_is_closed() -> None:
    """Only the closing event is missing."""
    meter = MessagesStreamMeter()
    meter.feed(START + TEXT + END)
    assert meter.end() == STOP
    assert meter.done


@pytest.mark.parametrize("sent", [b"", START, START + TEXT, START + TEXT + STOP, START + TEXT + END[:-9]])
def test_an_answer_without_a_stop_reason_is_broken(sent: bytes) -> None:
    """A truncated answer is never a whole one."""
    meter = MessagesStreamMeter()
    meter.feed(sent)
    assert meter.end() == b""
    assert meter.failure is not None
    assert meter.failure.kind is Kind.BROKEN_STREAM


def test_an_error_event_is_a_failure() -> None:
    """The dispatcher gets it with the vendor's message; the client gets nothing."""
    meter = MessagesStreamMeter()
    assert meter.feed(START + ERROR + TEXT) == START
    assert meter.failure is not None
    assert (meter.failure.code, meter.failure.kind) == ("overloaded_error", Kind.BROKEN_STREAM)
    assert json.loads(meter.failure.body)["error"]["message"] == "Overloaded"


@pytest.mark.parametrize("sent", [b"data: {\n\n", b"data: []\n\n", TEXT, b'data: {"choices": []}\n\n'])
def test_what_is_not_this_wire_is_garbled(sent: bytes) -> None:
    """No byte of it reaches the client."""
    meter = MessagesStreamMeter()
    assert meter.feed(sent) == b""
    assert meter.failure is not None
    assert meter.failure.kind is Kind.GARBLED


def test_comments_and_unknown_events_pass() -> None:
    """Event types that the wire may get later are the client's business."""
    sent = START + b": alive\n\n" + event("something_new", x=1)
    assert MessagesStreamMeter().feed(sent) == sent


def test_a_whole_error_is_a_failure() -> None:
    """An error with status 200 is still an error."""
    meter = MessagesWholeMeter()
    meter.feed(b'{"type": "error", "error": {"type": "api_error", "message": "no"}}')
    assert meter.end() == b""
    assert meter.failure is not None
    assert meter.failure.code == "api_error"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": "message", "content": []}', b'{"choices": []}'])
def test_a_body_that_is_no_whole_message_is_a_failure(body: bytes) -> None:
    """A message has content and a stop reason."""
    meter = MessagesWholeMeter()
    meter.feed(body)
    assert meter.end() == b""
    assert meter.failure is not None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "error", "ping"]
)
_members = st.sampled_from(["message", "delta", "usage", "content_block", "error"])
_events = st.builds(lambda kind, members: event(kind, **members), _names, st.dictionaries(_members, _json, max_size=3))


@settings(max_examples=80, deadline=None)
@given(st.lists(_events | st.binary(max_size=30), max_size=6))
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    """Whatever an upstream sends, the meter ends with done or failure."""
    for meter in (MessagesStreamMeter(), MessagesWholeMeter()):
        for piece in pieces:
            meter.feed(piece)
        meter.end()
        assert meter.done or meter.failure is not None
