"""Figures of a router: what it recovers of the gap between always local and always cloud, and how firm its decisions are.

APGR is the area under the recovered share of the gap over the share of strong calls from 0 to 1; a random router has 0.5.
Prompts of equal score enter together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHARES = (0.2, 0.38, 0.5, 0.8)  # of prompts that leave; 0.38 is the default threshold of 0.62
RESAMPLES = 400


def curve(scores: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of strong calls, and the mean quality at each, exact."""
    order = np.argsort(-scores, kind="stable")
    ordered, gain = scores[order], (strong - weak)[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) + 1
    return np.r_[0, ends / len(scores)], weak.mean() + np.r_[0, np.cumsum(gain)[ends - 1] / len(scores)]


def apgr(scores: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> float:
    shares, quality = curve(scores, weak, strong)
    recovered = (quality - weak.mean()) / (strong.mean() - weak.mean())
    return float(((recovered[1:] + recovered[:-1]) / 2 * np.diff(shares)).sum())


def above_line(scores: np.ndarray, weak: np.ndarray, strong: np.ndarray, share: float) -> float:
    """Quality at a share of strong calls, less that of a random router with the same share, in hundredths."""
    shares, quality = curve(scores, weak, strong)
    return float(100 * (np.interp(share, shares, quality) - weak.mean() - share * (strong.mean() - weak.mean())))


def interval(
    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    scores: np.ndarray,
    weak: np.ndarray,
    strong: np.ndarray,
) -> tuple[float, float]:
    """The 95 % interval of a figure over resampled prompts."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        rows = draw.integers(0, len(scores), len(scores))
        if strong[rows].mean() - weak[rows].mean() > 1e-9:
            found.append(figure(scores[rows], weak[rows], strong[rows]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def flips(before: np.ndarray, after: np.ndarray) -> float:
    """The share of decisions that padding changes, at the worst of SHARES."""
    return max(flipped(before, after, float(np.quantile(before, 1 - share))) for share in SHARES)


def flipped(before: np.ndarray, after: np.ndarray, threshold: float) -> float:
    return float(np.mean((before >= threshold) != (after >= threshold)))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
