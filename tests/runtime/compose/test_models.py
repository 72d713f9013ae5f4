"""[models.NAME] of changed settings: which engines go on, which start anew, and what is refused before anything changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.compose.models import LocalModelRoom
from runtime.settings import Settings
from tests.fakes.engine import FakeEngine
from tests.fakes.guard import GUARD
from tests.fakes.upstream import Turn, engine_backend, told
from tests.local_models.running import until
from tests.runtime.settings.readings import settings

ON_CPU = '[engine]\ndevice = "cpu"\n'


def table(name: str, more: str = "", model: str = "smollm2-135m") -> str:
    return f'[models.{name}]\nmodel = "{model}"\nload = "manual"\nshare = 0.9\n{more}\n'


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[LocalModelRoom]:
    """Of a box with one model, which has been looked at. Nothing is ever started."""
    own = FakeEngine(engine_backend((Turn(told("x")),)))
    made = LocalModelRoom(settings(ON_CPU + table("small")), tmp_path, {}, GUARD, own, time.monotonic)
    running = asyncio.create_task(made.owner.run(lambda line: None))
    await until(lambda: made.owner.arranged)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.owner.stop()


async def changed(room: LocalModelRoom, text: str) -> Settings:
    found = settings(ON_CPU + text)
    cases = await room.judged(found)
    assert cases is not None
    room.apply(found, cases)
    return found


@pytest.mark.parametrize("more", ['tasks = ["code"]', "ttl = 5", 'load = "on_demand"', "complexity = 0.5"])
async def test_an_engine_that_can_stay_stays(room: LocalModelRoom, more: str) -> None:
    """What is decided elsewhere needs no other process."""
    before = room.engines["local/small"]
    await changed(
        room, table("small", more).replace('load = "manual"\n', "") if "load" in more else table("small", more)
    )
    assert room.engines["local/small"] is before


@pytest.mark.parametrize("more", ["share = 0.8", "gpus = [0]", "max_loras = 1", 'adapters = { tax = "/t" }'])
async def test_an_engine_that_must_start_anew(room: LocalModelRoom, more: str) -> None:
    """Another share of the memory, other GPUs, the first adapter."""
    before, target = room.engines["local/small"], room.targets["local/small"]
    text = table("small", more).replace("share = 0.9\n", "") if "share" in more else table("small", more)
    await changed(room, text)
    assert room.engines["local/small"] is not before and room.targets["local/small"] is not target
    assert room.targets["local/small"].engine is room.engines["local/small"]


async def test_tables_come_and_go(room: LocalModelRoom) -> None:
    """A new name is a target; one that is taken out is none."""
    await changed(room, table("small") + table("other"))
    assert set(room.targets) == set(room.engines) == {"local/small", "local/other"}
    await changed(room, table("other"))
    await until(lambda: [view.name for view in room.owner.views()] == ["other"])
    assert set(room.targets) == {"local/other"}


async def test_what_does_not_fit_changes_nothing(room: LocalModelRoom) -> None:
    """Refused with the reason; a model that is there already and was not changed is no reason to refuse the rest."""
    engines, targets = dict(room.engines), dict(room.targets)
    with pytest.raises(ValueError, match=r"models\.big does not fit: big needs [\d.]+ GiB"):
        await room.judged(settings(ON_CPU + table("small") + table("big", model="llama-3.3-70b")))
    assert (room.engines, room.targets) == (engines, targets)
    assert [view.name for view in room.owner.views()] == ["small"]


async def test_a_box_that_was_not_looked_at_yet_takes_every_table(tmp_path: Path) -> None:
    """It is looked at once the engine's own model is up, with the tables of then."""
    own = FakeEngine(engine_backend((Turn(told("x")),)))
    made = LocalModelRoom(settings(ON_CPU), tmp_path, {}, GUARD, own, time.monotonic)
    found = settings(ON_CPU + table("small"))
    assert await made.judged(found) == {}
    made.apply(found, {})
    assert [view.name for view in made.owner.views()] == ["small"]
    made.apply(settings(ON_CPU), {})
    assert made.owner.views() == ()
    await made.owner.stop()


async def test_settings_without_a_change_of_tables_are_not_judged(room: LocalModelRoom) -> None:
    """No hub and no GPU is asked for the sake of another threshold."""
    assert await room.judged(settings(ON_CPU + table("small") + "[escalation]\nttft_ms = 5\n")) is None
