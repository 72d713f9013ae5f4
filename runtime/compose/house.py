"""The settings of the running process as the page of settings asks for them."""

from __future__ import annotations

from pathlib import Path

from cloud.providers import NAMES
from runtime.compose.confidence import read_maps
from runtime.compose.targets import offline_planner
from runtime.life.planning import IdleFleet
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Live, Loaded, Settings, environment, read


class LiveHouse:
    """A `runtime.server.pages.settings.SettingsHouse`. live: set by whoever serves; without it nothing is reloaded."""

    def __init__(self, loaded: Loaded, folder: Path) -> None:
        self._loaded, self._folder = loaded, folder
        self.live: Live | None = None

    @property
    def loaded(self) -> Loaded:
        return self.live.loaded if self.live is not None else self._loaded

    @property
    def refusal(self) -> str | None:
        return self.live.refused if self.live is not None else None

    def read(self, text: str) -> Loaded:
        return read(text, self.loaded.file, environment(), NAMES)

    async def reload(self) -> bool:
        return self.live is not None and await self.live.reload()

    def box(self, settings: Settings) -> tuple[RoutingPolicy, IdleFleet]:
        made = offline_planner(settings, confidence=read_maps(settings, environment(), self._folder))
        assert isinstance(made.fleet, IdleFleet)
        return made.planner.policy, made.fleet
