"""LoRA adapters over the engines of a box: one owner of their names, which follows the settings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from local_models.adapters import EngineAdapters
from local_models.engine import LocalEngine
from runtime.compose.adapters import AdapterRoom, adapters_of
from runtime.compose.targets import offline_planner
from runtime.contract.engine import ReplicaState, ReplicaView
from runtime.contract.targets import Target
from runtime.routing.plan.names import build
from runtime.settings import Settings
from tests.runtime.settings.readings import settings


@dataclass
class Engine:
    """One ready replica that takes every adapter but those in `refused`, with the cause."""

    has: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    adapter_faults: dict[str, str] = field(default_factory=dict)
    up: bool = True

    def __post_init__(self) -> None:
        self.adapters = EngineAdapters({}, (self,), enabled=True, most_rank=16)

    async def adapt(self, name: str, folder: str | None) -> str:
        self.has = [each for each in self.has if each != name]
        if folder is not None and name not in self.refused:
            self.has.append(name)
        return self.refused.get(name, "") if folder is not None else ""

    def views(self) -> tuple[ReplicaView, ...]:
        state = ReplicaState.READY if self.up else ReplicaState.STARTING
        return (ReplicaView("replica-0", state, 0.0, adapters=tuple(self.has)),)


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: Settings) -> None:
        monkeypatch.setattr("local_models.adapters.unusable", lambda folder, most_rank: "")
        self.own, self.small, self.changes = Engine(), Engine(), 0
        engines: Any = {"local": self.own, "local/small": self.small}
        self.room = AdapterRoom(before, lambda: cast("dict[str, LocalEngine]", engines))
        self.room.named, self.room.changed = self.names, self.change

    def names(self) -> Any:
        local, small = Target("local", "local", "own"), Target("local/small", "local", "small")
        return build(local, [], {"gpt": "auto"}, models=[("id", small)], adapters=self.room.targets())

    def change(self) -> None:
        self.changes += 1


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, Settings())


async def test_a_name_is_given_once(rig: Rig) -> None:
    """To one adapter, whichever model it adapts, and never to another model."""
    assert await rig.room.load("legal", "/srv/legal", "local") == ""
    assert "already" in await rig.room.load("legal", "/srv/legal", "local")
    assert await rig.room.load("legal", "/srv/other", "local/small") == '"legal" is the name of another model'
    for taken in ("own", "small", "id", "gpt", "SMALL"):
        assert "is the name of another model" in await rig.room.load(taken, "/x", "local")
    assert "letters" in await rig.room.load("a b", "/x", "local")
    assert await rig.room.load("tax", "/x", "local/nobody") == "local/nobody is no local model"
    assert (rig.own.has, rig.small.has, rig.changes) == (["legal"], [], 1)


async def test_it_is_unloaded_from_where_it_is(rig: Rig) -> None:
    """Its name is free again."""
    await rig.room.load("legal", "/srv/legal", "local/small")
    assert rig.room.targets() == {"legal": "local/small"}
    assert await rig.room.unload("legal") == ""
    assert not rig.small.has
    assert "no adapter" in await rig.room.unload("legal")
    assert await rig.room.load("legal", "/srv/legal", "local") == ""


async def test_those_of_other_peoples_servers_are_listed(rig: Rig) -> None:
    """With no folder; they cannot be unloaded here."""
    rig.own.has = ["theirs"]
    (view,) = rig.room.views()
    assert (view.name, view.target, view.folder, view.ready) == ("theirs", "local", "", True)
    assert "loaded here" in await rig.room.unload("theirs")


async def test_the_settings_are_followed(rig: Rig) -> None:
    """What comes is loaded, what goes is unloaded, another folder is both, and a refusal is shown."""
    running = asyncio.create_task(rig.room.run())
    small = '[models.small]\nmodel = "m"\n'
    rig.small.refused = {"tax": "out of memory"}
    rig.room.want(settings('[engine.adapters]\nlegal = "/a"\nold = "/o"\n' + small + 'adapters = { tax = "/t" }\n'))
    await until(lambda: rig.room.trouble is not None)
    assert rig.own.adapters.wanted == {"legal": "/a", "old": "/o"}
    assert rig.room.trouble == "adapter tax is not loaded: out of memory"
    rig.small.refused = {}
    rig.small.adapters.wanted["tax"] = "/t2"  # its engine was started anew, with the changed table
    rig.small.has = ["tax"]
    rig.room.want(settings('[engine.adapters]\nlegal = "/b"\n' + small + 'adapters = { tax = "/t2" }\n'))
    await until(lambda: not rig.room.trouble and "tax" in rig.small.has)
    assert (rig.own.adapters.wanted, rig.small.adapters.wanted) == ({"legal": "/b"}, {"tax": "/t2"})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


def test_the_adapters_of_the_settings_are_names_without_an_engine() -> None:
    """`hearth explain` knows them, each with the model that it adapts."""
    made = settings(
        '[engine.adapters]\nlegal = "/a"\n[models.small]\nmodel = "llama-3.2-1b"\nadapters = { tax = "/t" }\n'
    )
    assert adapters_of(made) == {"legal": ("local", "/a"), "tax": ("local/small", "/t")}
    planner = offline_planner(made)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for name, label in (("local/legal", "local/legal"), ("tax", "local/tax")):
        plan = planner.explain("openai_chat", {**body, "model": name}, {}).plan
        assert [each.target.label for each in plan.candidates] == [label]
