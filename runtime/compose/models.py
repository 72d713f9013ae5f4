"""[models.NAME] made into engines with an owner, and what the settings say of their fit on this box."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from local_models import fleet as local_fleet
from local_models.backend import LocalBackend, idle_target
from local_models.engine import LocalEngine
from local_models.facts.catalogue import known_as
from local_models.host import visible
from local_models.host.gpu import GpuReader, NoGpu, NvmlProbe
from local_models.models.life import ModelTimes
from local_models.models.places import arranged
from local_models.models.supervisor import HousedModel, ModelSupervisor
from local_models.models.survey import BoxSurvey, survey
from local_models.models.table import ModelTable
from local_models.replica import command
from runtime.compose.adapters import adapters_of
from runtime.compose.engine import engine_spec, secret_names
from runtime.contract.engine import Engine, EngineSpec, Gpu
from runtime.contract.guard import Guard
from runtime.contract.models import ModelWish
from runtime.contract.targets import LOCAL, Target
from runtime.fleet.models import LocalModelTarget
from runtime.settings import Settings

_FIRST_READING_S = 60.0
_STOP_S = 120.0  # vLLM's end, and the driver's time to give the memory back


def model_wishes(settings: Settings) -> tuple[ModelWish, ...]:
    """The settings' models, in their order."""
    return tuple(
        ModelWish(name, each.model, None if each.gpus == "auto" else each.gpus, each.share, each.load, each.ttl)
        for name, each in settings.models.items()
    )


def tasks_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Task -> the local models that have it, as targets, in the order of the settings."""
    found: dict[str, tuple[str, ...]] = {}
    for name, each in settings.models.items():
        for task in each.tasks:
            found[task] = (*found.get(task, ()), f"{LOCAL}/{name}")
    return found


def named_target(name: str, target: Target) -> Target:
    """A local model's target under the name of the settings."""
    return replace(target, name=f"{LOCAL}/{name}", model=name)


def idle_models(settings: Settings) -> dict[str, Target]:
    """The targets of the models, from the catalogue and the settings: nothing is started."""
    spec = engine_spec(settings, Path())
    times = settings.timeouts_of(LOCAL)
    return {
        f"{LOCAL}/{wish.name}": named_target(wish.name, idle_target(_spec(spec, wish, settings), frozenset(), times))
        for wish in model_wishes(settings)
    }


def _spec(own: EngineSpec, wish: ModelWish, settings: Settings) -> EngineSpec:
    """The engine of one model: as the engine's own is watched and restarted, on its share of a GPU."""
    wanted = settings.models[wish.name]
    return replace(
        own,
        name=wish.name,
        model=wish.model,
        replicas=1,
        max_model_len=None,
        gpu_memory_utilization=wish.share,
        args=(),
        urls=(),
        pool=False,
        metrics=(),
        key=None,
        certified=frozenset(),
        speeds=(),
        adapters={name: folder for name, (to, folder) in adapters_of(settings).items() if to == f"{LOCAL}/{wish.name}"},
        max_loras=wanted.max_loras,
        max_lora_rank=wanted.max_lora_rank,
    )


class LocalModelRoom:
    """The models of the settings with their owner; without any, nothing at all. own: the engine's own."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        env: Mapping[str, str],
        guard: Guard,
        own: Engine,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._env, self._guard, self._own = settings, env, guard, own
        self._spec = engine_spec(settings, folder)
        wishes, engines = model_wishes(settings), dict[str, LocalEngine]()
        for wish in wishes:
            engines[wish.name] = local_fleet.local_engine(
                _spec(self._spec, wish, settings),
                environ=env,
                clock=clock,
                guard=guard,
                secrets=secret_names(settings, env),
            )
        self.engines, drain_s = {f"{LOCAL}/{name}": each for name, each in engines.items()}, self._spec.drain_s
        self.owner = ModelSupervisor(
            {wish.name: HousedModel(engines[wish.name], known_as(wish.model), wish.load) for wish in wishes},
            self._arranged,
            clock,
            drain_s,
        )
        self.targets = {
            f"{LOCAL}/{wish.name}": LocalModelTarget(
                wish.name,
                engines[wish.name],
                LocalBackend(engines[wish.name], frozenset(), settings.timeouts_of(LOCAL), ours=True, name=wish.name),
                self.owner,
            )
            for wish in wishes
        }

    def machine_bytes(self) -> int:
        """Bytes of the machine's memory that the models have; those on GPUs have none of it that is counted."""
        return sum(view.memory for view in self.owner.views() if not view.gpus)

    async def _arranged(self) -> ModelTable:
        """The box when the engine's own model has started, or will not: two engines that start at once mismeasure memory."""
        revision = -1
        while not self._spec.urls and not any(view.run for view in self._own.views()):
            revision = await self._own.changed(revision)
        if not self._spec.urls:
            await self._own.wait_ready(self._spec.start_timeout_s)
        reader = GpuReader(_probe(self._spec, self._env))
        found = await survey(
            self._spec,
            model_wishes(self._settings),
            await reader.read(_FIRST_READING_S),
            guard=self._guard,
            environ=self._env,
        )
        times = ModelTimes(
            load=self._spec.start_timeout_s + _STOP_S,
            drain=self._spec.drain_s + 1.0,
            stop=_STOP_S,
            backoff_first=self._spec.backoff_first_s,
            backoff_most=self._spec.backoff_most_s,
            give_up_after=self._spec.give_up_after,
        )
        return ModelTable(found.cases, found.room, times)


def _probe(spec: EngineSpec, env: Mapping[str, str]) -> NvmlProbe | NoGpu:
    if spec.device == command.CPU:
        return NoGpu("the settings say so")
    return NvmlProbe(time.monotonic, env.get(visible.VARIABLE))


def fitting(settings: Settings, env: Mapping[str, str], guard: Guard, gpus: tuple[Gpu, ...] | None = None) -> list[str]:
    """A sentence for each model of the settings: where it fits on this box, or why it does not. Asks no hub.

    gpus: of another box; None: this one's.
    """
    wishes = model_wishes(settings)
    if not wishes:
        return []

    async def look() -> BoxSurvey:
        spec = engine_spec(settings, Path())
        seen = await GpuReader(_probe(spec, env)).read(_FIRST_READING_S) if gpus is None else gpus
        return await survey(spec, wishes, seen, guard=guard, environ=env or os.environ, offline=True)

    found = asyncio.run(look())
    lines = []
    for name, place in arranged(found.cases, found.room).items():
        if isinstance(place, str):
            lines.append(f"models.{name} does not fit: {place}")
        else:
            lines.append(f"models.{name} fits: {place.words}")
    return lines
