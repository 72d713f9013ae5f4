"""The bound that everything rests on: while the rate is at the floor, a run's factor is at most one in the mean."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from math import inf, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.quality.drift.baseline import CaseReference, baseline
from runtime.quality.drift.evidence import STEPS, Observations, fallen, observations, risen

NONE = (0.0,) * len(STEPS)
SIZES_AND_CHANCES = st.lists(st.tuples(st.integers(1, 12), st.floats(0.3, 1.0)), min_size=1, max_size=5)


def expected(families: Sequence[tuple[int, float]], floor: float, *, named: bool) -> tuple[list[float], float]:
    """The mean factors of a run, down by STEPS and up, over families that pass or fail as a whole. families: size, chance."""
    down, up = [0.0] * len(STEPS), 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=len(families)):
        chance = prod(p if passed else 1 - p for passed, (_, p) in zip(outcome, families, strict=True))
        cases = [
            (str(number) if named else "", passed)
            for number, (passed, (size, _)) in enumerate(zip(outcome, families, strict=True))
            for _ in range(size)
        ]
        seen = observations(cases, floor)
        factors = fallen(NONE, seen.scores, floor, inf, seen.heaviest)
        down = [total + chance * each for total, each in zip(down, factors, strict=True)]
        up += chance * risen(0.0, seen, floor, 0.99, inf)
    return down, up


def rate(families: Sequence[tuple[int, float]]) -> float:
    return sum(size * chance for size, chance in families) / sum(size for size, _ in families)


@settings(max_examples=50)
@given(SIZES_AND_CHANCES)
def test_a_rate_at_the_floor_gains_nothing_in_the_mean(families: list[tuple[int, float]]) -> None:
    """Whatever the sizes of clusters are, and although the cases of each fail together; the same for a return."""
    floor = min(rate(families), 0.99)
    down, up = expected(families, floor, named=True)
    assert max(*down, up) <= 1 + 1e-9


def test_without_names_such_families_pass_for_evidence() -> None:
    """The bound holds for independent cases alone."""
    families = [(8, 0.9)] * 4
    assert max(expected(families, 0.9, named=False)[0]) > 10
    assert max(expected(families, 0.9, named=True)[0]) <= 1 + 1e-9


def test_cases_without_a_cluster_are_observations_of_their_own() -> None:
    """A cluster is one, by its mean and with its weight; one of a single case changes nothing."""
    assert observations([("", 1.0), ("", 0.0), ("", 1.0)], 0.9) == Observations(Counter({1.0: 2, 0.0: 1}), 1.0)
    alone = observations([("a", 1.0), ("b", 0.0), ("", 1.0)], 0.9)
    assert alone.heaviest == 1.0
    assert sorted(alone.scores) == pytest.approx([0.0, 1.0])
    assert sorted(alone.scores.values()) == [1, 2]
    mixed = observations([("a", 1.0), ("a", 0.0), ("", 1.0)], 0.9)
    assert mixed.heaviest == pytest.approx(4 / 3)
    assert sum(count * (0.9 - score) for score, count in mixed.scores.items()) == pytest.approx(2 * (0.9 - 2 / 3))


def test_clusters_widen_the_bound_of_a_reference() -> None:
    """Eighty cases of eight templates say as much as eight; single ones as much as they are."""
    alone = baseline([CaseReference("a", runs=5) for _ in range(80)], 0.03)
    single = baseline([CaseReference("a", runs=5, cluster=str(number)) for number in range(80)], 0.03)
    tens = baseline([CaseReference("a", runs=5, cluster=str(number // 10)) for number in range(80)], 0.03)
    eight = baseline([CaseReference("a", runs=5) for _ in range(8)], 0.03)
    assert alone == single
    assert tens.whole.floor == pytest.approx(eight.whole.floor)
    assert tens.whole.floor < alone.whole.floor - 0.04
    assert tens.steady is not None and eight.steady is not None
    assert tens.steady.floor == pytest.approx(eight.steady.floor)
