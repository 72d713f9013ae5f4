"""Requests that name the engine while its model is exchanged for another: they wait, within their deadline."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.routing.plan import names
from tests.fakes.box import Box, MemorySink
from tests.fakes.upstream import Gate, Turn, cloud, engine_backend, told

LOST = HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "the engine closed the connection"))


def exchanging(box: Box, to: str = "newer") -> None:
    """The old model is gone, and the new one is not ready."""
    box.engine.exchanging, box.local.lanes[0].ready = to, False
    box.engine.change()


def exchanged(box: Box, to: str = "newer", *, ready: bool = True) -> None:
    """The exchange is over: another model is served, under its own names."""
    box.engine.exchanging, box.local.lanes[0].ready = "", ready
    box.local.target = replace(box.local.target, model=to)
    policy = box.desk.planner.policy
    box.desk.planner.policy = replace(policy, directory=names.build(box.local.target, [], {}))
    box.engine.change()


async def waiting(task: asyncio.Task[object]) -> bool:
    """True if a request is still under way when everything that could run has run."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()


async def test_a_pinned_request_waits_for_the_new_model() -> None:
    """`local` is the place: the model that takes it answers, and the record names that one."""
    box = Box(engine_backend((Turn(told("new")),)))
    exchanging(box)
    task = asyncio.create_task(box.live(box.ask(model="local", stream=True)))
    assert await waiting(task)
    exchanged(box)
    settled, sink = await task
    assert (settled.error, sink.text) == (None, "new")
    assert (settled.decision.target, settled.decision.reason) == ("local/newer", "pinned")


async def test_the_old_models_name_is_unknown_afterwards() -> None:
    """A request for the old model itself is never answered by another."""
    box = Box(engine_backend((Turn(told("new")),)))
    exchanging(box)
    task = asyncio.create_task(box.live(box.ask(model="local/small", stream=True)))
    assert await waiting(task)
    exchanged(box)
    settled, _ = await task
    assert settled.error is not None and settled.error.code == "model_not_found"
    assert box.calls == [0]


async def test_the_old_models_name_is_answered_when_it_comes_back() -> None:
    """The new model failed to start."""
    box = Box(engine_backend((Turn(told("old")),)))
    exchanging(box)
    task = asyncio.create_task(box.live(box.ask(model="local/small", stream=True)))
    assert await waiting(task)
    exchanged(box, "small")
    settled, sink = await task
    assert (settled.error, sink.text) == (None, "old")


async def test_nothing_is_waited_for_when_neither_model_came() -> None:
    """503, as soon as the exchange is over."""
    box = Box(engine_backend((Turn(told("x")),)), total_s=60.0)
    exchanging(box)
    task = asyncio.create_task(box.live(box.ask(model="local")))
    assert await waiting(task)
    exchanged(box, "small", ready=False)
    settled, _ = await task
    assert settled.error is not None and settled.error.status == 503


async def test_the_wait_ends_before_the_deadline() -> None:
    """An answer could not begin any more: 503 with words that name the exchange."""
    box = Box(engine_backend((Turn(told("x")),)), total_s=1.02)
    exchanging(box)
    settled, _ = await box.live(box.ask(model="local"))
    assert settled.error is not None and settled.error.status == 503
    assert "exchanged for newer" in settled.error.message


async def test_what_the_engine_cannot_do_is_refused_at_once() -> None:
    """No exchange is waited for by a request that the engine lacks the ability for."""
    box = Box(engine_backend((Turn(told("x")),)))
    can = replace(box.local.target.capabilities, embeddings=False, tools=False)
    box.local.target = replace(box.local.target, capabilities=can)
    exchanging(box)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    settled, _ = await box.live(box.ask(model="local", tools=[tool]))
    assert settled.error is not None and "tools" in settled.error.message


async def test_auto_does_not_wait_where_a_cloud_can_answer() -> None:
    """Its reason is `engine_down`."""
    box = Box(engine_backend((Turn(told("x")),)), [cloud("claude", Turn(told("there")))])
    exchanging(box)
    settled, sink = await box.live(box.ask(stream=True))
    assert (sink.text, settled.decision.reason) == ("there", "engine_down")


async def test_a_request_that_the_exchange_cut_off_is_asked_again() -> None:
    """It was planned for the old model, which went before it began to answer: the new one answers, and is recorded."""
    gate = Gate()
    backend = engine_backend((Turn(wait=gate, refuse=LOST), Turn(told("new"))))
    box = Box(backend)
    task = asyncio.create_task(box.live(box.ask(model="local", stream=True), MemorySink()))
    assert await waiting(task)
    exchanging(box)
    gate.open()
    assert await waiting(task)
    exchanged(box)
    settled, sink = await task
    assert (settled.error, sink.text) == (None, "new")
    assert settled.decision.target == "local/newer"
