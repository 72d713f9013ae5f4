"""The expected cost of the judge in a run of golden sets, before it begins.

The questions about a case are expected to take the tokens that they took last time. Of a case that was not judged yet, each
takes its own text, with answers as long as they are expected to be, and a verdict as long as the judge's others were, in golden
sets or in its latest week. Without any it is as long as its JSON, which is known. The thinking of a judge that thinks unasked
is not: it is assumed, and the estimate says so. A judge that is believed decides the anchors too, before a run with criteria
that counts.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.life.desk import Desk
from runtime.quality.judge.anchor_file import AnchorFileError
from runtime.quality.judge.golden import GoldenJudge
from runtime.quality.judge.pairs import Anchor, shown_request
from runtime.quality.judge.question import assessment, comparison
from runtime.quality.judge.watch import JudgeWatch
from runtime.quality.runs.database import PlannedCase
from runtime.quality.runs.estimate import TargetEstimate, expected_usd
from runtime.quality.values import RUBRIC, VERSUS, CaseResult, GoldenCase, GoldenSet, Judging, OwnReference
from runtime.routing.facts.tokens import plain_tokens
from runtime.wire.child_pool import UncheckedError

_VERDICT_TOKENS = round(plain_tokens('{"better": "second"}'))
_THOUGHT_TOKENS = 200  # recorded answers under a schema were thought about for 117 tokens (median), 251 in the mean
_MARK = "0" * 16


class JudgeQuestion(NamedTuple):
    """body: as it is asked, without the answers that are not there yet. answers: of those, how many it is to hold."""

    body: Mapping[str, Any]
    answers: int = 0


class WantedJudging(NamedTuple):
    """A run that a judge may be needed for. usages: expected of each answer. references: by target, set and case, the answers
    that those to open-ended cases are compared with. earlier: results of the same sets, newest last.
    """

    goldens: Sequence[GoldenSet]
    cases: Sequence[PlannedCase]
    usages: Sequence[Usage]
    references: Mapping[tuple[str, str, str], OwnReference]
    earlier: Sequence[CaseResult]
    counts: bool


class Judges:
    """watch: of the judge's weeks. golden: of cases."""

    def __init__(self, desk: Desk, watch: JudgeWatch, golden: GoldenJudge) -> None:
        self.watch, self.golden = watch, golden
        self._desk = desk

    async def estimated(self, wanted: WantedJudging) -> TargetEstimate | None:
        """The judge, its questions and their dollars; None for a run that asks it nothing."""
        spent = {(each.key[:3], each.case_hash): each.judging for each in wanted.earlier if each.judging.questions}
        goldens = {each.name: each for each in wanted.goldens}
        cases = {(golden.name, case.id): case for golden in wanted.goldens for case in golden.cases}
        judge: Target | None = None
        known, new = list[Judging](), list[tuple[JudgeQuestion, int]]()
        for planned, usage in zip(wanted.cases, wanted.usages, strict=True):
            key, case = planned.key, cases[planned.key.set, planned.key.case]
            if not case.judged:
                continue
            try:
                judge = self.golden.chosen(goldens[key.set], key.target)
            except UncheckedError:
                continue  # nobody judges it
            reference = wanted.references.get(key[:3])
            asked = questions(case, compared=reference is not None and reference.hash == planned.case_hash)
            last = spent.get((key[:3], planned.case_hash))
            if last is not None and last.judge == judge.label and last.questions >= len(asked) > 0:
                known.append(last)
            else:
                new += [(each, usage.completion) for each in asked]
        if judge is None:
            return None
        with contextlib.suppress(AnchorFileError):  # then none is decided
            anchors = await self.watch.anchors_before(wanted.goldens, counts=wanted.counts)
            new += [(each, 0) for each in anchor_questions(anchors)]
        return self._priced(judge, known, new, [each for each in spent.values() if each.judge == judge.label])

    def _priced(
        self,
        judge: Target,
        known: Sequence[Judging],
        new: Sequence[tuple[JudgeQuestion, int]],
        earlier: Sequence[Judging],
    ) -> TargetEstimate | None:
        """known: of cases that were judged before. new: other questions, each with the tokens of an answer in it."""
        verdicts = [each.completion_tokens / each.questions for each in earlier] or [
            each.verdict_tokens for each in self.watch.kept.weeks if each.judge == judge.label and each.verdict_tokens
        ][:1]
        assumed = judge.capabilities.thinks_unasked and bool(new) and not verdicts
        verdict = round(statistics.mean(verdicts or [_VERDICT_TOKENS + _THOUGHT_TOKENS * assumed]))
        usages = [
            Usage(each.prompt_tokens // each.questions, each.completion_tokens // each.questions)
            for each in known
            for _ in range(each.questions)
        ]
        for question, answer in new:
            facts = self._desk.planner.read("openai_chat", {"model": "", **question.body}, {}).facts
            usages.append(Usage(facts.prompt_tokens + question.answers * answer, verdict))
        costs = [expected_usd(judge, each, self._desk.wall()) for each in usages]
        usd = None if None in costs else sum(each or 0.0 for each in costs)
        return TargetEstimate(judge.label, len(usages), usd, assumed) if usages else None


def questions(case: GoldenCase, *, compared: bool) -> list[JudgeQuestion]:
    """Those about one answer to a case. compared: the model's own earlier answers are there. Pure."""
    request, found = shown_request(case.body), list[JudgeQuestion]()
    for check in case.checks:
        if check.kind == RUBRIC:
            reference = str(check.options.get("reference", ""))
            wanted = [check.want] if isinstance(check.want, str) else check.want
            found += [JudgeQuestion(assessment(request, "", each, reference, _MARK), 1) for each in wanted]
        elif check.kind == VERSUS and compared:
            found += [JudgeQuestion(comparison(request, "", "", _MARK), 2)] * 2
    return found


def anchor_questions(anchors: Iterable[Anchor]) -> Iterator[JudgeQuestion]:
    """Those of both orders. Pure."""
    for each in anchors:
        request = shown_request(each.body)
        yield JudgeQuestion(comparison(request, each.a, each.b, _MARK))
        yield JudgeQuestion(comparison(request, each.b, each.a, _MARK))
