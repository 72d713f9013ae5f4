"""Tokens and dollars on record are what the upstreams billed, to the token, for every exchange of a request.

An upstream that was cut before it reported its usage is estimated, and the row says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.prices import Price, Rates, Tariff
from runtime.contract.targets import Capabilities, Target, Timeouts
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.dialect import MESSAGES as MESSAGES_DIALECT
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.seam import Dialect
from runtime.record.decisions import Decision
from runtime.settings import Retries
from tests.fakes.billing import WIRES, Billed, BilledWire, Chat, bills, documented, streamed, target
from tests.fakes.box import CHAT, LEAVE, Box, MemorySink, able_to_resume
from tests.fakes.upstream import CUT, HANG, FakeBackend, Gate, Turn, engine_backend, error, told

USED = Usage(prompt=1000, completion=50, cached=300, cache_write=0, reasoning=20)
MORE = Usage(prompt=2500, completion=7, cached=0, cache_write=0, reasoning=0)
PRICES = (
    Price(3.0, 15.0, cache_read=0.3),
    Price(1.25, 10.0, cache_read=0.125, tariffs=(Tariff(Rates(2.5, 15.0, 0.25), above=2000),)),
)
ONCE = Retries(attempts=1)
WHOLE: dict[str, Any] = {"hearth": {"delivery": "whole"}}
by_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def own_dialect(wire: BilledWire) -> Dialect:
    """The client's wire: the target's own where a client can speak it."""
    if wire.dialect == "anthropic_messages":
        return MESSAGES_DIALECT
    return ResponsesDialect() if wire.dialect == "openai_responses" else CHAT


def answers(wire: BilledWire, used: Usage, *, stream: bool) -> Billed:
    return streamed(wire, used) if stream or not wire.dialect else documented(wire, used)


async def asked(clouds: list[FakeBackend], wire: BilledWire, retries: Retries = ONCE, **members: Any) -> Decision:
    """One request of the wire's own dialect over these targets, the engine behind them idle."""
    box = Box(engine_backend((error(401),)), clouds, LEAVE, retries)
    members = {"input": "hi"} | members if wire.dialect == "openai_responses" else members
    members = {"max_tokens": 50} | members if wire.dialect == "anthropic_messages" else members
    settled, _ = await box.live(box.ask(dialect=own_dialect(wire), **members))
    return settled.decision


def dollars(price: Price, used: Usage) -> float:
    """By hand: each kind of token at its price, all of them dearer for a long prompt."""
    dearer = [each.rates for each in price.tariffs if used.prompt > each.above]
    rates = dearer[0] if dearer else price
    plain = used.prompt - used.cached
    return (plain * rates.input + used.cached * (rates.cache_read or 0) + used.completion * rates.output) / 1e6


def agrees(decision: Decision, *clouds: FakeBackend) -> bool:
    """The record's counted exchanges sum to the bills; as many are estimated as were billed without a word."""
    billed = [(each.target.price, bill) for each in clouds for bill in bills(each)]
    known = [(price, bill) for price, bill in billed if bill is not None]
    counted = [row for row in decision.attempts if not row.estimated and row.target != "local/small"]
    estimated = [row for row in decision.attempts if row.estimated]
    assert len(estimated) == len(billed) - len(known)
    for name, of in (("prompt", "prompt_tokens"), ("completion", "completion_tokens"), ("cached", "cached_tokens")):
        assert sum(getattr(bill, name) for _, bill in known) == sum(getattr(row, of) for row in counted), name
    assert sum(bill.reasoning for _, bill in known) == sum(row.reasoning_tokens for row in counted)
    owed = sum(dollars(price, bill) for price, bill in known if price is not None)
    assert sum(row.cost_usd or 0.0 for row in counted) == pytest.approx(owed, abs=0.5e-6 * len(counted))
    assert decision.prompt_tokens == sum(row.prompt_tokens for row in decision.attempts)
    assert decision.completion_tokens == sum(row.completion_tokens for row in decision.attempts)
    assert (decision.cost_usd or 0.0) == pytest.approx(sum(row.cost_usd or 0.0 for row in decision.attempts))
    return True


@by_wire
@streaming
async def test_a_plain_answer(wire: BilledWire, stream: bool) -> None:
    """One exchange, with cached tokens and reasoning."""
    first = target(wire, "first", PRICES[0], answers(wire, USED, stream=stream))
    decision = await asked([first], wire, stream=stream)
    assert decision.status == 200 and agrees(decision, first) and decision.prompt_tokens == 1000


@by_wire
@streaming
async def test_a_repeated_attempt(wire: BilledWire, stream: bool) -> None:
    """A 500 costs nothing, the second try is billed once."""
    first = target(wire, "first", PRICES[0], wire.shape.refuses(500), answers(wire, USED, stream=stream))
    decision = await asked([first], wire, Retries(attempts=2), stream=stream)
    assert decision.status == 200 and len(decision.attempts) == 2 and agrees(decision, first)


@by_wire
async def test_a_fallback_behind_an_answer_nobody_got(wire: BilledWire) -> None:
    """The first one reported its usage and then broke: both are paid for, each at its own price."""
    broken = Billed([*wire.head(USED), wire.says("Hel"), *wire.last(USED)[:-1], CUT], bill=USED)
    if wire.dialect in ("", "openai_responses"):  # there the last event is the usage
        broken = Billed(
            [*wire.head(USED), wire.says("Hel"), *wire.reports(USED), CUT], bill=USED if not wire.dialect else None
        )
    first = target(wire, "first", PRICES[0], broken)
    second = target(wire, "second", PRICES[1], streamed(wire, MORE))
    decision = await asked([first, second], wire, stream=True, **WHOLE)
    assert decision.status == 200 and agrees(decision, first, second)


@by_wire
async def test_a_stream_that_is_cut_before_its_usage(wire: BilledWire) -> None:
    """What was generated is counted by its pieces, and marked; a count begun by the upstream is not taken for its end."""
    pieces = [*wire.head(USED), *(wire.says(f" piece-{n}") for n in range(6)), CUT]
    first = target(wire, "first", PRICES[0], Billed(pieces, bill=None))
    decision = await asked([first], wire, stream=True, model="first")
    (row,) = decision.attempts
    assert decision.status == 502 and row.estimated and row.completion_tokens == 6 and row.prompt_tokens > 0
    assert agrees(decision, first) and row.cost_usd


async def test_a_count_that_came_before_the_cut_is_kept() -> None:
    """Gemini counts with every chunk: the latest count is the bill."""
    wire = WIRES[2]
    part = Usage(1000, 3, cached=300)
    pieces = [*(wire.says(f" {n}") for n in range(2)), *wire.reports(part), CUT]
    first = target(wire, "first", PRICES[0], Billed(pieces, bill=part))
    decision = await asked([first], wire, stream=True, model="first")
    assert decision.status == 502 and agrees(decision, first) and decision.completion_tokens == 3


@pytest.mark.parametrize("wire", WIRES[1:3], ids=lambda wire: wire.name)
async def test_a_repair(wire: BilledWire) -> None:
    """The answer that kept no format is paid for like the one that does."""
    can = Capabilities(structured_output=False)
    turns = (streamed(wire, USED, "no json"), streamed(wire, MORE, '{"a": 1}'))
    first = target(wire, "first", PRICES[0], *turns, can=can)
    box = Box(engine_backend((error(401),)), [first], LEAVE, ONCE)
    settled, sink = await box.live(box.ask(response_format={"type": "json_object"}))
    assert sink.text == '{"a": 1}' and agrees(settled.decision, first)
    assert settled.decision.prompt_tokens == 3500


async def test_a_long_prompt_is_dear_for_its_exchange_alone() -> None:
    """Two exchanges of half the length are not one of the whole."""
    half = Usage(1500, 10)
    wire = WIRES[1]
    turns = (streamed(wire, half, "no json"), streamed(wire, half, '{"a": 1}'))
    first = target(wire, "first", PRICES[1], *turns, can=Capabilities(structured_output=False))
    box = Box(engine_backend((error(401),)), [first], LEAVE, ONCE)
    settled, _ = await box.live(box.ask(response_format={"type": "json_object"}))
    assert agrees(settled.decision, first)
    assert settled.decision.cost_usd == pytest.approx((3000 * 1.25 + 20 * 10.0) / 1e6)


@streaming
async def test_a_hedge_whose_loser_never_began(stream: bool) -> None:
    """A call given up before its head is billed by nobody."""
    wire = WIRES[0]
    first = target(wire, "first", PRICES[0], Billed([], wait=HANG))
    second = target(wire, "second", PRICES[1], answers(wire, USED, stream=stream))
    for each in (first, second):
        each.target = _patient(each)
    decision = await asked([first, second], wire, Retries(hedge_after=0.02), stream=stream)
    assert decision.status == 200 and agrees(decision, first, second)


async def test_a_hedge_whose_loser_had_begun() -> None:
    """Both are held back whole; the one that never ends is called off, and what it said so far is estimated."""
    wire, gate = WIRES[0], Gate()
    first = target(wire, "first", PRICES[0], Billed([*wire.head(USED), wire.says("Hel"), HANG], bill=None))
    second = target(wire, "second", PRICES[0], Billed([*streamed(wire, USED).pieces[:-1], gate], bill=USED))
    for each in (first, second):
        each.target = _patient(each)
    box = Box(engine_backend((error(401),)), [first, second], LEAVE, Retries(hedge_after=0.01, attempts=1))
    task = asyncio.create_task(box.live(box.ask(stream=True, **WHOLE)))
    while not second.lanes[0].hop.replies:
        await asyncio.sleep(0.001)
    gate.open()
    settled, _ = await task
    won, lost = settled.decision.attempts
    assert (lost.outcome, lost.estimated, lost.completion_tokens) == ("cancelled", True, 1)
    assert won.outcome == "ok" and agrees(settled.decision, first, second)


async def test_a_client_that_hangs_up_pays_for_what_was_generated() -> None:
    """Cancelled in the middle: the pieces so far, estimated."""
    wire = WIRES[0]
    pieces = [*wire.head(USED), wire.says("a"), wire.says("b"), HANG]
    first = target(wire, "first", PRICES[0], Billed(pieces, bill=None))
    first.target = _patient(first)
    box, sink = Box(engine_backend((error(401),)), [first], LEAVE, ONCE), MemorySink()
    task = asyncio.create_task(box.live(box.ask(stream=True), sink))
    while len(sink.written) < 2:
        await asyncio.sleep(0)
    sink.gone = True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (decision,) = box.records.rows
    assert decision.status == 499 and agrees(decision, first) and decision.completion_tokens == 2


async def test_an_answer_resumed_twice() -> None:
    """Three runs: each is billed for what it read, the partial answer included, and for what it wrote itself."""
    wire = Chat()
    first_run = Billed([*wire.head(USED), wire.says("one "), wire.says("two "), CUT], bill=None)
    second_run = Billed([wire.says("three "), CUT], bill=None)
    third_run = Billed([wire.says("four"), *wire.last(Usage(1003, 1))], bill=Usage(1003, 1))
    first = able_to_resume(target(wire, "first", PRICES[0], first_run, second_run, third_run))
    box = Box(engine_backend((error(401),)), [first], LEAVE, ONCE)
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "one two three four" and agrees(settled.decision, first)
    assert [row.completion_tokens for row in settled.decision.attempts] == [2, 1, 1]
    assert settled.decision.attempts[1].prompt_tokens == settled.decision.attempts[0].prompt_tokens + 2


async def test_counts_that_a_server_got_wrong_earn_nothing() -> None:
    """A resumed run that reports fewer tokens than it was given: no count below zero is on record."""
    wire = Chat()
    cut = Billed([*wire.head(USED), *(wire.says(f"{n} ") for n in range(9)), CUT], bill=None)
    rest = Billed([wire.says("end"), *wire.last(Usage(2, 1))], bill=Usage(2, 1))
    first = able_to_resume(target(wire, "first", PRICES[0], cut, rest))
    box = Box(engine_backend((error(401),)), [first], LEAVE, ONCE)
    settled, _ = await box.live(box.ask(stream=True))
    assert all(row.completion_tokens >= 0 and row.prompt_tokens >= 0 for row in settled.decision.attempts)


async def test_a_model_without_a_price_has_no_cost() -> None:
    """Unknown is not zero, neither in the cloud nor on the box."""
    wire = WIRES[0]
    first = target(wire, "first", None, Billed([*wire.head(USED), wire.says("x"), CUT], bill=None))
    box = Box(engine_backend((Turn(told("fine")),)), [first], LEAVE, ONCE)
    settled, _ = await box.live(box.ask(stream=True, **WHOLE))
    cloud_row, local_row = settled.decision.attempts
    assert cloud_row.cost_usd is local_row.cost_usd is settled.decision.cost_usd is None


def _patient(backend: FakeBackend) -> Target:
    return replace(backend.target, timeouts=Timeouts(5, 5, 5, 5))
