"""A confidence map fitted to judged answers: what it can tell apart it does, and its quality is measured on other answers."""

from __future__ import annotations

import random

import pytest

from runtime.routing.calibration import (
    Judged,
    TooFewError,
    auroc_of,
    calibration_error,
    fitted,
    isotonic,
)


def answers(count: int, *, told: bool, seed: int = 1) -> list[Judged]:
    """Half of them right. told: the mean of the log probabilities goes with it."""
    chance, rows = random.Random(seed), []
    for number in range(count):
        right = number % 2 == 0
        mean = chance.gauss(1.0 if told and right else 0.0, 1.0)
        rows.append(Judged((mean, chance.gauss(), chance.gauss(), chance.gauss(), chance.gauss(), 0.0), right))
    return rows


def test_a_telling_feature_is_found() -> None:
    """The score separates as well as the feature itself does, and the map is calibrated on the other half."""
    rows = answers(800, told=True)
    found = fitted(rows, "m", "r", 7.0)
    best = auroc_of([each.features[0] for each in rows], [each.right for each in rows])
    assert found.auroc is not None and found.error is not None
    assert 0.7 < best < 0.82 and abs(found.auroc - best) < 0.02 and found.error < 0.08
    assert (found.model, found.revision, found.rows, found.right, found.at) == ("m", "r", 800, 400, 7.0)
    low, high = found.share(found.score((-2.0, 0, 0, 0, 0, 0))), found.share(found.score((3.0, 0, 0, 0, 0, 0)))
    assert low < 0.25 < 0.75 < high
    assert list(found.scores) == sorted(set(found.scores)) and list(found.shares) == sorted(found.shares)


def test_noise_tells_nothing() -> None:
    """Its AUROC, measured on answers that were not fitted on, is that of a coin, and the map is nearly level."""
    found = fitted(answers(800, told=False), "m", "r", 0.0)
    assert found.auroc is not None and abs(found.auroc - 0.5) < 0.06
    assert found.shares[-1] - found.shares[0] < 0.3


def test_a_feature_that_never_moves_is_harmless() -> None:
    """Every answer ended by itself: the column has no spread."""
    rows = [Judged((*each.features[:5], 1.0), each.right) for each in answers(200, told=True)]
    assert 0.0 < fitted(rows, "m", "", 0.0).share(0.0) < 1.0


def test_too_few_of_a_kind_are_refused() -> None:
    """A model that is nearly always right cannot be told apart from itself."""
    rows = [Judged(each.features, number >= 5) for number, each in enumerate(answers(300, told=True))]
    with pytest.raises(TooFewError, match="295 of 300 answers are right"):
        fitted(rows, "m", "", 0.0)
    with pytest.raises(TooFewError):
        fitted([], "m", "", 0.0)


def test_auroc_counts_pairs() -> None:
    """Ties count half."""
    assert auroc_of([3, 2, 1, 0], [True, True, False, False]) == 1.0
    assert auroc_of([0, 1, 2, 3], [True, True, False, False]) == 0.0
    assert auroc_of([1, 1, 1, 1], [True, False, True, False]) == 0.5
    assert auroc_of([2, 1, 1], [True, True, False]) == 0.75


def test_the_map_never_falls() -> None:
    """Where a higher score was right less often, neighbours share a point."""
    truths = [place % 20 < 12 for place in range(100)] + [place % 20 < 6 for place in range(100)]
    scores, shares = isotonic(range(200), truths)
    assert list(shares) == sorted(shares) and len(scores) == len(shares) < 20
    assert all(0.0 < share < 1.0 for share in shares)
    assert isotonic([1.0] * 30, [True, False] * 15) == ((1.0,), (0.5,))


def test_the_error_is_the_mean_distance() -> None:
    """Of what was predicted and what came true, bin by bin."""
    assert calibration_error([0.5] * 100, [True, False] * 50) == pytest.approx(0.0)
    assert calibration_error([0.9] * 100, [True, False] * 50) == pytest.approx(0.4)
