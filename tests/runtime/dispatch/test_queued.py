"""A request that nobody else can answer waits for its first token as long as the engine works on what was sent before it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from runtime.settings import Retries
from tests.fakes.box import Box, able_to_resume
from tests.fakes.upstream import CUT, DONE, HANG, QUICK, ROLE, Gate, Turn, chunk, cloud, engine_backend, told

FIRST_S = 0.4  # [timeouts] first_token
PIECES = 12
EVERY_S = 0.1  # between two pieces of the answer before it, which lasts three times `FIRST_S`
ONCE = Retries(attempts=1)


class Spoken:
    """A long answer, piece by piece, of which `count` are sent."""

    def __init__(self, count: int = PIECES) -> None:
        self._gates = [Gate() for _ in range(PIECES)]
        self._count = count
        pieces = [piece for gate in self._gates for piece in (gate, chunk("x"))]
        self.turn = Turn([ROLE, *pieces, chunk(finish="stop"), DONE])

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        for number, gate in enumerate(self._gates[: self._count]):
            loop.call_later(EVERY_S * (number + 1), gate.open)


def box(*turns: Turn, total_s: float = 10.0, idle_s: float = 5.0, away: Turn | None = None) -> Box:
    timeouts = replace(QUICK, first_token=FIRST_S, idle=idle_s, total=total_s)
    clouds = [cloud("first", away)] if away is not None else []
    return Box(engine_backend(turns, timeouts=timeouts), clouds, retries=ONCE, total_s=total_s)


async def begun(made: Box, said: Spoken, model: str = "local") -> asyncio.Future[Any]:
    """The answer before, once its first token has come."""
    asked = asyncio.ensure_future(made.live(made.ask(model=model, stream=True)))
    said.begin()
    ledger = made.fleet.ledger(made.local.lanes[0])
    async with asyncio.timeout(5):
        while not ledger.running:
            await asyncio.sleep(0.005)
    return asked


@pytest.mark.parametrize("model", ["local", "auto"])
async def test_it_waits_behind_a_long_answer(model: str) -> None:
    """Three times `first_token`, and its own answer has all of that limit once the other one has ended."""
    said, own = Spoken(), Gate()
    made = box(said.turn, Turn([ROLE, own, *told("Paris")[1:]]))
    before = await begun(made, said)
    before.add_done_callback(lambda _: asyncio.get_running_loop().call_later(FIRST_S / 2, own.open))
    settled, sink = await made.live(made.ask(model=model, stream=True))
    await before
    assert settled.decision.status == 200 and sink.text == "Paris"
    assert settled.decision.ttft_ms is not None and settled.decision.ttft_ms > 2000 * FIRST_S


async def test_the_others_may_wait_too() -> None:
    """Six of them behind one answer, one after another."""
    said, gates = Spoken(), [Gate() for _ in range(6)]
    made = box(said.turn, *[Turn([ROLE, gate, *told("Paris")[1:]]) for gate in gates])
    before = await begun(made, said)
    waiting = []
    for _ in gates:
        waiting.append(asyncio.ensure_future(made.live(made.ask(model="local", stream=True))))
        await asyncio.sleep(0.01)
    await before
    for gate, each in zip(gates, waiting, strict=True):
        await asyncio.sleep(FIRST_S / 4)
        gate.open()
        settled, sink = await each
        assert settled.decision.status == 200 and sink.text == "Paris"


@pytest.mark.parametrize("model", ["local", "auto"])
async def test_an_engine_that_falls_silent_is_left(model: str) -> None:
    """`first_token` after its last piece, long before `idle` has ended the answer before."""
    said = Spoken(PIECES // 2)
    made = box(said.turn, Turn([HANG]))
    before, began = await begun(made, said), time.monotonic()
    settled, _ = await made.live(made.ask(model=model, stream=True))
    took = time.monotonic() - began
    before.cancel()
    (row,) = settled.decision.attempts
    assert (settled.decision.status, row.outcome) == (502, "silent")
    assert EVERY_S * (PIECES // 2 - 1) + FIRST_S * 0.9 < took < 4
    assert row.message.startswith("nothing came for") and float(row.message.split()[3]) > FIRST_S


async def test_later_requests_are_no_queue() -> None:
    """An answer that was lost is given up, however busy the engine is with what was sent after it."""
    said = Spoken()
    made = box(Turn([HANG]), said.turn)
    lost = asyncio.ensure_future(made.live(made.ask(model="local", stream=True)))
    await asyncio.sleep(0.01)
    after = await begun(made, said)
    settled, _ = await lost
    assert (settled.decision.status, after.done()) == (502, False)
    await after


async def test_who_has_somebody_else_to_ask_does_not_wait() -> None:
    """The next candidate answers after `first_token`, while the answer before goes on."""
    said = Spoken()
    made = box(said.turn, Turn([HANG]), away=Turn(told("fine")))
    before = await begun(made, said)
    settled, sink = await made.live(made.ask(stream=True))
    assert (settled.decision.target, sink.text, before.done()) == ("vendor/first-model", "fine", False)
    await before


async def test_the_deadline_bounds_the_wait() -> None:
    """However long the engine works on what was sent before."""
    said = Spoken()
    made = box(said.turn, Turn([HANG]), total_s=2 * FIRST_S)
    before = await begun(made, said)
    settled, _ = await made.live(made.ask(model="local", stream=True))
    before.cancel()
    assert settled.decision.status == 504


async def test_the_rest_of_a_cut_answer_waits_too() -> None:
    """It is committed, so that nobody but this model may continue it, whoever stands behind it."""
    said, own = Spoken(), Gate()
    rest = Turn([ROLE, own, chunk("there"), chunk(finish="stop"), DONE])
    timeouts = replace(QUICK, first_token=FIRST_S, idle=5.0, total=10.0)
    lanes = (said.turn, rest), (Turn([ROLE, chunk("Hel"), chunk("lo "), CUT]),)
    local = able_to_resume(engine_backend(*lanes, timeouts=timeouts))
    made = Box(local, [cloud("first", Turn(told("never")))], retries=ONCE, total_s=10.0)
    before = await begun(made, said)
    before.add_done_callback(lambda _: own.open())
    settled, sink = await made.live(made.ask(stream=True))
    assert (settled.decision.status, sink.text, settled.decision.degraded) == (200, "Hello there", ("resumed",))
    assert before.done()
