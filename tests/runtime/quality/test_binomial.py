"""Exact intervals: against sums of the binomial distribution, and against how often they cover what is true."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.quality.binomial import at_least, clopper_pearson, ranks
from tests.runtime.routing.boxes import CALM


def summed(k: int, n: int, p: float) -> float:
    return math.fsum(math.comb(n, at) * p**at * (1 - p) ** (n - at) for at in range(k, n + 1))


@settings(max_examples=100, **CALM)
@given(st.integers(1, 60), st.data(), st.floats(0.001, 0.999))
def test_the_tail_is_the_sum_of_its_terms(n: int, data: st.DataObject, p: float) -> None:
    """From 0 to n, and beyond both."""
    k = data.draw(st.integers(0, n))
    assert at_least(k, n, p) == pytest.approx(summed(k, n, p), abs=1e-12)
    assert (at_least(0, n, p), at_least(n + 1, n, p)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (2, 50, 0.0049, 0.1371), (0, 0, 0.0, 1.0)],
)
def test_intervals_of_the_tables(k: int, n: int, low: float, high: float) -> None:
    """Clopper and Pearson's values, as printed in tables."""
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=60, **CALM)
@given(st.integers(1, 300), st.floats(0.01, 0.99))
def test_the_ranks_are_the_narrowest_that_leave_out_a_fortieth_on_each_side(n: int, p: float) -> None:
    """One rank further in would leave out more."""
    low, high = ranks(n, p)
    assert 0 <= low <= high <= n + 1
    assert 1 - at_least(low, n, p) <= 0.025 < 1 - at_least(low + 1, n, p)
    assert at_least(high, n, p) <= 0.025 < at_least(high - 1, n, p) or high == 0


@pytest.mark.parametrize("p", [0.05, 0.2, 0.7])
def test_a_share_is_covered_as_often_as_claimed(p: float) -> None:
    """In at least 90 of 100 seeds; 95 and more are expected."""
    covered = 0
    for seed in range(100):
        drawn = random.Random(seed)
        low, high = clopper_pearson(sum(drawn.random() < p for _ in range(150)), 150)
        covered += low <= p <= high
    assert covered >= 90
