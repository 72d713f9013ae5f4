"""Puts the real parts of a `LocalEngine` together: interpreter, device, GPU groups, command line, weights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

import psutil

from local_models.engine import LocalEngine
from local_models.facts.fit import Box, Wish, gib, judge
from local_models.facts.footprint import footprint, split_args
from local_models.host import visible
from local_models.host.gpu import GpuProbe, GpuReader, NoGpu, NvmlProbe
from local_models.models.life import MACHINE
from local_models.models.places import box_memory, cpu_need
from local_models.replica import batch_size, command, environment
from local_models.replica.instance import ReplicaFault
from local_models.replica.owned import ReplicaPlace, StartPlan, StartPlanner
from local_models.replica.prepared import Notice, Prepare, PreparedModel, PrepareError
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

    def chosen() -> tuple[int, ...]:
        return engine.chosen

    plan = planner(spec, gpus, environ, secrets, chosen)
    fetch = prepare or fetcher(spec, gpus, environ, guard, chosen)
    engine = LocalEngine(spec, prepare=fetch, plan=plan, gpus=gpus, clock=clock, guard=guard)
    return engine


async def exchange(
    engine: LocalEngine,
    spec: EngineSpec,
    *,
    environ: Mapping[str, str],
    guard: Guard,
    secrets: frozenset[str] = frozenset(),
    notice: Notice,
    beside: int = 0,
    machine: int | None = None,
) -> str:
    """Makes an engine serve another model, or the same with other arguments; "" when that is done, else why it is not.

    Nothing is stopped before the model is known to fit and its files are here. beside: bytes that other models have of the
    machine's memory. machine: bytes of that memory; None: as it is.
    """
    gpus = engine.gpu_reader
    known = await gpus.read(_FIRST_READING_S) if spec.device != command.CPU else ()
    if not command.says_parallel(spec.args):
        try:
            size = await footprint(spec.model, guard=guard, environ=environ)
        except PrepareError:
            size = None  # vLLM says whether it fits
        wish = Wish(context=spec.max_model_len or _WISHED_CONTEXT, concurrency=1)
        verdicts = [judge(size, box, wish) for box in _boxes(spec, known)] if size is not None else []
        if verdicts and not any(verdict.fits for verdict in verdicts):
            return f"{verdicts[0].reasons[0]}; nothing was stopped"
        if size is not None and not known and not gpus.faults:
            memory = box_memory((), machine or psutil.virtual_memory().total)
            need, left = spec.replicas * cpu_need(size, memory.gpus[MACHINE]), memory.room[MACHINE] - beside
            if need > left:
                words = f"{size.name} needs {gib(need)} of this machine, and may use {gib(max(0, left))}"
                return f"{words}; nothing was stopped"

    def chosen() -> tuple[int, ...]:
        return engine.chosen

    plan, fetch = planner(spec, gpus, environ, secrets, chosen), fetcher(spec, gpus, environ, guard, chosen)
    return await engine.exchange(spec, fetch, plan, notice)


def planner(
    spec: EngineSpec,
    reader: GpuReader,
    environ: Mapping[str, str],
    secrets: frozenset[str],
    chosen: Callable[[], tuple[int, ...]] = lambda: (),
) -> StartPlanner:
    """The planner of starts, made anew at each: a GPU may be gone. chosen: the GPUs of a model beside the engine's own."""

    async def plan(model: PreparedModel, place: ReplicaPlace, extra: Mapping[str, str]) -> StartPlan:
        gpus, found = await _look(spec, reader, environ)
        try:
            group: tuple[Gpu, ...] = ()
            if found.kind == command.CUDA and chosen():
                group = tuple(gpu for gpu in gpus if gpu.index in chosen())
                if len(group) != len(chosen()):
                    raise command.EngineArgsError(f"a GPU of {list(chosen())} is not there any more")
            elif found.kind == command.CUDA:
                size, fixed = command.gpus_per_replica((*model.args, *spec.args)), command.says_parallel(spec.args)
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
                loras=spec.loras,
                max_lora_rank=spec.max_lora_rank,
                sleeps=spec.sleep_after_s > 0,
                threads=max(1, (os.cpu_count() or 1) // spec.engines) if spec.engines > 1 else 0,
                environ=extra,
                secrets=secrets,
            )
            ready = command.build(launch, environ)
        except command.EngineArgsError as error:
            # A GPU that is lost may come back.
            raise ReplicaFault("; ".join((str(error), *reader.faults)), deterministic=not reader.faults) from error
        about = "; ".join((f"GPU {', '.join(names)}", *reader.faults)) if names else f"the CPU ({reader.reason})"
        if at_once < batch_size.DEFAULT[found.kind] and command.slots(spec.args) is None:
            about += f"; {at_once} sequences at once, so that first tokens come within {spec.ttft_s:g} s"
        key = f"{model.path} {found.kind} {len(names)}"
        return StartPlan(ready.argv, ready.env, tuple(gpu.index for gpu in group), key, about)

    return plan


def fetcher(
    spec: EngineSpec,
    reader: GpuReader,
    environ: Mapping[str, str],
    guard: Guard,
    chosen: Callable[[], tuple[int, ...]] = lambda: (),
) -> Prepare:
    """Gets the weights with the interpreter that will serve them (it converts the built-in model)."""

    async def prepare(model: str, notice: Notice) -> PreparedModel:
        gpus, found = await _look(spec, reader, environ)
        fetched = await weights.prepare(
            model, guard=guard, notice=notice, engine_python=str(found.python), offline=spec.offline, environ=environ
        )
        split: tuple[str, ...] = ()
        if found.kind == command.CUDA and spec.name:
            split = ("--tensor-parallel-size", str(len(chosen()))) if len(chosen()) > 1 else ()
        elif found.kind == command.CUDA:
            split = await asyncio.to_thread(_split, spec, fetched, gpus)
        return replace(fetched, max_model_len=spec.max_model_len or fetched.max_model_len, args=(*split, *fetched.args))

    return prepare


def _split(spec: EngineSpec, model: PreparedModel, gpus: tuple[Gpu, ...]) -> tuple[str, ...]:
    """Over how many GPUs a model is spread that one cannot hold; what the user says of it stands."""
    if not gpus or command.says_parallel((*model.args, *spec.args)):
        return ()
    wish = Wish(context=spec.max_model_len or _WISHED_CONTEXT, concurrency=1)
    return split_args(model.path, _boxes(spec, gpus), wish)


def _boxes(spec: EngineSpec, gpus: tuple[Gpu, ...]) -> list[Box]:
    """The GPUs of one replica, for each kind of GPU that is there."""
    return [
        Box(min(gpu.memory_total for gpu in kind), len(kind) // spec.replicas, spec.gpu_memory_utilization)
        for kind in command.equal_gpus(gpus)
        if len(kind) >= spec.replicas
    ]


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
