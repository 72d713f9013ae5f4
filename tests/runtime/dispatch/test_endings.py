"""What ends an answer, on every wire: a finish reason that is one, the closing mark, the end; and what may still follow."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.seam import Dialect
from runtime.settings import Retries
from tests.fakes.box import CHAT, LEAVE, Box, MemorySink
from tests.fakes.upstream import CUT, HANG, QUICK, FakeBackend, Gate, Piece, Turn, chunk, engine_backend, told
from tests.fakes.wires import CHAT as CHAT_WIRE
from tests.fakes.wires import ENGINE, GENERATE, MESSAGES, WIRES, Wire

CLIENTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "chat": (CHAT, {}),
    "messages": (MESSAGES_DIALECT, {"max_tokens": 99}),
}
each_wire = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
each_client = pytest.mark.parametrize("client", CLIENTS)


def ends(wire: Wire, reason: str | None) -> bytes:
    """A piece of the stream with this finish reason and no text."""
    if wire is MESSAGES:
        delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}}
        return f"event: message_delta\ndata: {json.dumps(delta)}\n\n".encode()
    if wire is GENERATE:
        candidate = {"content": {"role": "model", "parts": []}, "finishReason": reason and reason.upper()}
        return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\r\n\r\n"
    return chunk(finish=reason)


def good(wire: Wire) -> str:
    return "end_turn" if wire is MESSAGES else "stop"


async def answered(
    wire: Wire, client: str, *after: Piece, stream: bool = True, idle_s: float = 0.2
) -> tuple[Any, MemorySink, FakeBackend]:
    """The answer to a client of this kind of which "Hel" comes, and then `after`."""
    timeouts = replace(QUICK, first_token=30.0, idle=idle_s, total=30.0)
    backend = wire.target("first", wire.begun(*after), timeouts=timeouts)
    local = backend if wire is ENGINE else engine_backend((Turn(told("never")),))
    box = Box(local, [] if wire is ENGINE else [backend], LEAVE, Retries(attempts=1), total_s=30.0)
    dialect, members = CLIENTS[client]
    model = "local" if wire is ENGINE else "first"
    ask = box.ask(dialect=dialect, model=model, stream=stream, **members)
    settled, sink = await asyncio.wait_for(box.live(ask), 25)
    return settled, sink, backend


def texts(sink: MemorySink) -> str:
    """All text in the client's stream, whichever wire it is on."""
    found = []
    for line in sink.body.splitlines():
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            delta = (event.get("choices") or [event])[0].get("delta") or {}
            found.append(delta.get("content") or delta.get("text") or "")
    return "".join(found)


@each_client
@each_wire
@pytest.mark.parametrize("reason", ["", None])
async def test_a_finish_reason_that_is_none_ends_nothing(wire: Wire, client: str, reason: str | None) -> None:
    """An answer that dies after an empty one is cut, not whole."""
    settled, sink, _ = await answered(wire, client, ends(wire, reason), CUT)
    assert settled.error is not None
    assert b"[DONE]" not in sink.body and b"message_stop" not in sink.body


@each_client
@each_wire
async def test_the_end_of_the_body_without_a_finish_reason_is_a_cut(wire: Wire, client: str) -> None:
    """Also where an empty reason came."""
    settled, *_ = await answered(wire, client, ends(wire, ""))
    assert settled.error is not None and settled.decision.attempts[0].outcome == "broken_stream"


@each_client
@each_wire
async def test_text_after_a_finish_reason_is_part_of_the_answer(wire: Wire, client: str) -> None:
    """However late it comes: it is awaited as any other piece."""
    settled, sink, _ = await answered(
        wire, client, ends(wire, good(wire)), wire.says("lo"), ends(wire, good(wire)), *wire.mark
    )
    assert settled.error is None and texts(sink) == "Hello"


@each_client
@each_wire
async def test_a_cut_after_late_text_is_a_cut(wire: Wire, client: str) -> None:
    """The text after the finish reason may not be all of it."""
    settled, *_ = await answered(wire, client, ends(wire, good(wire)), wire.says("l"), CUT)
    assert settled.error is not None


@each_client
@each_wire
async def test_a_cut_after_a_finish_reason_cuts_nothing_off(wire: Wire, client: str) -> None:
    """Only the closing mark is missing."""
    settled, sink, _ = await answered(wire, client, ends(wire, good(wire)), CUT)
    assert settled.error is None and texts(sink) == "Hel"


@each_client
@each_wire
async def test_an_error_after_a_finish_reason_is_a_failure(wire: Wire, client: str) -> None:
    """What the server says last counts."""
    settled, *_ = await answered(wire, client, ends(wire, good(wire)), wire.stream_error)
    assert settled.error is not None


@each_client
@each_wire
async def test_late_text_renews_the_wait(wire: Wire, client: str) -> None:
    """A finish reason, a pause, more text: nothing closes the stream in between."""
    gate = Gate()
    asyncio.get_running_loop().call_later(0.05, gate.open)
    last = (wire.says("lo"), ends(wire, good(wire)), *wire.mark)
    settled, sink, _ = await answered(wire, client, ends(wire, good(wire)), gate, *last, idle_s=30.0)
    assert settled.error is None and texts(sink) == "Hello"


@each_client
@each_wire
async def test_after_the_finish_reason_idle_ends_the_wait(wire: Wire, client: str) -> None:
    """The connection stays open and silent: the answer is whole."""
    settled, sink, _ = await answered(wire, client, ends(wire, good(wire)), HANG)
    assert settled.error is None and texts(sink) == "Hel"


@each_client
@pytest.mark.parametrize("wire", [CHAT_WIRE, MESSAGES, ENGINE], ids=lambda wire: wire.name)
async def test_the_closing_mark_is_the_end(wire: Wire, client: str) -> None:
    """An open connection behind it is not waited for."""
    settled, _, backend = await answered(wire, client, *wire.last, *wire.mark, HANG, idle_s=30.0)
    assert settled.error is None and backend.lanes[0].hop.replies[0].closed_early


@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("reason", ["", None])
async def test_a_whole_answer_without_a_finish_reason_is_broken(dialect: Dialect, reason: str | None) -> None:
    """Unless it has its usage: some servers leave the reason out of a complete answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hel"}, "text": "Hel", "finish_reason": reason}
    for usage, whole in (({}, False), ({"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, True)):
        box = Box(
            engine_backend((Turn([json.dumps({"choices": [choice], **usage}).encode()]),)), retries=Retries(attempts=1)
        )
        settled, _ = await box.live(box.ask(dialect=dialect, model="local", prompt="hi"))
        assert (settled.error is None) is whole


async def test_each_of_several_choices_ends_by_itself() -> None:
    """A reason that one choice repeats is not the other's."""
    first = {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}
    again = b"data: " + json.dumps({"choices": [first]}).encode() + b"\n\n"
    other = b'data: {"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n'
    for pieces, whole in (([again, again], False), ([again, again, other], True)):
        box = Box(engine_backend((Turn(pieces),)), retries=Retries(attempts=1))
        settled, _ = await box.live(box.ask(model="local", stream=True, n=2))
        assert (settled.error is None) is whole


async def test_usage_and_the_closing_mark_without_any_reason_are_whole() -> None:
    """Recorded of hosts that leave the reason out."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
    for client in CLIENTS:
        settled, sink, _ = await answered(CHAT_WIRE, client, usage, b"data: [DONE]\n\n")
        assert settled.error is None and texts(sink) == "Hel"
