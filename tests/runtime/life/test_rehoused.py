"""Changed [models.NAME] tables on a running box: models come, end and start anew, over engines in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from local_models.backend import LocalBackend
from local_models.models.life import GpuPlace
from local_models.models.planner import ModelCase
from local_models.models.supervisor import HousedModel
from runtime.contract.models import ModelState
from runtime.contract.targets import LOCAL, Timeouts
from runtime.fleet.models import LocalModelTarget
from runtime.routing.plan import names
from tests.fakes.memory_engine import MemoryEngine
from tests.fakes.upstream import Gate, Turn, told
from tests.local_models.running import until
from tests.runtime.life.several_models import Rig, in_memory


def changed(rig: Rig, loads: dict[str, str], new: tuple[str, ...] = ()) -> None:
    """Other tables: NAME -> `load`. new: those that need another engine; of a name that is not there it is new anyway."""
    for name in loads:
        if name in new or name not in rig.engines:
            rig.engines[name] = MemoryEngine(name)
    rig.engines = {name: rig.engines[name] for name in loads}
    housed = {name: HousedModel(engine, f"id-of-{name}", loads[name]) for name, engine in rig.engines.items()}
    cases = {name: ModelCase(name, load, (GpuPlace((0,), 10),)) for name, load in loads.items()}  # type: ignore[arg-type]
    rig.cases = list(cases.values())
    rig.house.rehouse(housed, cases)
    made, known = {}, rig.box.fleet.models
    for name, engine in rig.engines.items():
        old = known.get(f"{LOCAL}/{name}")
        backend = LocalBackend(engine, frozenset(), Timeouts(), ours=True, name=name)
        if old is None or old.engine is not engine:
            old = LocalModelTarget(name, engine, backend, rig.house)
        made[f"{LOCAL}/{name}"] = old
    rig.box.fleet.rehouse(made)
    models = [(f"id-of-{each.name}", each.backend.target) for each in made.values()]
    policy = rig.box.desk.planner.policy
    rig.box.desk.planner.policy = replace(policy, directory=names.build(rig.box.local.target, [], {}, models=models))


async def test_a_new_table_is_loaded() -> None:
    """Beside the ones that are there, which are not touched."""
    async with in_memory({"a": "always"}) as rig:
        changed(rig, {"a": "always", "b": "always"})
        await until(lambda: rig.state("b") == "ready")
        assert (await rig.said("local/b"), await rig.said("local/a")) == ("bb", "aa")
        assert rig.engines["a"].starts == 1


async def test_a_table_that_is_taken_out_drains_its_model() -> None:
    """A running answer ends whole; then its engine is stopped, and its name is unknown at once."""
    async with in_memory({"a": "always", "b": "always"}) as rig:
        engine, gate = rig.engines["a"], Gate()
        pieces = told("aa")
        engine.lane.hop.turns = [Turn((*pieces[:2], gate, *pieces[2:]))]
        asked = asyncio.create_task(rig.said("local/a"))
        await until(lambda: bool(engine.lane.hop.replies))
        changed(rig, {"b": "always"})
        assert "no model is called" in await rig.said("local/a")
        await until(lambda: rig.state("a") == ModelState.DRAINING)
        gate.open()
        assert await asked == "aa"
        await until(lambda: engine.stopped)
        assert [view.name for view in rig.house.views()] == ["b"]


async def test_a_changed_table_starts_its_model_anew() -> None:
    """There is memory for one of them: the old engine goes first. Requests for its name wait for the new one."""
    async with in_memory({"a": "always"}, size=10) as rig:
        old = rig.engines["a"]
        changed(rig, {"a": "always"}, new=("a",))
        assert "starts anew" in rig.house.command("unload", "a").refusal
        assert await rig.said("local/a") == "aa"
        assert (old.stopped, old.lane.ready, rig.engines["a"].starts) == (True, False, 1)
        assert rig.state("a") == "ready"


async def test_another_load_needs_no_other_engine() -> None:
    """It is obeyed at once."""
    async with in_memory({"a": "manual", "b": "always"}) as rig:
        assert "by command only" in await rig.said("local/a")
        changed(rig, {"a": "on_demand", "b": "always"})
        assert await rig.said("local/a") == "aa"
        assert {view.name: view.load for view in rig.house.views()} == {"a": "on_demand", "b": "always"}


async def test_a_model_that_a_command_loaded_is_loaded_again_after_a_change() -> None:
    """What a command changed holds until the restart of Hearth."""
    async with in_memory({"a": "manual"}) as rig:
        await until(lambda: rig.house.arranged)
        assert not rig.house.command("load", "a").refusal
        await until(lambda: rig.state("a") == "ready")
        changed(rig, {"a": "manual"}, new=("a",))
        await until(lambda: rig.engines["a"].starts == 1 and rig.state("a") == "ready")


async def test_the_first_table_and_the_last() -> None:
    """A box without any takes one, and gives it up again."""
    async with in_memory({}) as rig:
        changed(rig, {"a": "always"})
        await until(lambda: bool(rig.house.views()) and rig.state("a") == "ready")
        assert await rig.said("local/a") == "aa"
        changed(rig, {})
        await until(lambda: rig.house.views() == ())


async def test_tables_may_change_again_while_one_ends() -> None:
    """The last change counts, and every engine that was made for another is stopped."""
    async with in_memory({"a": "always"}, size=10) as rig:
        earlier = [rig.engines["a"]]
        for _ in range(3):
            changed(rig, {"a": "always"}, new=("a",))
            earlier.append(rig.engines["a"])
        changed(rig, {})
        changed(rig, {"a": "always"}, new=("a",))
        await until(lambda: rig.state("a") == "ready" and all(each.stopped for each in earlier))
        assert await rig.said("local/a") == "aa"
        assert [each.starts for each in earlier] == [1, 0, 0, 0] and rig.engines["a"].starts == 1
