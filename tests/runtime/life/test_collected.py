"""A sink for callers that are no connection."""

from __future__ import annotations

import pytest

from runtime.contract.failures import HopError, Kind
from runtime.life.collected import Collected
from tests.fakes.box import Box, text_of
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole


async def test_it_keeps_the_whole_answer_and_its_head() -> None:
    """A life needs no connection: the answer is there to be read."""
    box, sink = Box(engine_backend((Turn([whole("Paris")]),))), Collected()
    settled, _ = await box.live(box.ask(), sink)
    assert settled.error is None and text_of(sink.body) == "Paris"
    assert sink.head is not None and sink.head.target.local and not sink.gone


async def test_it_takes_no_more_than_its_bound() -> None:
    """An answer without end fails as garbled, and what was kept stays below the bound."""
    sink = Collected(most=1000)
    for _ in range(10):
        await sink.write(b"x" * 100)
    with pytest.raises(HopError) as longer:
        await sink.write(b"x")
    assert longer.value.failure.kind is Kind.GARBLED and "1000 bytes" in str(longer.value)
    assert len(sink.body) == 1000


async def test_an_answer_past_the_bound_is_an_error_of_the_life() -> None:
    """It was committed, so that nobody else is asked; the record is no 200."""
    box = Box(engine_backend((Turn(told("x" * 4000)),)), [cloud("first", Turn(told("never")))])
    settled, _ = await box.live(box.ask(stream=True), Collected(most=500))
    assert settled.error is not None and settled.decision.status == 502
    assert box.calls == [1, 0] and box.fleet.in_flight == {}


async def test_an_empty_answer_is_no_bytes() -> None:
    """Nothing was written: nothing is there."""
    assert Collected().body == b""
