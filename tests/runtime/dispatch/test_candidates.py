"""The order of candidates, the repetition of one, and the claims taken for each attempt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.reasons import Reason
from runtime.contract.targets import Capabilities, Timeouts
from runtime.fleet.breaker import BreakerState
from runtime.routing.plan.demotion import DemotedFor
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, MemorySink
from tests.fakes.upstream import CUT, HANG, RESET, ROLE, Gate, Turn, chunk, cloud, engine_backend, error, told, whole

BROKEN = Turn([ROLE, CUT])
FINE = Turn(told("fine"))


def leaving(*clouds: Any, local: Turn = FINE, **more: Any) -> Box:
    """A box that everything leaves, its engine last."""
    return Box(engine_backend((local,)), clouds, LEAVE, **more)


async def test_candidates_are_asked_in_the_plans_order() -> None:
    """Each fails once it was asked; the third answers as a fallback, and the head counts the exchanges."""
    box = leaving(cloud("first", error(401)), cloud("second", error(403)), cloud("third", FINE))
    settled, sink = await box.live(box.ask(stream=True))
    assert box.calls == [0, 1, 1, 1] and sink.text == "fine"
    assert sink.head is not None and (sink.head.attempts, sink.head.reason) == (3, Reason.FALLBACK)
    assert [row.target for row in settled.decision.attempts] == [
        f"vendor/{n}-model" for n in ("first", "second", "third")
    ]


async def test_the_first_candidate_answers_for_the_plans_reason() -> None:
    """No fallback is marked where none was needed."""
    box = leaving(cloud("first", FINE))
    _, sink = await box.live(box.ask(stream=True))
    assert sink.head is not None and sink.head.reason is Reason.QUEUE_DEPTH


async def test_a_demoted_target_that_answers_in_the_end_is_marked() -> None:
    """It stands last; where the better ones fail it answers, and the header and the record say so."""
    words = DemotedFor("demoted since 27 Nov: 64 of 80 against 74", 0.8)
    box = leaving(cloud("first", FINE), cloud("second", error(401)), local=error(401))
    box.fleet.demoted = {"": {"first": words}}
    settled, sink = await box.live(box.ask(stream=True))
    assert next(row.target for row in settled.decision.considered) == "vendor/second-model"
    assert sink.head is not None and sink.head.target.name == "first"
    assert sink.head.degraded == settled.decision.degraded == ("quality",)
    healthy = leaving(cloud("first", FINE), cloud("second", error(401)))
    healthy.fleet.demoted = {"": {"second": words}}
    _, sink = await healthy.live(healthy.ask(stream=True))
    assert sink.head is not None and sink.head.degraded == ()


async def test_a_postponed_retry_after_is_waited_out_when_everybody_failed() -> None:
    """Ten seconds are passed over while others may answer, and waited once when none did."""
    busy = error(429, retry_after="10")
    box = leaving(cloud("first", busy, FINE), cloud("second", error(401)), local=error(401), total_s=60.0)
    _, sink = await box.live(box.ask(stream=True))
    assert sink.text == "fine" and box.calls == [1, 2, 1] and 9.0 < sum(box.slept) <= 10.0


async def test_it_is_waited_out_once_and_never_past_the_deadline() -> None:
    """The wait counts as the second of two tries, and its 429 is the end; with five seconds left, ten are not begun."""
    busy = error(429, retry_after="10")
    box = leaving(cloud("first", busy), local=error(401), total_s=60.0)
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and box.calls == [1, 2] and len(box.slept) == 1
    late = leaving(cloud("first", busy), local=error(401), total_s=5.0)
    await late.live(late.ask(stream=True))
    assert late.calls == [1, 1] and late.slept == []


async def test_a_retry_after_beyond_the_limit_is_never_waited_out() -> None:
    """An hour is nobody's wait."""
    box = leaving(cloud("first", error(429, retry_after="3600")), local=error(401), total_s=9999.0)
    await box.live(box.ask(stream=True))
    assert box.calls == [1, 1] and box.slept == []


async def test_one_target_is_tried_as_often_as_the_settings_say() -> None:
    """Three attempts, two pauses between them that grow, then the next candidate."""
    box = leaving(cloud("first", Turn(refuse=RESET)), cloud("second", FINE), retries=Retries(attempts=3))
    settled, sink = await box.live(box.ask(stream=True))
    assert box.calls == [0, 3, 1] and sink.text == "fine" and len(settled.decision.attempts) == 4
    assert len(box.slept) == 2 and box.slept[0] < box.slept[1]


async def test_a_callers_fault_ends_the_request() -> None:
    """No other candidate is asked for what every one of them would refuse."""
    box = leaving(cloud("first", error(422, "bad top_k")), cloud("second", FINE))
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and settled.error.status == 422
    assert "bad top_k" in settled.error.message and box.calls == [0, 1, 0]


async def test_a_refusal_behind_a_failure_asks_the_next() -> None:
    """A fallback's 400 may be its own limitation."""
    box = leaving(cloud("first", error(401)), cloud("second", error(400, "no prefill")), cloud("third", FINE))
    _, sink = await box.live(box.ask(stream=True))
    assert sink.text == "fine" and box.calls == [0, 1, 1, 1]


FULL = error(400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.")


def window(tokens: int | None) -> Capabilities:
    return Capabilities(context_tokens=tokens)


@pytest.mark.parametrize(
    ("refusal", "windows", "calls"),
    [
        (FULL, (4096, 4096, 200_000), [0, 1, 0, 1]),
        (FULL, (200_000, 8192, 1_000_000), [0, 1, 0, 1]),
        (FULL, (4096, None, 200_000), [0, 1, 1, 0]),
        (FULL, (None, 4096, 200_000), [0, 1, 1, 0]),
        (error(400, "`inputs` must have less than 1024 tokens. Given: 1050"), (4096, 2048, 8192), [0, 1, 0, 1]),
        (error(413, "the body is too large"), (200_000, 8192, 1_000_000), [0, 1, 1, 0]),
    ],
)
async def test_a_prompt_too_long_goes_on_to_a_larger_window(
    refusal: Turn, windows: tuple[int | None, int | None, int | None], calls: list[int]
) -> None:
    """Smaller windows and equal ones are passed over; one of unknown size is asked, and bytes are no tokens."""
    first, second, third = windows
    box = leaving(
        cloud("first", refusal, capabilities=window(first)),
        cloud("second", FINE, capabilities=window(second)),
        cloud("third", FINE, capabilities=window(third)),
    )
    _, sink = await box.live(box.ask(stream=True))
    assert sink.text == "fine" and box.calls == calls


async def test_a_prompt_too_long_for_every_window_is_the_callers_to_know() -> None:
    """The first refusal's words, with the code that clients shorten their history for."""
    box = leaving(cloud("first", FULL, capabilities=window(4096)), cloud("second", FINE, capabilities=window(4096)))
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and box.calls == [0, 1, 0]
    assert (settled.error.status, settled.error.code) == (400, "context_length_exceeded")
    assert "maximum context length is 4096" in settled.error.message


async def test_a_full_engine_is_no_health_problem_of_it() -> None:
    """Busy goes to the next candidate at once and opens no breaker."""
    busy = error(429, "queue full")
    box = leaving(cloud("first", busy), cloud("second", FINE))
    for _ in range(8):
        await box.live(box.ask(stream=True))
    assert box.fleet.breakers()["first"] is BreakerState.CLOSED and box.calls[1] == 8 and box.slept == []


async def test_a_breaker_that_opened_meanwhile_is_an_attempt_that_failed() -> None:
    """Planned while closed, open when its turn comes: the next candidate, with nothing sent."""
    box = leaving(cloud("first", error(401)), cloud("second", FINE), local=FINE)
    claim = box.fleet.claim

    def tripping(target: Any) -> Any:
        return None if target.name == "second" else claim(target)

    box.fleet.claim = tripping  # type: ignore[method-assign]
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "fine" and box.calls == [1, 1, 0]
    assert settled.decision.target == "local/small"


async def test_five_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    """While open nothing is sent; the probe's answer closes it for everybody."""
    box = leaving(cloud("first", *[error(500)] * 5, FINE), retries=Retries(attempts=1))
    for _ in range(6):
        await box.live(box.ask(stream=True))
    assert box.calls[1] == 5 and box.fleet.breakers()["first"] is BreakerState.OPEN
    box.fleet.remember({"first": (1, 0.0)})
    _, sink = await box.live(box.ask(stream=True))
    assert sink.head is not None and sink.head.target.name == "first"
    assert box.fleet.breakers()["first"] is BreakerState.CLOSED


@pytest.mark.parametrize("broken", [BROKEN, Turn(refuse=RESET), error(400), Turn(wait=HANG), error(500)])
async def test_every_end_gives_the_claim_back(broken: Turn) -> None:
    """Nothing is in flight and the ledgers are empty, whatever the attempt ended with."""
    first = cloud("first", broken)
    box = leaving(first, retries=Retries(attempts=1))
    await box.live(box.ask(stream=True))
    assert box.fleet.in_flight == {}
    for lane in (first.lanes[0], box.local.lanes[0]):
        assert (box.fleet.ledger(lane).waiting, box.fleet.ledger(lane).running) == (0, 0)
    assert all(reply.closed for reply in first.lanes[0].hop.replies)


@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, UnicodeError, asyncio.CancelledError])
async def test_an_exception_in_a_probe_gives_the_probe_back(fault: type[BaseException]) -> None:
    """A half-open breaker lets the next one through at once."""
    first = cloud("first", Turn(wait=HANG))
    box = leaving(first)
    box.fleet.remember({"first": (1, 0.0)})

    async def raising(*_: object, **__: object) -> Any:
        raise fault

    first.lanes[0].hop.open = raising  # type: ignore[method-assign]
    await box.live(box.ask(stream=True))
    assert box.fleet.allows(first.target) and box.fleet.in_flight == {}


async def test_a_cancelled_request_is_counted_nowhere() -> None:
    """In flight while it waits, gone with its task, and its call upstream is closed."""
    first = cloud("first", Turn(wait=HANG), timeouts=Timeouts(5, 5, 5, 5))
    box = leaving(first)
    box.fleet.remember({"first": (1, 0.0)})
    task = asyncio.create_task(box.live(box.ask(stream=True)))
    while not first.lanes[0].hop.calls:
        await asyncio.sleep(0)
    assert box.fleet.in_flight == {"vendor/first-model": 1} and not box.fleet.allows(first.target)
    task.cancel()
    await task
    assert box.fleet.in_flight == {} and box.fleet.allows(first.target) and first.lanes[0].hop.cancelled == 1


async def test_the_deadline_ends_the_repetition() -> None:
    """What is left of the time bounds an attempt, and there is no second one behind it."""
    box = leaving(cloud("first", Turn(wait=HANG), timeouts=Timeouts(5, 5, 5, 5)), cloud("second", FINE), total_s=0.1)
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and settled.error.status == 504 and box.calls == [0, 1, 0]


async def test_replicas_take_turns_on_one_target() -> None:
    """The second try goes to the replica that did not fail."""
    local = engine_backend((Turn(refuse=RESET),), (FINE,))
    box = Box(local)
    settled, sink = await box.live(box.ask(model="local", stream=True))
    assert sink.text == "fine" and [row.lane for row in settled.decision.attempts] == ["replica-0", "replica-1"]


async def test_an_engine_that_went_down_behind_its_plan_is_a_failure_with_an_estimate() -> None:
    """No lane is ready when its turn comes: no exchange, and a Retry-After where a start is under way."""
    box = Box(engine_backend((FINE,)))
    picture = box.fleet.picture

    def then_down(*args: Any, **more: Any) -> Any:
        made = picture(*args, **more)
        box.local.lanes[0].ready = False
        box.engine.ready_at = box.clock() + 12.0
        return made

    box.fleet.picture = then_down  # type: ignore[method-assign]
    settled, _ = await box.live(box.ask(stream=True))
    assert settled.error is not None and settled.error.status == 503 and box.calls == [0]
    assert settled.error.retry_after is not None and 10.0 < settled.error.retry_after <= 12.0


async def test_a_target_that_a_reload_removed_still_answers_the_request_under_way() -> None:
    """The turns hold their backends, and the claim is counted and given back all the same."""
    gate = Gate()
    gone, box = cloud("first", Turn(told("Hello"), wait=gate)), None
    box = leaving(gone, cloud("second", FINE))
    task = asyncio.create_task(box.live(box.ask(stream=True)))
    while not gone.lanes[0].hop.calls:
        await asyncio.sleep(0)
    box.reload([])
    gate.open()
    settled, sink = await task
    assert sink.text == "Hello" and settled.decision.status == 200 and box.fleet.in_flight == {}
    assert "first" not in box.fleet.breakers()


async def test_a_fallback_that_a_reload_removed_still_answers() -> None:
    """So does the candidate whose turn had not come."""
    gate = Gate()
    first = cloud("first", Turn(refuse=HopError(Failure(Kind.DENIED, Disposition.NEXT_CANDIDATE, "no")), wait=gate))
    box = leaving(first, cloud("second", FINE))
    task = asyncio.create_task(box.live(box.ask(stream=True)))
    while not first.lanes[0].hop.calls:
        await asyncio.sleep(0)
    box.reload([])
    gate.open()
    settled, sink = await task
    assert sink.text == "fine" and settled.decision.target == "vendor/second-model"


async def test_a_whole_answer_that_is_cut_is_rescued_by_the_next() -> None:
    """Held back to its end, it was never committed; both exchanges are on record."""
    box = leaving(cloud("first", Turn([ROLE, chunk("Hel"), CUT])), cloud("second", FINE), retries=Retries(attempts=1))
    settled, sink = await box.live(box.ask(stream=True, hearth={"delivery": "whole"}))
    assert sink.text == "fine" and sink.starts == 1
    cut, good = settled.decision.attempts
    assert (cut.outcome, cut.estimated, cut.completion_tokens) == ("broken_stream", True, 1) and good.outcome == "ok"


async def test_a_committed_answer_is_never_replaced() -> None:
    """After the first byte another model never finishes it."""
    box = leaving(cloud("first", Turn([ROLE, chunk("Hel"), CUT])), cloud("second", FINE))
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "Hel" and settled.error is not None and box.calls == [0, 1, 0]


async def test_a_parameter_that_is_refused_by_name_is_dropped_and_named() -> None:
    """A limit above the model's goes down to it, and the head says so."""
    first = cloud("first", FINE)
    first.target = replace(first.target, capabilities=replace(first.target.capabilities, max_output_tokens=10))
    box = leaving(first)
    settled, sink = await box.live(box.ask(stream=True, max_tokens=5000))
    assert sink.head is not None and sink.head.degraded == ("max_tokens",) == settled.decision.degraded


async def test_a_sink_that_raises_ends_the_request_with_one_record() -> None:
    """A broken client end is a fault like any other; the upstream is closed."""
    local = engine_backend((Turn([ROLE, chunk("Hel"), chunk("lo"), HANG]),))
    box = Box(local)

    def raising(data: bytes) -> None:
        raise OSError("the transport is gone")

    settled, _ = await box.live(box.ask(stream=True), MemorySink(raising))
    assert settled.error is not None and len(box.records.rows) == 1 and box.fleet.in_flight == {}
    assert local.lanes[0].hop.replies[0].closed


async def test_a_whole_json_answer_passes_too() -> None:
    """The same way for an answer that is no stream."""
    box = leaving(cloud("first", error(500), Turn([whole("Paris")])))
    _, sink = await box.live(box.ask())
    assert sink.text == "Paris" and box.calls == [0, 2]
