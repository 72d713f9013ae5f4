"""An engine process started here: how it is started, when it is ready, how it is ended so that nothing of it is left.

Knows processes and sockets; the command line is `command.py`'s, the meaning of a log `diagnosis.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from local_models.host import orphans, procfs, sockets
from local_models.host.gpu import GpuReader, memory_back
from local_models.host.log_ring import LogRing
from local_models.host.process import KILL, TERM, Child, Spawn
from local_models.replica import command, progress
from local_models.replica import diagnosis as faults
from local_models.replica.adapters import adapters_in, load, unload
from local_models.replica.canary import CanaryQuestion, ask, completion, embedding, log_probabilities, rerank
from local_models.replica.dozing import DozingHop
from local_models.replica.hang import CanaryAnswer
from local_models.replica.instance import ReplicaFault, Served, WatchedHop
from local_models.replica.prepared import Notice, PreparedModel, PrepareError
from local_models.replica.start_times import StartTimes
from runtime.contract.engine import Gpu
from runtime.contract.failures import HopError

_LOOK_S = 0.2  # between two looks at an engine that is starting
_FIRST_ANSWER_S = 120.0  # the first completion compiles and warms up
_CLOSED = 0  # in place of a status: the socket refuses
_HEALTH_S = 1.0  # between two looks at /health of a ready engine
_LAST_WORDS_S = 0.5  # a dying engine gets to exit by itself, so that its log is whole
_TOLD_TO_END = "[shutdown] API server: shutdown triggered"  # logged on SIGTERM and SIGINT alone
_REAP_S = 10.0
_MEMORY_S = 60.0  # longest wait for the driver to give back what a killed process held
_MEMORY_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class ReplicaPlace:
    """The place of one replica. socket: in a private folder. owner: this process. index: which replica it is, from 0."""

    name: str
    index: int
    socket: Path
    owner: orphans.Owner
    start_timeout_s: float


@dataclass(frozen=True, slots=True)
class StartPlan:
    """The command that starts vLLM, and its circumstances.

    env: the child's whole environment, which may hold tokens. gpus: indices as NVML counts, () on a CPU. key: starts
    with the same key take about as long. about: the device, for people.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    gpus: tuple[int, ...]
    key: str
    about: str


StartPlanner = Callable[[PreparedModel, ReplicaPlace, Mapping[str, str]], Awaitable[StartPlan]]
"""(model, where, what to add to the child's environment) -> how to start. Raises ReplicaFault where a start is known to
fail."""


@dataclass(frozen=True, slots=True)
class World:
    """The side effects of a replica, as arguments. clock: monotonic seconds, sleep its companion."""

    prepare: Callable[[Notice], Awaitable[PreparedModel]]
    plan: StartPlanner
    spawn: Spawn
    gpus: GpuReader
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    starts: StartTimes


@dataclass(slots=True)
class OwnedEngine:
    """An `instance.Instance`."""

    place: ReplicaPlace
    world: World
    hop: WatchedHop
    log: LogRing
    adapters: Mapping[str, str] = field(default_factory=dict)  # folder by name, loaded at every start
    dozing: DozingHop | None = None  # the same hop, of an engine that sleeps while it is idle
    question: CanaryQuestion | None = None
    adapter_faults: dict[str, str] = field(default_factory=dict)
    _served: Served | None = None  # while it is up
    _changed: Callable[[Served], None] = lambda served: None  # of the watch on it
    _adapting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _child: Child | None = None
    _marker: orphans.Marker | None = None
    _key: str = ""
    _gpus: tuple[int, ...] = ()
    _before: tuple[Gpu, ...] = ()
    _closed: bool = False  # a ready engine that refuses connections has begun to end, whatever its log says
    _told_to_end: bool = False  # somebody sent it SIGTERM: it takes no new connection, but may go on with open ones

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def address(self) -> str:
        return str(self.place.socket)

    @property
    def canary(self) -> CanaryQuestion | None:
        """None while it sleeps: it would be woken for the question."""
        return None if self.asleep else self.question

    @property
    def asleep(self) -> bool:
        return self.dozing is not None and self.dozing.asleep

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    @property
    def estimate_s(self) -> float:
        return self.world.starts.estimate(self._key)

    def work(self) -> procfs.Work | None:
        return procfs.work_of(self._child.pid) if self._child is not None else None

    # -- up

    async def bring_up(self, run: int, notice: Notice) -> Served:
        try:
            model = await self.world.prepare(notice)
        except PrepareError as error:
            raise ReplicaFault(error.cause, deterministic=error.deterministic) from error
        self._marker = orphans.Marker(self.place.owner, self.name, run)
        plan = await self.world.plan(model, self.place, self._marker.environ())
        self._key, self._gpus = plan.key, plan.gpus
        self._before = await self.world.gpus.read() if plan.gpus else ()
        child = self._start(model, plan, notice)
        began = self.world.clock()
        try:
            async with asyncio.timeout(self.place.start_timeout_s):
                served = await self._ready_or_dead(child, model)
        except TimeoutError as error:
            last = (*self.log.since_mark, "nothing")[-2:][0]
            raise ReplicaFault(
                f"not ready after {self.place.start_timeout_s:.0f} s; the last line of its log: {last}. "
                "A large model may need a longer start time-out"
            ) from error
        self.world.starts.learn(self._key, self.world.clock() - began)
        if self.dozing is not None:
            self.dozing.begin(self.question)
        self._served = replace(self._served or served, slots=command.slots(plan.argv))
        return self._served

    def _start(self, model: PreparedModel, plan: StartPlan, notice: Notice) -> Child:
        if sockets.remove_stale(self.place.socket):
            notice(f"{self.name}: removed the socket a dead engine left")
        self.log.mark()
        self._closed = self._told_to_end = False
        seconds = self.world.starts.last(self._key)
        last_time = "" if seconds is None else f" ({seconds:.0f} s last time)"
        notice(f"{self.name}: starting vLLM with {model.name} on {plan.about}{last_time}")
        try:
            self._child = self.world.spawn(plan.argv, plan.env, self._listener(notice))
        except OSError as error:
            raise ReplicaFault(f"cannot start {plan.argv[0]}: {error.strerror or error}", deterministic=True) from error
        return self._child

    def _listener(self, notice: Notice) -> Callable[[bytes], None]:
        steps = progress.StartProgress()

        def hear(data: bytes) -> None:
            for line in self.log.feed(data):
                self._told_to_end = self._told_to_end or _TOLD_TO_END in line
                if step := steps.step(line):
                    notice(f"{self.name}: {step}")

        return hear

    async def _ready_or_dead(self, child: Child, model: PreparedModel) -> Served:
        """Waits for the first of both; raises ReplicaFault with the cause from the log if the child died."""
        ready = asyncio.create_task(self._until_answering(model), name=f"{self.name} ready")
        dead = asyncio.create_task(child.wait(), name=f"{self.name} exit")
        try:
            await asyncio.wait((ready, dead), return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return ready.result()
            raise self._death(dead.result(), "before it was ready")
        finally:
            for task in (ready, dead):
                task.cancel()
            await asyncio.gather(ready, dead, return_exceptions=True)

    async def _until_answering(self, model: PreparedModel) -> Served:
        """Ready is a real answer: the socket exists long before the model is loaded.

        The first log probabilities compile, for half a minute and more: they are asked for before anybody waits for them.
        """
        while await self._health() != 200 or (question := await self._answered(model)) is None:
            await self.world.sleep(_LOOK_S)
        self.question = question
        if question == completion(model.name):
            # A refusal is no fault: it only means that no answer will have log probabilities.
            await ask(self.hop, log_probabilities(model.name), self.place.start_timeout_s)
        try:
            status, body = await self.hop.probe("/v1/models", _FIRST_ANSWER_S)
        except HopError:
            status, body = 0, b""
        lengths = models_in(body) if status == 200 else {model.name: model.max_model_len}
        async with self._adapting:
            loaded = []
            for name, folder in self.adapters.items():
                if cause := await load(self.hop, name, folder):
                    self.adapter_faults[name] = cause
                else:
                    loaded.append(name)
            known = tuple(dict.fromkeys([*adapters_in(body), *loaded]))
            self._served = Served((*lengths, *loaded), lengths.get(model.name), pools=question.pools, adapters=known)
        return self._served

    async def adapt(self, name: str, folder: str | None) -> str:
        """Loads an adapter, or unloads it if folder is None: "" when that is done or the engine is not up, else the cause."""
        async with self._adapting:
            self.adapter_faults.pop(name, None)
            if self._served is None or (folder is None and name not in self._served.models):
                return ""
            if folder is not None and (cause := await load(self.hop, name, folder)):
                return cause
            # A name is known while it is loaded: from behind the load on, and until before the unload.
            served, come = self._served, () if folder is None else (name,)
            models, known = (
                tuple(each for each in names if each != name) for names in (served.models, served.adapters)
            )
            self._served = replace(served, models=(*models, *come), adapters=(*known, *come))
            self._changed(self._served)
            return await unload(self.hop, name) if folder is None else ""

    async def _answered(self, model: PreparedModel) -> CanaryQuestion | None:
        """The canary that got a good answer; None if one may come later. Raises ReplicaFault if none ever will."""
        generating, pooling = (completion(model.name),), (embedding(model.name), rerank(model.name))
        words = ""
        for question in (*pooling, *generating) if model.pools else (*generating, *pooling):
            outcome = await ask(self.hop, question, _FIRST_ANSWER_S)
            if outcome.good:
                return question
            if outcome.answer is not CanaryAnswer.GIVEN:
                return None
            words = words or outcome.words
        raise ReplicaFault(f"it answers neither completions nor embeddings nor rerank: {words}", deterministic=True)

    async def _health(self) -> int | None:
        """The status of /health; None without an answer, which by itself proves nothing; `_CLOSED` where nobody listens."""
        try:
            return (await self.hop.probe("/health", 5.0))[0]
        except HopError as error:
            return _CLOSED if isinstance(error.__cause__, ConnectionRefusedError | FileNotFoundError) else None

    # -- down

    async def ended(self, changed: Callable[[Served], None]) -> ReplicaFault:
        child, self._changed = self._child, changed
        assert child is not None
        if self._served is not None:  # an adapter may have come since it was brought up
            changed(self._served)
        dead = asyncio.create_task(child.wait(), name=f"{self.name} exit")
        try:
            while not dead.done():
                health = await self._health()
                self._closed = health == _CLOSED
                if health == 503 or self._closed or self._told_to_end:
                    await asyncio.wait((dead,), timeout=_LAST_WORDS_S)
                    return self._death(dead.result() if dead.done() else None, "while it served")
                await asyncio.wait((dead,), timeout=_HEALTH_S)
                if self.dozing is not None:
                    await self.dozing.doze()
                    if self.dozing.fault:
                        return ReplicaFault(self.dozing.fault)
            return self._death(dead.result(), "while it served")
        finally:
            dead.cancel()

    def _death(self, code: int | None, when: str) -> ReplicaFault:
        """The cause of an end nobody asked for; exit code 0 is no excuse."""
        if any(_TOLD_TO_END in line for line in self.log.flush()) or self._told_to_end:
            return ReplicaFault(f"vLLM was told to end (SIGTERM), and not by Hearth, {when}")
        if code is not None:
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        elif self._closed:
            how = "its endpoint closed: its engine core died, or somebody else sent a SIGTERM"
        else:
            how = "its engine core died"
        found = faults.diagnose(self.log.since_mark)
        if found is not None:
            return ReplicaFault(f"{found.cause} ({how} {when})", deterministic=found.deterministic)
        last = self.log.since_mark[-1:]
        return ReplicaFault(f"vLLM ended {when}: {how}" + (f"; the last it said: {last[0]}" if last else ""))

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """SIGTERM to the front, which ends its cores in order; SIGKILL to the group; then a sweep by the marker."""
        child, marker = self._child, self._marker
        self._served = self.question = None
        self.adapter_faults.clear()
        if child is not None:
            if grace_s > 0 and not hurry.is_set():
                child.signal(TERM)
                await _first_of(grace_s, child.wait(), hurry.wait())
            child.signal_group(KILL)
            await _first_of(_REAP_S, child.wait())
            child.close()
            self._child = None
        left = (await orphans.sweep(orphans.of_ended_run(marker), _REAP_S)).left if marker is not None else ()
        sockets.remove_stale(self.place.socket)
        await self.hop.aclose()
        if self._gpus:
            # The driver is late in giving back what a killed process held; the next start would not fit before.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MEMORY_S):
                    while not hurry.is_set() and not memory_back(
                        self._before, await self.world.gpus.read(), self._gpus
                    ):
                        await _first_of(_MEMORY_LOOK_S, hurry.wait())
        if left:
            raise ReplicaFault(f"processes {list(left)} do not end: the GPU driver may hold them; a reboot frees them")

    def kill(self) -> None:
        if self._child is not None:
            self._child.signal_group(KILL)


def models_in(body: bytes, most: int = 1000) -> dict[str, int | None]:
    """The models in a reply of /v1/models and their windows in tokens, None if not known; none if it is not a list of models.

    most: names that are kept.
    """
    try:
        entries = [entry for entry in json.loads(body)["data"] if isinstance(entry["id"], str)]
        lengths = {entry["id"]: _window(entry) for entry in entries[:most] if entry["id"].isprintable()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return lengths


def _window(entry: Mapping[str, Any]) -> int | None:
    """vLLM's own member, or Ray Serve's."""
    length = entry.get("max_model_len")
    more = entry.get("metadata")
    if length is None and isinstance(more, Mapping):
        length = more.get("max_request_context_length")
    return length if isinstance(length, int) and not isinstance(length, bool) else None


async def _first_of(timeout_s: float, *works: Coroutine[Any, Any, object]) -> None:
    """Returns when the first of them is done, or after the time-out; the others are cancelled."""
    tasks = [asyncio.create_task(work, name=f"wait of {timeout_s:g} s") for work in works]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
