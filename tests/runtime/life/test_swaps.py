"""Local models that are loaded, unloaded and swapped while requests come: the owner over engines in memory."""

from __future__ import annotations

import asyncio

from tests.fakes.memory_engine import MemoryEngine
from tests.local_models.running import until
from tests.runtime.life.several_models import LOADS, Rig, in_memory, through_swaps


async def test_a_tenth_of_the_swaps() -> None:
    """Twenty requests through two swaps; ten times as many over processes with the slow tests."""
    async with in_memory({"old": "always", "new": "manual"}, size=10) as rig:
        await through_swaps(rig, 2, 5)


async def test_a_load_by_demand_is_shared() -> None:
    """Requests at once for a model that is not loaded cause one load, and all are answered."""
    async with in_memory(LOADS) as rig:
        assert set(await asyncio.gather(*(rig.said("local/a") for _ in range(20)))) == {"aa"}
        assert rig.engines["a"].starts == 1


async def test_a_model_that_does_not_start_leaves_the_old_one() -> None:
    """The swapped one comes back, and answers under its name."""
    async with in_memory({"old": "always", "new": "manual"}, size=10) as rig:
        rig.engines["new"].fails = "no such architecture"
        assert not rig.house.command("swap", "old", "new").refusal
        await until(lambda: rig.engines["old"].starts == 2 and rig.state("old") == "ready")
        assert await rig.said("local/old") == "oldold"


def test_the_load_of_a_model_is_known_before_the_box_is() -> None:
    """Until the box has been looked at, a model's view has the `load` of the settings and says what is waited for."""
    views = Rig(MemoryEngine, LOADS, 20, 0.5).house.views()
    assert {view.name: view.load for view in views} == LOADS
    assert {view.why for view in views} == {"it waits for the engine's own model"}
