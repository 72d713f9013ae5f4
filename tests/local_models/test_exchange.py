"""Another model in the place of the one that is served: replica by replica, and the old one back where the new one fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from local_models.replica.prepared import Notice, PreparedModel, PrepareError
from tests.fakes.local_engine import FakePlan, fake_engine, fake_spec, have_weights
from tests.local_models.running import running, until

pytestmark = pytest.mark.slow


def quiet(line: str) -> None: ...


async def test_replicas_change_one_after_another(tmp_path: Path) -> None:
    """One of two is up all the time, and at the end both serve the new model."""
    async with running(fake_engine(tmp_path, replicas=2), tmp_path) as engine:
        spec, up = replace(fake_spec(tmp_path, replicas=2), model="newer"), list[int]()
        await until(lambda: all(view.ready for view in engine.views()))
        changing = asyncio.create_task(engine.exchange(spec, have_weights, FakePlan({}), quiet))
        while not changing.done():
            up.append(sum(view.ready for view in engine.views()))
            await asyncio.sleep(0.01)
        assert changing.result() == ""
        assert min(up) >= 1
        assert [view.models for view in engine.views()] == [("newer",), ("newer",)]
        assert engine.model == "newer" and engine.exchanging == ""


async def test_no_replica_answers_for_another_model(tmp_path: Path) -> None:
    """At every moment the replicas that get requests serve the model that the engine is known by, and its names are theirs."""
    async with running(fake_engine(tmp_path, replicas=3), tmp_path) as engine:
        spec = replace(fake_spec(tmp_path, replicas=3), model="newer")
        await until(lambda: all(view.ready for view in engine.views()))
        changing = asyncio.create_task(engine.exchange(spec, have_weights, FakePlan({}), quiet))
        known = [engine.model]
        while not changing.done():
            ready = [lane for lane in engine.lanes if lane.ready]
            assert ready and {lane.model for lane in ready} == {engine.model}
            assert set(engine.served) == {engine.model}
            known.append(engine.model)
            await asyncio.sleep(0.01)
        assert sorted(set(known), key=known.index) == ["fake-llama", "newer"]


async def test_a_failure_half_way_brings_every_replica_back(tmp_path: Path) -> None:
    """The second replica does not start with the new model: the first one, which did, gets the old one again."""
    async with running(fake_engine(tmp_path, replicas=2), tmp_path) as engine:
        await until(lambda: all(view.ready for view in engine.views()))
        plan = FakePlan(lambda start: {} if start == 1 else {"exit_at_start": 1, "log": ["ValueError: no"]})
        changing = asyncio.create_task(
            engine.exchange(replace(fake_spec(tmp_path, replicas=2), model="newer"), have_weights, plan, quiet)
        )
        while not changing.done():
            assert {lane.model for lane in engine.lanes if lane.ready} == {engine.model}
            await asyncio.sleep(0.01)
        assert changing.result()
        assert [view.models for view in engine.views() if view.ready] == [("fake-llama",)] * 2
        assert engine.model == "fake-llama"


async def test_the_old_model_comes_back_where_the_new_one_fails(tmp_path: Path) -> None:
    """In words that say why."""
    async with running(fake_engine(tmp_path), tmp_path) as engine:
        broken = FakePlan({"exit_at_start": 1, "log": ["ValueError: unrecognized arguments: --frobnicate"]})
        spec = replace(fake_spec(tmp_path), model="newer")
        cause = await engine.exchange(spec, have_weights, broken, quiet)
        assert "frobnicate" in cause
        (view,) = engine.views()
        assert view.ready and view.models == ("fake-llama",) == (engine.model,)


async def test_what_cannot_be_fetched_stops_nothing(tmp_path: Path) -> None:
    """The same process goes on."""

    async def missing(model: str, notice: Notice) -> PreparedModel:
        raise PrepareError(f"there is no {model} on the hub", deterministic=True)

    async with running(fake_engine(tmp_path), tmp_path) as engine:
        before = engine.views()[0].pid
        cause = await engine.exchange(replace(fake_spec(tmp_path), model="typo"), missing, FakePlan({}), quiet)
        assert cause == "there is no typo on the hub; nothing was stopped"
        assert engine.views()[0].pid == before and engine.views()[0].ready
