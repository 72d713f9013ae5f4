"""A request that waits for the engine longer than predicted leaves before its commit point, if the next candidate is sooner."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from runtime.contract.reasons import Reason
from runtime.routing.plan.plan import NO_TARGET
from runtime.routing.plan.waiting import LateMove
from runtime.settings import Escalation
from tests.fakes.box import Box
from tests.fakes.upstream import HANG, ROLE, Gate, Turn, cloud, engine_backend, error, told, whole

HURRY = Escalation(ttft_ms=200, complexity=1.0, queue_depth=1000)
FINE = Turn(told("fine"))


def waiting(*turns: Turn, away: Turn = FINE, learned: bool = True) -> Box:
    """A box whose engine read fast so far, and whose cloud begins an answer in 50 ms."""
    box = Box(engine_backend(turns), [cloud("first", away)], HURRY)
    now = [0.0]
    for _ in range(5 if learned else 0):
        with box.fleet.ledger(box.local.lanes[0]).claim(100, None, lambda: now[0]) as flight:
            now[0] += 0.01
            flight.first_token(now[0])
            now[0] += 1.0
            flight.tokens(50, now[0])
            flight.done()
        now[0] += 1.0
    box.fleet.ledger(box.clouds[0].lanes[0]).ttft.learn(0.05)
    return box


async def test_it_leaves_when_it_would_be_late() -> None:
    """The cloud answers, for the time to a first token; the engine's place is free, and the record has both exchanges."""
    box = waiting(Turn([HANG]))
    settled, sink = await box.live(box.ask(stream=True))
    decision = settled.decision
    assert (decision.status, decision.target, decision.reason) == (200, "vendor/first-model", Reason.TTFT)
    assert [each.outcome for each in decision.attempts] == ["late", "ok"] and sink.text == "fine"
    assert decision.words.startswith("no first token after 0.") and decision.degraded == ()
    ledger = box.fleet.ledger(box.local.lanes[0])
    assert ledger.waiting == 0 and ledger.running == 0
    waited_s = float(decision.words.removeprefix("no first token after ").split(" s")[0])
    assert decision.attempts[0].ended_ms < waited_s * 1000 + 700  # at once


async def test_who_leaves_teaches_how_short_the_prediction_was() -> None:
    """Else only those that did not have to leave would say how good predictions are."""
    box = waiting(Turn([HANG]))
    ledger = box.fleet.ledger(box.local.lanes[0])

    def predicted() -> float:
        with ledger.claim(100, None, time.monotonic):
            return ledger.predicted_ttft(100, time.monotonic())

    before = predicted()
    with ledger.claim(100, None, time.monotonic):
        settled, _ = await box.live(box.ask(stream=True))
    assert settled.decision.attempts[0].outcome == "late"
    assert predicted() > before + 0.02


async def test_it_comes_back_when_nobody_else_answers() -> None:
    """A late answer is better than none."""
    box = waiting(Turn([HANG]), FINE, away=error(500))
    settled, sink = await box.live(box.ask(stream=True))
    assert (settled.decision.status, settled.decision.target) == (200, "local/small") and sink.text == "fine"
    assert settled.decision.degraded == (NO_TARGET,)


@pytest.mark.parametrize(
    ("members", "learned"),
    [({"stream": True}, False), ({"stream": True, "model": "local"}, True), ({}, True)],
    ids=["nothing was learned", "pinned", "whole"],
)
async def test_it_stays(members: dict[str, Any], learned: bool) -> None:
    """Without evidence, under a name, and where no first token is seen."""
    gate = Gate()
    box = waiting(Turn([gate, *told("here")] if members.get("stream") else [gate, whole("here")]), learned=learned)
    asked = asyncio.ensure_future(box.live(box.ask(**members)))
    await asyncio.sleep(0.5)  # what must not happen has no event
    gate.open()
    settled, _ = await asked
    assert "late" not in [each.outcome for each in settled.decision.attempts]


async def test_an_answer_that_has_begun_stays() -> None:
    """The look is for requests that wait; a slow answer is not moved."""
    gate = Gate()
    box = waiting(Turn([ROLE, told("here")[1], gate, *told("here")[2:]]))
    asked = asyncio.ensure_future(box.live(box.ask(stream=True)))
    await asyncio.sleep(0.5)  # what must not happen has no event
    gate.open()
    settled, _ = await asked
    assert settled.decision.target == "local/small" and box.calls[1] == 0


@pytest.mark.parametrize(
    ("within", "there", "waited", "left", "leaves"),
    [
        (1.5, 0.9, 0.6, 1.0, True),
        (1.5, 0.9, 0.6, 0.8, False),  # late, but not later than there
        (1.5, 0.2, 0.6, 0.5, False),  # in time
        (1.5, 2.0, 1.6, 1.0, False),
        (1.5, 2.0, 1.6, 3.0, True),
    ],
)
def test_the_rule(within: float, there: float, waited: float, left: float, leaves: bool) -> None:
    """Late here, and sooner there."""
    move = LateMove(within, there)
    assert move.leaves(waited, left) is leaves
    assert 0 < move.first_s <= within and move.again_s > 0
