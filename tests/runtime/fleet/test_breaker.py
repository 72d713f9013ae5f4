"""A breaker opens on failures in a row, lets one probe through, and closes again."""

from __future__ import annotations

from runtime.fleet.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(failures=3, open_s=10.0, longest_s=40.0, probe_s=60.0)


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        assert breaker.begin(now)
        breaker.failure(now)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    """A success in between starts the count anew."""
    breaker = Breaker(POLICY)
    for _ in range(4):
        breaker.failure(0.0)
        breaker.failure(0.0)
        breaker.success()
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert tripped().state(0.0) is BreakerState.OPEN


def test_one_probe_at_a_time_when_half_open() -> None:
    """While a probe is out nobody else is let through; its success closes."""
    breaker = tripped()
    assert not breaker.begin(9.9) and breaker.retry_in(9.0) == 1.0
    assert breaker.state(10.0) is BreakerState.HALF_OPEN
    assert breaker.begin(10.0) and not breaker.begin(10.0)
    breaker.success()
    assert breaker.state(10.0) is BreakerState.CLOSED and breaker.begin(10.0)


def test_each_failed_probe_doubles_the_wait_up_to_a_limit() -> None:
    """10, 20, 40 and no longer than 40 s."""
    breaker, now = tripped(), 0.0
    for wait in (10.0, 20.0, 40.0, 40.0):
        assert breaker.retry_in(now) == wait
        now += wait
        assert breaker.begin(now)
        breaker.failure(now)


def test_a_probe_without_a_verdict_gives_its_place_back() -> None:
    """Busy, cancelled, the caller's fault: the next one may try."""
    breaker = tripped()
    assert breaker.begin(10.0)
    breaker.forget()
    assert breaker.begin(10.0)


def test_a_probe_that_never_reports_is_forgotten() -> None:
    """A lost probe does not keep a target out for ever."""
    breaker = tripped()
    assert breaker.begin(10.0)
    assert not breaker.allows(69.0) and breaker.allows(70.0)


def test_failures_of_attempts_begun_before_it_opened_do_not_stretch_it() -> None:
    """A burst that fails together counts as one opening."""
    breaker = tripped()
    breaker.failure(1.0)
    assert breaker.retry_in(0.0) <= 11.0


def test_an_open_breaker_is_remembered_with_what_is_left_of_its_wait() -> None:
    """After a restart it waits out the rest and no longer, and a failed probe doubles from where it was."""
    before = tripped()
    after = Breaker.opened(before.trips, before.retry_in(4.0), 100.0, POLICY)
    assert after.retry_in(100.0) == 6.0 and not after.begin(105.0) and after.begin(106.0)
    after.failure(106.0)
    assert after.retry_in(106.0) == 20.0
    assert Breaker(POLICY).trips == 0
