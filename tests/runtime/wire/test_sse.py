"""Server-sent events, whatever their pieces and their line ends; long and endless ones."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contract.failures import Kind
from runtime.dialects.openai_chat.meter import ChatStreamMeter
from runtime.wire.sse import Event, Events, EventTooLongError, encode, parse

MIB = 1 << 20


def in_pieces(stream: bytes, size: int) -> list[Event]:
    """All events of a stream fed in pieces of so many bytes."""
    reader = Events()
    return [event for at in range(0, len(stream), size) for event in reader.feed(stream[at : at + size])]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_and_every_piece_gives_the_same_events(end: bytes) -> None:
    """Names, data of several lines and comments among them."""
    lines = [b"data: a", b"", b": alive", b"", b"event: x", b"data: b", b"data:c", b"", b"data: d", b"", b": over"]
    stream = end.join(lines) + end
    want = [(b"", b"a"), (b"", None), (b"x", b"b\nc"), (b"", b"d")]
    for size in range(1, len(stream) + 1):
        assert [(event.name, event.data) for event in in_pieces(stream, size)] == want, size


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\r", b"\r\n", b":c", b"x"])), st.integers(1, 9))
def test_pieces_lose_no_byte(parts: list[bytes], size: int) -> None:
    """Every byte is in an event or in the rest, in order."""
    stream = b"".join(parts)
    reader = Events()
    raw = b"".join(event.raw for at in range(0, len(stream), size) for event in reader.feed(stream[at : at + size]))
    assert raw + reader.rest() == stream


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_long_event_takes_time_in_proportion_to_its_length(end: bytes) -> None:
    """8 MB in pieces of 16 KiB: well under a second of CPU, where a search from the start took seven."""
    stream = b"data: " + b"x" * (8 * MIB) + end * 2
    before = time.process_time()
    (event,) = in_pieces(stream, 16 << 10)
    assert time.process_time() - before < 0.5
    assert event.raw == stream


def test_an_event_in_pieces_of_one_byte_is_read_in_time_too() -> None:
    """A quarter of a megabyte, byte by byte."""
    stream = encode(b"y" * (MIB >> 2))
    before = time.process_time()
    assert len(in_pieces(stream, 1)) == 1
    assert time.process_time() - before < 2


def test_an_endless_event_is_refused_with_bounded_memory() -> None:
    """The reader keeps no more than its limit and one piece."""
    reader = Events(limit=MIB)
    piece = b"data: " + b"x" * (64 << 10)
    tracemalloc.start()
    try:
        with pytest.raises(EventTooLongError, match="longer than 1048576 bytes"):
            for _ in range(10_000):
                reader.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert reader.rest() == b""


def test_an_event_of_endless_lines_is_refused() -> None:
    """Each line would cost more than its bytes."""
    with pytest.raises(EventTooLongError, match="more than 3 lines"):
        parse(b"a\n" * 8, b"a\n" * 8, line_limit=3)
    with pytest.raises(EventTooLongError):
        Events().feed(b"data:\n" * 100_000 + b"\n")


def test_a_meter_calls_an_endless_event_garbled() -> None:
    """Nothing of it is forwarded."""
    meter = ChatStreamMeter(choices=1, hide_usage=True)
    piece = b"x" * MIB
    assert {meter.feed(piece) for _ in range(20)} == {b""}
    assert meter.failure is not None
    assert meter.failure.kind is Kind.GARBLED
