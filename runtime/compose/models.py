"""[models.NAME] made into engines with an owner, and what the settings say of their fit on this box."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
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
from local_models.models.planner import ModelCase
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
        sleep_after_s=wanted.sleep_after,
    )


class LocalModelRoom:
    """The models of the settings with their owner; without any, nothing at all. own: the engine's own.

    engines and targets: of each, by target name.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        env: Mapping[str, str],
        guard: Guard,
        own: Engine,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._env, self._guard, self._own, self._clock = settings, env, guard, own, clock
        self._spec = engine_spec(settings, folder)
        self._made: dict[str, tuple[EngineSpec, ModelWish, HousedModel]] = {}
        self.engines: dict[str, LocalEngine] = {}
        self.targets: dict[str, LocalModelTarget] = {}
        self.owner = ModelSupervisor({}, self._arranged, clock, self._spec.drain_s)
        self.apply(settings, {})

    async def judged(self, settings: Settings) -> dict[str, ModelCase] | None:
        """The cases of changed settings; None where no table has changed. Raises ValueError where one does not fit."""
        if settings.models == self._settings.models:
            return None
        if not self.owner.arranged:
            return {}
        wishes = model_wishes(settings)
        found = await self._surveyed(wishes)
        known = {name: made[1] for name, made in self._made.items()}
        changed = {wish.name for wish in wishes if wish != known.get(wish.name)}
        for name, place in arranged(found.cases, found.room).items():
            case = next(each for each in found.cases if each.name == name)
            if isinstance(place, str) and name in changed and (case.load == "always" or not case.places):
                raise ValueError(f"models.{name} does not fit: {place}")
        return {case.name: case for case in found.cases}

    def apply(self, settings: Settings, cases: Mapping[str, ModelCase]) -> None:
        """Puts other models in force. cases: of `judged`. A model whose engine can stay as it is goes on."""
        made: dict[str, tuple[EngineSpec, ModelWish, HousedModel]] = {}
        targets: dict[str, LocalModelTarget] = {}
        for wish in model_wishes(settings):
            spec, name, old = _spec(self._spec, wish, settings), f"{LOCAL}/{wish.name}", self._made.get(wish.name)
            # Adapters come and go while an engine serves, if it was started for that many.
            stays = old is not None and replace(spec, adapters={}) == replace(old[0], adapters={})
            if old is not None and stays and wish.gpus == old[1].gpus and spec.loras <= old[0].loras:
                engine, spec, targets[name] = old[2].engine, old[0], self.targets[name]
            else:
                secrets, guard = secret_names(settings, self._env), self._guard
                engine = local_fleet.local_engine(
                    spec, environ=self._env, clock=self._clock, guard=guard, secrets=secrets
                )
                times = settings.timeouts_of(LOCAL)
                backend = LocalBackend(engine, frozenset(), times, ours=True, name=wish.name)
                targets[name] = LocalModelTarget(wish.name, engine, backend, self.owner)
            made[wish.name] = spec, wish, HousedModel(engine, known_as(wish.model), wish.load)
        self._settings, self._made, self.targets = settings, made, targets
        self.engines = {f"{LOCAL}/{name}": each[2].engine for name, each in made.items()}
        self.owner.rehouse({name: each[2] for name, each in made.items()}, cases)

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
        found = await self._surveyed(model_wishes(self._settings))
        times = ModelTimes(
            load=self._spec.start_timeout_s + _STOP_S,
            drain=self._spec.drain_s + 1.0,
            stop=_STOP_S,
            backoff_first=self._spec.backoff_first_s,
            backoff_most=self._spec.backoff_most_s,
            give_up_after=self._spec.give_up_after,
        )
        return ModelTable(found.cases, found.room, times)

    async def _surveyed(self, wishes: Sequence[ModelWish]) -> BoxSurvey:
        gpus = await GpuReader(_probe(self._spec, self._env)).read(_FIRST_READING_S)
        return await survey(self._spec, wishes, gpus, guard=self._guard, environ=self._env)


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
