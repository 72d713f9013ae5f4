"""The reference of a stream: how its cases did in their first K answers with a verdict. It is frozen, case by case. Pure.

A reference that rolled on would swallow a slow decline. A case that is added or edited counts once it has K of its own.
The bounds of its rates are by cluster: cases that may fail together say less than as many others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from runtime.quality.drift.bounds import wilson_upper
from runtime.quality.values import CaseResult, Grade, OwnReference

RUNS = 5  # K
_NO_ANSWER = frozenset({Grade.NO_VERDICT, Grade.REJECTED})


class CaseReference(msgspec.Struct, frozen=True, array_like=True):
    """The first verdicts on one case. hash: of the case as it was asked. cluster: the latest, "" without one."""

    hash: str
    fails: int = 0
    runs: int = 0
    cluster: str = ""

    @property
    def complete(self) -> bool:
        return self.runs >= RUNS


class Scored(NamedTuple):
    """One case of one run. passed: None without a verdict. kind: the class of the result."""

    case: str
    hash: str
    passed: bool | None
    kind: str
    cluster: str = ""


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
        frozen = each.passed is None or (known is not None and known.complete)
        if frozen and (known is None or known.cluster == each.cluster):
            continue
        after = dict(cases) if after is None else after
        old, more = known or CaseReference(each.hash), 0 if frozen else 1
        fails = old.fails + (more if each.passed is False else 0)
        after[each.case] = CaseReference(each.hash, fails, old.runs + more, each.cluster)
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
    clusters, steadies = Counter[str](), Counter[str]()
    for each in references:
        cases += 1
        fails += each.fails
        once += each.fails == 1
        clusters[each.cluster] += 1
        if not each.fails:
            steady += 1
            steadies[each.cluster] += 1

    def floor(count: int, trials: int, share: float) -> Floor:
        """share: of the trials that count as independent."""
        return Floor(1 - count / trials, 1 - (wilson_upper(count * share, trials * share) + tolerance))

    whole = floor(fails, cases * RUNS, independent(clusters)) if cases else Floor(0.0, -tolerance)
    if not steady:
        return Baseline(cases, whole, None)
    # Good and Turing: cases that failed once say how often a case that never failed will.
    return Baseline(cases, whole, floor(once, RUNS * steady + once, independent(steadies)))


def independent(clusters: Counter[str]) -> float:
    """The share of cases that count as independent (Kish): 1 where each is of its own. clusters: sizes; "": of none."""
    cases = clusters.total()
    return cases / sum(count * count if name else count for name, count in clusters.items())
