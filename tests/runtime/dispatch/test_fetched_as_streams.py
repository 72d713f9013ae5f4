"""Calls that are not streamed, from every kind of client to every kind of cloud: fetched as a stream, and left in time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from cloud.openai.two_wires import OpenAITwoWires
from runtime.contract.targets import Capabilities, Timeouts
from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.dialects.openai_chat.profile import PLAIN
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.pooling import EMBEDDINGS
from runtime.dialects.seam import Dialect
from runtime.settings import Retries
from tests.fakes.box import CHAT, LEAVE, Box, MemorySink
from tests.fakes.upstream import CUT, HANG, FakeBackend, Gate, Piece, Turn, engine_backend, told
from tests.fakes.wires import CHAT as CHAT_WIRE
from tests.fakes.wires import GENERATE, MESSAGES, Wire

TIMES = Timeouts(connect=5.0, first_token=0.1, idle=0.1, total=30.0)
TEXT = {"type": "output_text", "text": "Hello", "annotations": []}
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT]}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [ITEM],
    "a": {"b": [1]},
}
COUNTS = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


class ResponsesWire:
    """OpenAI's responses wire, with the part of `Wire` that these tests use."""

    name = "responses"
    head = (event("response.created", response=RESPONSE | {"status": "in_progress", "output": []}),)
    last = (event("response.completed", response=RESPONSE | {"usage": COUNTS}),)

    def says(self, text: str) -> bytes:
        return event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)

    def told(self, text: str) -> Turn:
        return Turn([*self.head, self.says(text), *self.last])

    def begun(self, *after: Piece) -> Turn:
        return Turn([*self.head, self.says("Hel"), *after])

    def target(self, name: str, *turns: Turn, **facts: Any) -> FakeBackend:
        """A model that takes every call over responses."""
        codec = OpenAITwoWires(lambda: None, PLAIN)  # type: ignore[arg-type, return-value]  # no date is read here
        backend = CHAT_WIRE.target(name, *turns, **facts)
        backend.codec = codec
        backend.target = replace(backend.target, dialects=frozenset({"openai_responses"}))
        return backend


CLOUDS: dict[str, Any] = {
    "claude": MESSAGES,
    "gemini": GENERATE,
    "chat": CHAT_WIRE,
    "responses": ResponsesWire(),
}
CLIENTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "chat": (CHAT, {}),
    "messages": (MESSAGES_DIALECT, {"max_tokens": 99}),
    "responses": (ResponsesDialect(), {"input": "hi", "messages": None}),
}
each_cloud = pytest.mark.parametrize("cloud", CLOUDS)
each_client = pytest.mark.parametrize("client", CLIENTS)


async def asked(client: str, *backends: FakeBackend, **members: Any) -> tuple[Any, MemorySink]:
    """A call under `auto` that is not streamed."""
    box = Box(engine_backend((Turn(told("never")),)), backends, LEAVE, Retries(attempts=1), total_s=30.0)
    dialect, usual = CLIENTS[client]
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], **usual, **members}
    ask = box.ask(dialect=dialect, **{name: value for name, value in body.items() if name != "messages" or value})
    return await asyncio.wait_for(box.live(ask), 25)


def text_of(sink: MemorySink) -> str:
    """The text of a whole answer, on whichever wire."""
    body = json.loads(sink.body)
    if "choices" in body:
        return str(body["choices"][0]["message"]["content"])
    parts = body.get("content") or [part for item in body["output"] for part in item.get("content", ())]
    return "".join(part.get("text", "") for part in parts)


FAULTS: dict[str, tuple[Any, str]] = {
    "silent": (lambda wire: Turn(wait=HANG), "silent"),
    "silent behind its head": (lambda wire: Turn([HANG]), "silent"),
    "stalls": (lambda wire: wire.begun(HANG), "silent"),
    "is cut": (lambda wire: wire.begun(CUT), "broken_stream"),
    "ends too early": (lambda wire: wire.begun(), "broken_stream"),
}


@each_client
@each_cloud
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_faulty_cloud_is_left_in_time_and_the_next_candidate_answers(
    client: str, cloud: str, fault: str
) -> None:
    """Within `first_token` or `idle`, never `total`; each exchange is recorded with its own usage."""
    turn, outcome = FAULTS[fault]
    bad = CLOUDS[cloud].target("bad", turn(CLOUDS[cloud]), timeouts=TIMES)
    good = CHAT_WIRE.target("good", CHAT_WIRE.told("Hello"), timeouts=replace(TIMES, first_token=20.0, idle=20.0))
    settled, sink = await asked(client, bad, good)
    assert settled.error is None and text_of(sink) == "Hello"
    first, second = settled.decision.attempts
    assert (first.target, first.outcome, second.outcome) == (bad.target.label, outcome, "ok")
    assert (second.prompt_tokens, second.completion_tokens) == (7, 2)
    assert first.completion_tokens <= 2 and bad.lanes[0].hop.bodies[0].get("stream", cloud == "gemini") is True


@each_client
@each_cloud
async def test_a_good_cloud_is_asked_for_a_stream_and_its_answer_is_whole(client: str, cloud: str) -> None:
    """One body in the client's wire, with the usage of the stream."""
    backend = CLOUDS[cloud].target(
        "good", CLOUDS[cloud].told("Hello"), timeouts=replace(TIMES, first_token=20, idle=20)
    )
    settled, sink = await asked(client, backend)
    assert settled.error is None and text_of(sink) == "Hello"
    (row,) = settled.decision.attempts
    assert (row.prompt_tokens, row.completion_tokens) == (7, 2) and row.first_token_ms is not None
    call = backend.lanes[0].hop.calls[0]
    assert (
        "streamGenerateContent?alt=sse" in call.path if cloud == "gemini" else json.loads(call.body)["stream"] is True
    )
    if CLOUDS[cloud] is CHAT_WIRE:
        assert json.loads(call.body)["stream_options"] == {"include_usage": True}


async def test_only_what_must_change_changes_in_the_clients_bytes() -> None:
    """`stream`, usage and `model` are spliced in; every other byte, and the order, stays."""
    backend = CHAT_WIRE.target("good", CHAT_WIRE.told("Hello"))
    await asked("chat", backend, stream=False, odd={"b": 1, "a": 2})
    body = backend.lanes[0].hop.calls[0].body.decode()
    assert '"stream": true' in body and '"odd": {"b": 1, "a": 2}' in body
    assert body.endswith('"stream_options":{"include_usage":true}}')


async def test_each_piece_renews_idle() -> None:
    """A whole answer that takes longer than `idle` in all is not given up."""
    gates = [Gate() for _ in range(5)]
    pieces = [piece for gate in gates for piece in (gate, CHAT_WIRE.says("x"))]
    turn = Turn([*CHAT_WIRE.head, *pieces, *CHAT_WIRE.last, *CHAT_WIRE.mark])
    backend = CHAT_WIRE.target("good", turn, timeouts=replace(TIMES, first_token=20, idle=20))
    for number, gate in enumerate(gates):
        asyncio.get_running_loop().call_later(0.01 * number, gate.open)
    _, sink = await asked("chat", backend)
    assert text_of(sink) == "xxxxx"


async def test_an_error_in_the_stream_of_a_whole_answer_is_told_by_its_words() -> None:
    """A failed answer is never shown as whole, and its prompt is no answer."""
    for client in CLIENTS:
        backend = CHAT_WIRE.target("bad", CHAT_WIRE.begun(*CHAT_WIRE.last, CHAT_WIRE.stream_error))
        settled, sink = await asked(client, backend, model="bad")
        assert settled.error is not None and sink.body == b""


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (EMBEDDINGS, {"input": "hi"}),
        (COMPLETIONS, {"prompt": "hi", "best_of": 2}),
        (CHAT, {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_of_a_call_that_cannot_be_streamed_first_token_bounds_the_head(
    dialect: Dialect, members: dict[str, Any]
) -> None:
    """And `idle` the pieces of its body."""
    can = Capabilities(completions=True, embeddings=True)
    wire: Wire = replace(CHAT_WIRE, dialects=frozenset({dialect.name}))
    for turn in (Turn(wait=HANG), Turn([b"{", HANG])):
        backend = wire.target("first", turn, timeouts=TIMES, capabilities=can)
        box = Box(engine_backend((Turn(told("never")),)), [backend], LEAVE, Retries(attempts=1), total_s=30.0)
        settled, _ = await asyncio.wait_for(box.live(box.ask(dialect=dialect, model="first", **members)), 25)
        assert settled.decision.attempts[0].outcome == "silent", settled.error
        assert "stream" not in backend.lanes[0].hop.bodies[0]


@each_client
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_inside_an_answer_never_has_the_answers_status(client: str, stream: bool) -> None:
    """A refusal behind a finish reason, under status 200: the client gets an error's status or an error event."""
    refusal = b'data: {"error":{"code":400,"message":"Token limit reached"},"choices":[]}\n\n'
    for turn in (CHAT_WIRE.begun(*CHAT_WIRE.last, refusal), Turn([*CHAT_WIRE.head, refusal])):
        settled, _ = await asked(client, CHAT_WIRE.target("bad", turn), model="bad", stream=stream)
        assert settled.error is not None and settled.error.status >= 400
