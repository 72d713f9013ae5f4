"""One attempt: its time-outs, and a row for each exchange with usage and cost, whatever the end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.prices import Price
from runtime.contract.targets import Timeouts
from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, MemorySink
from tests.fakes.upstream import (
    CUT,
    DONE,
    HANG,
    RESET,
    ROLE,
    USAGE,
    FakeBackend,
    Gate,
    Piece,
    Turn,
    chunk,
    cloud,
    engine_backend,
    error,
    told,
    whole,
)
from tests.fakes.wires import GENERATE, MESSAGES

PRICE = Price(input=1.0, output=10.0)
ONCE = Retries(attempts=1)


def pinned(backend: FakeBackend, **more: Any) -> Box:
    return Box(engine_backend((Turn(told("never")),)), [backend], LEAVE, ONCE, **more)


def times(**each: float) -> Timeouts:
    return Timeouts(**{"connect": 5.0, "first_token": 5.0, "idle": 5.0, "total": 5.0, **each})


@pytest.mark.parametrize(
    ("pieces", "limits", "words"),
    [
        ([ROLE, HANG], {"first_token": 0.05}, "nothing came for 0.05 s"),
        ([b": ping\n\n", HANG], {"first_token": 0.05}, "nothing came for 0.05 s"),
        ([ROLE, chunk("Hel"), HANG], {"idle": 0.05}, "nothing came for 0.05 s"),
        ([ROLE, chunk("Hel"), HANG], {"total": 0.05}, "nothing came for"),
    ],
)
async def test_each_limit_ends_a_silent_stream(pieces: list[Piece], limits: dict[str, float], words: str) -> None:
    """Before the first content `first_token` holds, pings or not, after it `idle`, and `total` over all."""
    backend = cloud("first", Turn(pieces), timeouts=times(**limits))
    box = pinned(backend)
    settled, _ = await asyncio.wait_for(box.live(box.ask(model="first", stream=True)), 2)
    (row,) = settled.decision.attempts
    assert row.outcome == "silent" and row.message.startswith(words) and backend.lanes[0].hop.replies[0].closed_early


async def test_a_head_that_does_not_come_is_the_first_tokens_limit() -> None:
    """The upstream accepts and says nothing."""
    backend = cloud("first", Turn(wait=HANG), timeouts=times(first_token=0.05))
    box = pinned(backend)
    settled, _ = await asyncio.wait_for(box.live(box.ask(model="first", stream=True)), 2)
    assert settled.decision.attempts[0].outcome == "silent" and backend.lanes[0].hop.cancelled == 1


async def test_a_whole_answer_of_the_engine_has_all_the_time_there_is() -> None:
    """The engine sends no byte until it is complete: `first_token` and `idle` say nothing about it, `total` does."""
    gate = Gate()
    turns = (Turn([whole("Paris")], wait=gate),)
    box = Box(engine_backend(turns, timeouts=times(first_token=0.01, idle=0.01, total=5.0)), retries=ONCE)
    asyncio.get_running_loop().call_later(0.08, gate.open)
    _, sink = await box.live(box.ask(model="local"))
    assert sink.text == "Paris"


async def test_every_chunk_moves_the_idle_limit() -> None:
    """Ten chunks, each well inside the limit, last longer than the limit."""
    gates = [Gate() for _ in range(10)]
    pieces = [ROLE, *(piece for gate in gates for piece in (gate, chunk("x"))), chunk(finish="stop"), DONE]
    box = pinned(cloud("first", Turn(pieces), timeouts=times(idle=0.1)))
    loop = asyncio.get_running_loop()
    for n, gate in enumerate(gates):
        loop.call_later(0.03 * (n + 1), gate.open)
    _, sink = await box.live(box.ask(model="first", stream=True))
    assert sink.text == "x" * 10


async def test_after_every_finish_reason_the_closing_mark_is_awaited_for_idle() -> None:
    """A server that forgets `[DONE]` and keeps the connection open costs `idle`, and the answer is whole."""
    box = pinned(
        cloud("first", Turn([ROLE, chunk("Hi"), chunk(finish="stop"), USAGE, HANG]), timeouts=times(idle=0.05))
    )
    settled, sink = await asyncio.wait_for(box.live(box.ask(model="first", stream=True)), 3)
    assert settled.error is None and sink.text == "Hi" and sink.body.endswith(DONE)


async def test_no_limit_runs_while_the_client_reads_slowly() -> None:
    """The write takes three times `idle`, and the answer is whole."""
    box = pinned(cloud("first", Turn(told("Hello")), timeouts=times(idle=0.03, first_token=0.03)))

    class Slow(MemorySink):
        async def write(self, data: bytes) -> None:
            await asyncio.sleep(0.1)
            await super().write(data)

    settled, sink = await box.live(box.ask(model="first", stream=True), Slow())
    assert settled.error is None and sink.text == "Hello"


async def test_a_row_has_times_status_lane_usage_and_cost() -> None:
    """A whole exchange: seven tokens in, two out, at their prices."""
    box = pinned(cloud("first", Turn(told("Hello")), price=PRICE))
    settled, _ = await box.live(box.ask(model="first", stream=True))
    (row,) = settled.decision.attempts
    assert (row.target, row.lane, row.status, row.outcome) == ("vendor/first-model", "vendor/first-model", 200, "ok")
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (7, 2, False)
    assert row.cost_usd == pytest.approx((7 * 1.0 + 2 * 10.0) / 1e6) == settled.decision.cost_usd
    assert row.first_token_ms is not None and row.started_ms <= row.first_token_ms <= row.ended_ms


async def test_a_failed_exchange_has_its_words_and_no_tokens() -> None:
    """A refusal before any content costs nothing."""
    box = pinned(cloud("first", error(429, "slow down", retry_after="99"), price=PRICE))
    settled, _ = await box.live(box.ask(model="first", stream=True))
    (row,) = settled.decision.attempts
    assert (row.outcome, row.status, row.retry_after) == ("busy", 429, 99.0) and "slow down" in row.message
    assert (row.prompt_tokens, row.completion_tokens, row.estimated, row.cost_usd) == (0, 0, False, None)


async def test_each_exchange_is_booked_even_if_nobody_got_its_answer() -> None:
    """The first one's tokens were paid for before it broke: the decision sums both."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50}}\n\n'
    first = cloud("first", Turn([ROLE, chunk("Hel"), usage, CUT]), price=PRICE)
    second = cloud("second", Turn(told("fine")), price=PRICE)
    box = Box(engine_backend((Turn(told("never")),)), [first, second], LEAVE, ONCE)
    settled, sink = await box.live(box.ask(stream=True, hearth={"delivery": "whole"}))
    assert sink.text == "fine"
    assert [(r.prompt_tokens, r.completion_tokens, r.estimated) for r in settled.decision.attempts] == [
        (100, 50, False),
        (7, 2, False),
    ]
    assert (settled.decision.prompt_tokens, settled.decision.completion_tokens) == (107, 52)
    assert settled.decision.cost_usd == pytest.approx((107 * 1.0 + 52 * 10.0) / 1e6)


async def test_a_cut_before_any_usage_is_estimated() -> None:
    """The prompt as the runtime counts it, the answer by its pieces, and the row says so."""
    box = pinned(cloud("first", Turn([ROLE, chunk("a"), chunk("b"), chunk("c"), CUT]), price=PRICE))
    settled, _ = await box.live(box.ask("one two three", model="first", stream=True))
    (row,) = settled.decision.attempts
    assert row.estimated and row.completion_tokens == 3 and row.prompt_tokens == settled.decision.estimated_tokens
    assert row.cost_usd == pytest.approx((row.prompt_tokens + 3 * 10.0) / 1e6)


async def test_a_fault_of_the_program_is_booked_too() -> None:
    """The exchange was made; its row says that it ended inside this program."""
    backend = cloud("first", Turn([ROLE, chunk("Hel"), chunk("lo")]))
    box = pinned(backend)

    def raising(data: bytes) -> None:
        raise RuntimeError

    settled, _ = await box.live(box.ask(model="first", stream=True), MemorySink(raising))
    (row,) = settled.decision.attempts
    assert row.outcome == "internal_error" and row.estimated and backend.lanes[0].hop.replies[0].closed_early


async def test_a_repair_is_an_exchange_of_its_own() -> None:
    """The answer does not keep its schema, is asked once more, and both are counted and paid for."""
    backend = MESSAGES.target("first", MESSAGES.told("no json"), MESSAGES.told('{"a":1}'), price=PRICE)
    backend.target = replace(backend.target, capabilities=replace(backend.target.capabilities, structured_output=False))
    box = pinned(backend)
    settled, sink = await box.live(box.ask(model="first", response_format={"type": "json_object"}))
    assert sink.text == '{"a":1}'
    assert [row.outcome for row in settled.decision.attempts] == ["garbled", "ok"]
    assert (settled.decision.prompt_tokens, settled.decision.completion_tokens) == (14, 4)
    again = json.dumps(backend.lanes[0].hop.bodies[1])
    assert "no json" in again and "corrected JSON" in again


async def test_a_repair_that_fails_too_is_the_targets_failure() -> None:
    """Two bad answers: the next candidate, no third request here."""
    backend = MESSAGES.target("first", MESSAGES.told("no json"), MESSAGES.told("no json again"))
    backend.target = replace(backend.target, capabilities=replace(backend.target.capabilities, structured_output=False))
    box = Box(engine_backend((Turn([whole('{"a":2}')]),)), [backend], LEAVE)
    _, sink = await box.live(box.ask(response_format={"type": "json_object"}))
    assert sink.text == '{"a":2}' and box.calls == [1, 2]


@pytest.mark.parametrize("wire", [MESSAGES, GENERATE], ids=lambda wire: wire.name)
async def test_a_translated_answer_is_asked_for_as_a_stream(wire: Any) -> None:
    """A whole answer of another wire is folded from a stream, so that the limits hold."""
    backend = wire.target("first", wire.told("Hello"))
    box = pinned(backend)
    settled, sink = await box.live(box.ask(model="first"))
    assert sink.text == "Hello" and (settled.decision.prompt_tokens, settled.decision.completion_tokens) == (7, 2)


async def test_a_parameter_no_translation_has_is_this_targets_alone() -> None:
    """Unsupported is a failed attempt without a call; the next candidate answers."""
    backend = GENERATE.target("first", GENERATE.told("never"))
    box = Box(engine_backend((Turn([whole("fine")]),)), [backend], LEAVE)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    settled, sink = await box.live(box.ask(n=3, tools=[tool], logit_bias={"5": 1}))
    assert sink.head is not None
    if box.calls[1] == 0:
        assert settled.decision.attempts[0].outcome == "rejected" and settled.decision.attempts[0].status is None


async def test_media_that_cannot_be_fetched_fail_the_attempt() -> None:
    """A HopError while media are settled is that attempt's failure, booked without a call."""

    class NoMedia:
        async def settled(self, request: Any, capabilities: Any, cargo: Any) -> Any:
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "the picture is not there"))

    backend = MESSAGES.target("first", MESSAGES.told("never"))
    box = Box(engine_backend((Turn(told("fine")),)), [backend], LEAVE, fetching=NoMedia())  # type: ignore[arg-type]
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "fine" and box.calls == [1, 0]
    assert settled.decision.attempts[0].message == "the picture is not there"


async def test_media_that_hang_take_no_more_than_the_attempts_time() -> None:
    """Fetching without end is silence."""

    class Hanging:
        async def settled(self, request: Any, capabilities: Any, cargo: Any) -> Any:
            await HANG.wait()

    backend = MESSAGES.target("first", MESSAGES.told("never"), timeouts=times(total=0.05))
    box = Box(engine_backend((Turn(told("fine")),)), [backend], LEAVE, fetching=Hanging())  # type: ignore[arg-type]
    settled, sink = await asyncio.wait_for(box.live(box.ask(stream=True)), 3)
    assert sink.text == "fine" and settled.decision.attempts[0].outcome == "silent"


async def test_an_error_event_inside_a_stream_is_classified_by_its_words() -> None:
    """`overloaded` on a 200 is busy: no breaker, no second try here."""
    backend = MESSAGES.target("first", Turn([*MESSAGES.head, MESSAGES.stream_error]))
    box = Box(engine_backend((Turn([json.dumps({"x": 1}).encode()]),)), [backend], LEAVE, ONCE)
    ask = box.ask(dialect=MESSAGES_DIALECT, model="first", stream=True, max_tokens=5)
    settled, _ = await box.live(ask)
    assert settled.decision.attempts[0].outcome == "busy"


async def test_only_whole_answers_teach_the_ledger() -> None:
    """Cut, cancelled and refused ones leave the mean length alone."""
    local = engine_backend((Turn(told("Hello")), Turn([ROLE, chunk("x"), CUT]), Turn(refuse=RESET), Turn([ROLE, CUT])))
    box = Box(local, retries=ONCE)
    ledger = box.fleet.ledger(local.lanes[0])
    await box.live(box.ask(stream=True))
    learned = ledger._lengths.mean
    for _ in range(6):
        await box.live(box.ask(stream=True))
    assert ledger._lengths.mean == learned and (ledger.waiting, ledger.running) == (0, 0)
