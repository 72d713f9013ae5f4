"""The score of a prompt: its place among the prompts of the reference sample, a percentile in [0, 1), always finite.

First cut: words alone. The feature is the number of words (its logarithm would give the same percentile), the table its
quantiles over the sample that `scripts/fit_reference.py` reads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from runtime.routing.facts.reference import QUANTILES

HIGHEST = 0.9999  # below 1, so that a threshold of 1 is off


def score_of(text: str, task: str) -> float:
    """The percentile of a text, the user's last message. task: chooses the head that reads it, and gates nothing."""
    return min(HIGHEST, percentile(float(len(text.split()))))


def moving_words(text: str, task: str, most: int = 5) -> tuple[tuple[str, float], ...]:
    """The words that move the score of a text most, largest first: above 0 raises it. For explanations."""
    return ()


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
