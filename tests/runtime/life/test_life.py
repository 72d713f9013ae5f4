"""The life of a request without a door: one record whatever happens, and an error for the caller to show."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dispatch.job import Job, Outcome, Sink
from runtime.life.desk import Desk
from runtime.life.life import CLIENT_GONE
from runtime.load.ledger import InFlight
from runtime.record.decisions import Decision
from runtime.routing.facts.tokens import TokenEstimate
from runtime.routing.plan.plan import Plan
from runtime.trust.caller import Caller
from runtime.wire.api_error import ApiError
from tests.fakes.box import LEAVE, Box, MemorySink
from tests.fakes.upstream import CUT, DONE, HANG, ROLE, Turn, chunk, cloud, engine_backend, error, told, whole

SECRET = "the patient's name"


class Fault(Exception):
    """A defect of the program."""


def good(**more: Any) -> Box:
    return Box(engine_backend((Turn(told("Hello")),)), **more)


async def test_a_good_answer_is_settled_once() -> None:
    """The answer is in the sink, the decision in the store, among the latest and in the metrics."""
    box = good()
    settled, sink = await box.live(box.ask(stream=True))
    assert settled.error is None and sink.text == "Hello" and sink.starts == 1
    assert box.records.rows == [settled.decision] == list(box.desk.latest)
    _, metrics = box.desk.metrics.render()
    assert b"hearth_requests_total{" in metrics and b'target="local/small"' in metrics
    row = settled.decision
    assert (row.status, row.prompt_tokens, row.completion_tokens, row.finish) == (200, 7, 2, "stop")
    assert row.ttft_ms is not None and row.ttft_ms <= row.total_ms and row.stream


async def test_an_answer_teaches_the_size_of_prompts() -> None:
    """The estimate of the next prompt leans towards the count that the upstream reported."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":900,"completion_tokens":2}}\n\n'
    box = Box(engine_backend((Turn([ROLE, chunk("Hello"), chunk(finish="stop"), usage, DONE]),)))
    ask = box.ask("word " * 600, stream=True)
    before = box.desk.planner.read("openai_chat", ask.body.data, {}).facts.prompt_tokens
    await box.live(ask)
    assert before < box.desk.planner.read("openai_chat", ask.body.data, {}).facts.prompt_tokens


async def test_a_refusal_of_the_plan_is_recorded_and_nothing_is_asked() -> None:
    """An unknown model is the caller's to know: 404, one record, no exchange."""
    box = good()
    settled, sink = await box.live(box.ask(model="gpt-9"))
    assert settled.error is not None and settled.error.code == "model_not_found" and sink.head is None
    assert [(row.status, row.model, row.attempts) for row in box.records.rows] == [(404, "gpt-9", ())]
    assert box.calls == [0]


async def test_a_hint_that_cannot_be_read_decides_nothing() -> None:
    """A bad body is refused before there is a decision to record."""
    box = good()
    with pytest.raises(ApiError) as refused:
        await box.live(box.ask(hearth={"requiers": ["hipaa"]}))
    assert refused.value.status == 400 and refused.value.param == "hearth.requiers" and box.records.rows == []


async def test_inherited_certificates_hold_and_are_recorded() -> None:
    """A conversation that demanded one keeps demanding it, whatever this turn says."""
    box = Box(engine_backend((Turn(told("Hello")),)), [cloud("first", Turn(told("never")))], LEAVE)
    asked = box.ask(stream=True)
    asked = type(asked)(asked.id, asked.dialect, asked.body, {}, asked.arrived, requires=frozenset({"hipaa"}))
    settled, _ = await box.live(asked)
    assert settled.decision.requires == ("hipaa",) and box.calls[1] == 0


async def test_the_caller_is_on_record_by_the_id_of_its_key() -> None:
    """The key's id, never the key."""
    box = good()
    asked = box.ask(stream=True)
    asked = type(asked)(asked.id, asked.dialect, asked.body, {}, asked.arrived, Caller("k1", frozenset()))
    assert (await box.live(asked))[0].decision.caller == "k1"


async def test_every_failed_attempt_is_on_record_and_in_the_error() -> None:
    """Nobody answers: one record of two targets, and an error that names both."""
    box = Box(engine_backend((error(500, "three"),)), [cloud("first", error(401, "denied"))], LEAVE)
    settled, sink = await box.live(box.ask())
    assert settled.error is not None and sink.head is None
    assert settled.error.status == 502 and "denied" in settled.error.message and "three" in settled.error.message
    assert [row.target for row in settled.decision.attempts] == ["vendor/first-model", "local/small", "local/small"]
    assert settled.decision.status == 502 and settled.decision.target is None


async def test_an_answer_that_broke_off_is_an_error_to_show_behind_it() -> None:
    """The sink keeps what was relayed; the record names the target and is no 200."""
    box = Box(engine_backend((Turn([ROLE, chunk("Hel"), CUT]),)))
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "Hel" and settled.error is not None and settled.error.code == "broken_stream"
    assert settled.decision.status == 502 and settled.decision.target == "local/small"


# The floor


def break_fleet(box: Box, fault: BaseException) -> None:
    def raising(*_: object, **__: object) -> Any:
        raise fault

    box.fleet.picture = raising  # type: ignore[method-assign]


def break_dispatcher(box: Box, fault: BaseException) -> None:
    async def raising(*_: object, **__: object) -> Any:
        raise fault

    box.desk.dispatcher.run = raising  # type: ignore[method-assign]


@pytest.mark.parametrize("broken", [break_fleet, break_dispatcher])
@pytest.mark.parametrize(
    "fault", [Fault(SECRET), KeyError(SECRET), MemoryError(), RecursionError(), OSError(5, SECRET)]
)
async def test_a_fault_of_the_program_is_a_500_with_one_record(
    broken: Any, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the lines of code that were passed, and nothing of what was asked."""
    box = good()
    broken(box, fault)
    with caplog.at_level(logging.ERROR, "hearth"):
        settled, sink = await box.live(box.ask(SECRET))
    assert settled.error is not None and (settled.error.status, settled.error.code) == (500, "internal_error")
    assert settled.decision.id in settled.error.message and sink.head is None
    assert [row.status for row in box.records.rows] == [500] and SECRET not in caplog.text
    assert type(fault).__name__ in caplog.text and "in raising" in caplog.text


class RaisingDialect(ChatDialect):
    """Every read of a body fails."""

    def streams(self, body: Any) -> bool:
        raise Fault(SECRET)


async def test_a_dialect_that_raises_ends_as_any_fault() -> None:
    """In the middle of an attempt: one record, and the claim on the target is given back."""
    box = good()
    settled, _ = await box.live(box.ask(dialect=RaisingDialect()))
    assert settled.error is not None and settled.error.code == "internal_error"
    assert [row.status for row in box.records.rows] == [500] and box.fleet.in_flight == {}


async def test_a_listener_that_raises_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The client has its answer, and every other listener its decision."""
    box, heard = good(), list[Decision]()

    def raising(decision: Decision) -> None:
        raise Fault(SECRET)

    box.desk.settled = (raising, *box.desk.settled, raising, heard.append)
    with caplog.at_level(logging.ERROR, "hearth"):
        settled, sink = await box.live(box.ask(stream=True))
    assert settled.error is None and sink.text == "Hello"
    assert box.records.rows == heard == [settled.decision] and SECRET not in caplog.text


async def test_a_fault_while_learning_costs_the_record_nothing() -> None:
    """The answer was given, and the record has its tokens and its exchange."""
    box = good()

    class Broken(TokenEstimate):
        def learn(self, plain: float, counted: int) -> None:
            raise Fault

    box.desk.planner.tokens = Broken()
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is None and [row.status for row in box.records.rows] == [200]
    assert settled.decision.completion_tokens == 2 and settled.decision.model == "auto"


async def test_a_record_that_cannot_be_made_is_made_of_what_is_certain() -> None:
    """A clock that raises: the status, the id and the dialect are on record."""
    box = good()
    box.desk.wall = lambda: 1 / 0
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is None
    assert [(row.id, row.status, row.dialect) for row in box.records.rows] == [("dec_1", 200, "openai_chat")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, asyncio.CancelledError])
async def test_a_fault_behind_the_last_byte_takes_no_answer_back(
    monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], stream: bool
) -> None:
    """The ledger raises while it learns from the answer: the caller has it whole, and the record says so."""
    box = Box(engine_backend((Turn(told("Hello") if stream else [whole("Hello")]),)))
    ledger = box.fleet.ledger(box.local.lanes[0])

    def raising(*_: object) -> None:
        raise fault

    monkeypatch.setattr(InFlight, "done", raising)
    settled, sink = await box.live(box.ask(stream=stream))
    assert settled.error is None and sink.text == "Hello" and [row.status for row in box.records.rows] == [200]
    assert box.fleet.in_flight == {} and (ledger.waiting, ledger.running) == (0, 0)


async def test_a_client_that_hangs_up_is_on_record_as_gone() -> None:
    """The cancellation goes on; the record says 499 and has the cut exchange."""
    box = Box(engine_backend((Turn([ROLE, chunk("Hel"), HANG]),)))
    sink = MemorySink()
    task = asyncio.create_task(box.live(box.ask(stream=True), sink))
    while not sink.written:
        await asyncio.sleep(0)
    sink.gone = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (row,) = box.records.rows
    assert row.status == CLIENT_GONE and row.attempts[0].outcome == "cancelled" and row.attempts[0].estimated
    assert box.fleet.in_flight == {}


async def test_a_server_that_stops_ends_its_requests_with_an_error() -> None:
    """A cancellation that is not the client's is a 503 to be shown, and is recorded as one."""
    box = Box(engine_backend((Turn(wait=HANG),)))
    task = asyncio.create_task(box.live(box.ask()))
    while not box.fleet.in_flight:
        await asyncio.sleep(0)
    task.cancel()
    settled, _ = await task
    assert settled.error is not None and (settled.error.status, settled.error.code) == (503, "shutting_down")
    assert [row.status for row in box.records.rows] == [503]


async def test_other_work_than_generating_is_carried_out_and_settled() -> None:
    """The work gets the plan and the job, and what it puts into the outcome is recorded."""
    box, seen = good(total_s=7.0), list[Job]()

    async def work(desk: Desk, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
        seen.append(job)
        outcome.target, outcome.reason = plan.candidates[0].target, plan.reason
        await sink.write(b"done")
        outcome.answered = True

    ask = box.ask(hearth={"delivery": "whole"})
    settled, sink = await box.live(ask, work=work)
    assert settled.error is None and sink.body == b"done" and settled.decision.target == "local/small"
    assert seen[0].whole and seen[0].deadline == ask.arrived + 7.0 and seen[0].id == ask.id


async def test_a_whole_answer_has_its_length_announced() -> None:
    """The head is given once, before the only write."""
    box = Box(engine_backend((Turn([whole("Paris")]),)))
    _, sink = await box.live(box.ask())
    assert sink.head is not None and sink.head.length == len(sink.body) and sink.text == "Paris"
