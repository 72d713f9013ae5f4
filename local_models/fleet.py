"""Puts the real parts of a `LocalEngine` together: interpreter, device, GPU groups, command line, weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from local_models.engine import LocalEngine
from local_models.facts.fit import Box, Wish
from local_models.facts.footprint import split_args
from local_models.host import visible
from local_models.host.gpu import GpuProbe, GpuReader, NoGpu, NvmlProbe
from local_models.replica import batch_size, command, environment
from local_models.replica.instance import ReplicaFault
from local_models.replica.owned import ReplicaPlace, StartPlan, StartPlanner
from local_models.replica.prepared import Notice, Prepare, PreparedModel
from local_models.weights import weights
from runtime.contract.engine import EngineSpec, Gpu
from runtime.contract.guard import Guard

_FIRST_READING_S = 60.0  # without persistence mode the driver initializes every GPU first, some seconds each
_WISHED_CONTEXT = 8192  # tokens that should fit beside the weights, where the user asks for nothing


def local_engine(
    spec: EngineSpec,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], float],
    guard: Guard,
    secrets: frozenset[str] = frozenset(),
    probe: GpuProbe | None = None,
    prepare: Prepare | None = None,
) -> LocalEngine:
    """The engine the spec asks for. secrets: names of variables no engine may inherit. clock: monotonic seconds.

    guard: of the ways to the hub and to engines on other machines.
    """
    if probe is None:
        without = spec.urls or spec.device == command.CPU
        probe = NoGpu("the settings say so") if without else NvmlProbe(clock, environ.get(visible.VARIABLE))
    gpus = GpuReader(probe)
    plan = planner(spec, gpus, environ, secrets)
    fetch = prepare or fetcher(spec, gpus, environ, guard)
    return LocalEngine(spec, prepare=fetch, plan=plan, gpus=gpus, clock=clock, guard=guard)


def planner(spec: EngineSpec, reader: GpuReader, environ: Mapping[str, str], secrets: frozenset[str]) -> StartPlanner:
    """The planner of starts. It looks again at every start: a GPU may be gone, another engine installed."""

    async def plan(model: PreparedModel, place: ReplicaPlace, extra: Mapping[str, str]) -> StartPlan:
        gpus, found = await _look(spec, reader, environ)
        try:
            group: tuple[Gpu, ...] = ()
            if found.kind == command.CUDA:
                size = command.gpus_per_replica((*model.args, *spec.args))
                fixed = command.says_parallel(spec.args)
                group = command.group_gpus(gpus, spec.replicas, size, unequal=fixed)[place.index]
            names = command.cuda_names(group)
            at_once = batch_size.sequences(found.kind, spec.speeds, spec.ttft_s)
            launch = command.EngineLaunch(
                python=found.python,
                device=found.kind,
                model=model,
                socket=place.socket,
                gpus=names,
                gpu_memory_utilization=spec.gpu_memory_utilization,
                max_num_seqs=at_once,
                args=spec.args,
                offline=spec.offline,
                environ=extra,
                secrets=secrets,
            )
            ready = command.build(launch, environ)
        except command.EngineArgsError as error:
            # A GPU that is lost may come back.
            raise ReplicaFault("; ".join((str(error), *reader.faults)), deterministic=not reader.faults) from error
        about = f"GPU {', '.join(names)}" if names else f"the CPU ({reader.reason})"  # never a slower device silently
        about = "; ".join((about, *reader.faults)) if names else about
        if at_once < batch_size.DEFAULT[found.kind] and command.slots(spec.args) is None:
            about += f"; {at_once} sequences at once, so that first tokens come within {spec.ttft_s:g} s"
        key = f"{model.path} {found.kind} {len(names)}"
        return StartPlan(ready.argv, ready.env, tuple(gpu.index for gpu in group), key, about)

    return plan


def fetcher(spec: EngineSpec, reader: GpuReader, environ: Mapping[str, str], guard: Guard) -> Prepare:
    """Gets the weights with the interpreter that will serve them (it converts the built-in model)."""

    async def prepare(model: str, notice: Notice) -> PreparedModel:
        gpus, found = await _look(spec, reader, environ)
        fetched = await weights.prepare(
            model, guard=guard, notice=notice, engine_python=str(found.python), offline=spec.offline, environ=environ
        )
        split = await asyncio.to_thread(_split, spec, fetched, gpus) if found.kind == command.CUDA else ()
        return replace(fetched, max_model_len=spec.max_model_len or fetched.max_model_len, args=(*split, *fetched.args))

    return prepare


def _split(spec: EngineSpec, model: PreparedModel, gpus: tuple[Gpu, ...]) -> tuple[str, ...]:
    """Over how many GPUs a model is spread that one cannot hold; what the user says of it stands."""
    if not gpus or command.says_parallel((*model.args, *spec.args)):
        return ()
    wish = Wish(context=spec.max_model_len or _WISHED_CONTEXT, concurrency=1)
    boxes = [
        Box(min(gpu.memory_total for gpu in kind), len(kind) // spec.replicas, spec.gpu_memory_utilization)
        for kind in command.equal_gpus(gpus)
        if len(kind) >= spec.replicas
    ]
    return split_args(model.path, boxes, wish)


async def _look(
    spec: EngineSpec, reader: GpuReader, environ: Mapping[str, str]
) -> tuple[tuple[Gpu, ...], environment.Found]:
    gpus = await reader.read(_FIRST_READING_S)
    if reader.hung:
        raise ReplicaFault(
            f"{reader.reason} within {_FIRST_READING_S:g} s; `nvidia-smi` will tell more, a reboot may help"
        )
    found = await asyncio.to_thread(
        environment.find_engine,
        spec.device,
        gpus,
        reader.reason,
        env=environ,
        faults=reader.faults,
        python=spec.python,
    )
    if isinstance(found, environment.NotFound):
        raise ReplicaFault(found.reason, deterministic=not reader.faults)
    return gpus, found
