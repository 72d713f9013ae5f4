"""The gate: bytes held back until the commit point, and how many of them."""

from __future__ import annotations

import pytest

from runtime.contract.failures import HopError, Kind
from runtime.dispatch.gate import Gate


def test_a_stream_may_pass_once_its_content_is_good() -> None:
    """What came before the first content leaves with it, in order."""
    gate = Gate(whole=False)
    assert not gate.hold(b"role ", good=False)
    assert gate.hold(b"text", good=True)
    assert not gate.open
    assert gate.release() == b"role text"
    assert gate.open


def test_a_whole_answer_waits_for_its_end() -> None:
    """Good content alone opens nothing: every cut can still be rescued."""
    gate = Gate(whole=True)
    assert not gate.hold(b"a", good=True)
    assert not gate.hold(b"b", good=True)
    assert gate.size == 2
    assert gate.release() == b"ab"


def test_what_was_released_is_gone() -> None:
    """Nothing is written twice, and the bound begins anew."""
    gate = Gate(whole=False, most=3)
    gate.hold(b"abc", good=True)
    gate.release()
    assert gate.size == 0
    gate.hold(b"def", good=True)
    assert gate.release() == b"def"
    assert gate.release() == b""


def test_an_endless_answer_is_not_held() -> None:
    """Past the bound the attempt fails as garbled, and memory is what it was."""
    gate = Gate(whole=True, most=100)
    with pytest.raises(HopError) as raised:
        for _ in range(1000):
            gate.hold(b"x" * 10, good=True)
    assert raised.value.failure.kind is Kind.GARBLED
    assert gate.size <= 110
