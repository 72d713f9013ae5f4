"""The upper bound of a rate. Pure."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.645  # one-sided 95 %
Z_TWO_SIDED = 1.96  # 95 % between two bounds


def wilson_upper(count: float, trials: float, z: float = Z_95) -> float:
    """The largest rate that `count` of `trials` speaks for; 1.0 without trials."""
    if not trials:
        return 1.0
    p = count / trials
    spread = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return min(1.0, (p + z * z / (2 * trials) + spread) / (1 + z * z / trials))
