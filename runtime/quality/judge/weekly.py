"""One week's comparison: sampled answers against what the other arms say, anchors beside them, and what may be concluded. It
warns and calibrates; it demotes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from runtime.contract.targets import Target
from runtime.quality.judge.asking import WIRES, Questions, SpentError
from runtime.quality.judge.drift import JudgeState, observed
from runtime.quality.judge.pairs import Anchor, Drawn, shown_request
from runtime.quality.judge.trust import Agreement, BiasReport, Estimate, JudgedPair, agreement, biases, corrected, mean
from runtime.quality.kept_quality import FoundWinners
from runtime.quality.sample.answers import AnswerText
from runtime.quality.sample.file import SampledAnswer

MOST_FAILED = 0.10  # of a week's pairs without a verdict: with more the week is void
_FEWEST = 10  # pairs of a rate that is shown
_AT_A_TIME = 4
_UNSTORED: Mapping[str, Mapping[str, Any]] = {"openai_responses": {"store": False, "background": False}}


class WinRate(msgspec.Struct, frozen=True):
    """a against b: 1 always better, 0 always worse, 0.5 alike. corrected: put right by the anchors; None without enough."""

    a: str
    b: str
    task: str
    rate: Estimate
    corrected: Estimate | None = None


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
    if some are. believed: the judge agrees with the anchors; if not, its rates only inform.
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


class Weekly:
    """One week. arms: names and targets that are compared. judge: name and target."""

    def __init__(
        self,
        questions: Questions,
        judge: tuple[str, Target],
        arms: Mapping[str, tuple[str, Target]],
        is_local: Callable[[str], bool] = lambda label: label.startswith("local/"),
    ) -> None:
        self._questions, self._judge, self._arms, self._is_local = questions, judge, arms, is_local
        self._skipped: dict[str, int] = {}

    async def run(
        self, week: str, rows: Sequence[Drawn], anchors: Sequence[Anchor], state: JudgeState
    ) -> tuple[WeekReport, JudgeState]:
        """The report, and the state of the judge after it."""
        turn = asyncio.Semaphore(_AT_A_TIME)
        known: list[tuple[JudgedPair, Anchor]] = []
        pairs: list[tuple[JudgedPair, SampledAnswer]] = []

        async def judge_anchor(anchor: Anchor) -> None:
            async with turn:
                pair = JudgedPair(anchor.id, "a", "b", None, None)
                texts = (shown_request(anchor.case.body), anchor.a, anchor.b)
                known.append((await self._questions.judged(self._judge, pair, texts, frozenset()), anchor))

        async def judge_row(drawn: Drawn) -> None:
            async with turn:
                for label in self._arms.keys() - {drawn.row.target}:
                    pair = await self._compared(drawn, label)
                    pairs.extend([(pair, drawn.row)] if isinstance(pair, JudgedPair) else [])
                    if isinstance(pair, str):
                        self._skip(pair)

        for work in ([judge_anchor(each) for each in anchors], [judge_row(each) for each in rows]):
            for found in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(found, SpentError):
                    self._skip("the week's dollars are spent")
                elif isinstance(found, BaseException):
                    raise found
        return self._report(week, len(rows), pairs, known, state)

    async def _compared(self, drawn: Drawn, label: str) -> JudgedPair | str:
        """A sampled answer against another arm's, or the reason why the pair is skipped."""
        row, (_, judge) = drawn.row, self._judge
        if row.wire not in WIRES:
            return f"the wire {row.wire} is not put to other arms"
        if row.body.get("previous_response_id") or row.body.get("conversation"):
            return "it goes on with a stored conversation, which no other arm has"
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
        pair = JudgedPair(row.id, row.target, label, None, None, weight=drawn.weight, task=row.task or "")
        return await self._questions.judged(self._judge, pair, (request, given, other), frozenset())

    def _skip(self, reason: str) -> None:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1

    def _report(
        self,
        week: str,
        drawn: int,
        found: Sequence[tuple[JudgedPair, SampledAnswer]],
        known: Sequence[tuple[JudgedPair, Anchor]],
        state: JudgeState,
    ) -> tuple[WeekReport, JudgeState]:
        pairs = [pair for pair, _ in found]
        scored = [(pair.score, float(anchor.a_wins)) for pair, anchor in known if pair.score is not None]
        words = [(_word(judge), _word(label)) for judge, label in scored]
        agreed = agreement(words, Random(week))
        after = observed(state, week, sum(judge == label for judge, label in scored), len(scored))
        bias = biases([*pairs, *[pair for pair, _ in known]])
        void = ""
        if pairs and biases(pairs).failed > MOST_FAILED:
            void = f"{biases(pairs).failed:.0%} of the pairs have no verdict"
        elif after.drifted:
            void = f"the judge has changed: its verdicts are void since {after.good or 'its first run'}"
        believed = not void and agreed is not None and agreed.usable
        report = WeekReport(
            week,
            self._judge[1].label,
            drawn,
            tuple(pairs),
            () if void else tuple(_rates(pairs, [] if not believed else scored)),
            () if void else tuple(self._labels(found)),
            bias,
            agreed,
            FoundWinners(sum(judge == label for judge, label in scored), len(scored)),
            dict(self._skipped),
            round(self._questions.purse.spent, 6),
            void,
            believed,
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


def _word(score: float) -> str:
    return {1.0: "a", 0.0: "b"}.get(score, "tie")


def _rates(pairs: Sequence[JudgedPair], anchors: Sequence[tuple[float, float]]) -> list[WinRate]:
    groups: dict[tuple[str, str, str], list[JudgedPair]] = {}
    for pair in pairs:
        if pair.score is not None:
            groups.setdefault((pair.a, pair.b, pair.task), []).append(pair)
            groups.setdefault((pair.a, pair.b, ""), []).append(pair)
    rates = []
    for key, own in sorted(groups.items()):
        scores = [pair.score for pair in own if pair.score is not None]
        if len(scores) >= _FEWEST:
            right = corrected(scores, anchors) if anchors else None
            rates.append(WinRate(*key, mean(scores, [pair.weight for pair in own]), right))
    return rates


def week_of(now: float) -> str:
    """ "2026-W48", in UTC."""
    year, week, _ = datetime.fromtimestamp(now, UTC).isocalendar()
    return f"{year}-W{week:02d}"
