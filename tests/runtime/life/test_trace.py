"""The trace of a request goes on to its targets, and its record knows the same spans."""

from __future__ import annotations

import pytest

from runtime.record.traces.context import PARENT, TraceIds
from runtime.record.traces.spans import spans_of
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import Turn, cloud, engine_backend, error, told

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT = {PARENT: f"00-{TRACE}-00f067aa0ba902b7-01"}


def parents(box: Box) -> list[list[str]]:
    """`traceparent` of each call, by backend."""
    return [
        [dict(call.headers).get(PARENT, "") for lane in each.lanes for call in lane.hop.calls] for each in box.backends
    ]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_each_exchange_has_a_span_of_its_own(everywhere: bool) -> None:
    """A failed attempt and the fallback after it; a cloud sees the trace only where the settings say so."""
    ids = TraceIds(b"s", 0.0, everywhere=everywhere)
    box = Box(engine_backend((error(500),)), [cloud("far", Turn(told("Hello")))], trace=ids)
    settled, _ = await box.live(box.ask(headers=CLIENT))
    row = settled.decision
    assert settled.error is None and row.trace == CLIENT[PARENT] and len(row.attempts) >= 2
    sent = [each for backend in parents(box) for each in backend]
    spans = spans_of(row, ids.context(row.id, row.trace), "failover", {})
    known = {f"00-{TRACE}-{each.span_id}-01" for each in spans[1:]}
    assert set(sent) - {""} <= known and len(set(sent) - {""}) == (len(sent) if everywhere else len(parents(box)[0]))
    assert parents(box)[1] == [sent[-1] if everywhere else ""]


async def test_nothing_goes_on_while_telemetry_is_off() -> None:
    """What is no trace context is not kept in the record either."""
    box = Box(engine_backend((Turn(told("Hello")),)), [cloud("far", Turn(told("Hello")))], LEAVE)
    settled, _ = await box.live(box.ask(headers={PARENT: "the patient's name"}))
    assert parents(box) == [[], [""]] and settled.decision.trace == ""
