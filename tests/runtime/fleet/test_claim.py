"""A claim counts one attempt and tells the breaker its end; no way out forgets it."""

from __future__ import annotations

import asyncio

import pytest

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.fleet.breaker import Breaker, BreakerPolicy, BreakerState
from runtime.fleet.claim import Claim

AGAINST = [Kind.DOWN, Kind.DENIED, Kind.BROKEN_STREAM, Kind.GARBLED, Kind.SILENT]
HARMLESS = [Kind.BUSY, Kind.REJECTED, Kind.TOO_LONG, Kind.FILTERED, Kind.UNSURE]


def failed(kind: Kind) -> Failure:
    return Failure(kind, Disposition.NEXT_CANDIDATE, "no")


def half_open() -> Breaker:
    breaker = Breaker.opened(1, 0.0, 100.0)
    assert breaker.state(100.0) is BreakerState.HALF_OPEN
    return breaker


class Counted:
    def __init__(self, breaker: Breaker | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.breaker = breaker

    def claim(self, label: str = "vendor/m") -> Claim:
        assert self.breaker is None or self.breaker.begin(100.0)
        return Claim(label, self.counts, self.breaker, lambda: 100.0)


def test_claims_are_counted_by_label_and_forgotten_at_nothing() -> None:
    """A label is in the table while something is in flight on it, and no longer: clients can invent labels."""
    each = Counted()
    with each.claim(), each.claim(), each.claim("local/small"):
        assert each.counts == {"vendor/m": 2, "local/small": 1}
    assert each.counts == {}


def test_a_whole_answer_closes_a_half_open_breaker() -> None:
    """The probe succeeded."""
    each = Counted(half_open())
    with each.claim() as claim:
        claim.ended(None)
    assert each.breaker is not None and each.breaker.state(100.0) is BreakerState.CLOSED


@pytest.mark.parametrize("kind", AGAINST)
def test_a_failure_of_the_target_opens_it_again(kind: Kind) -> None:
    """The probe failed: open for longer."""
    each = Counted(half_open())
    with each.claim() as claim:
        claim.ended(failed(kind))
    assert each.breaker is not None and each.breaker.state(100.0) is BreakerState.OPEN and each.breaker.trips == 2


@pytest.mark.parametrize("kind", HARMLESS)
def test_busy_and_a_callers_fault_say_nothing(kind: Kind) -> None:
    """The probe is free for the next request."""
    each = Counted(half_open())
    with each.claim() as claim:
        claim.ended(failed(kind))
    assert each.breaker is not None and each.breaker.allows(100.0) and each.breaker.trips == 1


@pytest.mark.parametrize("fault", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt, MemoryError])
def test_any_exception_gives_the_probe_back(fault: type[BaseException]) -> None:
    """Neither a success nor a failure of the target."""
    each = Counted(half_open())
    with pytest.raises(fault), each.claim():
        raise fault
    assert each.counts == {} and each.breaker is not None and each.breaker.allows(100.0) and each.breaker.trips == 1


def test_an_exception_forgets_no_failures_in_a_row() -> None:
    """Four failures, a cancelled attempt, a fifth failure: it opens."""
    each = Counted(Breaker(BreakerPolicy(failures=5)))
    assert each.breaker is not None
    for _ in range(4):
        with each.claim() as claim:
            claim.ended(failed(Kind.DOWN))
    with pytest.raises(asyncio.CancelledError), each.claim():
        raise asyncio.CancelledError
    assert each.breaker.state(100.0) is BreakerState.CLOSED
    with each.claim() as claim:
        claim.ended(failed(Kind.DOWN))
    assert each.breaker.state(100.0) is BreakerState.OPEN
