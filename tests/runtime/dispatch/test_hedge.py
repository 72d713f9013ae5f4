"""A hedge: the next candidate beside a slow one. The first to commit answers, the other is called off."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from runtime.contract.targets import Timeouts
from runtime.dispatch.hedge import Race
from runtime.dispatch.job import Turn as Taken
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, MemorySink, asked, text_of
from tests.fakes.upstream import (
    CUT,
    HANG,
    ROLE,
    FakeBackend,
    Gate,
    Turn,
    chunk,
    cloud,
    engine_backend,
    error,
    told,
    whole,
)

PATIENT = Timeouts(5, 5, 5, 5)
SOON = Retries(hedge_after=0.02, attempts=1)
FINE = Turn(told("fine"))


def raced(*clouds: FakeBackend, retries: Retries = SOON) -> Box:
    return Box(engine_backend((FINE,)), clouds, LEAVE, retries)


def outcomes(box: Box) -> dict[str, str]:
    return {
        row.target.removeprefix("vendor/").removesuffix("-model"): row.outcome for row in box.records.rows[0].attempts
    }


def at_rest(box: Box) -> bool:
    """Nothing in flight, no other task, no open reply."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    replies = [reply for each in box.backends for lane in each.lanes for reply in lane.hop.replies]
    return box.fleet.in_flight == {} and not others and all(reply.closed for reply in replies)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_second_answers_while_the_first_is_silent(stream: bool) -> None:
    """Streamed and whole: one answer, the loser's call closed, both exchanges on record."""
    answer = FINE if stream else Turn([whole("fine")])
    box = raced(cloud("first", Turn(wait=HANG), timeouts=PATIENT), cloud("second", answer))
    settled, sink = await box.live(box.ask(stream=stream))
    assert sink.text == "fine" and sink.starts == 1 and settled.decision.status == 200
    assert outcomes(box) == {"first": "cancelled", "second": "ok"} and at_rest(box)
    assert settled.decision.target == "vendor/second-model" and settled.decision.reason == "fallback"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_first_answers_after_all(stream: bool) -> None:
    """It was slow, and quicker than its hedge: the hedge is called off."""
    gate = Gate()
    answer = Turn(told("fine"), wait=gate) if stream else Turn([whole("fine")], wait=gate)
    second = cloud("second", Turn(wait=HANG), timeouts=PATIENT)
    box = raced(cloud("first", answer, timeouts=PATIENT), second)
    task = asyncio.create_task(box.live(box.ask(stream=stream)))
    while not second.lanes[0].hop.calls:
        await asyncio.sleep(0.001)
    gate.open()
    _, sink = await task
    assert sink.text == "fine" and second.lanes[0].hop.cancelled == 1 and at_rest(box)
    assert sink.head is not None and sink.head.target.name == "first"


async def test_of_two_that_come_at_once_one_is_relayed() -> None:
    """Both reach their first content in one turn of the loop: no text of the loser, one head."""
    gate = Gate()
    first = cloud("first", Turn([ROLE, gate, chunk("one "), chunk("two"), chunk(finish="stop")]), timeouts=PATIENT)
    second = cloud("second", Turn([ROLE, gate, chunk("uno "), chunk("due"), chunk(finish="stop")]), timeouts=PATIENT)
    box = raced(first, second)
    task = asyncio.create_task(box.live(box.ask(stream=True)))
    while not second.lanes[0].hop.replies:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    gate.open()
    settled, sink = await task
    assert sink.text in ("one two", "uno due") and sink.starts == 1 and settled.decision.status == 200
    assert sorted(outcomes(box).values()) == ["cancelled", "ok"] and at_rest(box)


async def test_nobody_is_asked_beside_one_that_has_begun() -> None:
    """A stream that is committed within the wait is never doubled, however long it takes."""
    gate = Gate()
    first = cloud("first", Turn([ROLE, chunk("Hel"), gate, chunk("lo"), chunk(finish="stop")]), timeouts=PATIENT)
    box, sink = raced(first, cloud("second", FINE)), MemorySink()
    task = asyncio.create_task(box.live(box.ask(stream=True), sink))
    await asyncio.sleep(0.06)
    gate.open()
    await task
    assert sink.text == "Hello" and box.calls == [0, 1, 0]


async def test_a_pinned_request_has_no_hedge() -> None:
    """Only `auto` changes target."""
    first = cloud("first", Turn(wait=HANG))
    box = raced(first, cloud("second", FINE))
    settled, _ = await box.live(box.ask(model="first", stream=True))
    assert settled.error is not None and box.calls == [0, 1, 0]


async def test_when_both_fail_the_next_in_line_answers() -> None:
    """A race without a winner is two candidates that failed."""
    gate = Gate()
    first = cloud("first", Turn(error(401).pieces, 401, wait=gate), timeouts=PATIENT)
    second, third = cloud("second", error(403)), cloud("third", FINE)
    box = raced(first, second, third)
    task = asyncio.create_task(box.live(box.ask(stream=True)))
    while not second.lanes[0].hop.replies:
        await asyncio.sleep(0.001)
    gate.open()
    settled, sink = await task
    assert sink.text == "fine" and len(settled.decision.attempts) == 3 and at_rest(box)


async def test_a_winner_that_breaks_off_is_an_error_and_not_the_losers_turn() -> None:
    """After the commit point nobody else answers."""
    box = raced(cloud("first", Turn(wait=HANG), timeouts=PATIENT), cloud("second", Turn([ROLE, chunk("Hel"), CUT])))
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "Hel" and settled.error is not None and settled.error.code == "broken_stream" and at_rest(box)


@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, KeyError])
async def test_a_fault_in_one_lane_ends_the_race_with_one_record(fault: type[Exception]) -> None:
    """The other task is cancelled and waited for; every claim is given back."""
    first, second = cloud("first", Turn(wait=HANG), timeouts=PATIENT), cloud("second", FINE)

    async def raising(*_: object, **__: object) -> Any:
        raise fault

    second.lanes[0].hop.open = raising  # type: ignore[method-assign]
    box = raced(first, second)
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and settled.error.code == "internal_error"
    assert len(box.records.rows) == 1 and first.lanes[0].hop.cancelled == 1 and at_rest(box)


async def test_a_client_that_goes_away_ends_both() -> None:
    """One record, 499, and both calls upstream are closed."""
    first, second = (
        cloud("first", Turn(wait=HANG), timeouts=PATIENT),
        cloud("second", Turn(wait=HANG), timeouts=PATIENT),
    )
    box, sink = raced(first, second), MemorySink()
    task = asyncio.create_task(box.live(box.ask(stream=True), sink))
    while not second.lanes[0].hop.calls:
        await asyncio.sleep(0.001)
    sink.gone = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.status for row in box.records.rows] == [499] and set(outcomes(box).values()) == {"cancelled"}
    assert first.lanes[0].hop.cancelled == second.lanes[0].hop.cancelled == 1 and at_rest(box)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_delivered_answer_is_never_booked_as_a_hang_up(stream: bool) -> None:
    """The client closes when it has its answer, as clients do: the record says 200, hedged or not."""
    answer = FINE if stream else Turn([whole("fine")])
    gone = asyncio.Event()
    box = raced(
        cloud("first", Turn(wait=HANG), timeouts=PATIENT), cloud("second", answer), retries=Retries(hedge_after=0.3)
    )
    app = box.app()

    async def leave_when_answered() -> None:
        while not box.fleet.in_flight:
            await asyncio.sleep(0)
        while box.fleet.in_flight:
            await asyncio.sleep(0)
        gone.set()

    leaving = asyncio.create_task(leave_when_answered())
    body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    seen = await asked(app, "/v1/chat/completions", body, gone=gone)
    await leaving
    assert seen.status == 200 and text_of(seen.body) == "fine" and [row.status for row in box.records.rows] == [200]


async def test_a_race_leaves_no_task_behind() -> None:
    """By itself: the loser is cancelled and its end awaited before the race returns."""
    ended: list[str] = []

    async def take(turn: Any, others: bool) -> bool:
        try:
            await asyncio.sleep(0.005 if turn.target.name == "second" else 60)
        finally:
            ended.append(turn.target.name)
        return True

    first, second = cloud("first", FINE), cloud("second", FINE)
    turns = [Taken(each, each.target, "fallback") for each in (first, second)]  # type: ignore[arg-type]
    left = deque(turns[1:])
    assert await Race(take).run(turns[0], left, 0.005, lambda: False)
    assert ended == ["second", "first"] and not left
    assert asyncio.all_tasks() == {asyncio.current_task()}
