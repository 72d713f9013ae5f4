"""The judge's chore: once a week the sample of the week before is compared, where a judge is set and a sample is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.contract.guard import missing
from runtime.contract.targets import Target
from runtime.life.desk import Desk
from runtime.quality.judge.anchor_file import AnchorFileError, found_anchors
from runtime.quality.judge.asking import Questions, WeekPurse
from runtime.quality.judge.choice import related
from runtime.quality.judge.drift import JudgeState, observed
from runtime.quality.judge.journal import JournalHead, WeekJournal
from runtime.quality.judge.pairs import MOST_ANCHORS, Anchor, anchors, drawn
from runtime.quality.judge.question import names_of
from runtime.quality.judge.shown import JudgeView, week_view
from runtime.quality.judge.weekly import Weekly, WeekReport, voided, week_of, word_of
from runtime.quality.kept_file import KeptFile
from runtime.quality.runs.asking import ShutDown
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.store import QualityStore
from runtime.quality.sample.file import SampledAnswer
from runtime.quality.values import RUBRIC, EvalRun, GoldenCase, GoldenSet
from runtime.settings import Quality

FILE = "judged.json"
_LOOK_S = 600.0
_WEEK_S = 7 * 86_400.0
_MOST_WEEKS = 60
_MOST_SHOWN = 12
_ANCHOR_RUNS = 20


class JudgedWeeks(msgspec.Struct):
    """The file: verdicts and numbers, and no text of any request. state: of the judge itself. checked: the id of the latest run
    of golden sets before which it decided the anchors.
    """

    judge: str = ""
    state: JudgeState = JudgeState()
    weeks: list[WeekReport] = []
    checked: str = ""


class JudgeFolders(NamedTuple):
    """state: where the weeks are kept. settings: from which `[quality] sets` are relative."""

    state: Path
    settings: Path


Decides = Callable[[Target, Sequence[Anchor]], Awaitable[list[tuple[float, Anchor]]]]
"""The judge's scores of anchors; those without a verdict are left out."""


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
        folders: JudgeFolders,
        tell: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.trouble: str | None = None
        self._desk, self._store, self._rows, self._tell, self._folders = desk, store, rows, tell, folders
        self._file = KeptFile(folders.state / FILE, JudgedWeeks, "the judged weeks")
        self.kept = self._file.read()
        self._turn = asyncio.Lock()  # a week and a check move the same state

    async def run(self) -> None:
        """Looks for a week that is over, until cancelled."""
        while True:
            if self.settings.judge and self.settings.mode != "off":
                async with self._turn:
                    await self.look()
            await asyncio.sleep(_LOOK_S)

    @property
    def trusted(self) -> bool:
        """True if its verdicts on criteria count."""
        return self.believed and not self.kept.state.suspected

    @property
    def believed(self) -> bool:
        """True if the judge of the settings agreed with the anchors in its latest week, and has not changed since."""
        clouds = [each.target for each in self._desk.fleet.clouds.backends.values()]
        labels = {each.label for each in clouds if self.settings.judge in (each.name, each.label)}
        latest = self.kept.weeks[0] if self.kept.weeks else None
        return latest is not None and latest.judge in labels and latest.believed and not self.kept.state.drifted

    def overview(self) -> JudgeView:
        """Its part of `/hearth/quality`."""
        kept = self.kept
        return JudgeView(
            judge=kept.judge or self.settings.judge,
            trusted=self.trusted,
            trouble=self.trouble,
            drifted=kept.state.drifted,
            evidence=round(kept.state.evidence, 3),
            weeks=[week_view(each) for each in kept.weeks[:_MOST_SHOWN]],
        )

    async def look(self) -> WeekReport | None:
        """Compares the week before this one, if it was not yet. Without kept answers, the anchors alone, for a judge of golden
        cases or with anchors that people labelled.
        """
        now = self._desk.wall()
        week = week_of(now - _WEEK_S)
        if any(each.week == week for each in self.kept.weeks):
            return None
        chosen = self.chosen()
        if isinstance(chosen, str):
            self.trouble = f"no week is judged: {chosen}"
            return None
        judge, arms = chosen
        every = await asyncio.to_thread(self._rows, now - 2 * _WEEK_S) if self.settings.sample.keep else []
        rows = drawn([row for row in every if week_of(row.at) == week], week, self.settings.weekly)
        try:
            known, needed = await self._anchors(judge[1])
        except AnchorFileError as fault:
            self.trouble = f"no week is judged: {fault}"
            return None
        self.trouble = None
        if not rows and not (known and needed):
            return None
        try:
            journal = await asyncio.to_thread(WeekJournal, self._folders.state, JournalHead(week, judge[1].label))
        except OSError as fault:
            self.trouble = f"no week is judged: its verdicts cannot be kept ({fault})"
            return None
        purse = WeekPurse(self.settings.weekly_usd, journal.spent_usd)
        questions = Questions(self._desk, purse, names_of([*arms, judge[1].label]))
        try:
            before = self.kept.state if self.kept.judge == judge[1].label else JudgeState()
            report, state = await Weekly(questions, judge, arms, journal).run(week, rows, known, before)
        except ShutDown:
            return None  # the next process judges the rest
        finally:
            journal.close()
        self.kept.weeks = [report, *self.kept.weeks][:_MOST_WEEKS]
        await self._keep(judge[1], state)
        await asyncio.to_thread(journal.delete)
        if report.void:
            self._tell(f"the judge's week {week} is void: {report.void}")
        for each in report.rates:
            if report.believed and not each.task and each.rate.high < 0.5:
                self._tell(
                    f"{each.a} was judged worse than {each.b} in {week}: {each.rate.value:.0%} of {each.rate.n} pairs"
                )
        return report

    async def check(self, run: EvalRun, decide: Decides) -> None:
        """Has the anchors decided again before a run with criteria that would count, once for each run.

        A judge that changed is so noticed before its word moves a model. Raises ShutDown.
        """
        async with self._turn:
            chosen = self.chosen() if self.believed and run.counts and self.kept.checked != run.id else ""
            if isinstance(chosen, str):
                return
            (_, judge), _ = chosen
            goldens = await self._store.call(lambda database: database.goldens(run.id))
            try:
                known = await self.anchors_before(goldens, counts=run.counts)
            except AnchorFileError as fault:
                self.trouble = f"the judge was not checked before {run.id}: {fault}"
                return
            if not known:
                return
            found = await decide(judge, known)
            agreed = sum(word_of(score) == word_of(anchor.label) for score, anchor in found)
            # It speaks for the latest week that was judged.
            state = observed(self.kept.state, week_of(self._desk.wall() - _WEEK_S), agreed, len(found))
            self.kept.checked = run.id
            await self._keep(judge, state)
            if state.drifted:
                words = f"the judge {judge.label} has changed: it agrees with {agreed} of {len(found)} anchors"
                self._tell(f"{words}, and its verdicts are void since {state.good or 'its first run'}")

    async def anchors_before(self, goldens: Iterable[GoldenSet], *, counts: bool) -> list[Anchor]:
        """The anchors that are decided before a run over these sets: of a judge that is believed, and of a run that counts and
        has criteria. Raises AnchorFileError.
        """
        chosen = self.chosen() if self.believed and counts else ""
        checks = (check for golden in goldens for case in golden.cases for check in case.checks)
        if isinstance(chosen, str) or not any(each.kind == RUBRIC for each in checks):
            return []
        return (await self._anchors(chosen[0][1]))[0]

    async def accept(self, label: str) -> None:
        """A change of the judge of that label was wanted: its next runs become the new reference."""
        if label == self.kept.judge:
            self.kept.state = JudgeState()
            await asyncio.to_thread(self._file.write, self.kept)

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

    async def _keep(self, judge: Target, state: JudgeState) -> None:
        """Stores the judge's state. The weeks since the last good one are void once it has changed."""
        if state.drifted:
            why = f"the judge has changed: its verdicts are void since {state.good or 'its first run'}"
            self.kept.weeks = [
                voided(each, why) if each.week > state.good and each.judge == judge.label and not each.void else each
                for each in self.kept.weeks
            ]
        self.kept.judge, self.kept.state = judge.label, state
        await asyncio.to_thread(self._file.write, self.kept)

    async def _anchors(self, judge: Target) -> tuple[list[Anchor], bool]:
        """Those that people labelled, then golden ones, as far as the judge may see them; and True if they are to be decided
        even in a week without a sample. Raises AnchorFileError.
        """
        people = await asyncio.to_thread(found_anchors, self.settings.sets, self._folders.settings)
        golden, needed = await self._store.call(_golden_anchors) if self._store.begun else ([], False)
        every = [each for each in (*people, *golden) if not missing(each.requires, judge.certified)]
        return every[:MOST_ANCHORS], needed or bool(people)


def _golden_anchors(database: QualityDatabase) -> tuple[list[Anchor], bool]:
    """From the stored answers of the latest runs; and True if a judge is needed for some case of them."""
    found, needed = [], False
    for run in database.runs(_ANCHOR_RUNS):
        cases: dict[str, GoldenCase] = {
            case.hash: case for golden in database.goldens(run.id) if not golden.requires for case in golden.cases
        }
        needed = needed or any(case.judged for case in cases.values())
        found += [(row, cases[row.case_hash]) for row in database.results(run.id) if row.case_hash in cases]
    return anchors(found), needed
