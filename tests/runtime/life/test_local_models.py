"""Several local models on one box: real engines' owners over fake vLLM processes, asked as clients ask."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_models.backend import LocalBackend
from local_models.models.life import GpuPlace, ModelTimes
from local_models.models.planner import Collation, ModelCase
from local_models.models.supervisor import ModelSupervisor
from local_models.models.table import ModelTable
from runtime.contract.models import ModelState
from runtime.contract.targets import LOCAL, Timeouts
from runtime.fleet.models import LocalModelTarget
from runtime.routing.plan import names
from tests.fakes.box import Box
from tests.fakes.local_engine import FakePlan, fake_engine
from tests.fakes.upstream import Turn, engine_backend, told
from tests.local_models.running import ours, until

pytestmark = pytest.mark.slow

LOADS = {"always": "always", "a": "on_demand", "b": "on_demand", "hand": "manual"}


class Rig:
    """box: its desk. house: the owner of the models."""

    def __init__(self, folder: Path, loads: dict[str, str], size: int, start_s: float, dwell: float) -> None:
        self.plans = {
            name: FakePlan({"text": [name], "tokens": 2, "token_s": 0.02, "start_s": start_s}) for name in loads
        }
        engines = {name: fake_engine(folder, name=name, model=f"id-of-{name}", plan=self.plans[name]) for name in loads}
        places = (GpuPlace((0,), 10),)
        cases = [ModelCase(name, load, places, ttl=1000) for name, load in loads.items()]  # type: ignore[arg-type]
        table = ModelTable(cases, {0: size}, ModelTimes(drain=10), Collation(dwell=dwell, patience=2 * dwell))

        async def arranged() -> ModelTable:
            return table

        self.house = ModelSupervisor(
            {name: (engine, f"id-of-{name}") for name, engine in engines.items()}, arranged, time.monotonic, 10.0
        )
        self.box = Box(engine_backend((Turn(told("own")),)), total_s=60.0)
        self.box.fleet.models = {
            f"{LOCAL}/{name}": LocalModelTarget(
                name, engine, LocalBackend(engine, frozenset(), Timeouts(), ours=True, name=name), self.house
            )
            for name, engine in engines.items()
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
async def rigged(
    folder: Path, loads: dict[str, str] | None = None, *, size: int = 20, start_s: float = 0.1, dwell: float = 0.5
) -> AsyncIterator[Rig]:
    """A running box of models of 10 bytes each."""
    rig = Rig(folder, loads or LOADS, size, start_s, dwell)
    running = asyncio.create_task(rig.house.run(lambda line: None))
    try:
        await until(
            lambda: all(rig.state(n) == "ready" for n, load in rig.plans.items() if (loads or LOADS)[n] == "always")
        )
        yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rig.house.stop()
        assert ours(folder) == []


async def test_each_name_is_answered_by_its_own_model(tmp_path: Path) -> None:
    """By the table's name, bare too, and by the model's id; one that is loaded on demand is waited for."""
    async with rigged(tmp_path) as rig:
        for name in ("local/always", "always", "id-of-always", "local/id-of-always", "local/ALWAYS"):
            assert await rig.said(name) == "alwaysalways"
        assert rig.state("a") == "absent"
        assert await rig.said("local/a") == "aa"
        assert await rig.said("local") == "own"
        assert rig.plans["a"].starts == 1


async def test_a_manual_model_is_refused_until_a_command_loads_it(tmp_path: Path) -> None:
    """In words that name the command; unloaded again, it is refused again."""
    async with rigged(tmp_path) as rig:
        assert "hearth models load hand" in await rig.said("local/hand")
        assert not rig.house.command("load", "hand").refusal
        await until(lambda: rig.state("hand") == "ready")
        assert await rig.said("local/hand") == "handhand"
        assert not rig.house.command("unload", "hand").refusal
        await until(lambda: rig.state("hand") == "absent")
        assert "hearth models load hand" in await rig.said("local/hand")


async def test_many_requests_at_once_load_a_model_once(tmp_path: Path) -> None:
    """All wait for the same load."""
    async with rigged(tmp_path) as rig:
        answers = await asyncio.gather(*(rig.said("local/a") for _ in range(20)))
        assert set(answers) == {"aa"}
        assert rig.plans["a"].starts == 1


async def test_an_unload_lets_running_requests_end(tmp_path: Path) -> None:
    """A stream that runs is whole."""
    async with rigged(tmp_path) as rig:
        asked = asyncio.create_task(rig.said("local/always", max_tokens=2))
        await until(lambda: rig.box.fleet.in_flight.get("local/always", 0) == 1)
        rig.house.command("unload", "always")
        assert await asked == "alwaysalways"
        await until(lambda: rig.state("always") == "absent")


async def test_a_crash_of_one_model_leaves_the_others_alone(tmp_path: Path) -> None:
    """Its own engine starts again; the other answers meanwhile."""
    async with rigged(tmp_path, {"one": "always", "two": "always"}) as rig:
        pid = rig.box.fleet.models["local/one"].engine.views()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: rig.state("one") != "ready")
        assert await rig.said("local/two") == "twotwo"
        await until(lambda: rig.state("one") == "ready")
        assert await rig.said("local/one") == "oneone"


async def test_auto_gives_a_task_to_its_model(tmp_path: Path) -> None:
    """Labelling goes to the model whose `tasks` name it; chat stays with the engine's own."""
    async with rigged(tmp_path) as rig:
        prompt = "Classify the sentiment of this review as positive or negative: I loved it."
        settled, sink = await rig.box.live(rig.box.ask(prompt, stream=True))
        assert sink.text == "alwaysalways"
        assert (settled.decision.reason, settled.decision.target) == ("task", "local/always")
        settled, sink = await rig.box.live(rig.box.ask("Hello there", stream=True))
        assert sink.text == "own"


async def test_a_swap_that_fails_brings_the_old_model_back(tmp_path: Path) -> None:
    """The new engine dies at its start, and there is no room for both."""
    async with rigged(tmp_path, {"old": "always", "new": "manual"}, size=10) as rig:
        rig.plans["new"]._script = {"exit_at_start": 1, "log": ["ValueError: unrecognized arguments: --frobnicate"]}
        assert not rig.house.command("swap", "old", "new").refusal
        await until(lambda: rig.state("old") != "ready")
        await until(lambda: rig.state("old") == "ready", 60)
        assert await rig.said("local/old") == "oldold"


async def test_alternating_requests_lose_none(tmp_path: Path) -> None:
    """Two hundred requests for two models with memory for one: each is answered by its own model, with few swaps."""
    async with rigged(tmp_path, {"a": "on_demand", "b": "on_demand"}, size=10) as rig:
        for _ in range(10):
            answers = await asyncio.gather(*(rig.said(f"local/{name}") for name in "ab" * 10))
            assert answers == [name * 2 for name in "ab" * 10]
        starts = sum(plan.starts for plan in rig.plans.values())
        assert 10 <= starts <= 22
        assert {view.state for view in rig.house.views()} <= set(ModelState)


async def test_requests_through_ten_swaps(tmp_path: Path) -> None:
    """Two hundred `auto` requests: the task's model or the one that took its place answers, else the engine's own; no one is
    lost, none is late, none is answered by another model than its record names.
    """
    async with rigged(tmp_path, {"old": "always", "new": "manual"}, size=10) as rig:
        deadline_s, found = 60.0, []

        async def ask(number: int) -> None:
            text = "Classify the sentiment of this review as positive or negative: I loved it."
            began = time.monotonic()
            settled, sink = await rig.box.live(rig.box.ask(f"{text} {number}", stream=True))
            assert settled.error is None and settled.decision.status == 200, settled.error
            assert time.monotonic() - began < deadline_s
            found.append((settled.decision.target, sink.text))

        for swap in range(10):
            before, after = ("old", "new") if swap % 2 == 0 else ("new", "old")
            asks = [asyncio.create_task(ask(number)) for number in range(10)]
            await asyncio.sleep(0)
            assert not rig.house.command("swap", before, after).refusal
            await until(lambda after=after: rig.state(after) == "loading", 60)  # type: ignore[misc]
            asks += [asyncio.create_task(ask(number)) for number in range(10)]
            await until(lambda pair=(before, after): list(map(rig.state, pair)) == ["absent", "ready"], 60)  # type: ignore[misc]
            await asyncio.gather(*asks)
        assert len(found) == 200
        texts = {"local/old": "oldold", "local/new": "newnew", rig.box.local.target.label: "own"}
        assert all(texts[str(target)] == text for target, text in found)
        assert {target for target, _ in found} >= {"local/old", "local/new"}
