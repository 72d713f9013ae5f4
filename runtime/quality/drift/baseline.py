"""The reference of a stream: how its cases did in their first K answers with a verdict. It is frozen, case by case. Pure.

A reference that rolled on would swallow a slow decline. A case that is added or edited counts once it has K of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from runtime.quality.drift.bounds import wilson_upper
from runtime.quality.values import CaseResult, Grade, OwnReference

RUNS = 5  # K
_NO_ANSWER = frozenset({Grade.NO_VERDICT, Grade.REJECTED})


class CaseReference(msgspec.Struct, frozen=True, array_like=True):
    """The first verdicts on one case. hash: of the case as it was asked."""

    hash: str
    fails: int = 0
    runs: int = 0

    @property
    def complete(self) -> bool:
        return self.runs >= RUNS


class Scored(NamedTuple):
    """One case of one run. passed: None without a verdict. kind: the class of the result."""

    case: str
    hash: str
    passed: bool | None
    kind: str


class Floor(NamedTuple):
    """rate: of the reference. floor: the rate below which the model is worse than its reference by more than is tolerated."""

    rate: float
    floor: float


class Baseline(NamedTuple):
    """cases: those that count. whole: of all of them. steady: of those that never failed, None where there are none."""

    cases: int
    whole: Floor
    steady: Floor | None


def learned(cases: Mapping[str, CaseReference], run: Iterable[Scored]) -> Mapping[str, CaseReference]:
    """The references after one more run: verdicts go to the cases that lack some."""
    after: dict[str, CaseReference] | None = None
    for each in run:
        known = cases.get(each.case)
        if known is not None and known.hash != each.hash:
            known = None
        if each.passed is None or (known is not None and known.complete):
            continue
        after = dict(cases) if after is None else after
        old = known or CaseReference(each.hash)
        after[each.case] = CaseReference(each.hash, old.fails + (not each.passed), old.runs + 1)
    return cases if after is None else after


def collected(own: Mapping[str, OwnReference], run: str, rows: Iterable[CaseResult]) -> Mapping[str, OwnReference]:
    """The first answers to open-ended cases after one more run: the same value where nothing was lacking."""
    after: dict[str, OwnReference] | None = None
    for row in rows:
        if not row.open_ended or row.grade in _NO_ANSWER:
            continue
        known = own.get(row.key.case)
        answers = known.answers if known is not None and known.hash == row.case_hash else ()
        if len(answers) < RUNS:
            after = dict(own) if after is None else after
            after[row.key.case] = OwnReference(row.case_hash, (*answers, (run, row.key.repeat)))
    return own if after is None else after


def baseline(references: Iterable[CaseReference], tolerance: float) -> Baseline:
    """The floors over complete references."""
    cases = fails = steady = once = 0
    for each in references:
        cases += 1
        fails += each.fails
        steady += not each.fails
        once += each.fails == 1
    trials = cases * RUNS
    whole = Floor(1 - fails / trials if trials else 0.0, 1 - (wilson_upper(fails, trials) + tolerance))
    if not steady:
        return Baseline(cases, whole, None)
    # Good and Turing: cases that failed once say how often a case that never failed will.
    seen = RUNS * steady + once
    return Baseline(cases, whole, Floor(1 - once / seen, 1 - (wilson_upper(once, seen) + tolerance)))
