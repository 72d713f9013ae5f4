"""The trust that a judge deserves: agreement with anchors, biases with their intervals, and rates corrected by both. Pure.

Intervals are 95 %. A bias is reported with its interval, and flagged where it is certain at 1 %. An anchor is a pair whose
winner is known; its label is 1 if a is better, 0 if b is, 0.5 if they are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log2, sqrt
from random import Random
from typing import NamedTuple

import msgspec

from runtime.quality.binomial import at_least, clopper_pearson
from runtime.quality.judge.question import Better, score

FEWEST_ANCHORS = 40
LEAST_KAPPA = 0.6
FEWEST_LABELLED = 20  # pairs of the same two targets, labelled by people, for a correction by these alone
_Z = 1.96
_Z_CERTAIN = 2.576
_CERTAIN = 0.01
_FEWEST_OWN = 10  # anchors with an answer of the judge's own family
_LEAST_GAIN = 0.2
_RESAMPLES = 500
_STEPS = 25


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval. n: observations."""

    value: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


class JudgedPair(msgspec.Struct, frozen=True):
    """Two answers to one request, judged in both orders. a stood first in `forward`. None: no verdict.

    lengths: characters of both answers. weight: of the pair in a weighted mean.
    """

    id: str
    a: str
    b: str
    forward: Better | None
    backward: Better | None
    lengths: tuple[int, int] = (1, 1)
    weight: float = 1.0
    task: str = ""

    @property
    def score(self) -> float | None:
        """For a: 1, 0.5 or 0."""
        return score(self.forward, self.backward)


class BiasReport(msgspec.Struct, frozen=True):
    """Shares of pairs. failed: without a verdict. flips: the orders name different winners.

    first_share: of the flips, those that the first slot won; p: its probability without any bias. first_slot: share of
    questions in which the judge takes the first answer for its place. length: logistic slope for each doubling of the length;
    at_equal_length: win rate of a there. own_family: what an answer of the judge's family scores beyond others with the same
    label. repetition: share of the anchors decided twice that came out the same. flagged: biases that are certain.
    """

    pairs: int
    failed: float
    flips: float
    first_share: Estimate | None
    p: float
    first_slot: Estimate | None
    length: Estimate | None
    at_equal_length: Estimate | None
    flagged: tuple[str, ...]
    own_family: Estimate | None = None
    repetition: Estimate | None = None


def biases(pairs: Sequence[JudgedPair]) -> BiasReport:
    found = [each for each in pairs if each.score is not None]
    failed = 1 - len(found) / len(pairs) if pairs else 0.0
    # (1) The place: an unbiased judge that is torn takes either slot alike.
    firsts = sum(each.forward == each.backward == "first" for each in found)
    flips = firsts + sum(each.forward == each.backward == "second" for each in found)
    p = min(1.0, 2 * at_least(max(firsts, flips - firsts), flips, 0.5))
    share = Estimate(firsts / flips, *clopper_pearson(firsts, flips), flips) if flips else None
    slots = [(_slot(each.forward) + _slot(each.backward)) / 2 for each in found]
    # (2) The length, over pairs whose winner is certain.
    agreed = [each for each in found if each.score != 0.5 and min(each.lengths) > 0]
    line = logistic([log2(each.lengths[0] / each.lengths[1]) for each in agreed], [each.score == 1 for each in agreed])
    flagged = ["first_slot"] if p < _CERTAIN and firsts * 2 > flips else ["second_slot"] if p < _CERTAIN else []
    if line is not None and certain(line.slope):
        flagged.append("length")
    return BiasReport(
        len(pairs),
        failed,
        flips / len(found) if found else 0.0,
        share,
        p,
        rate(slots, span=(-1.0, 1.0)) if slots else None,
        line.slope if line else None,
        line.level if line else None,
        tuple(flagged),
    )


def with_anchors(
    report: BiasReport, family: Estimate | None, repeated: Sequence[tuple[float | None, float | None]]
) -> BiasReport:
    """The report with what anchors alone can show. repeated: both scores of each anchor that was decided twice."""
    both = [(one, other) for one, other in repeated if one is not None and other is not None]
    same = sum(one == other for one, other in both)
    return msgspec.structs.replace(
        report,
        own_family=family,
        repetition=Estimate(same / len(both), *clopper_pearson(same, len(both)), len(both)) if both else None,
        flagged=(*report.flagged, *(["own_family"] if family is not None and certain(family) else [])),
    )


def certain(found: Estimate) -> bool:
    """True if 0 is outside of the 99 % interval."""
    return abs(found.value) > found.half * _Z_CERTAIN / _Z


def _slot(verdict: Better | None) -> float:
    return {"first": 1.0, "second": -1.0}.get(verdict or "", 0.0)


def mean(
    values: Sequence[float], weights: Sequence[float] | None = None, span: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """Of at least one value. span: where values lie; some imagined ones at its ends keep few, equal values from looking certain
    (Agresti and Coull), and let the interval reach beyond it.
    """
    own = list(weights) if weights is not None else [1.0] * len(values)
    total = sum(own)
    n, more = total**2 / sum(w * w for w in own), _Z**2
    value = sum(w * v for w, v in zip(own, values, strict=True)) / total
    middle = (n * value + more * sum(span) / 2) / (n + more)
    around = n * sum(w * (v - middle) ** 2 for w, v in zip(own, values, strict=True)) / total
    around += more * sum((end - middle) ** 2 for end in span) / 2
    half = _Z * sqrt(around) / (n + more)
    return Estimate(value, min(value, middle - half), max(value, middle + half), len(values))


def rate(
    scores: Sequence[float], weights: Sequence[float] | None = None, span: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """The mean of scores, with an interval within their span."""
    found = mean(scores, weights, span)
    return Estimate(found.value, max(span[0], found.low), min(span[1], found.high), found.n)


def corrected(
    judged: Sequence[float], anchors: Sequence[tuple[float, float]], weights: Sequence[float] | None = None
) -> Estimate:
    """A rate by the judge, put right by its errors on pairs of the same kind (score, label): prediction-powered."""
    seen, wrong = mean(judged, weights), mean([label - judge for judge, label in anchors], span=(-1.0, 1.0))
    return _within(seen.value + wrong.value, sqrt(seen.half**2 + wrong.half**2), len(judged))


def stretched(
    judged: Sequence[float], anchors: Sequence[tuple[float, float]], weights: Sequence[float] | None = None
) -> Estimate | None:
    """The same by anchors of any kind. A judge that errs draws every rate to one half, by as much as its score of known
    winners falls short of 1. None for a judge that hardly knows them.
    """
    winners = [judge if label == 1 else 1 - judge for judge, label in anchors if label != 0.5]
    if not winners:
        return None
    seen, known = mean(judged, weights), mean(winners)
    gain = 2 * known.value - 1
    if gain < _LEAST_GAIN:
        return None
    off = (seen.value - 0.5) / gain
    half = sqrt(seen.half**2 + (2 * off * known.half) ** 2) / gain
    return _within(0.5 + off, half, len(judged))


def _within(value: float, half: float, n: int) -> Estimate:
    """A share with its interval, between 0 and 1."""
    low, middle, high = (max(0.0, min(1.0, each)) for each in (value - half, value, value + half))
    return Estimate(middle, low, high, n)


class Agreement(msgspec.Struct, frozen=True):
    """Of a judge with labels. alpha: Krippendorff's, with every person's label. people: the same among the people alone, None
    where no anchor has two labels. usable: the judge may be believed, not only heard.
    """

    share: float
    kappa: Estimate
    alpha: float
    people: float | None = None

    @property
    def usable(self) -> bool:
        return self.kappa.n >= FEWEST_ANCHORS and self.kappa.value >= LEAST_KAPPA


def agreement(
    pairs: Sequence[tuple[str, str]], random: Random, votes: Sequence[Sequence[str]] = ()
) -> Agreement | None:
    """pairs: the judge's word and the label. votes: for each of them, every person's label, where a person gave one. The
    interval is bootstrapped. None without any pair.
    """
    if not pairs:
        return None
    kappas = sorted(kappa([random.choice(pairs) for _ in pairs]) for _ in range(_RESAMPLES))
    low, high = kappas[int(0.025 * _RESAMPLES)], kappas[int(0.975 * _RESAMPLES)]
    share = sum(one == other for one, other in pairs) / len(pairs)
    every = votes or [()] * len(pairs)
    units = [(judge, *(own or (label,))) for (judge, label), own in zip(pairs, every, strict=True)]
    people = [own for own in every if len(own) > 1]
    return Agreement(
        share,
        Estimate(kappa(pairs), low, high, len(pairs)),
        alpha(units),
        alpha(people) if people else None,
    )


def kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Cohen's, of two raters. 1.0 where both know one word alone."""
    n = len(pairs)
    seen = sum(one == other for one, other in pairs) / n
    left, right = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    chance = sum(left[word] * right[word] for word in left) / n**2
    return 1.0 if chance == 1 else (seen - chance) / (1 - chance)


def alpha(units: Sequence[Sequence[str]]) -> float:
    """Krippendorff's, nominal, of two raters or more; units with a single word count for nothing."""
    usable = [unit for unit in units if len(unit) > 1]
    words = Counter(word for unit in usable for word in unit)
    n = words.total()
    if n < 2 or len(words) < 2:
        return 1.0
    apart = sum((len(unit) ** 2 - sum(c * c for c in Counter(unit).values())) / (len(unit) - 1) for unit in usable)
    expected = (n * n - sum(count * count for count in words.values())) / (n - 1)
    return 1 - apart / expected


class LogisticLine(NamedTuple):
    """level: the share of the won at x = 0. slope: of the logit."""

    level: Estimate
    slope: Estimate


def logistic(xs: Sequence[float], won: Sequence[bool]) -> LogisticLine | None:
    """Level and slope of a logistic line, by Newton with a weak pull to 0; None with too little to fit."""
    if len(xs) < 10 or all(won) or not any(won) or max(xs) - min(xs) < 1e-9:
        return None
    a = b = 0.0
    pull = 0.01  # keeps the fit finite where the length alone separates the winners
    for _ in range(_STEPS):
        chance = [1 / (1 + exp(-max(-30.0, min(30.0, a + b * x)))) for x in xs]
        weight = [p * (1 - p) for p in chance]
        ga = sum(w - p for p, w in zip(chance, won, strict=True)) - pull * a
        gb = sum((w - p) * x for p, w, x in zip(chance, won, xs, strict=True)) - pull * b
        haa, hab = sum(weight) + pull, sum(w * x for w, x in zip(weight, xs, strict=True))
        hbb = sum(w * x * x for w, x in zip(weight, xs, strict=True)) + pull
        by = haa * hbb - hab * hab
        a, b = a + (hbb * ga - hab * gb) / by, b + (haa * gb - hab * ga) / by
    at, half = _Z * sqrt(hbb / by), _Z * sqrt(haa / by)
    level, low, high = (1 / (1 + exp(-max(-30.0, min(30.0, logit)))) for logit in (a, a - at, a + at))
    return LogisticLine(Estimate(level, low, high, len(xs)), Estimate(b, b - half, b + half, len(xs)))


def own_family(rows: Sequence[tuple[float, float, bool]]) -> Estimate | None:
    """The judge's favour for its own family: its score of an answer of that family, less that of others with the same label.

    rows: the score of one answer of an anchor, its label, and True for the own family. None with too few.
    """
    value = variance = 0.0
    strata = []
    for label in sorted({label for _, label, _ in rows}):
        own = [score for score, of, is_own in rows if of == label and is_own]
        others = [score for score, of, is_own in rows if of == label and not is_own]
        if own and others:
            strata.append((mean(own), mean(others)))
    n = sum(one.n for one, _ in strata)
    if n < _FEWEST_OWN:
        return None
    for one, other in strata:
        share = one.n / n
        value += share * (one.value - other.value)
        variance += share**2 * (one.half**2 + other.half**2)
    return Estimate(value, value - sqrt(variance), value + sqrt(variance), n)
