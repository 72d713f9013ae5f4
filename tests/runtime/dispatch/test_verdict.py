"""What follows a failed attempt, kind by kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.dispatch.verdict import Standing, Step, backoff, judge
from runtime.settings import Retries

HERE, NEXT, TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
RETRIES = Retries()  # two tries, 3 s waited here, 20 s honoured


def failure(kind: Kind, disposition: Disposition, retry_after: float | None = None) -> Failure:
    return Failure(kind, disposition, "words", retry_after=retry_after)


def standing(tries: int = 1, *, others: bool = True, left_s: float = 100.0) -> Standing:
    return Standing(tries, others, left_s, 0.5)


@pytest.mark.parametrize(
    ("fault", "where", "step"),
    [
        (failure(Kind.DOWN, HERE), standing(), Step.HERE),
        (failure(Kind.DOWN, HERE), standing(2), Step.NEXT),
        (failure(Kind.DOWN, HERE), standing(2, others=False), Step.TELL),
        (failure(Kind.BUSY, HERE), standing(), Step.NEXT),
        (failure(Kind.BUSY, HERE), standing(others=False), Step.HERE),
        (failure(Kind.BUSY, HERE, 2.0), standing(), Step.HERE),
        (failure(Kind.BUSY, HERE, 10.0), standing(), Step.NEXT),
        (failure(Kind.BUSY, HERE, 10.0), standing(others=False), Step.HERE),
        (failure(Kind.BUSY, HERE, 3600.0), standing(others=False), Step.TELL),
        (failure(Kind.BUSY, HERE, 10.0), standing(others=False, left_s=5.0), Step.TELL),
        (failure(Kind.SILENT, NEXT), standing(), Step.NEXT),
        (failure(Kind.SILENT, NEXT), standing(others=False), Step.TELL),
        (failure(Kind.DENIED, NEXT), standing(others=False), Step.TELL),
        (failure(Kind.BROKEN_STREAM, NEXT), standing(), Step.NEXT),
        (failure(Kind.BROKEN_STREAM, NEXT), standing(others=False), Step.HERE),
        (failure(Kind.REJECTED, TELL), standing(), Step.TELL),
        (failure(Kind.FILTERED, TELL), standing(), Step.TELL),
        (failure(Kind.TOO_LONG, NEXT), standing(), Step.NEXT),
    ],
)
def test_the_step_after_a_failure(fault: Failure, where: Standing, step: Step) -> None:
    """Waits that were asked for are honoured within their limits; nobody silent is asked twice."""
    assert judge(fault, where, RETRIES).step is step


@given(
    st.sampled_from(Kind),
    st.sampled_from(Disposition),
    st.none() | st.floats(0, 1e6),
    st.integers(1, 5),
    st.booleans(),
    st.floats(0, 300),
    st.floats(0, 0.999),
)
def test_no_verdict_waits_past_the_deadline_or_less_than_asked(
    kind: Kind, disposition: Disposition, wait: float | None, tries: int, others: bool, left_s: float, spread: float
) -> None:
    """Whatever happened, a wait ends before the deadline and a provider's Retry-After is never undercut."""
    verdict = judge(failure(kind, disposition, wait), Standing(tries, others, left_s, spread), RETRIES)
    if verdict.step is Step.HERE:
        assert tries < RETRIES.attempts and verdict.wait_s < left_s
        assert wait is None or verdict.wait_s >= wait
    assert verdict.words


def test_backoff_doubles_with_jitter_and_is_bounded() -> None:
    """A quarter of a second at first, never over four."""
    assert backoff(1, 0.0) == pytest.approx(0.125) and backoff(1, 0.999) < 0.25
    assert backoff(2, 0.5) == 2 * backoff(1, 0.5)
    assert backoff(50, 0.999) < 4.0
