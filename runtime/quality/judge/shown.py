"""The judge and its weeks as `/hearth/quality` and the commands show them: counts and intervals, no single verdict. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from runtime.quality.judge.trust import Agreement, BiasReport, JudgedPair
from runtime.quality.judge.weekly import WeekReport, WinRate, word_of

OUTCOMES = ("a", "b", "tie", "flipped", "no_verdict")


class WeekView(msgspec.Struct, frozen=True, kw_only=True):
    """drawn: answers of the sample. pairs: what was put to the judge, by outcome: a (the sampled answer) or b better in both
    orders, a tie, flipped with the order, no verdict. labels: requests labelled for the calibration.
    """

    week: str
    judge: str
    believed: bool
    void: str
    drawn: int
    pairs: int
    outcomes: Mapping[str, int]
    rates: tuple[WinRate, ...]
    bias: BiasReport
    agreement: Agreement | None
    anchors: int
    labels: int
    skipped: Mapping[str, int]
    spent_usd: float


class JudgeView(msgspec.Struct, frozen=True, kw_only=True):
    """judge: its label, or its name in the settings; "" without one. trusted: its criteria count for drift. evidence: for a
    change of it. weeks: newest first.
    """

    judge: str
    trusted: bool
    trouble: str | None
    drifted: bool
    evidence: float
    weeks: Sequence[WeekView]


def outcome(pair: JudgedPair) -> str:
    """A word of OUTCOMES."""
    if pair.score is None:
        return "no_verdict"
    return "flipped" if pair.forward == pair.backward != "tie" else word_of(pair.score)


def week_view(report: WeekReport) -> WeekView:
    counts = Counter(map(outcome, report.pairs))
    return WeekView(
        week=report.week,
        judge=report.judge,
        believed=report.believed,
        void=report.void,
        drawn=report.drawn,
        pairs=len(report.pairs),
        outcomes={word: counts[word] for word in OUTCOMES},
        rates=report.rates,
        bias=report.bias,
        agreement=report.agreement,
        anchors=report.winners.anchors,
        labels=len(report.labels),
        skipped=report.skipped,
        spent_usd=report.spent_usd,
    )
