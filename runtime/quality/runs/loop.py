"""The quality loop: begins runs at night, for new models and after suspicion, carries them out and closes them.

    nightly   at `[quality] at`, with some minutes of jitter; a night that was missed runs once at the next start
    extra     a further run of the same night for targets that the watch wants to see again, an hour later
    arrival   a target without any result, or whose answers name another model or fingerprint, after a quiet time
    demand    asked for by a person; also reference

A run that was interrupted is resumed. Nothing runs by itself in mode "off".
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from runtime.contract.models import ModelState
from runtime.life.desk import Desk
from runtime.quality.golden.sets import FileStamp, SetError, found_files, read_sets, stamped
from runtime.quality.runs.asking import ShutDown, WatchedTarget
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.earlier import earlier_answers
from runtime.quality.runs.night import last_due, next_due
from runtime.quality.runs.runner import Runner, planned
from runtime.quality.runs.store import QualityStore
from runtime.quality.values import (
    CaseResult,
    EvalRun,
    Folded,
    GoldenCase,
    GoldenSet,
    OwnReference,
    PersonAct,
    QualityEvent,
    RunKind,
    SetBrief,
    Stream,
    judged_streams,
)
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.names import Lent, Pinned, resolve
from runtime.settings.sections.quality import Quality
from runtime.wire.api_error import ApiError

_LOOK_S = 20.0
_QUIET_S = 600.0  # after a new model or fingerprint was seen
_START_S = 60.0  # after the start, before anything runs by itself
_APART_S = 3600.0  # between two runs of one night
_MOST_A_NIGHT = 3
_COMING = frozenset({ModelState.FETCHING, ModelState.LOADING})
_JITTER_S = 900.0
_KEEP_S = 90 * 86_400.0
_DAY_S = 86_400.0
_RECENT = 200  # runs that are looked at
_log = logging.getLogger("hearth.quality")


class QualityWatch(Protocol):
    """The judgement on closed runs."""

    def fold(self, run: EvalRun, results: Sequence[CaseResult], states: Mapping[Stream, bytes]) -> Folded:
        """Pure: called in the store's thread, within the transaction that closes the run."""
        ...

    def act(self, act: PersonAct, states: Mapping[Stream, bytes]) -> Folded:
        """Pure: the same for a person's act. Raises ValueError."""
        ...

    def again(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        """Labels of the targets that are to be seen again in the same night."""
        ...

    async def in_force(self, states: Mapping[Stream, bytes], folded: Folded) -> None:
        """Puts states in force, and notifies of the events, after they are stored. Also called once at the start."""
        ...

    def kept(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        """Ids of runs whose answers are not emptied after 90 days."""
        ...

    def references(self, states: Mapping[Stream, bytes]) -> Mapping[tuple[str, str, str], OwnReference]:
        """Pure: of open-ended cases, by target, set and case, the answers that new ones are compared with."""
        ...

    def overview(self) -> dict[str, Any]:
        """Its part of `/hearth/quality`."""
        ...

    def replayed(
        self, journal: Iterable[tuple[EvalRun, Sequence[CaseResult]] | PersonAct], loss: float | None
    ) -> list[QualityEvent]:
        """Every event that follows from what is stored. loss: another tolerance than the settings'."""
        ...


class NoWatch:
    """A watch that concludes nothing."""

    def fold(self, run: EvalRun, results: Sequence[CaseResult], states: Mapping[Stream, bytes]) -> Folded:
        return Folded()

    def act(self, act: PersonAct, states: Mapping[Stream, bytes]) -> Folded:
        return Folded()

    def again(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        return frozenset()

    async def in_force(self, states: Mapping[Stream, bytes], folded: Folded) -> None: ...

    def kept(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        return frozenset()

    def references(self, states: Mapping[Stream, bytes]) -> Mapping[tuple[str, str, str], OwnReference]:
        return {}

    def overview(self) -> dict[str, Any]:
        return {}

    def replayed(
        self, journal: Iterable[tuple[EvalRun, Sequence[CaseResult]] | PersonAct], loss: float | None
    ) -> list[QualityEvent]:
        return []


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two looks, and the waits of the module's head."""

    look_s: float = _LOOK_S
    quiet_s: float = _QUIET_S
    start_s: float = _START_S
    apart_s: float = _APART_S
    jitter_s: float = _JITTER_S


class QualityLoop:
    """folder: of the settings file, from which patterns of sets are relative. settings: replaced on a reload."""

    def __init__(
        self,
        desk: Desk,
        store: QualityStore,
        runner: Runner,
        settings: Quality,
        folder: Path,
        watch: QualityWatch | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.settings, self.store, self.desk = settings, store, desk
        self.watch: QualityWatch = watch or NoWatch()
        self.faults: tuple[str, ...] = ()  # of the files of sets
        self.before: Callable[[EvalRun], Awaitable[None]] | None = None  # of each run; may raise ShutDown
        self.warn: Callable[[str], None] = _log.warning  # takes one sentence for the operator
        self._runner, self._folder, self._pace = runner, folder, pace or Pace()
        self._jitter_s = secrets.randbelow(1000) / 1000 * self._pace.jitter_s
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._goldens: list[GoldenSet] = []
        self._reading = asyncio.Lock()
        self._mark: list[FileStamp] | None = None
        self._beside: list[Path] = []  # files that the sets name
        self._seen: dict[str, float] = {}  # new targets, since when
        self._known: tuple[set[str], set[str]] | None = (
            None  # targets that were asked, and of them those with a new name
        )
        self._swept_at = 0.0

    # The chore

    async def run(self) -> None:
        """Works until cancelled; what is under way then is resumed at the next start."""
        began = self.desk.wall()
        try:
            if self.store.begun:
                await self.watch.in_force(await self.store.call(QualityDatabase.states), Folded())
            while True:
                self._wake.clear()
                await self.turn(by_itself=self.desk.wall() - began >= self._pace.start_s)
                try:
                    async with asyncio.timeout(self._pace.look_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def turn(self, *, by_itself: bool = True) -> None:
        """Begins what is due, and starts every run that is not closed. by_itself: False: only what a person asked for."""
        for id in [id for id, task in self._running.items() if task.done()]:
            self._running.pop(id).result()
        if self.desk.draining:
            return
        await self.read()
        if by_itself and self.settings.mode != "off" and (self._goldens or self.store.begun):
            await self._begin_due()
        if not self.store.begun:
            return
        for run in await self.store.call(QualityDatabase.unclosed):
            if run.id not in self._running:
                task = asyncio.create_task(self._carried_out(run), name=f"hearth: {run.id}")
                task.add_done_callback(lambda _: self._wake.set())
                self._running[run.id] = task
        if self.desk.wall() - self._swept_at >= _DAY_S:
            self._swept_at = self.desk.wall()
            before, kept = self._swept_at - _KEEP_S, self.watch.kept(await self.store.call(QualityDatabase.states))
            await self.store.call(lambda database: database.sweep(before, kept))

    async def settled(self) -> None:
        """Waits until no run is under way."""
        while self._running:
            await asyncio.wait(self._running.values())
            await self.turn(by_itself=False)

    async def _carried_out(self, run: EvalRun) -> None:
        targets = {each.label: each for each in self.targets(run.targets)}
        if self.before is not None:
            try:
                await self.before(run)
            except ShutDown:
                return
        earlier = await self.store.call(
            lambda database: earlier_answers(database, run, self.watch.references(database.states()))
        )
        whole = await self._runner.carry_out(run, targets, lambda: run.id in self._cancelled, earlier)
        cancelled = run.id in self._cancelled
        if whole or cancelled:
            now = self.desk.wall()
            folded = await self.store.call(
                lambda database: database.close_run(run.id, self.watch.fold, now, cancelled=cancelled)
            )
            self._known = None
            await self.watch.in_force(await self.store.call(QualityDatabase.states), folded)
            self._cancelled.discard(run.id)

    async def _begin_due(self) -> None:
        """Begins at most one run: the night's, a further one of it, or one for targets that are new."""
        fleet = self.desk.fleet
        if not fleet.engine_ready and fleet.coming_back(fleet.local.target):
            return  # a start takes minutes, and would leave the whole night without a verdict on the engine
        views = {name: each.house.view(each.name) for name, each in fleet.models.items()}
        if any(each.load == "always" and each.state in _COMING for each in views.values()):
            return
        # A model that only a command loads is not asked while it is not loaded; one that comes on demand comes for its sets.
        absent = {name for name, each in fleet.models.items() if views[name].state != ModelState.READY and each.why_not}
        targets, now = [each for each in self.targets() if each.name not in absent], self.desk.wall()
        watched = [each for each in targets if planned(self._goldens, [each], 1)]
        if not watched or (self._running and any(not each.done() for each in self._running.values())):
            return
        night, _ = self.night(now)
        listed = await self.store.call(lambda database: database.runs(_RECENT)) if self.store.begun else []
        runs = [each for each in listed if each.counts]
        tonight = [each for each in runs if each.night == night]
        if not any(each.kind == "nightly" for each in tonight):
            await self.begin("nightly", watched, self._goldens)
            return
        wanted = self.watch.again(await self.store.call(QualityDatabase.states))
        again = [each for each in watched if each.label in wanted and self._once_more(each.label, tonight, now)]
        if again:
            await self.begin("extra", again, self._goldens)
            return
        if self._known is None:
            known = await self.store.call(QualityDatabase.known_targets)
            self._known = known, await self.store.call(QualityDatabase.renamed_targets)
        known, renamed = self._known
        again = [each for each in watched if each.label in renamed and self._once_more(each.label, tonight, now)]
        new = {each.label for each in (*again, *(each for each in watched if each.label not in known))}
        self._seen = {label: self._seen.get(label, now) for label in new}
        arrived = [each for each in watched if now - self._seen.get(each.label, now) >= self._pace.quiet_s]
        if arrived:
            await self.begin("arrival", arrived, self._goldens)

    def _once_more(self, label: str, tonight: Sequence[EvalRun], now: float) -> bool:
        """True if the target has had fewer runs tonight than it may have, the last of them an hour ago."""
        own = [each for each in tonight if label in each.targets and each.kind in ("nightly", "extra", "arrival")]
        latest = max((each.closed_at or now for each in own), default=0.0)
        return len(own) < _MOST_A_NIGHT and now - latest >= self._pace.apart_s

    # What is there

    def night(self, now: float) -> tuple[str, float]:
        """The night that was due last, and when the next one is due."""
        wanted = self.settings
        return (
            last_due(now, wanted.at, wanted.timezone, self._jitter_s)[0],
            next_due(now, wanted.at, wanted.timezone, self._jitter_s),
        )

    async def read(self) -> list[GoldenSet]:
        """The sets of the settings, read again where a file changed, also one that they name. Faults go to `faults`, and no set
        is in use then.
        """
        async with self._reading:
            files = await asyncio.to_thread(found_files, self.settings.sets, self._folder)
            own = await asyncio.to_thread(lambda: list(map(stamped, files)))
            others = await asyncio.to_thread(lambda: list(map(stamped, self._beside)))
            if [*own, *others] != self._mark:
                # As the files were before they are read: what changes meanwhile is read again.
                beside = list[FileStamp]()
                try:
                    self._goldens = await asyncio.to_thread(read_sets, files, beside)
                    self.faults = ()
                except SetError as error:
                    self._goldens, self.faults = [], error.faults
                    self.warn(f"no night runs, because the golden sets cannot be used: {'; '.join(error.faults)}")
                first = {each.path: each for each in reversed(beside)}
                self._mark, self._beside = [*own, *first.values()], list(first)
            return self._goldens

    async def known_sets(self) -> set[str]:
        """Names of the sets in use, and of those that have a state."""
        states = await self.store.call(QualityDatabase.states) if self.store.begun else {}
        return {each.name for each in await self.read()} | {each.set for each in states if each.set}

    def no_set(self) -> str:
        """The sentence for settings that name no file."""
        return (
            f"there is no golden set: [quality] sets, {', '.join(self.settings.sets)}, names no file in {self._folder}; "
            "docs/quality.md shows how to write one, and `hearth eval import general --from shipped` writes one to begin with"
        )

    def facts(self, case: GoldenCase) -> Facts:
        """The facts of a case, for its price."""
        return self._runner.asker.facts(case)

    def targets(self, named: Collection[str] | None = None) -> list[WatchedTarget]:
        """The box's models and every configured target; or those that are named, also ones that an account lends.

        named: by name or label. Raises ApiError 404 for a name that means no target.
        """
        fleet = self.desk.fleet
        models = [each.backend.target for each in fleet.models.values()]
        known = [fleet.local.target, *models, *(each.target for each in fleet.clouds.backends.values())]
        every = {each.label: WatchedTarget(each.name, each) for each in reversed(known)}
        if named is None:
            return list(reversed(every.values()))
        found = {}
        for name in named:
            label = next((label for label, each in every.items() if name in (label, each.name)), None)
            if label is not None:
                found[label] = every[label]
                continue
            meant = resolve(name, self.desk.planner.policy.directory)
            if isinstance(meant, Pinned) and meant.served is None:
                target = fleet.backend(meant.target).target
                found[target.label] = every[target.label]
            elif isinstance(meant, Lent) and fleet.clouds.lend is not None:
                target = fleet.clouds.lend(meant).target
                found[target.label] = WatchedTarget(meant.target, target)
            else:
                raise ApiError(404, f"no target is called {name[:100]!r}", "model_not_found")
        return list(found.values())

    # A person's runs and acts

    async def begin(
        self,
        kind: RunKind,
        targets: Sequence[WatchedTarget],
        goldens: Sequence[GoldenSet],
        *,
        repeats: int = 1,
        counts: bool = True,
    ) -> EvalRun:
        """A new run, stored; it starts with the loop's next turn. Raises ApiError 400 where there is nothing to ask."""
        cases = planned(goldens, targets, repeats)
        if not cases:
            words = (
                "no case is for these targets: see `targets` and `requires` of the sets, and `certified` of the targets"
            )
            raise ApiError(400, words, "nothing_to_evaluate")
        now, labels = self.desk.wall(), {each.key.target for each in cases}
        run = EvalRun(
            f"eval_{int(now * 1000):012x}{secrets.token_hex(2)}",
            kind,
            self.night(now)[0],
            secrets.randbits(32),
            now,
            tuple([each.label for each in targets if each.label in labels]),
            tuple(briefs(goldens)),
            repeats,
            counts,
        )
        await self.store.call(lambda database: database.begin(run, cases, goldens))
        self._known = None
        self._wake.set()
        return run

    def cancel(self, id: str) -> None:
        """Ends a run: what is under way is finished, and nothing more is asked."""
        self._cancelled.add(id)
        self._wake.set()

    async def acted(self, act: PersonAct) -> Folded:
        """Records a person's act and puts it in force. Raises ApiError 400 for one that is not known."""
        try:
            folded = await self.store.call(lambda database: database.act(act, self.watch.act))
        except ValueError as fault:
            raise ApiError(400, str(fault), "invalid_act") from fault
        await self.watch.in_force(await self.store.call(QualityDatabase.states), folded)
        return folded


def briefs(goldens: Iterable[GoldenSet]) -> list[SetBrief]:
    return [
        SetBrief(each.name, each.hash, len(each.cases), each.task, each.floor, tuple(sorted(each.requires)))
        for each in goldens
    ]


def shown(run: EvalRun, counted: tuple[int, int]) -> dict[str, Any]:
    """A run as the endpoints show it. counted: results that are there, and all that are wanted."""
    plain: dict[str, Any] = msgspec.to_builtins(run)
    return {**plain, "done": counted[0], "total": counted[1]}


def latest_before(run: EvalRun, database: QualityDatabase) -> list[CaseResult]:
    """Of each stream of a run, the results of the latest run before it that had enough verdicts."""
    wanted = {Stream(target, golden.name) for target in run.targets for golden in run.sets}
    found: list[CaseResult] = []
    for earlier in database.runs(_RECENT):
        if earlier.created_at >= run.created_at or earlier.closed_at is None or not wanted:
            continue
        for stream, results in judged_streams(database.results(earlier.id)).items():
            if stream in wanted:
                wanted.remove(stream)
                found += results
    return found
