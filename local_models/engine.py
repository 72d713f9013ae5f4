"""The local fleet: several replicas behind `runtime.contract.engine.Engine`, started here or attached by URL.

Knows how replicas are put together and queried as one; the life of each belongs to its supervisor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from local_models.adapters import EngineAdapters
from local_models.backend import assumed
from local_models.facts.catalogue import known_as
from local_models.host import orphans, sockets
from local_models.host.gpu import GpuReader
from local_models.host.leftovers import end_leftovers
from local_models.host.log_ring import LogRing
from local_models.host.process import Spawn, spawn
from local_models.replica.attached import AttachedServer, Pool
from local_models.replica.canary import Probing
from local_models.replica.dozing import DozingHop
from local_models.replica.instance import Instance, ReplicaFault
from local_models.replica.lifecycle import DrainReplica, RestartPolicy, StartReplica, StopReplica
from local_models.replica.owned import OwnedEngine, ReplicaPlace, StartPlanner, World
from local_models.replica.prepared import Notice, Prepare, PreparedModel, PrepareError, pooling, safe
from local_models.replica.start_times import StartTimes
from local_models.replica.supervisor import Supervisor, Watch
from local_models.wire.hop import EngineHop
from local_models.wire.url import is_loopback, without_secrets
from runtime.contract.engine import STOP_WITHIN_S, EngineSpec, Gpu, ReplicaState, ReplicaView
from runtime.contract.guard import Guard, Receiver
from runtime.contract.hop import Hop
from runtime.contract.targets import LOCAL, Capabilities

_HURRY_S = 4.0  # for SIGKILL to take effect and the processes to be swept
_GRACE_S = 8.0
_AT_REST = frozenset({ReplicaState.STOPPED, ReplicaState.GIVEN_UP})
_ATTACHED_FIRST_S = 1.0  # a probe costs little, and the server may be back any moment
_ATTACHED_MOST_S = 30.0
_POOL_CANARIES = 3  # at once
_DRAIN_LOOK_S = 0.05
_GPU_LOOK_S = 1.0
_NO_GPU_LOOK_S = 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplicaLane:
    """A `runtime.contract.backend.Lane`."""

    supervisor: Supervisor
    instance: Instance
    fallback_model: str

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def ready(self) -> bool:
        return self.supervisor.state is ReplicaState.READY and not self.supervisor.aside

    @property
    def hop(self) -> Hop:
        return self.instance.hop

    @property
    def slots(self) -> int | None:
        return self.supervisor.slots

    @property
    def model(self) -> str:
        models = self.supervisor.models
        return models[0] if models else self.fallback_model


class LocalEngine:
    """A `runtime.contract.engine.Engine`. To be started, drained and stopped in one event loop, once.

    prepare: fetches the weights. plan: how to start vLLM on them (`fleet.py` wires the real one). watch: intervals of the
    replicas' supervision; None: from the spec. clock: monotonic seconds; sleep its companion. guard: of the way to engines on
    other machines.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        prepare: Prepare,
        plan: StartPlanner,
        gpus: GpuReader,
        clock: Callable[[], float],
        guard: Guard,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spawn: Spawn = spawn,
        watch: Watch | None = None,
    ) -> None:
        self._spec = spec
        self._guard = guard
        self._prepare = prepare
        self._preparing = asyncio.Lock()
        self._prepared: PreparedModel | None = None
        self.gpu_reader = gpus
        self._gpus: tuple[Gpu, ...] = ()
        self._gpu_task: asyncio.Task[None] | None = None
        self._clock = clock
        self._sleep = sleep
        self._change = asyncio.Event()
        self._revision = 0
        self._hurry = asyncio.Event()
        self._stopping = False
        self.chosen: tuple[int, ...] = ()
        self._exchanging = ""
        self._logs: list[LogRing] = []
        self._folder = sockets.socket_folder(spec.state_dir)
        world = World(self._weights, plan, spawn, gpus, clock, sleep, StartTimes(spec.state_dir / "engine-starts.json"))
        policy, usual_watch = supervision(spec)
        watch = watch or usual_watch
        self._world = world
        wanted = dict(spec.adapters)
        self._own = [] if spec.urls else self._owned(world, wanted)
        self.adapters = EngineAdapters(wanted, self._own, enabled=spec.loras > 0, most_rank=spec.max_lora_rank)
        instances: Sequence[Instance] = self._attached() if spec.urls else self._own
        self._supervisors = [
            Supervisor(instance, policy, watch, clock=clock, sleep=sleep, changed=self._changed, hurry=self._hurry)
            for instance in instances
        ]
        self._lanes = tuple(
            ReplicaLane(supervisor, instance, spec.model)
            for supervisor, instance in zip(self._supervisors, instances, strict=True)
        )

    def _owned(self, world: World, adapters: dict[str, str]) -> list[OwnedEngine]:
        owner, instances = orphans.this_process(self._spec.state_dir), list[OwnedEngine]()
        for index in range(self._spec.replicas):
            name = f"models.{self._spec.name}" if self._spec.name else f"replica-{index}"
            socket = self._folder / f"{sockets.short(name) if self._spec.name else name}.sock"
            place = ReplicaPlace(name, index, socket, owner, self._spec.start_timeout_s)
            log = LogRing(mirror=self._spec.state_dir / "logs" / f"{name}.log")
            self._logs.append(log)
            hop, after_s = EngineHop(socket_path=place.socket, clock=self._clock), self._spec.sleep_after_s
            dozing = DozingHop(hop, after_s, self._clock) if after_s else None
            instances.append(OwnedEngine(place, world, dozing or hop, log, adapters, dozing))
        return instances

    def _attached(self) -> list[AttachedServer]:
        spec, instances = self._spec, list[AttachedServer]()
        for index, url in enumerate(spec.urls):
            to = Receiver(LOCAL, without_secrets(url), spec.certified)
            exit = None if is_loopback(url) else (self._guard, to)
            hop = EngineHop(base_url=url, key=spec.key, clock=self._clock, exit=exit)
            pool = Pool(_POOL_CANARIES, self._metrics()) if spec.pool else None
            instances.append(
                AttachedServer(f"replica-{index}", without_secrets(url), hop, spec.model, self._sleep, pool)
            )
        return instances

    def _metrics(self) -> tuple[tuple[Probing, str], ...]:
        """A hop and a path for each address of metrics. They get no key: it is the pool's."""
        parts = [urlsplit(url) for url in self._spec.metrics]
        return tuple(
            (EngineHop(base_url=f"{each.scheme}://{each.netloc}", clock=self._clock), each.path or "/metrics")
            for each in parts
        )

    async def _weights(self, notice: Notice) -> PreparedModel:
        """Prepares the weights once for all replicas: one fetches, the others find them fetched."""
        async with self._preparing:
            self._prepared = await self._prepare(self._spec.model, notice)
        return self._prepared

    # -- another model

    async def exchange(self, spec: EngineSpec, prepare: Prepare, plan: StartPlanner, notice: Notice) -> str:
        """Serves another model, or the same with other arguments: "" when that is done, else why the old one is served again.

        Its files are fetched first. Then the replicas change one after another, so that several are never down together. spec:
        differs in `model` and `args` alone.
        """
        self._exchanging, known = known_as(spec.model), (self._spec, self._prepare, self._prepared)
        try:
            fetched = await prepare(spec.model, notice)

            async def had(_: Notice) -> PreparedModel:
                return fetched

            async def had_before(notice: Notice) -> PreparedModel:
                return known[2] or await known[1](known[0].model, notice)

            new, old = replace(self._world, prepare=had, plan=plan), replace(self._world, prepare=had_before)
            for instance in self._own:
                instance.world = old
            moved, cause = list[int](), ""
            # Those that are down first.
            for number in sorted(range(len(self._own)), key=lambda number: self._lanes[number].ready):
                moved.append(number)
                if cause := await self._renewed(number, new, (spec, prepare, fetched)):
                    break
            if not cause:
                self._world = replace(self._world, plan=plan)
                return ""
            for number in reversed(moved):
                await self._renewed(number, old, known)
            self._spec, self._prepare, self._prepared = known
            return cause
        except (PrepareError, ReplicaFault) as error:  # of the fetch alone: a replica's faults are causes
            return f"{error.cause}; nothing was stopped"
        finally:
            self._exchanging = ""
            for instance, supervisor in zip(self._own, self._supervisors, strict=True):
                instance.world, supervisor.aside = self._world, False
            self._changed()  # requests wait for the end of it

    async def _renewed(self, number: int, world: World, known: tuple[EngineSpec, Prepare, PreparedModel | None]) -> str:
        """Ends a replica when its requests have ended, and starts it in another world: "" once it is ready, else the cause.

        known: what the engine is known by when half of the replicas are in that world. From then on those alone get requests,
        before that the others alone, so that no answer is another model's than its target names.
        """
        supervisor, until = self._supervisors[number], self._clock() + self._spec.drain_s
        supervisor.send(DrainReplica())
        await self._sleep(_DRAIN_LOOK_S)
        while self._clock() < until and supervisor.in_flight:
            await self._sleep(_DRAIN_LOOK_S)
        supervisor.send(StopReplica())
        await self._until(lambda: supervisor.state is ReplicaState.STOPPED)
        run, self._own[number].world, supervisor.aside = supervisor.view().run, world, True
        supervisor.send(StartReplica())
        ends = (ReplicaState.READY, ReplicaState.BACKING_OFF, ReplicaState.GIVEN_UP, ReplicaState.STOPPED)
        await self._until(lambda: supervisor.view().run > run and supervisor.state in ends)
        view, behind = supervisor.view(), [each.world is not world for each in self._own]
        if view.ready and 2 * sum(behind) <= len(behind):
            self._spec, self._prepare, self._prepared = known
            for each, aside in zip(self._supervisors, behind, strict=True):
                each.aside = aside
            self._changed()
        return "" if view.ready else view.cause or f"{view.name} is {view.state}"

    # -- state

    @property
    def model(self) -> str:
        """The model of the settings; if the attached servers do not have it, the one they use. A folder has its own name."""
        used = next((view.models for view in self.views() if view.models), ())
        if not self._spec.urls or not used or self._spec.model in used:
            return known_as(self._spec.model)
        return known_as(used[0])

    @property
    def served(self) -> Mapping[str, str | None]:
        """An id as the engine writes it is a name too, so that a folder has two."""
        found: dict[str, str | None] = {}
        for supervisor in self._supervisors:
            for place, name in enumerate(() if supervisor.aside else supervisor.models):
                found[name] = found[known_as(name)] = name if place else None
        return found

    @property
    def revision(self) -> int:
        return self._revision

    async def changed(self, since: int) -> int:
        while self._revision == since:
            await self._change.wait()
        return self._revision

    @property
    def capabilities(self) -> Capabilities:
        if self._prepared is not None:
            known = self._prepared.capabilities
        else:
            known = assumed(self._spec)
            pools = next((view.pools for view in self.views() if view.pools), "") if self._spec.urls else ""
            if pools:
                known = pooling(known, pools)
        lengths = [view.max_model_len for view in self.views() if view.max_model_len is not None]
        return replace(known, context_tokens=min(lengths)) if lengths else known

    @property
    def on_box(self) -> bool:
        return all(is_loopback(url) for url in self._spec.urls)

    @property
    def lanes(self) -> Sequence[ReplicaLane]:
        return self._lanes

    def views(self) -> tuple[ReplicaView, ...]:
        return tuple(supervisor.view() for supervisor in self._supervisors)

    def gpus(self) -> tuple[Gpu, ...]:
        """The last reading, about a second old at most."""
        return self._gpus

    def log_tail(self, lines: int) -> tuple[str, ...]:
        """The last lines of every replica, prefixed by its name if there are several."""
        if len(self._logs) == 1:
            return self._logs[0].tail(lines)
        return tuple(f"replica-{i}: {line}" for i, log in enumerate(self._logs) for line in log.tail(lines))

    def log_after(self, marks: Sequence[int], most: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
        now = tuple(log.count for log in self._logs)
        lines: list[str] = []
        for number, (log, seen) in enumerate(zip(self._logs, marks, strict=False)):
            name = f"replica-{number}: " if len(self._logs) > 1 else ""
            lines += [f"{name}{line}" for line in log.tail(min(most, log.count - seen))]
        return now, tuple(lines)

    # -- life

    async def start(self, notice: Notice) -> None:
        notice = safe(notice)
        if not self._spec.urls:
            me = orphans.this_process(self._spec.state_dir)
            await end_leftovers(me, self.gpu_reader, self._clock, self._sleep, notice)
            self._gpu_task = asyncio.create_task(self._watch_gpus(), name="gpu watch")
        if self._stopping:  # during the sweep
            return
        self.begin(notice)
        self.launch()
        await self._until(lambda: all(supervisor.launched for supervisor in self._supervisors))

    def begin(self, notice: Notice) -> None:
        """Takes commands from now on, and starts nothing. `start` has swept what a dead Hearth left, here or elsewhere."""
        if not self._spec.urls:
            sockets.make_private(self._folder)
        for supervisor in self._supervisors:
            supervisor.begin(notice)

    @property
    def exchanging(self) -> str:
        return self._exchanging

    @property
    def begun(self) -> bool:
        return all(supervisor.begun for supervisor in self._supervisors)

    @property
    def start_s(self) -> float:
        """Seconds that a start takes, by those that were measured."""
        return max(lane.instance.estimate_s for lane in self._lanes)

    async def fetch(self, notice: Notice) -> None:
        """Gets the weights. Raises PrepareError; ReplicaFault where nothing could serve them."""
        await self._weights(notice)

    def launch(self, gpus: tuple[int, ...] = ()) -> None:
        """Starts every replica that is at rest. gpus: that it shall use, where they are chosen for it."""
        self.chosen = gpus
        for supervisor in self._supervisors:
            supervisor.send(StartReplica())

    async def rest(self) -> None:
        """Stops every replica, to be launched again: returns when their processes and their memory are gone."""
        for supervisor in self._supervisors:
            supervisor.send(StopReplica())
        await self._until(lambda: self._states() <= {ReplicaState.STOPPED})

    async def wait_ready(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: ReplicaState.READY in self._states() or self._states() <= _AT_REST)
        except TimeoutError:
            return False
        return ReplicaState.READY in self._states()

    async def drain(self, deadline_s: float) -> None:
        until = self._clock() + deadline_s
        for supervisor in self._begun():
            supervisor.send(DrainReplica())
        await self._sleep(_DRAIN_LOOK_S)  # a request that has just chosen a replica reaches it
        while self._clock() < until and any(supervisor.in_flight for supervisor in self._supervisors):
            await self._sleep(_DRAIN_LOOK_S)

    async def stop(self, within_s: float = STOP_WITHIN_S, *, hurry: asyncio.Event | None = None) -> None:
        self._stopping = True
        for supervisor in self._begun():
            supervisor.send(StopReplica())
        # (1) In peace: SIGTERM, grace, SIGKILL. (2) In a hurry: SIGKILL. (3) Whatever is left is killed and not waited for.
        if not await self._stopped(within_s - _HURRY_S, hurry):
            self._hurry.set()
            await self._stopped(_HURRY_S, None)
        await asyncio.gather(*(supervisor.close() for supervisor in self._supervisors))
        if self._gpu_task is not None:
            self._gpu_task.cancel()
            await asyncio.wait((self._gpu_task,), timeout=1.0)
        for log in self._logs:
            log.close()

    async def _stopped(self, within_s: float, hurry: asyncio.Event | None) -> bool:
        """True once every replica is stopped; False after `within_s`, or as soon as `hurry` is set."""
        stopped = asyncio.create_task(self._until(lambda: self._states() <= {ReplicaState.STOPPED}), name="engine stop")
        waits: set[asyncio.Task[Any]] = {stopped}
        if hurry is not None:
            waits.add(asyncio.create_task(hurry.wait(), name="engine hurry"))
        try:
            await asyncio.wait(waits, timeout=max(0.0, within_s), return_when=asyncio.FIRST_COMPLETED)
            return stopped.done()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _begun(self) -> list[Supervisor]:
        return [supervisor for supervisor in self._supervisors if supervisor.begun]

    async def _watch_gpus(self) -> None:
        while True:
            try:
                self._gpus = await self.gpu_reader.read()
            except Exception:  # noqa: BLE001 - a probe does not raise; the watch must outlive one that does
                _log.exception("the GPUs could not be read")
                self._gpus = ()
            await self._sleep(_GPU_LOOK_S if self._gpus else _NO_GPU_LOOK_S)

    # -- changes

    def _states(self) -> set[ReplicaState]:
        return {supervisor.state for supervisor in self._supervisors}

    def _changed(self) -> None:
        self._revision += 1
        self._change.set()
        self._change = asyncio.Event()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            await self._change.wait()


def supervision(spec: EngineSpec) -> tuple[RestartPolicy, Watch]:
    """When the spec's replicas are restarted, and how closely they are watched."""
    if not spec.urls:
        policy = RestartPolicy(
            spec.backoff_first_s, spec.backoff_most_s, give_up_after=spec.give_up_after, grace=_GRACE_S
        )
        return policy, Watch(hang_after=spec.hang_after_s, canary=spec.canary_s)
    # An attached server may be back any moment and a probe costs little, so it is tried often and never given up. It may
    # be paid for by the hour it is awake: no canary while nothing is asked of it.
    first, most = min(_ATTACHED_FIRST_S, spec.backoff_first_s), min(_ATTACHED_MOST_S, spec.backoff_most_s)
    policy = RestartPolicy(first, most, give_up_after=None, grace=0.0)
    canaries = _POOL_CANARIES if spec.pool else 1
    return policy, Watch(hang_after=spec.hang_after_s, canary=spec.canary_s, idle=None, canaries=canaries)
