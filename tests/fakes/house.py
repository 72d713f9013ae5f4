"""A settings file without a runtime around it: read, and taken over by `reload` if a test does not refuse."""

from __future__ import annotations

from pathlib import Path

from cloud.providers import NAMES
from runtime.compose.targets import offline_planner
from runtime.life.planning import IdleFleet
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Loaded, Settings, environment, load, read


class FakeHouse:
    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.loaded = load(file, environment(), NAMES) if file else Loaded(Settings())
        self.refusal: str | None = None
        self.refuses = ""
        self.reloads = 0

    def read(self, text: str) -> Loaded:
        return read(text, self._file, environment(), NAMES)

    async def reload(self) -> bool:
        self.reloads += 1
        self.refusal = self.refuses or None
        if self.refuses:
            return False
        self.loaded = load(self._file, environment(), NAMES)
        return True

    def box(self, settings: Settings) -> tuple[RoutingPolicy, IdleFleet]:
        made = offline_planner(settings)
        assert isinstance(made.fleet, IdleFleet)
        return made.planner.policy, made.fleet
