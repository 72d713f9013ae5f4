"""The trust that a judge deserves: agreement with anchors, biases with their intervals, and rates corrected by both. Pure.

Intervals are 95 %. A bias is reported with its interval, and flagged where it is certain at 1 %.
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
_Z = 1.96
_CERTAIN = 0.01
_RESAMPLES = 500
_STEPS = 25


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval. n: observations."""

    value: float
    low: float
    high: float
    n: int


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
    at_equal_length: win rate of a there. flagged: biases that are certain.
    """

    pairs: int
    failed: float
    flips: float
    first_share: Estimate | None
    p: float
    first_slot: Estimate | None
    length: Estimate | None
    at_equal_length: float | None
    flagged: tuple[str, ...]


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
    if line is not None and (line.slope.low > 0 or line.slope.high < 0):
        flagged.append("length")
    return BiasReport(
        len(pairs),
        failed,
        flips / len(found) if found else 0.0,
        share,
        p,
        mean(slots) if slots else None,
        line.slope if line else None,
        1 / (1 + exp(-line.intercept)) if line else None,
        tuple(flagged),
    )


def _slot(verdict: Better | None) -> float:
    return {"first": 1.0, "second": -1.0}.get(verdict or "", 0.0)


def mean(values: Sequence[float], weights: Sequence[float] | None = None) -> Estimate:
    """Of at least one value."""
    n = len(values)
    own = list(weights) if weights is not None else [1.0] * n
    total = sum(own)
    middle = sum(w * v for w, v in zip(own, values, strict=True)) / total
    spread = sqrt(sum((w * (v - middle)) ** 2 for w, v in zip(own, values, strict=True)) * n / max(1, n - 1)) / total
    return Estimate(middle, middle - _Z * spread, middle + _Z * spread, n)


def corrected(judged: Sequence[float], anchors: Sequence[tuple[float, float]]) -> Estimate:
    """A rate by the judge, put right by what it got wrong on anchors (judge's score, label): prediction-powered."""
    rate, wrong = mean(judged), mean([label - judge for judge, label in anchors])
    value = rate.value + wrong.value
    half = sqrt((rate.high - rate.value) ** 2 + (wrong.high - wrong.value) ** 2)
    return Estimate(value, value - half, value + half, len(judged))


class Agreement(msgspec.Struct, frozen=True):
    """Of a judge with labels. alpha: Krippendorff's. usable: the judge may be believed, not only heard."""

    share: float
    kappa: Estimate
    alpha: float

    @property
    def usable(self) -> bool:
        return self.kappa.n >= FEWEST_ANCHORS and self.kappa.value >= LEAST_KAPPA


def agreement(pairs: Sequence[tuple[str, str]], random: Random) -> Agreement | None:
    """pairs: the judge's word and the label. The interval is bootstrapped. None without any."""
    if not pairs:
        return None
    kappas = sorted(kappa([random.choice(pairs) for _ in pairs]) for _ in range(_RESAMPLES))
    low, high = kappas[int(0.025 * _RESAMPLES)], kappas[int(0.975 * _RESAMPLES)]
    share = sum(one == other for one, other in pairs) / len(pairs)
    return Agreement(share, Estimate(kappa(pairs), low, high, len(pairs)), alpha(pairs))


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
    intercept: float
    slope: Estimate


def logistic(xs: Sequence[float], won: Sequence[bool]) -> LogisticLine | None:
    """Intercept and slope of a logistic line, by Newton with a weak pull to 0; None with too little to fit."""
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
    half = _Z * sqrt(haa / by)
    return LogisticLine(a, Estimate(b, b - half, b + half, len(xs)))


def own_family(rows: Sequence[tuple[float, float, bool]]) -> Estimate | None:
    """The judge's favour for its own family. rows: its score, the label, and True for the own family."""
    own = [judge - label for judge, label, is_own in rows if is_own]
    others = [judge - label for judge, label, is_own in rows if not is_own]
    if not own or not others:
        return None
    one, other = mean(own), mean(others)
    half = sqrt((one.high - one.value) ** 2 + (other.high - other.value) ** 2)
    return Estimate(one.value - other.value, one.value - other.value - half, one.value - other.value + half, len(rows))
