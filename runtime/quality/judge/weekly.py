"""One week's comparison: sampled answers against what the other arms say, anchors beside them, and what may be concluded. It
warns and calibrates; it demotes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import msgspec

from runtime.contract.targets import Target
from runtime.quality.judge.asking import WIRES, Questions, SpentError
from runtime.quality.judge.choice import related
from runtime.quality.judge.drift import JudgeState, observed
from runtime.quality.judge.journal import WeekJournal
from runtime.quality.judge.pairs import Anchor, Drawn, family_rows, shown_request
from runtime.quality.judge.trust import (
    FEWEST_LABELLED,
    Agreement,
    BiasReport,
    Estimate,
    JudgedPair,
    agreement,
    biases,
    corrected,
    own_family,
    rate,
    stretched,
    with_anchors,
)
from runtime.quality.kept_quality import FoundWinners
from runtime.quality.sample.answers import AnswerText
from runtime.quality.sample.file import SampledAnswer

MOST_FAILED = 0.10  # of a week's pairs without a verdict: with more the week is void
_FEWEST = 10  # pairs of a rate that is shown
_REPEATED = 20  # anchors that are decided twice
_AT_A_TIME = 4
_UNSTORED: Mapping[str, Mapping[str, Any]] = {"openai_responses": {"store": False, "background": False}}


class WinRate(msgspec.Struct, frozen=True):
    """a against b: 1 always better, 0 always worse, 0.5 alike. corrected: put right by the anchors, None without enough; by: of
    "people", labelled pairs of these very two, or of any "anchors".
    """

    a: str
    b: str
    task: str
    rate: Estimate
    corrected: Estimate | None = None
    by: str = ""


class LocalLabel(msgspec.Struct, frozen=True):
    """A request for the calibration. local: the local model's label. score: the request's complexity. worse: its answer is
    clearly worse than another arm's, in both orders.
    """

    id: str
    local: str
    task: str
    score: float
    worse: bool


class WeekReport(msgspec.Struct, frozen=True):
    """winners: of the anchors. skipped: pairs that were not put to the judge, by reason. void: why no conclusion is drawn, ""
    if some are. believed: the judge agrees with the anchors; if not, its rates only inform. verdict_tokens: the mean output of
    a verdict, 0 if it is not known.
    """

    week: str
    judge: str
    drawn: int
    pairs: tuple[JudgedPair, ...]
    rates: tuple[WinRate, ...]
    labels: tuple[LocalLabel, ...]
    bias: BiasReport
    agreement: Agreement | None
    winners: FoundWinners
    skipped: Mapping[str, int]
    spent_usd: float
    void: str = ""
    believed: bool = False
    verdict_tokens: float = 0.0


def voided(report: WeekReport, why: str) -> WeekReport:
    """The report without its conclusions."""
    return msgspec.structs.replace(report, rates=(), labels=(), void=why, believed=False)


class _Decided(NamedTuple):
    """The anchors with the judge's verdicts, and the verdicts of those that were decided a second time."""

    known: Sequence[tuple[JudgedPair, Anchor]]
    again: Sequence[JudgedPair]


class Weekly:
    """One week. arms: names and targets that are compared. judge: name and target. journal: of verdicts that are there already,
    and of those that come.
    """

    def __init__(
        self,
        questions: Questions,
        judge: tuple[str, Target],
        arms: Mapping[str, tuple[str, Target]],
        journal: WeekJournal | None = None,
        is_local: Callable[[str], bool] = lambda label: label.startswith("local/"),
    ) -> None:
        self._questions, self._judge, self._arms, self._is_local = questions, judge, arms, is_local
        self._journal = journal
        self._skipped: dict[str, int] = {}

    async def run(
        self, week: str, rows: Sequence[Drawn], anchors: Sequence[Anchor], state: JudgeState
    ) -> tuple[WeekReport, JudgeState]:
        """The report, and the state of the judge after it."""
        turn = asyncio.Semaphore(_AT_A_TIME)
        known: list[tuple[JudgedPair, Anchor]] = []
        again: list[JudgedPair] = []
        pairs: list[tuple[JudgedPair, SampledAnswer]] = []

        async def judge_anchor(anchor: Anchor, part: str) -> None:
            async with turn:
                pair = self._kept(part, JudgedPair(anchor.id, "a", "b", None, None))
                if pair is None:
                    pair = JudgedPair(anchor.id, "a", "b", None, None)
                    texts = (shown_request(anchor.body), anchor.a, anchor.b)
                    pair = await self._questions.judged(self._judge, pair, texts, anchor.requires)
                    self._keep(part, pair)
                again.extend([pair] if part == "again" else [])
                known.extend([(pair, anchor)] if part == "anchor" else [])

        async def judge_row(drawn: Drawn) -> None:
            async with turn:
                for label in sorted(self._arms.keys() - {drawn.row.target}):
                    pair = await self._compared(drawn, label)
                    pairs.extend([(pair, drawn.row)] if isinstance(pair, JudgedPair) else [])
                    if isinstance(pair, str):
                        self._skip(pair)

        for work in (
            [judge_anchor(each, "anchor") for each in anchors],
            [judge_row(each) for each in rows],
            [judge_anchor(each, "again") for each in anchors[:_REPEATED]],
        ):
            for found in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(found, SpentError):
                    self._skip("the week's dollars are spent")
                elif isinstance(found, BaseException):
                    raise found
        return self._report(week, len(rows), pairs, _Decided(known, again), state)

    def _kept(self, part: str, pair: JudgedPair) -> JudgedPair | None:
        """The pair with its verdicts, where an earlier process has them."""
        return None if self._journal is None else self._journal.known(part, pair)

    def _keep(self, part: str, pair: JudgedPair) -> None:
        if self._journal is not None:
            self._journal.add(part, pair, self._questions.purse.taken)

    async def _compared(self, drawn: Drawn, label: str) -> JudgedPair | str:
        """A sampled answer against another arm's, or the reason why the pair is skipped."""
        row, (_, judge) = drawn.row, self._judge
        # A client may pin the judge itself, or a model of its family that an account lends.
        if related(judge.label, [row.target]):
            return "it was answered by the judge or its family"
        if row.wire not in WIRES:
            return f"the wire {row.wire} is not put to other arms"
        if row.body.get("previous_response_id") or row.body.get("conversation"):
            return "it goes on with a stored conversation, which no other arm has"
        pair = JudgedPair(row.id, row.target, label, None, None, weight=drawn.weight, task=row.task or "")
        if (kept := self._kept("pair", pair)) is not None:
            return kept
        # A translation that would change what is asked fails, and the pair is skipped.
        other = await self._questions.answered(
            *self._arms[label], {**row.body, **_UNSTORED.get(row.wire, {})}, wire=row.wire
        )
        if other is None:
            return f"{label} gave no whole answer"
        given = AnswerText(row.text, row.tools).shown
        window = judge.capabilities.context_tokens
        request = shown_request(row.body)
        if window is not None and (len(request) + len(given) + len(other)) / 3 > window:
            return "it does not fit the judge"
        pair = await self._questions.judged(self._judge, pair, (request, given, other), frozenset())
        self._keep("pair", pair)
        return pair

    def _skip(self, reason: str) -> None:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1

    def _report(
        self,
        week: str,
        drawn: int,
        found: Sequence[tuple[JudgedPair, SampledAnswer]],
        decided: _Decided,
        state: JudgeState,
    ) -> tuple[WeekReport, JudgeState]:
        pairs, judge = [pair for pair, _ in found], self._judge[1].label
        scored = [(pair.score, anchor) for pair, anchor in decided.known if pair.score is not None]
        words = [(word_of(score), word_of(anchor.label)) for score, anchor in scored]
        agreed = agreement(words, Random(week), [anchor.votes for _, anchor in scored])
        after = observed(state, week, sum(one == other for one, other in words), len(words))
        first = {pair.id: pair.score for pair, _ in decided.known}
        bias = with_anchors(
            biases([*pairs, *[pair for pair, _ in decided.known]]),
            own_family(family_rows(judge, scored)),
            [(first.get(pair.id), pair.score) for pair in decided.again],
        )
        void = ""
        if pairs and biases(pairs).failed > MOST_FAILED:
            void = f"{biases(pairs).failed:.0%} of the pairs have no verdict"
        elif after.drifted:
            void = f"the judge has changed: its verdicts are void since {after.good or 'its first run'}"
        believed = not void and agreed is not None and agreed.usable
        winners = [(score, anchor.label) for score, anchor in scored if anchor.label != 0.5]
        report = WeekReport(
            week,
            judge,
            drawn,
            tuple(pairs),
            () if void else tuple(_rates(pairs, scored if believed else [])),
            () if void else tuple(self._labels(found)),
            bias,
            agreed,
            FoundWinners(sum(score == label for score, label in winners), len(winners)),
            dict(self._skipped),
            round(self._questions.purse.spent, 6),
            void,
            believed,
            round(self._questions.verdict_tokens, 1),
        )
        return report, after

    def _labels(self, found: Sequence[tuple[JudgedPair, SampledAnswer]]) -> list[LocalLabel]:
        labels = []
        for pair, row in found:
            score, own = pair.score, self._is_local(pair.a)
            if row.score is not None and score is not None and own != self._is_local(pair.b):
                label = pair.a if own else pair.b
                labels.append(LocalLabel(row.id, label, pair.task, row.score, score == (0.0 if own else 1.0)))
        return labels


def word_of(score: float) -> str:
    """A score, or a label, in a word."""
    return {1.0: "a", 0.0: "b"}.get(score, "tie")


def _rates(pairs: Sequence[JudgedPair], anchors: Sequence[tuple[float, Anchor]]) -> list[WinRate]:
    groups: dict[tuple[str, str, str], list[JudgedPair]] = {}
    for pair in pairs:
        if pair.score is not None:
            groups.setdefault((pair.a, pair.b, pair.task), []).append(pair)
            groups.setdefault((pair.a, pair.b, ""), []).append(pair)
    rates = []
    for key, own in sorted(groups.items()):
        scores, weights = [pair.score for pair in own if pair.score is not None], [pair.weight for pair in own]
        if len(scores) < _FEWEST:
            continue
        # Labels of the same two targets show every error of the judge between them; other anchors, how often it errs.
        labelled = [(score, each.label) for score, each in anchors if each.votes and each.by == key[:2]]
        labelled += [(1 - score, 1 - each.label) for score, each in anchors if each.votes and each.by == key[1::-1]]
        enough, every = len(labelled) >= FEWEST_LABELLED, [(score, each.label) for score, each in anchors]
        right = corrected(scores, labelled, weights) if enough else stretched(scores, every, weights)
        by = "" if right is None else "people" if enough else "anchors"
        rates.append(WinRate(*key, rate(scores, weights), right, by))
    return rates


def week_of(now: float) -> str:
    """ "2026-W48", in UTC."""
    year, week, _ = datetime.fromtimestamp(now, UTC).isocalendar()
    return f"{year}-W{week:02d}"
