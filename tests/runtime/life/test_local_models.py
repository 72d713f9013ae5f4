"""Several local models on one box: real engines' owners over fake vLLM processes, asked as clients ask."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.contract.models import ModelState
from tests.fakes.local_engine import FakePlan
from tests.local_models.running import until
from tests.runtime.life.several_models import LABELLING, LOADS, Rig, of_processes, through_swaps

pytestmark = pytest.mark.slow


@asynccontextmanager
async def rigged(
    folder: Path, loads: dict[str, str] = LOADS, *, size: int = 20
) -> AsyncIterator[tuple[Rig, dict[str, FakePlan]]]:
    """A running box of models of 10 bytes each, and the starts of their engines."""
    plans = {name: FakePlan({"text": [name], "tokens": 2, "token_s": 0.02, "start_s": 0.1}) for name in loads}
    async with of_processes(folder, loads, plans, size=size) as rig:
        yield rig, plans


async def test_each_name_is_answered_by_its_own_model(tmp_path: Path) -> None:
    """By the table's name, bare too, and by the model's id; one that is loaded on demand is waited for."""
    async with rigged(tmp_path) as (rig, plans):
        for name in ("local/always", "always", "id-of-always", "local/id-of-always", "local/ALWAYS"):
            assert await rig.said(name) == "alwaysalways"
        assert rig.state("a") == "absent"
        assert await rig.said("local/a") == "aa"
        assert await rig.said("local") == "own"
        assert plans["a"].starts == 1


async def test_a_manual_model_is_refused_until_a_command_loads_it(tmp_path: Path) -> None:
    """In words that name the command; unloaded again, it is refused again."""
    async with rigged(tmp_path) as (rig, _):
        assert "hearth models load hand" in await rig.said("local/hand")
        assert not rig.house.command("load", "hand").refusal
        await until(lambda: rig.state("hand") == "ready")
        assert await rig.said("local/hand") == "handhand"
        assert not rig.house.command("unload", "hand").refusal
        await until(lambda: rig.state("hand") == "absent")
        assert "hearth models load hand" in await rig.said("local/hand")


async def test_many_requests_at_once_load_a_model_once(tmp_path: Path) -> None:
    """All wait for the same load."""
    async with rigged(tmp_path) as (rig, plans):
        answers = await asyncio.gather(*(rig.said("local/a") for _ in range(20)))
        assert set(answers) == {"aa"}
        assert plans["a"].starts == 1


async def test_an_unload_lets_running_requests_end(tmp_path: Path) -> None:
    """A stream that runs is whole."""
    async with rigged(tmp_path) as (rig, _):
        asked = asyncio.create_task(rig.said("local/always", max_tokens=2))
        await until(lambda: rig.box.fleet.in_flight.get("local/always", 0) == 1)
        rig.house.command("unload", "always")
        assert await asked == "alwaysalways"
        await until(lambda: rig.state("always") == "absent")


async def test_a_crash_of_one_model_leaves_the_others_alone(tmp_path: Path) -> None:
    """Its own engine starts again; the other answers meanwhile."""
    async with rigged(tmp_path, {"one": "always", "two": "always"}) as (rig, _):
        pid = rig.box.fleet.models["local/one"].engine.views()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: rig.state("one") != "ready")
        assert await rig.said("local/two") == "twotwo"
        await until(lambda: rig.state("one") == "ready")
        assert await rig.said("local/one") == "oneone"


async def test_auto_gives_a_task_to_its_model(tmp_path: Path) -> None:
    """Labelling goes to the model whose `tasks` name it; chat stays with the engine's own."""
    async with rigged(tmp_path) as (rig, _):
        settled, sink = await rig.box.live(rig.box.ask(LABELLING, stream=True))
        assert sink.text == "alwaysalways"
        assert (settled.decision.reason, settled.decision.target) == ("task", "local/always")
        settled, sink = await rig.box.live(rig.box.ask("Hello there", stream=True))
        assert sink.text == "own"


async def test_a_swap_that_fails_brings_the_old_model_back(tmp_path: Path) -> None:
    """The new engine dies at its start, and there is no room for both."""
    async with rigged(tmp_path, {"old": "always", "new": "manual"}, size=10) as (rig, plans):
        plans["new"]._script = {"exit_at_start": 1, "log": ["ValueError: unrecognized arguments: --frobnicate"]}
        assert not rig.house.command("swap", "old", "new").refusal
        await until(lambda: rig.state("old") != "ready")
        await until(lambda: rig.state("old") == "ready", 60)
        assert await rig.said("local/old") == "oldold"


async def test_alternating_requests_lose_none(tmp_path: Path) -> None:
    """Two hundred requests for two models with memory for one: each is answered by its own model, with few swaps."""
    async with rigged(tmp_path, {"a": "on_demand", "b": "on_demand"}, size=10) as (rig, plans):
        for _ in range(10):
            answers = await asyncio.gather(*(rig.said(f"local/{name}") for name in "ab" * 10))
            assert answers == [name * 2 for name in "ab" * 10]
        starts = sum(plan.starts for plan in plans.values())
        assert 10 <= starts <= 22
        assert {view.state for view in rig.house.views()} <= set(ModelState)


async def test_requests_through_ten_swaps(tmp_path: Path) -> None:
    """Two hundred of them, over processes; a tenth of it is in `test_swaps.py`."""
    async with rigged(tmp_path, {"old": "always", "new": "manual"}, size=10) as (rig, _):
        await through_swaps(rig, 10, 10)
