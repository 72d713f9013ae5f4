"""The controller of `cloud_share`: the share it holds, and how little it moves."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.load.cloud_share import STEP, WINDOW, CloudShare
from tests.runtime.routing.boxes import CALM

shares = st.floats(0.01, 0.99)
starts = st.floats(0.0, 0.99)


def served(moved: CloudShare, start: float, scores: list[float], late: int = 0) -> list[float]:
    """The thresholds of all requests. late: a request is counted after so many others were decided."""
    thresholds: list[float] = []
    pending: list[bool] = []
    for score in scores:
        threshold = max(0.0, min(start + moved.shift, 1.0))
        thresholds.append(threshold)
        pending.append(threshold < 1 and score >= threshold)
        if len(pending) > late:
            moved.count(pending.pop(0))
    return thresholds


@settings(max_examples=60, **CALM)
@given(shares, starts, st.lists(st.floats(0.0, 0.999), min_size=1, max_size=20))
def test_the_share_is_held_whatever_the_scores_are(wanted: float, start: float, scores: list[float]) -> None:
    """Over N requests it misses by at most (1 + 2 steps) / (step x N), in any order of any scores."""
    moved = CloudShare(wanted, [start], step=0.05, window=400)
    served(moved, start, (scores * 800)[:800])
    assert moved.share is not None
    assert abs(moved.share - wanted) <= (1 + 2 * 0.05) / (0.05 * 400) + 1e-3


@settings(max_examples=60, **CALM)
@given(shares, starts, st.lists(st.floats(0.0, 0.999), max_size=30))
def test_no_request_moves_a_threshold_by_more_than_a_step(wanted: float, start: float, scores: list[float]) -> None:
    """From the configured threshold on."""
    thresholds = served(CloudShare(wanted, [start]), start, scores)
    assert thresholds[:1] in ([], [start])
    assert all(abs(a - b) <= STEP + 1e-3 for a, b in pairwise(thresholds))


@pytest.mark.parametrize("late", [0, 50])
@pytest.mark.parametrize(("wanted", "start"), [(0.05, 0.62), (0.2, 0.62), (0.5, 0.1), (0.9, 0.99)])
def test_it_settles_and_does_not_swing(wanted: float, start: float, late: int) -> None:
    """On even scores: after 2,000 requests within 2 points, its threshold in a narrow band, with 50 in flight too."""
    drawn = random.Random(1)
    moved = CloudShare(wanted, [start])
    thresholds = served(moved, start, [drawn.random() for _ in range(4000)], late)
    assert moved.counted == WINDOW
    assert moved.share == pytest.approx(wanted, abs=0.02)
    settled = thresholds[2000:]
    assert sum(settled) / len(settled) == pytest.approx(1 - wanted, abs=0.05)
    assert max(settled) - min(settled) < 0.35


def test_it_follows_traffic_that_becomes_harder() -> None:
    """All scores grow by a half: a thousand requests later the share is the wanted one again."""
    drawn = random.Random(2)
    moved = CloudShare(0.2, [0.62])
    scores = [drawn.random() / 2 for _ in range(2000)] + [0.5 + drawn.random() / 2 for _ in range(2000)]
    served(moved, 0.62, scores)
    assert moved.share == pytest.approx(0.2, abs=0.03)


def test_it_does_not_wind_up() -> None:
    """A share that cannot be reached moves the threshold to its end and no further."""
    moved = CloudShare(0.5, [0.62, 0.4, 1.0])
    for _ in range(5000):
        moved.count(False)
    assert (moved.shift, moved.share, moved.counted) == (-0.63, 0.0, WINDOW)
    for _ in range(5000):
        moved.count(True)
    assert moved.shift == 0.61
