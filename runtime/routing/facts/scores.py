"""The score of a prompt: its place among the prompts of the reference sample, a percentile in [0, 1].

First cut: words alone. The feature is the number of words (its logarithm would give the same percentile), the table its
quantiles over the sample that `scripts/fit_reference.py` reads. Words alone beat nothing on open chat (they are even
reversed there), so `complexity` does not act upon this score; scores fitted on gain take its place under the same name
and scale.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from runtime.routing.facts.reference import QUANTILES


def score_of(words: int) -> float:
    """The percentile of a prompt of so many words, always finite. More words never score less."""
    return percentile(float(words))


def percentile(feature: float) -> float:
    """The place of a value in the table: linear between quantiles, the middle of a run of equal ones."""
    low, high = bisect_left(QUANTILES, feature), bisect_right(QUANTILES, feature)
    last = len(QUANTILES) - 1
    if low < high:
        return (low + high - 1) / 2 / last
    if low == 0:
        return 0.0
    if low > last:
        return 1.0
    below, above = QUANTILES[low - 1], QUANTILES[low]
    return (low - 1 + (feature - below) / (above - below)) / last
