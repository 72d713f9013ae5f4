"""Bounds on rates, by the standard library. Pure.

wilson_upper              of a rate, from successes among trials; one-sided
clopper_pearson_upper     the same, exact: it covers at least as often as it says
clopper_pearson           two-sided, exact
two_sided_binomial        the probability of a count at least as far from one half
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb, exp, lgamma, log, log1p, sqrt

Z_95 = 1.645  # one-sided 95 %
_HALVINGS = 60


def wilson_upper(count: float, trials: float, z: float = Z_95) -> float:
    """The largest rate that `count` of `trials` speaks for; 1.0 without trials."""
    if not trials:
        return 1.0
    p = count / trials
    spread = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return min(1.0, (p + z * z / (2 * trials) + spread) / (1 + z * z / trials))


def clopper_pearson_upper(count: int, trials: int, alpha: float = 0.05) -> float:
    """The rate at which at most `count` of `trials` have probability alpha."""
    if count >= trials:
        return 1.0
    return _root(lambda rate: binomial_at_most(count, trials, rate) - alpha)


def clopper_pearson(count: int, trials: int, alpha: float = 0.05) -> tuple[float, float]:
    """An interval that holds the rate with probability 1 - alpha or more."""
    upper = clopper_pearson_upper(count, trials, alpha / 2)
    lower = 1.0 - clopper_pearson_upper(trials - count, trials, alpha / 2)
    return lower, upper


def binomial_at_most(count: int, trials: int, rate: float) -> float:
    """P(X <= count) for X of `trials` with `rate`."""
    if count >= trials or rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 0.0
    whole, up, down = lgamma(trials + 1), log(rate), log1p(-rate)
    terms = [
        exp(whole - lgamma(k + 1) - lgamma(trials - k + 1) + k * up + (trials - k) * down) for k in range(count + 1)
    ]
    return min(1.0, sum(terms))


def two_sided_binomial(count: int, trials: int) -> float:
    """P(X is at least as far from trials / 2 as count) for a fair coin; 1.0 without trials."""
    far = max(count, trials - count)
    tail = sum(comb(trials, k) for k in range(far, trials + 1))
    return min(1.0, 2 * (tail / (1 << trials)))


def _root(falling: Callable[[float], float]) -> float:
    """The place at which a falling function on [0, 1] crosses 0."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
