"""A look at the box before its models are loaded: which fit where, beside the engine's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from local_models.facts.fit import Footprint
from local_models.facts.footprint import footprint
from local_models.models.life import GpuPlace
from local_models.models.places import box_memory, engines_own, left_beside, places_of
from local_models.models.planner import ModelCase
from local_models.replica import command
from local_models.replica.prepared import PrepareError
from local_models.weights.weights import Hub, resolve
from runtime.contract.engine import EngineSpec, Gpu
from runtime.contract.guard import Guard
from runtime.contract.models import ModelWish


@dataclass(frozen=True, slots=True)
class BoxSurvey:
    """cases: of the models, none loaded. room: bytes of each GPU for them."""

    cases: tuple[ModelCase, ...]
    room: Mapping[int, int]


async def survey(
    spec: EngineSpec,
    wishes: Sequence[ModelWish],
    gpus: Sequence[Gpu],
    *,
    guard: Guard,
    environ: Mapping[str, str],
    offline: bool = False,
) -> BoxSurvey:
    """spec: of the engine's own model. offline: facts that only the hub has are left out, and a share is believed."""
    memory = box_memory(() if spec.device == command.CPU else gpus, psutil.virtual_memory().total)
    own: tuple[GpuPlace, ...] = ()
    if not spec.urls:
        known = await _known(spec.model, guard, environ, offline=offline or spec.offline)
        fixed = command.gpus_per_replica(spec.args) if command.says_parallel(spec.args) else None
        own = engines_own(gpus, spec.replicas, spec.gpu_memory_utilization, known, memory, fixed)
    cases = []
    for wish in wishes:
        known = await _known(wish.model, guard, environ, offline=offline or spec.offline)
        places, misfit = places_of(wish, known, memory)
        cases.append(ModelCase(wish.name, wish.load, places, ttl=wish.ttl, misfit=misfit))
    return BoxSurvey(tuple(cases), left_beside(memory, own))


async def _known(model: str, guard: Guard, environ: Mapping[str, str], *, offline: bool) -> Footprint | None:
    """The footprint of a model; None where it cannot be had or judged: then vLLM says whether it fits."""
    found = resolve(model)
    if offline and isinstance(found, Hub) and found.entry is None:
        return None
    try:
        return await footprint(model, guard=guard, environ=environ)
    except PrepareError:
        return None
