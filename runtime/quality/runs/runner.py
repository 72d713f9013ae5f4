"""Carries a run out: every target at once, a few cases of each at a time, in the order that the run's seed drew.

A case is asked until it has a result: what is busy is waited out, within a patience that all cases of a target share. A result
is stored before the next case is asked, so that a killed process asks again only what was under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from runtime.contract.guard import missing
from runtime.life.desk import Desk
from runtime.money.budget import Shortfall
from runtime.quality.runs.asking import Asker, ShutDown, Ungraded, WatchedTarget
from runtime.quality.runs.database import PlannedCase
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.values import CaseKey, CaseResult, Cause, EvalRun, GoldenCase, GoldenSet, Grade

AT_A_TIME = 4
_PATIENCE_S = 900.0  # of waits for one target in one run, all its cases together
_LONGEST_WAIT_S = 60.0
_NONE: Mapping[CaseKey, str] = {}
_log = logging.getLogger("hearth.quality")


@dataclass(slots=True)
class WaitingLeft:
    """Seconds of waiting that the cases of one target have left."""

    left_s: float


class Runner:
    """sleep: waits between two tries. patience_s: of one target in one run."""

    def __init__(
        self,
        desk: Desk,
        store: QualityStore,
        asker: Asker,
        wallet: Wallet,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._desk, self._store, self.asker, self._wallet = desk, store, asker, wallet
        self._sleep, self._patience_s = sleep, patience_s

    async def carry_out(
        self,
        run: EvalRun,
        targets: Mapping[str, WatchedTarget],
        ended: Callable[[], bool] = lambda: False,
        earlier: Mapping[CaseKey, str] = _NONE,
    ) -> bool:
        """Asks all that is pending. targets: by label; one that is gone gives no verdict. True if all has a result.

        ended: True once the run was cancelled: nothing more is asked. earlier: of open-ended cases, the answer of the reference
        that each is compared with.
        """
        goldens = {each.name: each for each in await self._store.call(lambda database: database.goldens(run.id))}
        queues: dict[str, deque[PlannedCase]] = {}
        for planned in await self._store.call(lambda database: database.pending(run.id)):
            queues.setdefault(planned.key.target, deque()).append(planned)
        cases = {(golden.name, case.id): (golden, case) for golden in goldens.values() for case in golden.cases}

        async def work(queue: deque[PlannedCase], watched: WatchedTarget | None, patience: WaitingLeft) -> None:
            while queue and not self._desk.draining and not ended():
                planned = queue.popleft()
                found = cases.get((planned.key.set, planned.key.case))
                if found is None or watched is None:
                    result = _gone(planned, "the target is gone" if found else "the case is gone", self._desk.wall())
                else:
                    try:
                        result = await self._result(planned, *found, watched, patience, earlier.get(planned.key))
                    except ShutDown:
                        return
                await self._store.call(lambda database, result=result: database.settle(run.id, result))  # type: ignore[misc]

        async with asyncio.TaskGroup() as workers:
            for label, queue in queues.items():
                patience = WaitingLeft(self._patience_s)
                for number in range(AT_A_TIME):
                    workers.create_task(work(queue, targets.get(label), patience), name=f"{run.id} {label} {number}")
        return not any(queues.values()) and not self._desk.draining and not ended()

    async def _result(
        self,
        planned: PlannedCase,
        golden: GoldenSet,
        case: GoldenCase,
        watched: WatchedTarget,
        patience: WaitingLeft,
        earlier: str | None,
    ) -> CaseResult:
        """Raises ShutDown."""
        facts = self.asker.facts(case)
        while True:
            async with self._wallet.room(watched.target, facts) as room:
                if isinstance(room, Shortfall):
                    return replace(_gone(planned, room.words, self._desk.wall()), cause=Cause.BUDGET)
                found = await self.asker.asked(watched, golden, case, planned.key)
                room.settle(found.measures)
            if isinstance(found, Ungraded):
                # The judge, if it needs one, has its own room in the wallet.
                return await self.asker.graded(found, golden, case, earlier)
            if isinstance(found, CaseResult):
                lost = earlier is not None and found.grade is not Grade.NO_VERDICT
                return replace(found, versus=0.0 if lost else None, open_ended=case.open_ended)
            wait = min(found.wait_s, _LONGEST_WAIT_S)
            cost = wait / AT_A_TIME  # they wait side by side
            if patience.left_s < cost:
                return replace(_gone(planned, found.words, self._desk.wall()), cause=found.cause)
            patience.left_s -= cost
            await self._sleep(wait)


def _gone(planned: PlannedCase, words: str, at: float) -> CaseResult:
    """The result of a case that was not asked."""
    return CaseResult(
        planned.key, Grade.NO_VERDICT, cause=Cause.CANCELLED, words=words, case_hash=planned.case_hash, at=at
    )


def planned(goldens: Sequence[GoldenSet], targets: Sequence[WatchedTarget], repeats: int) -> list[PlannedCase]:
    """Every answer that a run over these sets and targets is to have: of each set, from the targets that it names."""
    return [
        PlannedCase(CaseKey(watched.label, golden.name, case.id, repeat), case.hash)
        for watched in targets
        for golden in goldens
        if names(golden, watched)
        for case in golden.cases
        for repeat in range(repeats)
    ]


def names(golden: GoldenSet, watched: WatchedTarget) -> bool:
    """True if the set is for this target, and the target may see it: "*", its name, its label, `PROVIDER/*`."""
    target = watched.target
    wanted = any(meant(each, watched) for each in golden.targets)
    return wanted and (target.on_box or not missing(golden.requires, target.certified))


def meant(name: str, watched: WatchedTarget) -> bool:
    """True if a name in the `targets` of a set means this one."""
    return name in ("*", watched.name, watched.target.label, f"{watched.target.provider}/*")


def unasked(golden: GoldenSet, every: Sequence[WatchedTarget]) -> list[str]:
    """Why a set is asked of fewer targets than it names: one sentence each. every: all configured targets."""
    found = [f"no target is called {name!r}" for name in golden.targets if not any(meant(name, each) for each in every)]
    if not found and not any(names(golden, each) for each in every):
        found.append(f"no target that it names is certified for {', '.join(sorted(golden.requires))}")
    return found
