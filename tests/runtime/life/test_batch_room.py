"""Requests with the hint `priority: batch`: they wait for room, and never stand in the way of others."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from runtime.fleet.models import LocalModelTarget
from runtime.life.settled import Settled
from runtime.routing.plan import names
from tests.fakes.box import Box, MemorySink
from tests.fakes.models import FakeModels
from tests.fakes.upstream import FakeBackend, Gate, Turn, cloud, engine_backend, whole

BATCH: dict[str, Any] = {"hearth": {"priority": "batch"}}


def box_of(*turns: Turn, slots: int, **more: Any) -> tuple[Box, FakeBackend]:
    backend = engine_backend(turns)
    backend.lanes[0].slots = slots
    return Box(backend, **more), backend


def started(box: Box, **members: Any) -> asyncio.Task[tuple[Settled, MemorySink]]:
    return asyncio.create_task(box.live(box.ask(model="local", **members)))


async def reached(backend: FakeBackend, calls: int) -> None:
    async with asyncio.timeout(5):
        while len(backend.lanes[0].hop.calls) < calls:
            await asyncio.sleep(0.005)


async def test_batch_requests_leave_a_slot_to_others() -> None:
    """Of three slots they take two; another request is asked at once, and the waiting ones follow when those end."""
    gate = Gate()
    box, backend = box_of(*[Turn([whole("slow")], wait=gate)] * 2, Turn([whole("live")]), slots=3)
    rows = [started(box, **BATCH) for _ in range(5)]
    await reached(backend, 2)
    settled, sink = await box.live(box.ask(model="local"))
    assert (settled.error, sink.text, len(backend.lanes[0].hop.calls)) == (None, "live", 3)
    gate.open()
    answers = await asyncio.wait_for(asyncio.gather(*rows), 5)
    assert [settled.error for settled, _ in answers] == [None] * 5


async def test_a_batch_request_that_finds_no_room_is_sent_away_with_a_time() -> None:
    """The engine was never asked for it; what is said is that of a full queue."""
    gate = Gate()
    box, backend = box_of(Turn([whole("slow")], wait=gate), slots=1, total_s=2.0)
    other = started(box)
    await reached(backend, 1)
    settled, _ = await box.live(box.ask(model="local", **BATCH))
    assert settled.error is not None and settled.error.retry_after
    assert (settled.error.status, settled.error.code) == (429, "queue_full")
    assert len(backend.lanes[0].hop.calls) == 1
    gate.open()
    await other


async def test_a_reader_that_leaves_while_waiting_takes_no_place_with_it() -> None:
    """The next one gets the room."""
    gate = Gate()
    box, backend = box_of(Turn([whole("slow")], wait=gate), Turn([whole("next")]), slots=2)
    first = started(box, **BATCH)
    await reached(backend, 1)
    sink = MemorySink()
    sink.gone = True
    waiting = asyncio.create_task(box.live(box.ask(model="local", **BATCH), sink))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.open()
    await first
    settled, sink = await asyncio.wait_for(box.live(box.ask(model="local", **BATCH)), 5)
    assert settled.error is None and sink.text == "next"


async def test_a_batch_request_does_not_wait_for_an_engine_that_is_not_up() -> None:
    """It gets the error of any other request, or another target."""
    box, backend = box_of(Turn([whole("never")]), slots=2)
    backend.lanes[0].ready = False
    settled, _ = await asyncio.wait_for(box.live(box.ask(model="local", **BATCH)), 1)
    assert settled.error is not None and settled.error.code == "engine_not_ready"


async def test_other_requests_never_wait_for_room() -> None:
    """A full engine has a queue of its own for them."""
    gate = Gate()
    box, backend = box_of(Turn([whole("slow")], wait=gate), slots=1, clouds=[cloud("big", Turn([whole("cloud")]))])
    asked = [started(box) for _ in range(3)]
    await reached(backend, 3)
    gate.open()
    await asyncio.gather(*asked)


async def test_each_local_model_has_its_own_room() -> None:
    """Batch work of a model beside the engine's own does not wait for the engine's."""
    gate = Gate()
    box, backend = box_of(Turn([whole("slow")], wait=gate), slots=2)
    other = engine_backend((Turn([whole("other")]),))
    other.target = replace(other.target, name="local/labels", model="labels")
    other.lanes[0].name, other.lanes[0].slots = "models.labels", 2
    box.fleet.models = {"local/labels": LocalModelTarget("labels", box.engine, other, FakeModels("labels"))}
    directory = names.build(box.local.target, [], {}, models=[("id", other.target)])
    box.desk.planner.policy = replace(box.desk.planner.policy, directory=directory)
    row = started(box, **BATCH)
    await reached(backend, 1)
    settled, sink = await box.live(box.ask(model="local/labels", **BATCH))
    assert (settled.error, sink.text) == (None, "other")
    gate.open()
    await row
