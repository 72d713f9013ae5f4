"""Everything that runs models on this box: the engine, the exchange of its model, and the models beside it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from local_models import fleet as local_fleet
from local_models.backend import LocalBackend
from runtime.compose.adapters import AdapterRoom
from runtime.compose.engine import EngineExchange, engine_spec, second_usd, secret_names
from runtime.compose.models import LocalModelRoom
from runtime.compose.speeds import SpeedFile
from runtime.contract.guard import Guard
from runtime.contract.targets import LOCAL
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.life.desk import Desk
from runtime.server.asgi import Page
from runtime.server.pages.adapters import AdapterPages
from runtime.server.pages.loading import LoadingPages
from runtime.server.pages.settings import SettingsPages
from runtime.server.routes import Route
from runtime.settings import Settings
from runtime.trust.changes import AdminChange


class LocalRoom:
    """engine: of the default model. exchange: gives it another. models: those beside it.

    adapters: of all of them. speeds: measured on the engine."""

    def __init__(
        self, settings: Settings, folder: Path, env: Mapping[str, str], guard: Guard, notice: Callable[[str], None]
    ) -> None:
        self._folder, self._notice = folder, notice
        self.speeds = SpeedFile(folder / "engine-speeds.json", settings.engine)
        self.engine = local_fleet.local_engine(
            engine_spec(settings, folder, self.speeds.speeds),
            environ=env,
            clock=time.monotonic,
            guard=guard,
            secrets=secret_names(settings, env),
        )
        self.backend = LocalBackend(
            self.engine,
            frozenset(settings.engine.certified),
            settings.timeouts_of(LOCAL),
            ours=not settings.engine.url,
            pool=settings.engine.kind == "pool",
        )
        self.models = LocalModelRoom(settings, folder, env, guard, self.engine, time.monotonic)
        self.exchange = EngineExchange(self.engine, settings, folder, env, guard, notice, self._exchanged)
        self.exchange.beside = self.models.machine_bytes
        self.adapters = AdapterRoom(settings, lambda: {LOCAL: self.engine, **self.models.engines})

    def fleet(self, settings: Settings, clouds: Clouds) -> LiveFleet:
        """The targets of this box, with those off it."""
        fleet = LiveFleet(
            self.engine,
            self.backend,
            clouds,
            settings.escalation,
            time.monotonic,
            alone=not settings.engine.url,
        )
        fleet.models, fleet.second_usd = self.models.targets, partial(second_usd, settings)
        return fleet

    def chores(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Its chores, by name."""
        return {
            "engine exchange": self.exchange.run,
            "adapters": self.adapters.run,
            "models": partial(self.models.owner.run, self._notice),
        }

    def pages(
        self, desk: Desk, note: Callable[[AdminChange], object], written: SettingsPages, renamed: Callable[[], None]
    ) -> dict[Route, Page]:
        """The pages of its commands. note: gets every change. renamed: called when the name of an adapter has come or gone."""
        self.adapters.named, self.adapters.changed = lambda: desk.planner.policy.directory, renamed
        loading = LoadingPages(desk, self.models.owner, self.exchange, note, written)
        return loading.table() | AdapterPages(desk, self.adapters, note, written).table()

    def want(self, settings: Settings) -> None:
        """Takes the model and the adapters of changed settings over, in the background."""
        self.exchange.want(settings)
        self.adapters.want(settings)

    @property
    def troubles(self) -> tuple[str | None, ...]:
        faults = [f"adapter {each.name}: {each.cause}" for each in self.adapters.views() if each.cause]
        return self.exchange.trouble, self.adapters.trouble, *faults

    def _exchanged(self, settings: Settings) -> None:
        """The engine serves another model: speeds are measured anew."""
        self.speeds = SpeedFile(self._folder / "engine-speeds.json", settings.engine)
