"""The gate: bytes held back until the commit point, how many of them, and the rulings that open it."""

from __future__ import annotations

import pytest

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.dialects.meter import Meter, MeterState
from runtime.dispatch.gate import GOOD, WAIT, Gate, Ruling


class _Meter(MeterState):
    """A `Meter` of an answer that has begun, or failed."""

    def __init__(self, *, began: bool = False, failure: Failure | None = None) -> None:
        self.began = began
        self.failure = failure

    def feed(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""


BEGUN = _Meter(began=True)
BROKEN = Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, "it broke off")
UNSURE = Failure(Kind.UNSURE, Disposition.NEXT_CANDIDATE, "not sure enough")


def test_a_stream_may_pass_once_its_content_is_good() -> None:
    """What came before the first content leaves with it, in order."""
    gate = Gate(whole=False)
    assert gate.hold(b"role ", _Meter()) is WAIT
    assert gate.hold(b"text", BEGUN) is GOOD
    assert not gate.open
    assert gate.release() == b"role text"
    assert gate.open


def test_a_whole_answer_waits_for_its_end() -> None:
    """Good content alone opens nothing: every cut can still be rescued."""
    gate = Gate(whole=True)
    assert gate.hold(b"a", BEGUN) is WAIT
    assert gate.hold(b"b", BEGUN) is WAIT
    assert gate.ruling(BEGUN, ended=True) is GOOD
    assert gate.size == 2
    assert gate.release() == b"ab"


def test_an_answer_that_failed_is_given_up() -> None:
    """A format that is not kept, found at the end, is a failure like any other before the commit point."""
    gate = Gate(whole=True)
    assert gate.ruling(_Meter(began=True, failure=BROKEN), ended=True) is BROKEN


def test_what_is_committed_stays_good() -> None:
    """After the commit point nothing is given up: what was held for a slow client goes out."""
    gate = Gate(whole=False, open=True)
    assert gate.hold(b"a", _Meter(began=True, failure=BROKEN)) is GOOD


def test_a_further_condition_holds_a_begun_answer() -> None:
    """It is asked about begun answers alone, until it is content; then it is asked no more."""
    rulings: list[Ruling] = [WAIT, GOOD]
    asked: list[bool] = []

    def look(meter: Meter, ended: bool) -> Ruling:
        asked.append(ended)
        return rulings.pop(0)

    gate = Gate(whole=False, look=look)
    assert gate.hold(b"role ", _Meter()) is WAIT
    assert asked == []
    assert gate.hold(b"a", BEGUN) is WAIT
    assert gate.hold(b"b", BEGUN) is GOOD
    assert gate.hold(b"c", BEGUN) is GOOD
    assert asked == [False, False]


def test_a_further_condition_gives_an_answer_up() -> None:
    """Its failure is the ruling, also on an answer that is wanted whole and has not ended."""
    gate = Gate(whole=True, look=lambda meter, ended: UNSURE)
    assert gate.hold(b"a", BEGUN) is UNSURE


def test_a_whole_answer_that_was_looked_at_still_waits() -> None:
    """Both conditions must hold."""
    gate = Gate(whole=True, look=lambda meter, ended: GOOD)
    assert gate.hold(b"a", BEGUN) is WAIT
    assert gate.ruling(BEGUN, ended=True) is GOOD


def test_what_was_released_is_gone() -> None:
    """Nothing is written twice, and the bound begins anew."""
    gate = Gate(whole=False, most=3)
    gate.hold(b"abc", BEGUN)
    gate.release()
    assert gate.size == 0
    gate.hold(b"def", BEGUN)
    assert gate.release() == b"def"
    assert gate.release() == b""


def test_an_endless_answer_is_not_held() -> None:
    """Past the bound the attempt fails as garbled, and memory is what it was."""
    gate = Gate(whole=True, most=100)
    with pytest.raises(HopError) as raised:
        for _ in range(1000):
            gate.hold(b"x" * 10, BEGUN)
    assert raised.value.failure.kind is Kind.GARBLED
    assert gate.size <= 110
