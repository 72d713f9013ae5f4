"""The detector in simulated worlds: how often a healthy model is demoted, and how soon a bad one.

A few model-years run with the fast tests; 200 of each with the slow ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import pytest

from runtime.quality.drift.baseline import RUNS, CaseReference, baseline
from runtime.quality.drift.stream import DriftRule
from scripts.drift.slides import LEAST, rates
from scripts.drift.worlds import FAMILY, Drop, Model, WorldName
from scripts.drift.years import Switch, first, lived, models, quantiles

RULE = DriftRule(tolerance=0.03, bar=10_000.0)
YEAR = 365


def slow(test: Callable[..., None]) -> Callable[..., None]:
    """Minutes of one core."""
    marked: Callable[..., None] = pytest.mark.slow(pytest.mark.timeout(1800)(test))
    return marked


def always(model: Model) -> Callable[[int], Model]:
    """The same model every night."""
    return lambda night: model


def switch(night: int, before: Model, after: Model, at: int) -> Model:
    """Another model from a night on."""
    return before if night < at else after


def years(count: int, world: WorldName, lower: float = 0.0) -> list[list[Switch]]:
    """Years at a rate a little lower than in the reference; a model that is demoted begins anew at once."""
    return [
        list(
            lived(
                always(usual.at(usual.rate - lower, "slide", random)), YEAR, random, RULE, reference=usual, latch=False
            )
        )
        for usual, random in models(world, count)
    ]


def delays(
    count: int, world: WorldName, rate: float, drop: Drop, *, cases: int = 80, timeouts: float = 0.0
) -> list[float]:
    """Nights until a demotion after a drop, which comes after ten usual nights."""
    found = []
    for usual, random in models(world, count, cases, seed=9):
        lives = partial(switch, before=usual, after=usual.at(rate, drop, random), at=10)
        found.append(first(lived(lives, 70, random, RULE, timeouts=timeouts)) - 10)
    return found


def returns(count: int) -> tuple[list[float], int]:
    """Nights from the repair of a bad month to the return, and how many returned before it."""
    found, early = list[float](), 0
    for usual, random in models("mixed", count, seed=2):
        life = lived(
            partial(switch, before=usual.at(0.80, "flip", random), after=usual, at=30),
            60,
            random,
            RULE,
            reference=usual,
        )
        back = [each.night - 29.0 for each in life if not each.demoted]
        early += sum(night < 1 for night in back)
        found.append(next((night for night in back if night >= 1), float("inf")))
    return found, early


@pytest.mark.parametrize("world", ["mixed", "det", "iid"])
def test_a_healthy_model_is_left_alone(world: WorldName) -> None:
    """Two model-years of each world pass without a demotion."""
    assert not any(years(2, world))


def test_a_drop_of_twelve_points_is_found_within_some_nights() -> None:
    """Both kinds of drop."""
    drops: tuple[Drop, ...] = ("flip", "slide")
    for drop in drops:
        assert median(delays(20, "mixed", 0.80, drop)) <= 3


def test_a_recovered_model_is_back_within_some_nights() -> None:
    """Thirty bad nights, then the usual ones."""
    assert median(returns(10)[0]) <= 3


@slow
@pytest.mark.parametrize(("world", "most"), [("mixed", 0.02), ("iid", 0.02), ("det", 0.02), ("rough", 0.15)])
def test_false_demotions_per_year(world: WorldName, most: float) -> None:
    """200 model-years at the usual rate."""
    assert sum(map(len, years(200, world))) / 200 <= most


@slow
def test_a_model_two_points_lower_is_hardly_ever_demoted() -> None:
    """Within the tolerance of three points."""
    assert sum(map(len, years(200, "mixed", lower=0.02))) / 200 <= 0.05


@slow
def test_families_that_fail_together_are_bounded_once_they_are_named() -> None:
    """Four families of twenty, each of which fails in one run of twenty: as clusters they demote nobody."""
    demotions = {}
    for family in (0, FAMILY):
        lives = [
            list(lived(always(usual), YEAR, random, RULE, latch=False, family=family))
            for usual, random in models("kin", 100, seed=7)
        ]
        demotions[family] = sum(map(len, lives)) / 100
    assert demotions[FAMILY] <= 0.02
    assert demotions[0] > 1


@slow
def test_a_model_exactly_on_the_floor_is_demoted_no_more_often_than_promised() -> None:
    """The bound for a year of runs over the bar."""
    demoted = 0
    for usual, random in models("iid", 200, seed=3):
        # The floor follows from the very reference runs that `lived` is about to draw.
        begin = random.getstate()
        fails = [sum(not ok for ok in each) for each in zip(*[usual.run(random) for _ in range(RUNS)], strict=True)]
        base = baseline([CaseReference("", each, RUNS) for each in fails], RULE.tolerance)
        assert base.steady is not None
        worse = usual.at(max(base.whole.floor, base.steady.floor), "slide", random)
        random.setstate(begin)
        life = lived(always(worse), YEAR, random, RULE, reference=usual)
        demoted += first(life) < float("inf")
    assert demoted / 200 <= YEAR / RULE.bar


@slow
@pytest.mark.parametrize(
    ("world", "rate", "drop", "cases", "most"),
    [
        ("mixed", 0.80, "flip", 80, (2, 4)),
        ("mixed", 0.80, "slide", 80, (2, 4)),
        ("iid", 0.80, "slide", 80, (5, 13)),
        ("mixed", 0.70, "flip", 80, (2, 3)),
        ("mixed", 0.50, "flip", 80, (2, 3)),
        ("mixed", 0.70, "slide", 80, (2, 3)),
        ("mixed", 0.50, "slide", 80, (2, 3)),
        ("mixed", 0.85, "flip", 80, (10, float("inf"))),
        ("mixed", 0.80, "flip", 50, (2, 5)),
    ],
)
def test_nights_until_a_demotion(
    world: WorldName, rate: float, drop: Drop, cases: int, most: tuple[float, float]
) -> None:
    """Median, and nine in ten, of 200 models."""
    middle, late = quantiles(delays(200, world, rate, drop, cases=cases))
    assert middle <= most[0]
    assert late <= most[1]


@slow
def test_a_slow_slide_is_found_before_it_has_gone_far() -> None:
    """A fifth of a point a night, from the usual rate: 98 of 100 are demoted before the true rate is below 82 %."""
    found = rates(200, RULE)
    assert min(found) >= 0.80
    assert sum(rate >= LEAST for rate in found) >= 0.98 * 200


@slow
def test_back_after_a_repair_and_not_before() -> None:
    """200 models."""
    found, early = returns(200)
    middle, late = quantiles(found)
    assert middle <= 3
    assert late <= 7
    assert early / 200 <= 0.02


@slow
@pytest.mark.parametrize("lower", [0.01, 0.03, 0.05, 0.06, 0.07, 0.08, 0.10])
def test_no_constant_rate_makes_a_model_swing(lower: float) -> None:
    """At most two switches in any of 200 years."""
    for usual, random in models("mixed", 200, seed=5):
        worse = usual.at(usual.rate - lower, "slide", random)
        assert len(list(lived(always(worse), YEAR, random, RULE, reference=usual))) <= 2


@slow
def test_timeouts_neither_demote_nor_hide() -> None:
    """One answer in ten has no verdict: a healthy model stays, and a bad one is found."""
    for usual, random in models("mixed", 200, seed=6):
        assert first(lived(always(usual), 60, random, RULE, timeouts=0.1)) == float("inf")
    middle, late = quantiles(delays(200, "mixed", 0.80, "flip", timeouts=0.1))
    assert middle <= 3
    assert late <= 6
