"""How many sequences an engine is started with: lowered by measured speeds alone, and never raised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_models.replica.batch_size import DEFAULT, sequences
from runtime.contract.engine import EngineSpeed

FAST = EngineSpeed(0.012, 0.0006, 0.1, 500, 60)
SLOW = EngineSpeed(0.1, 0.01, 0.2, 500, 60)


@pytest.mark.parametrize(
    ("speeds", "at_once"),
    [
        ((), 128),
        ((SLOW, SLOW), 128),  # too few measurements
        ((FAST,) * 3, 128),  # 1000 would be in time too
        ((SLOW,) * 3, 80),  # 2 x (0.1 + 80 x 0.01) + 0.2 = 2.0
        ((SLOW, SLOW, FAST), 128),  # the fastest: the machine did something else
        ((EngineSpeed(0.1, 0.01, 0.2, 500, 8),) * 3, 128),  # measured with few sequences alone
        ((EngineSpeed(3.0, 0.01, 0.2, 500, 60),) * 3, 32),  # never in time
        ((EngineSpeed(3.0, 0.0, 0.2, 500, 60),) * 3, 32),
    ],
)
def test_the_number(speeds: tuple[EngineSpeed, ...], at_once: int) -> None:
    """128 on a GPU, or as many as let a first token come within two full steps and the reading."""
    assert sequences("cuda", speeds, 2.0) == at_once


def test_a_longer_target_allows_more() -> None:
    """The target is the operator's."""
    slow = (EngineSpeed(0.2, 0.1, 0.5, 200, 12),) * 3
    assert [sequences("cpu", slow, target) for target in (1.0, 2.0, 3.0, 10.0)] == [4, 5, 10, 16]


speeds = st.builds(
    EngineSpeed, st.floats(0, 2), st.floats(0, 0.5), st.floats(0, 5), st.floats(1, 5_000), st.floats(1, 200)
)


@given(st.lists(speeds, max_size=6), st.floats(0.1, 20))
@settings(max_examples=100, deadline=None)
def test_it_is_the_most_that_keeps_the_target(measured: list[EngineSpeed], ttft_s: float) -> None:
    """Between a quarter of the default and the default; if lowered, one more would be late by the fastest speed believed."""
    most = DEFAULT["cuda"]
    number = sequences("cuda", measured, ttft_s)
    assert most // 4 <= number <= most
    if number < most:
        fastest = min((each for each in measured if each.batch >= most / 8), key=lambda each: each.step_s(most))
        assert 2 * fastest.step_s(number + 1) + fastest.read_s >= ttft_s - 1e-6
