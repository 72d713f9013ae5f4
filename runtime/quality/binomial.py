"""Exact intervals for counts: of a share (Clopper-Pearson), and of a quantile (by ranks of the sorted values). Pure.

Both hold for independent requests, whatever the distribution is, and cover the true value at least as often as they claim.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

CONFIDENCE = 0.95
_NEGLIGIBLE = 1e-18
_HALVINGS = 50


def at_least(k: int, n: int, p: float) -> float:
    """The chance of k or more successes in n tries of chance p."""
    if k <= 0 or k > n:
        return float(k <= 0)
    if not 0 < p < 1:
        return float(p >= 1)
    # The terms of the shorter tail fall from its first one on.
    upper = k > n * p
    first = k if upper else k - 1
    log = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    term = math.exp(log + first * math.log(p) + (n - first) * math.log1p(-p))
    total = 0.0
    odds = p / (1 - p)
    at = first
    while 0 <= at <= n and term > _NEGLIGIBLE:
        total += term
        term *= odds * (n - at) / (at + 1) if upper else at / (odds * (n - at + 1))
        at += 1 if upper else -1
    return total if upper else 1.0 - total


def clopper_pearson(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The shares for which k of n is no surprise; (0, 1) of nothing."""
    rare = (1 - confidence) / 2
    if not n:
        return 0.0, 1.0
    low = _share_where(k, n, rare) if k else 0.0
    high = _share_where(k + 1, n, 1 - rare) if k < n else 1.0
    return low, high


def _share_where(k: int, n: int, chance: float) -> float:
    """The share at which k or more of n have this chance."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least(k, n, middle) < chance else (low, middle)
    return (low + high) / 2


def ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Two ranks, from 0 to n + 1, of n values in falling order, between which the value lies that a share p reaches.

    Rank 0 stands for everything above the first value, n + 1 for everything below the last.
    """
    rare = (1 - confidence) / 2
    every = range(n + 2)
    return (
        bisect_right(every, rare - 1, key=lambda k: -at_least(k, n, p)) - 1,
        bisect_left(every, -rare, key=lambda k: -at_least(k, n, p)),
    )
