"""A committed answer that was cut: the same model continues it, on another replica or after the restart, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.contract.engine import ReplicaState
from runtime.dispatch.candidates import KEEP_ALIVE
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, MemorySink, able_to_resume
from tests.fakes.upstream import CUT, DONE, ROLE, Turn, chunk, cloud, engine_backend, error, told

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'
HALF = Turn([ROLE, chunk("Hel"), chunk("lo "), CUT])
REST = Turn([ROLE, chunk("there"), chunk(finish="stop"), USAGE, DONE])


def replicas(*lanes: Any, **more: Any) -> Box:
    return Box(able_to_resume(engine_backend(*lanes)), **more)


async def test_another_replica_continues_and_no_text_comes_twice() -> None:
    """One whole answer, one head, and the second exchange knew what had been said."""
    box = replicas((HALF,), (REST,))
    settled, sink = await box.live(box.ask(stream=True, max_tokens=10))
    assert sink.text == "Hello there" and sink.starts == 1 and sink.body.count(b'"role"') == 1
    assert settled.decision.degraded == ("resumed",) and settled.decision.status == 200
    asked = box.local.lanes[1].hop.bodies[0]
    assert asked["messages"][-1] == {"role": "assistant", "content": "Hello "} and asked["max_tokens"] == 8


async def test_the_tokens_of_both_runs_are_summed_as_the_engine_counted_them() -> None:
    """The cut one by its pieces, the resumed one by its usage: the partial answer was its prompt."""
    box = replicas((HALF,), (REST,))
    settled, _ = await box.live(box.ask(stream=True))
    cut, resumed = settled.decision.attempts
    assert (cut.outcome, cut.estimated, cut.completion_tokens) == ("broken_stream", True, 2)
    assert (resumed.outcome, resumed.prompt_tokens, resumed.completion_tokens) == ("ok", 9, 1)
    assert settled.decision.completion_tokens == 3


async def test_it_may_be_cut_again_and_continued_again() -> None:
    """Three runs, each continuing all that came before."""
    box = replicas((HALF, Turn([chunk("!"), chunk(finish="stop"), DONE])), (Turn([ROLE, chunk("there"), CUT]),))
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "Hello there!" and settled.decision.status == 200
    assert box.local.lanes[0].hop.bodies[1]["messages"][-1]["content"] == "Hello there"


async def test_the_restarted_engine_continues_and_the_client_is_kept_awake() -> None:
    """While no replica is ready a comment goes out; the change wakes the request at once."""
    box = replicas((HALF, REST))
    lane, sink = box.local.lanes[0], MemorySink()
    ready = lane.ready

    def on_write(data: bytes) -> None:
        if data == KEEP_ALIVE:
            lane.ready = True
            asyncio.get_running_loop().call_soon(box.engine.change)
        elif b"lo " in data:
            lane.ready = False

    sink = MemorySink(on_write)
    settled, _ = await asyncio.wait_for(box.live(box.ask(stream=True), sink), 5)
    assert ready and sink.text == "Hello there" and KEEP_ALIVE in sink.written and settled.decision.status == 200


async def test_an_engine_that_was_given_up_is_not_awaited() -> None:
    """The cut is an error at once."""
    box = replicas((HALF,))
    box.engine.down = ReplicaState.GIVEN_UP

    def on_write(data: bytes) -> None:
        if b"lo " in data:
            box.local.lanes[0].ready = False

    settled, sink = await asyncio.wait_for(box.live(box.ask(stream=True), MemorySink(on_write)), 2)
    assert settled.error is not None and settled.error.code == "broken_stream" and KEEP_ALIVE not in sink.written


async def test_an_engine_that_never_comes_back_ends_at_the_deadline() -> None:
    """An error within the request's time, not a hang."""
    box = replicas((HALF,), total_s=0.3)

    def on_write(data: bytes) -> None:
        if b"lo " in data:
            box.local.lanes[0].ready = False

    settled, sink = await asyncio.wait_for(box.live(box.ask(stream=True), MemorySink(on_write)), 5)
    assert settled.error is not None and sink.text == "Hello " and settled.decision.status == 502


async def test_a_model_that_cannot_continue_is_not_asked_to() -> None:
    """The cut is told, and the second replica is left alone."""
    box = Box(engine_backend((HALF,), (REST,)))
    settled, sink = await box.live(box.ask(stream=True))
    assert settled.error is not None and sink.text == "Hello " and box.local.lanes[1].hop.calls == []


async def test_a_cloud_is_never_asked_to_finish_an_answer() -> None:
    """Another model would say something else."""
    other = cloud("first", Turn(told("never")))
    box = Box(able_to_resume(engine_backend((HALF, Turn([ROLE, CUT])))), [other], total_s=1.0)
    await box.live(box.ask(stream=True))
    assert other.lanes[0].hop.calls == []


async def test_a_cloud_that_continues_resumes_its_own_answer() -> None:
    """On its own target alone, under its own breaker."""
    first = able_to_resume(cloud("first", HALF, REST))
    box = Box(engine_backend((Turn(told("never")),)), [first, cloud("second", Turn(told("never")))], LEAVE)
    settled, sink = await box.live(box.ask(stream=True))
    assert sink.text == "Hello there" and box.calls == [0, 2, 0]
    assert settled.decision.degraded == ("resumed",) and box.fleet.in_flight == {}


async def test_an_open_breaker_ends_the_resuming() -> None:
    """The cut that opens it is the last attempt."""
    first = able_to_resume(cloud("first", HALF, Turn([ROLE, CUT])))
    box = Box(engine_backend((Turn(told("never")),)), [first], LEAVE, Retries(attempts=1), total_s=30.0)
    settled, _ = await asyncio.wait_for(box.live(box.ask(stream=True)), 5)
    assert settled.error is not None and box.calls[1] == 5 and not box.fleet.allows(first.target)


async def test_a_refused_continuation_is_not_asked_for_again() -> None:
    """A 400 to it would come each time: the cut is an error at once, not at the deadline."""
    first = able_to_resume(cloud("first", HALF, error(400)))
    box = Box(engine_backend((Turn(told("never")),)), [first], LEAVE, total_s=30.0)
    settled, sink = await asyncio.wait_for(box.live(box.ask(stream=True)), 5)
    assert settled.error is not None and sink.text == "Hello " and box.calls[1] == 2


async def test_a_fault_while_resuming_gives_its_claim_back() -> None:
    """One record, nothing in flight."""
    box = replicas((HALF,), (REST,))

    async def raising(*_: object, **__: object) -> Any:
        raise RuntimeError

    box.local.lanes[1].hop.open = raising  # type: ignore[method-assign]
    settled, sink = await box.live(box.ask(stream=True))
    assert settled.error is not None and sink.text == "Hello " and len(box.records.rows) == 1
    assert box.fleet.in_flight == {} and box.fleet.ledger(box.local.lanes[1]).waiting == 0
