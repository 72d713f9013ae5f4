"""Owns every local model beside the engine's own: one task takes events, plans, and carries out what the plan says.

The decisions are the table's (`table.py`); the life of each engine process belongs to its replica's supervisor. A request
never starts or stops an engine: it asks (`wanted`), and waits for the model to be ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from local_models.engine import LocalEngine
from local_models.models import foretold
from local_models.models.life import (
    CancelFetch,
    DrainEngine,
    FetchFailed,
    FetchWeights,
    ModelAction,
    ModelEvent,
    ModelFell,
    ModelFetched,
    ModelGone,
    ModelIdle,
    ModelLife,
    ModelServes,
    StartEngine,
    StopEngine,
)
from local_models.models.planner import ModelCase
from local_models.models.table import ModelTable
from local_models.replica.instance import ReplicaFault
from local_models.replica.prepared import Notice, PrepareError, safe
from runtime.contract.engine import STOP_WITHIN_S, ReplicaState
from runtime.contract.models import ModelCommand, ModelState, ModelVerb, ModelView

_LOOK_S = 1.0  # the longest time between two counts of the requests on a model
_MISSED_S = 60.0  # so long a request that was answered elsewhere speaks for loading the model
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class HousedModel:
    """One model with its engine. load: always, on_demand or manual.

    waits: since when each waiting request waits. missed: the first and the latest of the requests that were answered elsewhere
    because it was not loaded. used: requests since the last look.
    """

    engine: LocalEngine
    model: str
    load: str
    waits: list[float] = field(default_factory=list)
    missed: tuple[float, float] | None = None
    used: int = 0
    tasks: dict[str, asyncio.Task[ModelEvent | None]] = field(default_factory=dict)


Arrange = Callable[[], Awaitable[ModelTable]]
"""Looks at the box and gives the table of its models."""


class ModelSupervisor:
    """housed: the models by name, in the order of the settings. arrange: called once, when `run` begins.

    clock: monotonic seconds.
    """

    def __init__(
        self,
        housed: Mapping[str, HousedModel],
        arrange: Arrange,
        clock: Callable[[], float],
        drain_s: float,
    ) -> None:
        self._housed = dict(housed)
        self._arrange = arrange
        self._clock = clock
        self._drain_s = drain_s
        self._table: ModelTable | None = None
        self._events: asyncio.Queue[tuple[str, ModelEvent] | None] = asyncio.Queue()
        self._notice: Notice = lambda line: None
        self._change = asyncio.Event()
        self._stopping = False
        self._heirs: dict[str, tuple[HousedModel, ModelCase] | None] = {}  # what comes in the place of those that end
        self._unused: list[LocalEngine] = []  # to be stopped: nothing of them runs
        self._changes = 0
        self._since = clock()
        self.why = "it waits for the engine's own model"

    # -- commands and requests

    def command(self, verb: ModelVerb, name: str, to: str = "", *, dry: bool = False) -> ModelCommand:
        """Raises UnknownModelNameError."""
        if self._table is None:
            return ModelCommand("", f"the models of this box are not known yet: {self.why}")
        table = self._table
        if self._heirs.keys() & {name, to}:
            return ModelCommand("", f"{name} starts anew, because its table was changed: wait until that is over")
        trial, now = ModelTable(table.cases, table.room, table.times, table.rules), self._clock()
        case = table.case(name)
        if verb == "load":
            refusal, words = trial.load(name, now), foretold.of_load(case, table.cases, table.room)
        elif verb == "unload":
            refusal, words = trial.unload(name), foretold.of_unload(case)
        else:
            refusal, new, start_s = trial.swap(name, to, now), table.case(to), self._housed[to].engine.start_s
            words = foretold.of_swap(case, new, table.cases, table.room, start_s)
        if not refusal and not dry:
            table.take(trial)
            self._events.put_nowait(None)
        return ModelCommand(words, refusal)

    @contextlib.contextmanager
    def wanted(self, name: str) -> Iterator[None]:
        """While a request waits for a model."""
        housed, since = self._housed[name], self._clock()
        housed.waits.append(since)
        self._events.put_nowait(None)
        try:
            yield
        finally:
            housed.waits.remove(since)
            self._events.put_nowait(None)

    def missed(self, name: str) -> None:
        """A request that the model would have got, had it been loaded, is answered elsewhere."""
        housed, now = self._housed[name], self._clock()
        if housed.missed is None:
            self._events.put_nowait(None)
        housed.missed = (housed.missed[0] if housed.missed is not None else now, now)

    def used(self, name: str) -> None:
        """A request begins on a model."""
        self._housed[name].used += 1

    async def changed(self) -> None:
        """Returns after the next change of any model."""
        await self._change.wait()

    # -- what is shown

    def refusal(self, name: str) -> str:
        """Why a request for a model cannot be answered by waiting; "" where it can."""
        if self._table is None:
            return ""
        heir = self._heirs.get(name)
        case = self._table.case(name) if heir is None else heir[1]
        if words := self._table.refused.get(name) or (case.misfit if not case.places else ""):
            return words
        if case.life.state is ModelState.FAILED and case.life.retry_at is None:
            return case.life.cause
        if case.load == "manual" and not case.firm:
            return f"{name} is loaded by command only: hearth models load {name}"
        if case.command == "down" and case.load == "always":
            return f"{name} was unloaded by command"
        return ""

    def views(self) -> tuple[ModelView, ...]:
        return tuple(map(self.view, self._housed))

    def view(self, name: str) -> ModelView:
        housed, table = self._housed[name], self._table
        if table is None:
            waiting = len(housed.waits)
            return ModelView(name, housed.model, ModelState.ABSENT, self._since, housed.load, self.why, waiting=waiting)
        case, replica = table.case(name), housed.engine.views()[0]
        life, due = case.life, replica.ready_at
        up = life.state in (ModelState.LOADING, ModelState.READY)
        cause = life.cause if life.state is not ModelState.READY else ""
        return ModelView(
            name,
            housed.model,
            life.state,
            life.since,
            housed.load,
            why=life.why,
            until=life.until,
            cause=table.refused.get(name, "") or cause,
            gpus=life.held.indices if life.held is not None else (),
            memory=life.held.each if life.held is not None else 0,
            waiting=len(housed.waits),
            loads=life.load,
            ready_in_s=max(1.0, due - self._clock()) if up and due is not None else housed.engine.start_s,
            successor=case.successor,
        )

    # -- changed settings

    @property
    def arranged(self) -> bool:
        """True once the box has been looked at."""
        return self._table is not None

    def rehouse(self, housed: Mapping[str, HousedModel], cases: Mapping[str, ModelCase]) -> None:
        """Takes other models over. housed: all of them, in their order; cases: of each, needed once the box has been looked at.

        One that is left out drains and ends. One with another engine drains too, and is then the new one. One with the engine
        it has goes on.
        """
        table, self._changes = self._table, self._changes + 1
        self._events.put_nowait(None)
        coming = [heir[0].engine for heir in self._heirs.values() if heir is not None]
        coming += [each.engine for each in self._housed.values()] if table is None else []
        kept = {id(each.engine) for each in housed.values()}
        self._unused += [engine for engine in coming if id(engine) not in kept]
        for name in self._housed.keys() - housed.keys():
            if table is None:
                del self._housed[name]
                continue
            table.end(name, "its table was taken out of the settings")
            self._heirs[name] = None
        for name, each in housed.items():
            old = self._housed.get(name)
            if old is None or table is None:
                self._housed[name] = each
                if table is not None:
                    table.add(cases[name])
            elif old.engine is each.engine and name not in self._heirs:
                old.load = each.load
                table.change(name, cases[name].load, cases[name].ttl)
            else:
                command = table.case(name).command if name not in self._heirs else ""
                table.end(name, "its table was changed, and it starts anew")
                self._heirs[name] = each, replace(cases[name], command=command)

    async def _succeed(self, table: ModelTable) -> None:
        """Puts heirs into the places of models that have ended."""
        for name in list(self._heirs):
            last = table.case(name).life.load
            if not table.remove(name):
                continue
            gone, heir = self._housed.pop(name), self._heirs.pop(name)
            self._unused.append(gone.engine)
            for task in gone.tasks.values():
                task.cancel()
            if heir is not None:
                self._housed[name], case = heir
                self._housed[name].waits = gone.waits  # the requests that wait go on waiting
                table.add(
                    replace(case, life=ModelLife(load=last))
                )  # reports of the old engine stay those of earlier loads
        while self._unused:
            await self._unused[0].stop()
            del self._unused[0]

    # -- the owner

    async def run(self, notice: Notice) -> None:
        """Takes events until cancelled."""
        self._notice = notice = safe(notice)
        while self._table is None:
            while not self._housed:
                await self._events.get()
            seen, table = self._changes, await self._arrange()
            self._table = table if seen == self._changes else None
        table = self._table
        said: dict[str, str] = {}
        while not self._stopping:
            await self._succeed(table)
            for housed in self._housed.values():
                if not housed.engine.begun:
                    housed.engine.begin(notice)
            self._count(table)
            for name, action in table.settle(self._clock()):
                self._act(name, action)
            said = self._shown(table, said)
            soonest = self._clock() + _LOOK_S
            due = soonest if table.look_at is None else min(table.look_at, soonest)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    self._take(table, await self._events.get())
            while not self._events.empty():
                self._take(table, self._events.get_nowait())

    def _take(self, table: ModelTable, entry: tuple[str, ModelEvent] | None) -> None:
        if entry is not None and any(case.name == entry[0] for case in table.cases):
            name, event = entry
            for action in table.tell(name, event, self._clock()):
                self._act(name, action)

    def _count(self, table: ModelTable) -> None:
        now = self._clock()
        for name, housed in self._housed.items():
            used, housed.used = housed.used, 0
            latest = housed.missed[1] if housed.missed is not None else now
            if table.case(name).life.state is ModelState.READY or now - latest >= _MISSED_S:
                housed.missed = None
            missed = housed.missed[:1] if housed.missed is not None else ()
            table.asks(name, min((*housed.waits, *missed), default=None))
            if used:
                table.runs(name, used, now)
            table.runs(name, sum(view.in_flight for view in housed.engine.views()), now)

    def _shown(self, table: ModelTable, said: Mapping[str, str]) -> dict[str, str]:
        """One line per change a person wants to know of; returns what was said of each model last."""
        now: dict[str, str] = {}
        for case in table.cases:
            life = case.life
            words = table.refused.get(case.name, "") or (life.cause if life.state is ModelState.FAILED else life.why)
            now[case.name] = f"{life.state}{f': {words}' if words else ''}"
            if now[case.name] != said.get(case.name, str(ModelState.ABSENT)):
                self._notice(f"local/{case.name}: {now[case.name]}")
        if now != said:
            self._change.set()
            self._change = asyncio.Event()
        return now

    def _act(self, name: str, action: ModelAction) -> None:
        housed = self._housed[name]
        match action:
            case FetchWeights(load):
                self._begin(name, "fetch", self._fetch(name, housed.engine, load))
            case CancelFetch():
                housed.tasks["fetch"].cancel()
            case StartEngine(load, place):
                housed.engine.launch(place.indices)
                self._begin(name, "watch", self._watch(name, housed.engine, load))
            case DrainEngine(load):
                housed.tasks["watch"].cancel()
                self._begin(name, "drain", self._drain(housed.engine, load))
            case StopEngine(load):
                for kind in housed.tasks.keys() & {"watch", "drain"}:
                    housed.tasks[kind].cancel()
                self._begin(name, "stop", self._stop(housed.engine, load))

    def _begin(self, name: str, kind: str, work: Coroutine[Any, Any, ModelEvent | None]) -> None:
        """A task of a model. Its result is an event; a task that fails reports nothing, and the wait's latest end is taken."""

        def done(task: asyncio.Task[ModelEvent | None]) -> None:
            if task.cancelled():
                return
            if (fault := task.exception()) is not None:
                _log.error("local/%s: %s", name, kind, exc_info=fault)
            elif (event := task.result()) is not None:
                self._events.put_nowait((name, event))

        task = self._housed[name].tasks[kind] = asyncio.create_task(work, name=f"local/{name} {kind}")
        task.add_done_callback(done)

    async def _fetch(self, name: str, engine: LocalEngine, load: int) -> ModelEvent:
        try:
            await engine.fetch(self._notice)
        except (PrepareError, ReplicaFault) as error:
            return FetchFailed(load, error.cause, error.deterministic)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a fetch is its failure
            _log.exception("local/%s: fetch", name)
            return FetchFailed(load, f"{type(error).__name__}: {error}")
        return ModelFetched(load)

    async def _watch(self, name: str, engine: LocalEngine, load: int) -> ModelEvent | None:
        """Reports when the engine is ready, falls, or is given up, until cancelled."""
        ready, seen, failed = False, -1, False
        while True:
            seen = await engine.changed(seen)
            view = engine.views()[0]
            if view.ready and not ready:
                self._events.put_nowait((name, ModelServes(load)))
            elif view.state is ReplicaState.GIVEN_UP or (ready and not view.ready):
                final = view.state is ReplicaState.GIVEN_UP
                fell = ModelFell(load, view.cause or "no cause is known", final=final)
                if final:
                    return fell
                self._events.put_nowait((name, fell))
            elif view.state is ReplicaState.BACKING_OFF and not failed:
                self._events.put_nowait((name, ModelFell(load, view.cause or "no cause is known")))
            ready, failed = view.ready, view.state is ReplicaState.BACKING_OFF

    async def _drain(self, engine: LocalEngine, load: int) -> ModelEvent:
        await engine.drain(self._drain_s)
        return ModelIdle(load)

    async def _stop(self, engine: LocalEngine, load: int) -> ModelEvent:
        await engine.rest()
        return ModelGone(load)

    async def stop(self, within_s: float = STOP_WITHIN_S, *, hurry: asyncio.Event | None = None) -> None:
        """Ends every engine; `run` is cancelled before."""
        self._stopping = True
        tasks = [task for housed in self._housed.values() for task in housed.tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        engines = [each.engine for each in self._housed.values()] + self._unused
        engines += [heir[0].engine for heir in self._heirs.values() if heir is not None]
        await asyncio.gather(*(each.stop(within_s, hurry=hurry) for each in engines))
