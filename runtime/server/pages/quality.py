"""`/hearth/quality`: golden sets, runs over them, their reports, and people's acts.

Files named at a terminal come as sets in the body: they are graded here, on the runtime's own targets, and move no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

import msgspec

from runtime.quality.judge.estimate import Judges, WantedJudging
from runtime.quality.runs.asking import WatchedTarget
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.estimate import estimated, expected_usage
from runtime.quality.runs.loop import QualityLoop, briefs, latest_before, shown
from runtime.quality.runs.report import EvalReport, compared, report
from runtime.quality.runs.runner import names, planned, unasked
from runtime.quality.runs.wallet import Wallet
from runtime.quality.signal_watch import SignalWatch
from runtime.quality.values import CaseResult, EvalRun, GoldenSet, OwnReference, PersonAct, QualityEvent
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.server.pages.wishes import body_as
from runtime.wire.api_error import ApiError, nothing_at

PATH = "/hearth/quality"
RUNS = f"{PATH}/runs"
_MOST_RUNS = 100
_MOST_EVENTS = 100


class WantedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """targets: names or labels; empty: all. sets: those of files; empty: the settings'. names: of the settings' sets, only
    these. alike: every target is asked the sets of the first, as far as all of them may see them.
    """

    targets: tuple[str, ...] = ()
    sets: tuple[GoldenSet, ...] = ()
    names: tuple[str, ...] = ()
    repeats: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    kind: Literal["demand", "reference"] = "demand"
    alike: bool = False


class WantedAct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind: accept, demote, promote, hold, release. set: "": every set of the target."""

    kind: str
    target: str
    set: str = ""
    note: str = ""


class QualityPages:
    def __init__(
        self, loop: QualityLoop, wallet: Wallet, judges: Judges, signals: SignalWatch, most_bytes: int = 64_000_000
    ) -> None:
        self._loop, self._wallet, self._judges, self._signals = loop, wallet, judges, signals
        self._most_bytes = most_bytes

    def table(self) -> dict[tuple[str, str], Page]:
        return {
            ("GET", PATH): self.overview,
            ("GET", RUNS): self.every,
            ("GET", f"{RUNS}/"): self.one,
            ("POST", RUNS): self.begin,
            ("POST", f"{PATH}/estimate"): self.estimate,
            ("POST", f"{RUNS}/"): self.cancel,
            ("POST", f"{PATH}/acts"): self.act,
            ("GET", f"{PATH}/replay"): self.replay,
        }

    async def overview(self, request: ClientRequest, extra: Pairs) -> None:
        """The sets, the runs under way, the latest events, the next night, the money of today, the judge's weeks, and
        warnings from everyday traffic.
        """
        loop = self._loop
        goldens = await loop.read()
        events, runs = [], []
        if loop.store.begun:
            events = await loop.store.call(lambda database: database.events(_MOST_EVENTS))
            runs = await loop.store.call(
                lambda database: [_with_counts(each, database) for each in database.unclosed()]
            )
        told = {
            "mode": loop.settings.mode,
            "sets": [
                {
                    **msgspec.to_builtins(brief),
                    "path": golden.path,
                    "targets": golden.targets,
                    "warnings": (*golden.warnings, *unasked(golden, loop.targets())),
                }
                for brief, golden in zip(briefs(goldens), goldens, strict=True)
            ],
            "faults": loop.faults,
            "running": runs,
            "events": events,
            "next_night": loop.night(loop.desk.wall())[1],
            "spent_usd": self._wallet.spent_usd,
            "daily_usd": loop.settings.daily_usd,
            "judge": self._judges.watch.overview(),
            "warnings": self._signals.warnings,
            **loop.watch.overview(),
        }
        await request.answer_json(200, told, extra)

    async def every(self, request: ClientRequest, extra: Pairs) -> None:
        """Newest first."""

        def listed(database: QualityDatabase) -> list[dict[str, Any]]:
            return [_with_counts(each, database) for each in database.runs(_MOST_RUNS)]

        rows = await self._loop.store.call(listed) if self._loop.store.begun else []
        await request.answer_json(200, {"object": "list", "data": rows}, extra)

    async def one(self, request: ClientRequest, extra: Pairs) -> None:
        """`/ID`: how far it is; `/ID/report`: beside the run before; `/ID/results`: every answer; `/ID/compare`: two targets.

        "latest" is the latest run that is closed. Raises ApiError 404.
        """
        id, _, part = request.path.removeprefix(f"{RUNS}/").partition("/")
        run = await self._found(id)
        if part == "":
            answer: Any = await self._loop.store.call(lambda database: _with_counts(run, database))
        elif part == "report":
            answer = await self._loop.store.call(lambda database: _reported(run, database))
        elif part == "results":
            answer = {"run": run, "data": await self._loop.store.call(lambda database: database.results(run.id))}
        elif part == "compare" and len(run.targets) > 1:
            results = await self._loop.store.call(lambda database: database.results(run.id))
            answer = compared(results, *run.targets[:2])
        else:
            raise nothing_at(request.path)
        await request.answer_json(200, answer, extra)

    async def begin(self, request: ClientRequest, extra: Pairs) -> None:
        """Begins a run. Raises ApiError 400, 404."""
        wanted = await body_as(request, WantedRun, self._most_bytes)
        targets = self._loop.targets(wanted.targets or None)
        goldens = await self._goldens(wanted, targets)
        run = await self._loop.begin(wanted.kind, targets, goldens, repeats=wanted.repeats, counts=not wanted.sets)
        await request.answer_json(200, await self._loop.store.call(lambda database: _with_counts(run, database)), extra)

    async def estimate(self, request: ClientRequest, extra: Pairs) -> None:
        """The expected cost of a run, the judge's questions beside the answers. Raises ApiError 400, 404."""
        wanted, loop = await body_as(request, WantedRun, self._most_bytes), self._loop
        targets = loop.targets(wanted.targets or None)
        goldens = await self._goldens(wanted, targets)
        cases = planned(goldens, targets, wanted.repeats)
        facts = {(golden.name, case.id): loop.facts(case) for golden in goldens for case in golden.cases}
        names = {each.name for each in goldens}
        earlier: list[CaseResult] = []
        references: Mapping[tuple[str, str, str], OwnReference] = {}
        if loop.store.begun:
            earlier = await loop.store.call(lambda database: database.latest_of(names))
            references = loop.watch.references(await loop.store.call(QualityDatabase.states))
        usages = expected_usage(cases, facts, earlier, goldens)
        judging = WantedJudging(goldens, cases, usages, references, earlier, counts=not wanted.sets)
        answer = {
            "targets": estimated(cases, usages, {each.label: each.target for each in targets}, loop.desk.wall()),
            "judge": await self._judges.estimated(judging),
            "left_usd": max(0.0, loop.settings.daily_usd - self._wallet.spent_usd),
            "cases": len(cases),
            "warnings": [f"{each.name}: {words}" for each in goldens for words in unasked(each, loop.targets())],
        }
        await request.answer_json(200, answer, extra)

    async def cancel(self, request: ClientRequest, extra: Pairs) -> None:
        """`POST …/runs/ID/cancel`. Raises ApiError 404."""
        id, _, verb = request.path.removeprefix(f"{RUNS}/").partition("/")
        if verb != "cancel":
            raise nothing_at(request.path)
        run = await self._found(id)
        if run.closed_at is None:
            self._loop.cancel(run.id)
        await request.answer_json(200, run, extra)

    async def act(self, request: ClientRequest, extra: Pairs) -> None:
        """A person's word on a target. Raises ApiError 400, 404 for a target that nobody knows."""
        wanted = await body_as(request, WantedAct, self._most_bytes)
        targets = self._loop.targets([wanted.target])
        if wanted.set and wanted.set not in (known := await self._loop.known_sets()):
            words = f"no golden set is called {wanted.set[:100]!r}; known are {', '.join(sorted(known)) or 'none'}"
            raise ApiError(404, words, "set_not_found")
        body = {"by": f"key {request.caller.id[:12]}" if request.caller.id else "a person", "note": wanted.note}
        act = PersonAct(wanted.kind, targets[0].label, wanted.set, body, self._loop.desk.wall())
        folded = await self._loop.acted(act)
        if act.kind == "accept":
            await self._judges.watch.accept(act.target)
        await request.answer_json(200, {"events": folded.events}, extra)

    async def replay(self, request: ClientRequest, extra: Pairs) -> None:
        """`?tolerance=0.05`: the events that would have been, had it been in force. Raises ApiError 400."""
        given, loop = parse_qs(request.query).get("tolerance", [None])[-1], self._loop
        try:
            loss = None if given is None else float(given)
        except ValueError:
            loss = -1.0
        if loss is not None and not 0 <= loss <= 1:
            raise ApiError(400, f"a tolerance is a number from 0 to 1, not {str(given)[:40]!r}", "invalid_query")
        found: list[QualityEvent] = []
        if loop.store.begun:
            found = await loop.store.call(lambda database: loop.watch.replayed(database.journal(), loss))
        await request.answer_json(200, {"object": "list", "data": found}, extra)

    async def _found(self, id: str) -> EvalRun:
        """Raises ApiError 404."""

        def find(database: QualityDatabase) -> EvalRun | None:
            if id != "latest":
                return database.run(id)
            return next((each for each in database.runs(_MOST_RUNS) if each.closed_at is not None), None)

        run = await self._loop.store.call(find) if self._loop.store.begun else None
        if run is None:
            words = (
                "no run is closed yet: `hearth eval run` begins one"
                if id == "latest"
                else f"there is no run {id[:100]!r}"
            )
            raise ApiError(404, words, "run_not_found")
        return run

    async def _goldens(self, wanted: WantedRun, targets: Sequence[WatchedTarget]) -> list[GoldenSet]:
        """Raises ApiError 400, 404."""
        goldens = list(wanted.sets) or await self._loop.read()
        if not goldens and not self._loop.faults:
            raise ApiError(400, self._loop.no_set(), "no_golden_set")
        if not wanted.sets and self._loop.faults:
            raise ApiError(400, "the golden sets cannot be used:\n" + "\n".join(self._loop.faults), "bad_golden_sets")
        if unknown := set(wanted.names) - {each.name for each in goldens}:
            raise ApiError(404, f"no golden set is called {min(unknown)!r}", "set_not_found")
        goldens = [each for each in goldens if not wanted.names or each.name in wanted.names]
        if not wanted.alike:
            return goldens
        shared = [msgspec.structs.replace(each, targets=("*",)) for each in goldens if names(each, targets[0])]
        return [each for each in shared if all(names(each, target) for target in targets)]


def _with_counts(run: EvalRun, database: QualityDatabase) -> dict[str, Any]:
    return shown(run, database.counted(run.id))


def _reported(run: EvalRun, database: QualityDatabase) -> EvalReport:
    return report(run, database.results(run.id), latest_before(run, database), database.goldens(run.id))
