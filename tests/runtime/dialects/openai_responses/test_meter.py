"""Answers that pass through: content, end and usage, however the bytes are split; a truncated answer is never a whole one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.failures import Kind
from runtime.contract.usage import Usage
from runtime.dialects.meter import Meter
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.wire import sse
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.openai_responses import sdk
from tests.runtime.dialects.openai_responses.answers import ALL, CALLS, TEXT, written
from tests.runtime.dialects.openai_responses.recorded import exchanges


def event(kind: str, **members: Any) -> bytes:
    return sse.encode(json.dumps({"type": kind, **members}).encode(), kind.encode())


def meter(*, stream: bool, done: list[bytes] | None = None) -> Meter:
    body = RawBody(json.dumps({"input": "x", "stream": stream}).encode())
    session = RESPONSES.session(body, done.append) if done is not None else RESPONSES
    return session.passing(body, "m").meter


def fed(raw: bytes, size: int = 1 << 20, *, stream: bool = True) -> tuple[Meter, bytes]:
    reads = meter(stream=stream)
    out = b"".join(reads.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    return reads, out + reads.end()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_bytes_pass_as_they_came(name: str, size: int) -> None:
    """However the bytes are split, the client gets the same ones, and the meter sees that the answer is whole."""
    raw = written(ALL[name], stream=True)
    reads, out = fed(raw, size)
    assert out == raw
    assert (reads.failure, reads.done, reads.finished, reads.began) == (None, True, True, True)


def test_what_is_read() -> None:
    """Tokens, model, finish."""
    reads, _ = fed(written(TEXT, stream=True))
    assert reads.usage == Usage(prompt=12, completion=7, cached=4, cache_write=2, reasoning=3, tier="default")
    assert (reads.model, reads.finish, reads.tokens) == ("m-1", "stop", 2)
    assert fed(written(CALLS, stream=True))[0].finish == "tool_calls"
    assert fed(written(ALL["cut"], stream=True))[0].finish == "length"
    assert fed(written(ALL["refused"], stream=True))[0].finish == "content_filter"


@pytest.mark.parametrize("name", ALL)
def test_whole_answers(name: str) -> None:
    """The same, of one body."""
    raw = written(ALL[name], stream=False)
    reads, out = fed(raw, 11, stream=False)
    assert out == raw
    assert (reads.failure, reads.done, reads.model) == (None, True, "m-1")


def test_nothing_begins_before_the_first_content() -> None:
    """A piece of text or reasoning, or a call, is content; empty items and parts are not."""
    raw = written(TEXT, stream=True)
    events = [each.raw for each in sse.Events().feed(raw)]
    reads = meter(stream=True)
    began = []
    for piece in events[:5]:
        reads.feed(piece)
        began.append(reads.began)
    assert began == [False, False, False, False, True]
    reads = meter(stream=True)
    reads.feed(event("response.output_item.added", item={"type": "function_call"}))
    assert reads.began


@pytest.mark.parametrize("name", ALL)
def test_a_cut_stream_is_a_failure(name: str) -> None:
    """After any event but the last."""
    events = [each.raw for each in sse.Events().feed(written(ALL[name], stream=True))]
    for kept in range(len(events)):
        reads, _ = fed(b"".join(events[:kept]))
        assert reads.failure is not None
        assert not reads.done


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Some servers close the connection directly after it."""
    raw = written(TEXT, stream=True)
    reads, out = fed(raw[:-2])
    assert (reads.done, out) == (True, raw)


def test_a_server_that_calls_a_cut_completed() -> None:
    """The response's own status counts, and the event is renamed for the client."""
    response = {"id": "r", "model": "m", "status": "incomplete", "output": []}
    reads, out = fed(event("response.completed", response=response, sequence_number=3))
    assert (reads.finish, reads.done) == ("length", True)
    assert out == event("response.incomplete", response=response, sequence_number=3)


@pytest.mark.parametrize(
    "last",
    [
        event("response.failed", response={"status": "failed", "error": {"code": "server_error", "message": "boom"}}),
        event(
            "response.completed", response={"status": "failed", "error": {"code": "server_error", "message": "boom"}}
        ),
        event("error", code="server_error", message="boom", param=None),
        event("error", error={"code": "server_error", "message": "boom"}),
        sse.encode(b'{"error":{"code":"server_error","message":"boom"}}'),
    ],
)
def test_an_error_inside_a_stream_is_a_failure(last: bytes) -> None:
    """In any of the shapes servers use; message and code are kept, and the client does not get it."""
    begun = b"".join(each.raw for each in sse.Events().feed(written(TEXT, stream=True))[:5])
    reads, out = fed(begun + last)
    assert out == begun
    assert reads.failure is not None
    assert (reads.failure.kind, reads.failure.code) == (Kind.BROKEN_STREAM, "server_error")
    assert "boom" in reads.failure.message
    assert json.loads(reads.failure.body)["error"]["message"] == "boom"


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"x"', b"{}", b"[DONE]", b'{"type":5}', b"\xff"])
def test_garbage_is_a_failure(data: bytes) -> None:
    """It is never forwarded as an answer."""
    reads, out = fed(sse.encode(data))
    assert reads.failure is not None
    assert out == b""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"object":"response"}',
        b'{"output":[],"status":"failed","error":{"message":"x"}}',
        b'{"output":[],"status":"in_progress"}',
        b'{"output":[],"status":"cancelled"}',
        b'{"error":{"message":"x"}}',
    ],
)
def test_a_whole_body_that_is_no_answer(body: bytes) -> None:
    """It is refused."""
    reads, out = fed(body, stream=False)
    assert reads.failure is not None
    assert out == b""


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_bytes_end_in_a_verdict(raw: bytes, stream: bool) -> None:
    """No exception, and no empty answer."""
    assert fed(raw, 5, stream=stream)[0].failure is not None


@pytest.mark.parametrize("odd", [None, 3, [], {}, "x", [[]], [{"type": []}]])
@pytest.mark.parametrize("name", ["type", "delta", "item", "response", "error", "sequence_number", "output", "usage"])
@pytest.mark.parametrize("kind", ["response.created", "response.output_item.added", "response.completed", "error"])
def test_members_of_any_kind_end_in_a_verdict(kind: str, name: str, odd: Any) -> None:
    """Inside an event, and inside its response."""
    response = {"id": "r", "status": "completed", "output": []}
    for members in ({name: odd}, {"response": response | {name: odd}}, {"item": {name: odd}, "response": response}):
        reads, _ = fed(sse.encode(json.dumps({"type": kind, **members}).encode()))
        assert reads.done is (reads.failure is None)
        fed(json.dumps(response | {name: odd}).encode(), stream=False)


def test_the_session_gets_the_whole_response() -> None:
    """Its bytes, of a stream or a body; nothing of a truncated answer."""
    raw, body = written(TEXT, stream=True), written(TEXT, stream=False)
    told: list[bytes] = []
    for stream, given_bytes in ((True, raw), (False, body), (True, raw[:-40])):
        reads = meter(stream=stream, done=told)
        reads.feed(given_bytes)
        reads.end()
    assert [json.loads(each) for each in told] == [json.loads(body)] * 2


def test_recorded_streams_are_whole(shared: Path) -> None:
    """And what is cut off them is not."""
    streams = [exchange for exchange in exchanges(shared) if exchange.text]
    for exchange in streams:
        reads, out = fed(exchange.text, 501)
        assert (reads.failure, reads.done) == (None, True), exchange.name
        assert exchange.text.startswith(out)
        final = sdk.streamed(out)
        assert reads.usage is not None
        assert reads.usage.completion == final["usage"]["output_tokens"]
        assert fed(exchange.text[: len(out) // 2])[0].failure is not None
    assert streams


def test_recorded_bodies_are_whole(shared: Path) -> None:
    """With their usage."""
    for exchange in exchanges(shared):
        if exchange.body:
            reads, out = fed(exchange.body, stream=False)
            assert (reads.failure, out) == (None, exchange.body), exchange.name
            assert reads.usage is not None
            assert reads.usage.prompt == json.loads(exchange.body)["usage"]["input_tokens"]
