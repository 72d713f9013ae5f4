"""Rules by which others raise an alarm on nightly pass rates, beside Hearth's detector, in the same worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import comb, erfc, sqrt
from random import Random

from runtime.quality.drift.baseline import RUNS
from runtime.quality.drift.stream import DriftRule
from scripts.drift.worlds import Model
from scripts.drift.years import lived

Nights = Sequence[Sequence[bool]]
NaiveRule = Callable[[Nights, Nights], Iterator[int]]
"""Takes the runs of the reference and the nights after it; gives the nights with an alarm, counted from 0."""


def rate(run: Sequence[bool]) -> float:
    return sum(run) / len(run)


def usual(reference: Nights) -> float:
    return sum(map(rate, reference)) / len(reference)


def below(points: float) -> NaiveRule:
    """Tonight is so many points below the reference."""

    def rule(reference: Nights, nights: Nights) -> Iterator[int]:
        least = usual(reference) - points / 100
        return (night for night, run in enumerate(nights) if rate(run) < least)

    return rule


def week_below(points: float) -> NaiveRule:
    """The mean of seven nights is so many points below the reference."""

    def rule(reference: Nights, nights: Nights) -> Iterator[int]:
        rates, least = [*map(rate, reference), *map(rate, nights)], usual(reference) - points / 100
        for night in range(len(nights)):
            recent = rates[max(0, night + len(reference) - 6) : night + len(reference) + 1]
            if sum(recent) / len(recent) < least:
                yield night

    return rule


def z_test(p: float) -> NaiveRule:
    """Tonight differs from the reference by a one-sided test of two rates."""

    def rule(reference: Nights, nights: Nights) -> Iterator[int]:
        before, many = usual(reference), len(reference) * len(reference[0])
        for night, run in enumerate(nights):
            pooled = (before * many + sum(run)) / (many + len(run))
            spread = sqrt(pooled * (1 - pooled) * (1 / many + 1 / len(run)))
            if spread and erfc((before - rate(run)) / spread / sqrt(2)) / 2 < p:
                yield night

    return rule


def twice(rule: NaiveRule) -> NaiveRule:
    """The same in two nights running."""
    return lambda reference, nights: (b for a, b in pairwise(rule(reference, nights)) if b == a + 1)


def mcnemar(p: float) -> NaiveRule:
    """More cases broke than mended since one night of reference, by a two-sided exact test."""

    def rule(reference: Nights, nights: Nights) -> Iterator[int]:
        first = reference[0]
        for night, run in enumerate(nights):
            broke = sum(a and not b for a, b in zip(first, run, strict=True))
            mended = sum(b and not a for a, b in zip(first, run, strict=True))
            n = broke + mended
            if broke > mended and 2 * sum(comb(n, k) for k in range(broke, n + 1)) / 2**n < p:
                yield night

    return rule


RULES: dict[str, NaiveRule] = {
    "tonight under the reference by 5 points": below(5),
    "tonight under the reference by 10 points": below(10),
    "mean of 7 nights under it by 5 points": week_below(5),
    "z-test, p < .05": z_test(0.05),
    "the same in two nights running": twice(z_test(0.05)),
    "z-test, p < .05 / 365": z_test(0.05 / 365),
    "McNemar against one night, p < .01": mcnemar(0.01),
}
OURS = "Hearth (A = 10,000)"


def alarms(name: str, before: Model, after: Model, nights: int, random: Random, *, latch: bool) -> list[int]:
    """The nights with an alarm of one rule after a reference by `before`."""
    if name == OURS:
        life = lived(lambda _: after, nights, random, DriftRule(), reference=before, latch=latch)
        return [each.night for each in life if each.demoted]
    reference = [before.night(random).run(random) for _ in range(RUNS)]
    return list(RULES[name](reference, [after.night(random).run(random) for _ in range(nights)]))
