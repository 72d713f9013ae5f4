"""Several local models on one box, asked as clients ask: real owners over fake vLLM processes, or over engines in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_models.backend import LocalBackend
from local_models.models.life import GpuPlace, ModelTimes
from local_models.models.planner import Collation, ModelCase
from local_models.models.supervisor import HousedModel, ModelSupervisor
from local_models.models.table import ModelTable
from runtime.contract.models import ModelState
from runtime.contract.targets import LOCAL, Timeouts
from runtime.fleet.models import LocalModelTarget
from runtime.routing.plan import names
from tests.fakes.box import Box
from tests.fakes.local_engine import FakePlan, fake_engine
from tests.fakes.memory_engine import MemoryEngine
from tests.fakes.upstream import Turn, engine_backend, told
from tests.local_models.running import ours, until

LOADS = {"always": "always", "a": "on_demand", "b": "on_demand", "hand": "manual"}
LABELLING = "Classify the sentiment of this review as positive or negative: I loved it."

Engines = Callable[[str], Any]
"""The engine of a model, by its name: a `LocalEngine`, or one in memory."""


class Rig:
    """box: its desk. house: the owner of the models. plans: the starts of engines that are processes."""

    def __init__(self, engines: Engines, loads: dict[str, str], size: int, dwell: float) -> None:
        self.engines = {name: engines(name) for name in loads}
        places = (GpuPlace((0,), 10),)
        self.cases = [ModelCase(name, load, places, ttl=1000) for name, load in loads.items()]  # type: ignore[arg-type]

        async def arranged() -> ModelTable:
            rules = Collation(dwell=dwell, patience=2 * dwell)
            return ModelTable(self.cases, {0: size}, ModelTimes(drain=10), rules)

        self.house = ModelSupervisor(
            {name: HousedModel(engine, f"id-of-{name}", loads[name]) for name, engine in self.engines.items()},
            arranged,
            time.monotonic,
            10.0,
        )
        self.box = Box(engine_backend((Turn(told("own")),)), total_s=60.0)
        self.box.fleet.models = {
            f"{LOCAL}/{name}": LocalModelTarget(
                name, engine, LocalBackend(engine, frozenset(), Timeouts(), ours=True, name=name), self.house
            )
            for name, engine in self.engines.items()
        }
        models = [(f"id-of-{each.name}", each.backend.target) for each in self.box.fleet.models.values()]
        policy = self.box.desk.planner.policy
        directory = names.build(self.box.local.target, [], {}, models=models)
        tasks = {"extraction": tuple(self.box.fleet.models)[:1]}
        self.box.desk.planner.policy = replace(policy, directory=directory, tasks=tasks)

    def state(self, name: str) -> str:
        return next(view.state for view in self.house.views() if view.name == name)

    async def said(self, name: str, **members: Any) -> str:
        """One request's answer, or its error."""
        settled, sink = await self.box.live(self.box.ask(model=name, stream=True, **members))
        return settled.error.message if settled.error is not None else sink.text


@asynccontextmanager
async def rigged(rig: Rig, loads: dict[str, str]) -> AsyncIterator[Rig]:
    """Running, with its `always` models up; at the end every engine is stopped."""
    running = asyncio.create_task(rig.house.run(lambda line: None))
    try:
        await until(lambda: all(rig.state(name) == "ready" for name, load in loads.items() if load == "always"))
        yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rig.house.stop()


@asynccontextmanager
async def in_memory(loads: dict[str, str], *, size: int = 20, dwell: float = 0.5) -> AsyncIterator[Rig]:
    """A running box of models of 10 bytes each. No process, no socket."""
    async with rigged(Rig(MemoryEngine, loads, size, dwell), loads) as rig:
        yield rig


@asynccontextmanager
async def of_processes(
    folder: Path, loads: dict[str, str], plans: dict[str, FakePlan], *, size: int = 20, dwell: float = 0.5
) -> AsyncIterator[Rig]:
    """The same over fake vLLM processes. plans: gets the starts of each."""

    def made(name: str) -> Any:
        return fake_engine(folder, name=name, model=f"id-of-{name}", plan=plans[name])

    async with rigged(Rig(made, loads, size, dwell), loads) as rig:
        yield rig
    assert ours(folder) == []


async def through_swaps(rig: Rig, swaps: int, at_once: int) -> None:
    """`auto` requests before, during and after swaps of two models: the task's model or the one that took its place answers,
    else the engine's own; no one is lost, none is late, none is answered by another model than its record names.
    """
    deadline_s, found = 60.0, []

    async def ask(number: int) -> None:
        began = time.monotonic()
        settled, sink = await rig.box.live(rig.box.ask(f"{LABELLING} {number}", stream=True))
        assert settled.error is None and settled.decision.status == 200, settled.error
        assert time.monotonic() - began < deadline_s
        found.append((settled.decision.target, sink.text))

    for swap in range(swaps):
        before, after = ("old", "new") if swap % 2 == 0 else ("new", "old")
        asks = [asyncio.create_task(ask(number)) for number in range(at_once)]
        await asyncio.sleep(0)
        assert not rig.house.command("swap", before, after).refusal
        await until(lambda before=before: rig.state(before) != ModelState.READY, 60)  # type: ignore[misc]
        asks += [asyncio.create_task(ask(number)) for number in range(at_once)]
        await until(lambda pair=(before, after): list(map(rig.state, pair)) == ["absent", "ready"], 60)  # type: ignore[misc]
        await asyncio.gather(*asks)
    assert len(found) == 2 * swaps * at_once
    texts = {"local/old": "oldold", "local/new": "newnew", rig.box.local.target.label: "own"}
    assert all(texts[str(target)] == text for target, text in found)
    assert {target for target, _ in found} >= {"local/old", "local/new"}
