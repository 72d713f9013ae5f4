"""A confidence map fitted to judged answers of one model: a ridge logistic score of the features, then an isotonic map. Pure.

Everything that is said about the map's quality is measured on answers that it was not fitted on. Knows no model and no file.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from runtime.routing.confidence import FEATURES, ConfidenceMap

FEWEST_OF_A_KIND = 20  # right answers, and wrong ones, without which nothing can be told apart
_FOLDS = 5
_RIDGE = 1.0
_ROUNDS = 25
_GROUPS = 20  # of equal size; the isotonic map has at most so many points
_SMALLEST_GROUP = 10
_BINS = 10  # of equal size, for the calibration error
_LOGIT_BOUND = 30.0


class Judged(NamedTuple):
    """An answer. features: those of `runtime.routing.confidence`. right: it was."""

    features: tuple[float, ...]
    right: bool


class TooFewError(ValueError):
    """Too few answers, or nearly all of one kind; the text says how many there are."""


def fitted(rows: Sequence[Judged], model: str, revision: str, at: float) -> ConfidenceMap:
    """The map of a model. at: unix seconds. Raises TooFewError."""
    # Lines of one kind often stand together, or take turns: folds and halves are drawn, always in the same way.
    rows = random.Random(0).sample(rows, len(rows))
    right = sum(each.right for each in rows)
    if min(right, len(rows) - right) < FEWEST_OF_A_KIND:
        words = (
            f"{right} of {len(rows)} answers are right; at least {FEWEST_OF_A_KIND} right and as many wrong are needed"
        )
        raise TooFewError(words)
    scores = unseen_scores(rows)
    truths = [each.right for each in rows]
    whole = scored(rows, model, revision)
    points, shares = isotonic(scores, truths)
    auroc, error = auroc_of(scores, truths), split_error(scores, truths)
    return ConfidenceMap(
        model=model,
        revision=revision,
        center=whole.center,
        scale=whole.scale,
        weights=whole.weights,
        bias=whole.bias,
        scores=points,
        shares=shares,
        rows=len(rows),
        right=right,
        auroc=round(auroc, 4),
        error=round(error, 4),
        at=at,
    )


def unseen_scores(rows: Sequence[Judged]) -> list[float]:
    """The score of each answer by a fit that has not seen it: a map made of others would be too sure of itself."""
    scores = [0.0] * len(rows)
    for fold in range(_FOLDS):
        seen = scored([each for place, each in enumerate(rows) if place % _FOLDS != fold])
        for place in range(fold, len(rows), _FOLDS):
            scores[place] = seen.score(rows[place].features)
    return scores


def isotonic(scores: Sequence[float], truths: Sequence[bool]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Points of a map that never falls, from groups of neighbours whose shares are pooled where they fall (PAV).

    A share is that of the group and one right and one wrong answer more, so that no small group is certain of anything.
    """
    order = sorted(zip(scores, truths, strict=True))
    size = max(_SMALLEST_GROUP, math.ceil(len(order) / _GROUPS))
    blocks: list[tuple[float, int, int]] = []  # sum of scores, right, all
    end = 0
    while end < len(order):
        at, end = end, min(end + size, len(order))
        while end < len(order) and order[end][0] == order[end - 1][0]:  # equal scores are one group
            end += 1
        group = order[at:end]
        blocks.append((sum(score for score, _ in group), sum(truth for _, truth in group), len(group)))
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last, before = blocks.pop(), blocks.pop()
            blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    points = [(total / count, (right + 1) / (count + 2)) for total, right, count in blocks]
    rising = [points[0]]
    for score, share in points[1:]:
        if score > rising[-1][0]:
            rising.append((score, max(share, rising[-1][1])))
    return tuple(score for score, _ in rising), tuple(share for _, share in rising)


def auroc_of(scores: Sequence[float], truths: Sequence[bool]) -> float:
    """The share of pairs of a right and a wrong answer in which the right one scores higher; ties count half."""
    right = [score for score, truth in zip(scores, truths, strict=True) if truth]
    wrong = sorted(score for score, truth in zip(scores, truths, strict=True) if not truth)
    below = sum(bisect_right(wrong, score) for score in right)
    tied = sum(bisect_right(wrong, score) - bisect_left(wrong, score) for score in right)
    return (below - tied / 2) / (len(right) * len(wrong))


def calibration_error(shares: Sequence[float], truths: Sequence[bool], bins: int = _BINS) -> float:
    """The expected calibration error: mean distance of predicted and true share, over bins of equal size.

    A map of few points predicts the same for many: these count by their mean, in whatever bins they come to stand.
    """
    found: dict[float, list[bool]] = {}
    for share, truth in zip(shares, truths, strict=True):
        found.setdefault(share, []).append(truth)
    order = sorted((share, sum(found[share]) / len(found[share])) for share in shares)
    edges = [len(order) * place // bins for place in range(bins + 1)]
    total = 0.0
    for low, high in pairwise(edges):
        group = order[low:high]
        total += abs(sum(share for share, _ in group) - sum(truth for _, truth in group))
    return total / len(order)


def split_error(scores: Sequence[float], truths: Sequence[bool]) -> float:
    """The calibration error of maps fitted on one half and measured on the other, both ways."""
    errors = []
    for half in (0, 1):
        points, shares = isotonic(scores[half::2], truths[half::2])
        zero = (0.0,) * len(FEATURES)
        seen = ConfidenceMap("", "", zero, zero, zero, 0.0, points, shares)
        other = slice(1 - half, None, 2)
        errors.append(calibration_error([seen.share(score) for score in scores[other]], truths[other]))
    return sum(errors) / 2


def scored(rows: Sequence[Judged], model: str = "", revision: str = "") -> ConfidenceMap:
    """A map with the score alone: ridge logistic regression on standardized features, by Newton's steps."""
    columns = list(zip(*(each.features for each in rows), strict=True))
    center = [sum(column) / len(column) for column in columns]
    spread = [sum((value - mean) ** 2 for value in column) for column, mean in zip(columns, center, strict=True)]
    scale = [math.sqrt(total / len(rows)) or 1.0 for total in spread]
    inputs = [
        [1.0, *((value - mean) / width for value, mean, width in zip(each.features, center, scale, strict=True))]
        for each in rows
    ]
    size = len(FEATURES) + 1
    weights = [0.0] * size
    for _ in range(_ROUNDS):
        gradient = [0.0] + [-_RIDGE * weight for weight in weights[1:]]
        curve = [[_RIDGE if i == j and i else 0.0 for j in range(size)] for i in range(size)]
        for values, each in zip(inputs, rows, strict=True):
            logit = sum(w * v for w, v in zip(weights, values, strict=True))
            share = 1.0 / (1.0 + math.exp(-max(-_LOGIT_BOUND, min(_LOGIT_BOUND, logit))))
            for i, left in enumerate(values):
                gradient[i] += (each.right - share) * left
                for j in range(size):
                    curve[i][j] += share * (1.0 - share) * left * values[j]
        step = _solved(curve, gradient)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-8:
            break
    bias, *slopes = weights
    return ConfidenceMap(model, revision, tuple(center), tuple(scale), tuple(slopes), bias, (0.0,), (0.0,))


def _solved(matrix: list[list[float]], values: list[float]) -> list[float]:
    """The solution of a positive definite system, by Gauss and Jordan."""
    rows = [[*line, value] for line, value in zip(matrix, values, strict=True)]
    for at in range(len(rows)):
        best = max(range(at, len(rows)), key=lambda row: abs(rows[row][at]))
        rows[at], rows[best] = rows[best], rows[at]
        pivot = rows[at][at] or 1e-12
        rows[at] = [value / pivot for value in rows[at]]
        for row in range(len(rows)):
            if row != at and (factor := rows[row][at]):
                rows[row] = [value - factor * above for value, above in zip(rows[row], rows[at], strict=True)]
    return [row[-1] for row in rows]
