"""Evidence that a rate fell below a floor, or rose above it, run by run. Pure.

Each run multiplies: e = prod(1 + bet (floor - score)) over its cases, scores in [0, 1]. While the mean true rate is at least
the floor, E[e] <= 1, however the cases differ (by the inequality of means) and whatever nights have in common. M <- (M + 1) e
restarts at every run, so that M less the number of runs is a supermartingale: P(M >= A within T runs) <= T / A. Averages
and caps keep that. One M for each size of drop, since the best bet depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log1p

STEPS = (0.04, 0.08, 0.16, 0.35)  # drops that are looked for
_CERTAIN = 0.97  # no alternative's failure rate is above it
_SURE = 0.995  # nor is the pass rate of a return above this
_LARGEST = 1e300
_LARGEST_LOG = 600.0

Scores = Mapping[float, int]
"""Numbers of cases of a run by score, 1 for a pass to 0 for a failure."""


def fallen(m: Sequence[float], scores: Scores, floor: float, cap: float) -> tuple[float, ...]:
    """The evidence by STEPS that the rate is below a floor, after one more run. cap: log of a run's largest factor."""
    f0, after = 1 - floor, []
    for before, step in zip(m, STEPS, strict=True):
        f1 = min(f0 + step, _CERTAIN)
        bet = max(0.0, (f1 - f0) / (f0 * (1 - f0))) if 0 < f0 < 1 else 0.0
        run = sum([count * log1p(bet * (floor - score)) for score, count in scores.items()])
        after.append(min(_LARGEST, (before + 1) * exp(min(run, cap, _LARGEST_LOG))))
    return tuple(after)


def risen(m: float, scores: Scores, floor: float, wanted: float, cap: float) -> float:
    """The evidence that the rate is above a floor, after one more run. wanted: the rate it would have."""
    bet = max(0.0, (min(wanted, _SURE) - floor) / (floor * (1 - floor))) if 0 < floor < 1 else 0.0
    run = sum([count * log1p(bet * (score - floor)) for score, count in scores.items()])
    return min(_LARGEST, (m + 1) * exp(min(run, cap, _LARGEST_LOG)))
