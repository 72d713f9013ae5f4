"""The judge's chore: once a week the sample of the week before is compared, where a judge is set and a sample is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtime.contract.targets import Target
from runtime.life.desk import Desk
from runtime.quality.judge.asking import Questions, WeekPurse
from runtime.quality.judge.choice import related
from runtime.quality.judge.drift import JudgeState
from runtime.quality.judge.pairs import Anchor, anchors, drawn
from runtime.quality.judge.question import names_of
from runtime.quality.judge.weekly import Weekly, WeekReport, week_of
from runtime.quality.kept_file import KeptFile
from runtime.quality.runs.asking import ShutDown
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.store import QualityStore
from runtime.quality.sample.file import SampledAnswer
from runtime.quality.values import GoldenCase
from runtime.settings import Quality

FILE = "judged.json"
_LOOK_S = 600.0
_WEEK_S = 7 * 86_400.0
_MOST_WEEKS = 60
_MOST_SHOWN = 12
_ANCHOR_RUNS = 20


class JudgedWeeks(msgspec.Struct):
    """The file: verdicts and numbers, and no text of any request. state: of the judge itself."""

    judge: str = ""
    state: JudgeState = JudgeState()
    weeks: list[WeekReport] = []


class JudgeWatch:
    """rows: reads the sample from a unix second on; blocks. tell: takes one sentence. settings: replaced on a reload.

    trouble: why the last week was not judged; None if it was, or if no judge is set.
    """

    def __init__(
        self,
        desk: Desk,
        store: QualityStore,
        rows: Callable[[float], Sequence[SampledAnswer]],
        settings: Quality,
        folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.kept = JudgedWeeks()
        self.trouble: str | None = None
        self._desk, self._store, self._rows, self._tell = desk, store, rows, tell
        self._file = KeptFile(folder / FILE, JudgedWeeks, "the judged weeks")

    async def run(self) -> None:
        """Looks for a week that is over, until cancelled."""
        self.kept = await asyncio.to_thread(self._file.read)
        while True:
            if self.settings.judge and self.settings.mode != "off":
                await self.look()
            await asyncio.sleep(_LOOK_S)

    @property
    def trusted(self) -> bool:
        """True if the judge of the settings agreed with the anchors in its latest week, and has not changed since."""
        clouds = [each.target for each in self._desk.fleet.clouds.backends.values()]
        labels = {each.label for each in clouds if self.settings.judge in (each.name, each.label)}
        latest = self.kept.weeks[0] if self.kept.weeks else None
        return latest is not None and latest.judge in labels and latest.believed and not self.kept.state.drifted

    def overview(self) -> dict[str, Any]:
        """Its part of `/hearth/quality`: the judge, and its latest weeks without the verdicts on single pairs."""
        return {
            "judge": self.kept.judge or self.settings.judge,
            "trusted": self.trusted,
            "trouble": self.trouble,
            "drifted": self.kept.state.drifted,
            "evidence": round(self.kept.state.evidence, 3),
            "weeks": [
                {
                    **msgspec.to_builtins(msgspec.structs.replace(each, pairs=(), labels=())),
                    "pairs": len(each.pairs),
                    "labels": len(each.labels),
                }
                for each in self.kept.weeks[:_MOST_SHOWN]
            ],
        }

    async def look(self) -> WeekReport | None:
        """Compares the week before this one, if it was not yet. Without kept answers, the anchors alone, for a judge of golden
        cases.
        """
        now = self._desk.wall()
        week = week_of(now - _WEEK_S)
        if any(each.week == week for each in self.kept.weeks):
            return None
        chosen = self.chosen()
        if isinstance(chosen, str):
            self.trouble = f"no week is judged: {chosen}"
            return None
        self.trouble = None
        judge, arms = chosen
        every = await asyncio.to_thread(self._rows, now - 2 * _WEEK_S) if self.settings.sample.keep else []
        rows = drawn([row for row in every if week_of(row.at) == week], week, self.settings.weekly)
        known, needed = await self._store.call(_anchors) if self._store.begun else ([], False)
        if not rows and not (known and needed):
            return None
        state = self.kept.state if self.kept.judge == judge[1].label else JudgeState()
        questions = Questions(self._desk, WeekPurse(self.settings.weekly_usd), names_of([*arms, judge[1].label]))
        try:
            report, state = await Weekly(questions, judge, arms).run(week, rows, known, state)
        except ShutDown:
            return None  # the next process judges the week
        self.kept = JudgedWeeks(judge[1].label, state, [report, *self.kept.weeks][:_MOST_WEEKS])
        await asyncio.to_thread(self._file.write, self.kept)
        if report.void:
            self._tell(f"the judge's week {week} is void: {report.void}")
        for each in report.rates:
            if report.believed and not each.task and each.rate.high < 0.5:
                self._tell(
                    f"{each.a} was judged worse than {each.b} in {week}: {each.rate.value:.0%} of {each.rate.n} pairs"
                )
        return report

    def chosen(self) -> tuple[tuple[str, Target], dict[str, tuple[str, Target]]] | str:
        """The judge and the arms by label, or the reason why nobody may judge."""
        fleet = self._desk.fleet
        targets = {each.target.name: each.target for each in fleet.clouds.backends.values()}
        named = self.settings.judge
        judge = next((each for each in targets.values() if named in (each.name, each.label)), None)
        if judge is None:
            return f"quality.judge, {named}, is no configured target with a key"
        others = {each.label: (each.name, each) for each in targets.values() if each.label != judge.label}
        arms = {fleet.local.target.label: (fleet.local.target.name, fleet.local.target), **others}
        trouble = related(judge.label, others)
        return trouble or ((judge.name, judge), arms)


def _anchors(database: QualityDatabase) -> tuple[list[Anchor], bool]:
    """From the stored answers of the latest runs; and True if a judge is needed for some case of them."""
    found, needed = [], False
    for run in database.runs(_ANCHOR_RUNS):
        cases: dict[str, GoldenCase] = {
            case.hash: case for golden in database.goldens(run.id) if not golden.requires for case in golden.cases
        }
        needed = needed or any(case.judged for case in cases.values())
        found += [(row, cases[row.case_hash]) for row in database.results(run.id) if row.case_hash in cases]
    return anchors(found), needed
