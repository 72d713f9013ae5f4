"""The limits of keys: never more than the bucket and its refill, and no place is lost."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.server.rate_limits import go_duration
from runtime.trust.caller import Caller, RateLimits, Scope
from runtime.trust.rates import LimitedError, RateLimiter


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def caller(requests: int | None = None, tokens: int | None = None, parallel: int | None = None) -> Caller:
    return Caller("key", frozenset({Scope.GENERATE}), limits=RateLimits(requests, tokens, parallel))


def admitted(limiter: RateLimiter, one: Caller) -> bool:
    try:
        with limiter.held(one):
            return True
    except LimitedError:
        return False


@given(st.integers(1, 50), st.lists(st.floats(0, 20), max_size=150))
def test_no_span_of_time_lets_more_through_than_bucket_and_refill(limit: int, pauses: list[float]) -> None:
    """Over every span: at most the bucket and what came in meanwhile; a refusal's time is exact."""
    clock = Time()
    limiter, one, passed = RateLimiter(clock), caller(limit), list[float]()
    for pause in pauses:
        clock.now += pause
        if admitted(limiter, one):
            passed.append(clock.now)
    for place, start in enumerate(passed):
        for count, end in enumerate(passed[place:], 1):
            assert count <= limit + (end - start) * limit / 60 + 1e-6
    with contextlib.suppress(LimitedError):
        while True:
            with limiter.held(one):
                pass
    with pytest.raises(LimitedError) as raised, limiter.held(one):
        pass
    clock.now += raised.value.retry_s + 1e-6
    assert admitted(limiter, one) and not admitted(limiter, one)


def test_tokens_are_counted_when_known_and_a_debt_is_waited_out() -> None:
    """An answer may take more than is left; then the next request waits for all of it."""
    clock = Time()
    limiter, one = RateLimiter(clock), caller(tokens=600)
    assert admitted(limiter, one)
    limiter.spent("", "key", 1200)
    limiter.spent("", "another", 5)
    assert limiter.standings("key")["tokens"].remaining == 0 and not admitted(limiter, one)
    clock.now = 60.0
    assert not admitted(limiter, one)
    clock.now = 60.2
    assert admitted(limiter, one)


async def test_ten_thousand_cancelled_requests_leave_no_place_taken() -> None:
    """At no moment do more run than may; each end gives its place back."""
    limiter, one, most = RateLimiter(Time()), caller(parallel=7), 0

    async def request() -> None:
        nonlocal most
        with contextlib.suppress(LimitedError), limiter.held(one):
            most = max(most, limiter.running["key"])
            await asyncio.Event().wait()

    for _ in range(1000):
        tasks = [asyncio.create_task(request()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 7 and limiter.running == {}


def test_tokens_are_reserved_at_once_and_settled_on_the_true_number() -> None:
    """Two requests cannot both have what is left; what the first did not take is free again at its end."""
    limiter, one = RateLimiter(Time()), caller(tokens=1000)
    limiter.reserve("a", one, 700)
    with pytest.raises(LimitedError) as refused:
        limiter.reserve("b", one, 700)
    assert refused.value.retry_s == pytest.approx(24.0)
    limiter.spent("a", "key", 100)
    limiter.reserve("b", one, 700)
    assert limiter.reserved_tokens == 700
    limiter.spent("b", "key", 900)
    assert limiter.reserved_tokens == 0 and limiter.standings("key")["tokens"].remaining == 0


def test_a_request_for_more_than_a_minute_holds_waits_for_a_full_bucket() -> None:
    """It is not refused for ever: the answer may be shorter."""
    clock = Time()
    limiter, one = RateLimiter(clock), caller(tokens=600)
    limiter.reserve("a", one, 5000)
    limiter.spent("a", "key", 10)
    with pytest.raises(LimitedError):
        limiter.reserve("b", one, 5000)
    clock.now = 1.0
    limiter.reserve("b", one, 5000)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.12, "120ms"), (1.0, "1s"), (59.2, "1m0s"), (360.0, "6m0s"), (3661.0, "1h1m1s"), (0.0, "0ms")],
)
def test_a_reset_is_written_as_openai_writes_it(seconds: float, shown: str) -> None:
    """As a duration of Go, rounded up."""
    assert go_duration(seconds) == shown
