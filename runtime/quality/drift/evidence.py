"""Evidence that a rate fell below a floor, or rose above it, run by run. Pure.

Each run multiplies: e = prod(1 + bet (floor - score)) over its cases, scores in [0, 1]. While the mean true rate is at least
the floor, E[e] <= 1, however the cases differ (by the inequality of means) and whatever nights have in common. M <- (M + 1) e
restarts at every run, so that M less the number of runs is a supermartingale: P(M >= A within T runs) <= T / A. Averages
and caps keep that. One M for each size of drop, since the best bet depends on it.

The cases have to be independent given the past. Those of one cluster may fail together, and count as one observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log1p
from typing import NamedTuple

STEPS = (0.04, 0.08, 0.16, 0.35)  # drops that are looked for
_CERTAIN = 0.97  # no alternative's failure rate is above it
_SURE = 0.995  # nor is the pass rate of a return above this
_LARGEST = 1e300
_LARGEST_LOG = 600.0

Scores = Mapping[float, int]
"""Numbers of observations of a run by score, 1 for a pass to 0 for a failure; of a weighted one it may lie beyond."""


class Observations(NamedTuple):
    """The independent observations of a run. heaviest: the largest weight of one; 1 where no case names a cluster."""

    scores: Scores
    heaviest: float = 1.0


def observations(cases: Iterable[tuple[str, float]], floor: float) -> Observations:
    """The independent observations of a run. cases: the cluster of each ("" for none) and its score.

    A cluster is one observation, the mean of its cases, with the weight of as many: E[e] <= 1 holds for the mean over all
    cases. Its factor 1 + bet weight (floor - score) is that of a score which is so many times as far from the floor.
    """
    plain, clusters = Counter[float](), dict[str, list[float]]()
    for cluster, score in cases:
        if cluster:
            clusters.setdefault(cluster, []).append(score)
        else:
            plain[score] += 1
    if not clusters:
        return Observations(plain)
    share = (plain.total() + len(clusters)) / (plain.total() + sum(map(len, clusters.values())))
    found = Counter({floor + share * (score - floor): count for score, count in plain.items()})
    for own in clusters.values():
        found[floor + share * (sum(own) - len(own) * floor)] += 1
    return Observations(found, max(1.0, share * max(map(len, clusters.values()))))


def fallen(m: Sequence[float], scores: Scores, floor: float, cap: float, heaviest: float = 1.0) -> tuple[float, ...]:
    """The evidence by STEPS that the rate is below a floor, after one more run. cap: log of a run's largest factor.

    heaviest: the largest weight of an observation: the bets are so small that no factor can fall to zero.
    """
    f0, after = 1 - floor, []
    for before, step in zip(m, STEPS, strict=True):
        f1 = min(f0 + step, _CERTAIN)
        bet = min(_CERTAIN / (heaviest * f0), max(0.0, (f1 - f0) / (f0 * (1 - f0)))) if 0 < f0 < 1 else 0.0
        run = sum([count * log1p(bet * (floor - score)) for score, count in scores.items()])
        after.append(min(_LARGEST, (before + 1) * exp(min(run, cap, _LARGEST_LOG))))
    return tuple(after)


def risen(m: float, seen: Observations, floor: float, wanted: float, cap: float) -> float:
    """The evidence that the rate is above a floor, after one more run. wanted: the rate it would have."""
    bet = max(0.0, (min(wanted, _SURE) - floor) / (floor * (1 - floor))) if 0 < floor < 1 else 0.0
    bet = min(bet, _SURE / (seen.heaviest * floor)) if bet else 0.0
    run = sum([count * log1p(bet * (score - floor)) for score, count in seen.scores.items()])
    return min(_LARGEST, (m + 1) * exp(min(run, cap, _LARGEST_LOG)))
