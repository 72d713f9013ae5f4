"""The part of a meter that all wires share."""

from __future__ import annotations

import pytest

from runtime.contract.failures import Failure, Kind
from runtime.dialects.meter import StreamMeter, WholeMeter
from runtime.wire import sse


class Lines(StreamMeter):
    """A wire of three words."""

    closing = b"data: over\n\n"

    def read(self, event: sse.Event, data: bytes) -> bytes:
        match data:
            case b"hidden":
                return b""
            case b"end":
                self.finished = True
            case b"bad":
                raise RecursionError("too deep")
            case b"over":
                self.done = True
        return event.raw


class Body(WholeMeter):
    """A wire whose every body is good."""

    def read(self, body: bytes) -> Failure | None:
        self.finish = "stop"
        return None


def test_events_are_forwarded_as_they_came() -> None:
    """Comments too; a bare field and what the wire hides are not."""
    assert Lines().feed(b": alive\n\nevent: ping\n\ndata: hidden\n\ndata: a\n\n") == b": alive\n\ndata: a\n\n"


def test_a_whole_stream_without_its_closing_event_gets_one() -> None:
    """Once it has its finish reason."""
    meter = Lines()
    assert meter.feed(b"data: end\n\n") == b"data: end\n\n"
    assert (meter.end(), meter.done, meter.failure) == (Lines.closing, True, None)
    assert meter.end() == b""


def test_a_stream_without_a_finish_reason_is_broken() -> None:
    """It ends without the closing event."""
    meter = Lines()
    meter.feed(b"data: a\n\n")
    assert meter.end() == b""
    assert meter.failure is not None
    assert meter.failure.kind is Kind.BROKEN_STREAM


def test_nothing_after_a_failure_or_the_closing_event_is_forwarded() -> None:
    """An event that cannot be read is a failure."""
    bad, over = Lines(), Lines()
    assert bad.feed(b"data: a\n\ndata: bad\n\ndata: b\n\n") == b"data: a\n\n"
    assert bad.failure is not None
    assert bad.failure.kind is Kind.GARBLED
    assert over.feed(b"data: over\n\ndata: b\n\n") == b"data: over\n\n"


def test_a_whole_answer_is_held_back_until_all_of_it_is_there() -> None:
    """It is given in one piece at the end."""
    meter = Body()
    assert [meter.feed(b"ab"), meter.feed(b"c"), meter.end()] == [b"", b"", b"abc"]
    assert meter.done


@pytest.mark.parametrize("pieces", [3, 1000])
def test_an_endless_answer_is_garbled_and_let_go(pieces: int) -> None:
    """From the limit on nothing is kept."""
    meter = Body(limit=20)
    for _ in range(pieces):
        meter.feed(b"0123456789")
    assert meter.failure is not None
    assert meter.failure.kind is Kind.GARBLED
    assert meter.end() == b""
    assert meter._pieces == []
