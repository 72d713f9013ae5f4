"""W3C trace context in and out."""

from __future__ import annotations

import pytest

from runtime.record.traces.context import PARENT, STATE, TraceIds, parent_of

TRACE, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{ABOVE}-01"


@pytest.mark.parametrize("header", [GOOD, f"00-{TRACE}-{ABOVE}-00", f"cc-{TRACE}-{ABOVE}-01"])
def test_a_parent_is_kept_as_it_is(header: str) -> None:
    assert parent_of(header) == header


def test_a_later_version_may_add_fields() -> None:
    """They are not kept."""
    assert parent_of(f"cc-{TRACE}-{ABOVE}-01-what-the-future-holds") == f"cc-{TRACE}-{ABOVE}-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "prompt",
        GOOD + "-extra",
        GOOD + "\n",
        GOOD.upper(),
        f"ff-{TRACE}-{ABOVE}-01",
        f"00-{'0' * 32}-{ABOVE}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{ABOVE}-01",
        f"00-{TRACE}-{ABOVE}",
    ],
)
def test_what_is_no_parent_is_dropped(header: str) -> None:
    """It is a new trace then, as the recommendation has it."""
    assert parent_of(header) == ""
    assert TraceIds(b"s", 1.0).context("dec_1", header).parent == ""


def test_the_ids_follow_from_the_decision() -> None:
    """The header that went out and the span made from the record later agree, and no two requests share an id."""
    ids = TraceIds(b"secret", 0.5)
    out = dict(ids.headers("dec_1", {PARENT: GOOD, STATE: "vendor=1"}, 1.25))
    context = ids.context("dec_1", GOOD)
    assert out == {PARENT: f"00-{TRACE}-{context.exchange(1.25)}-01", STATE: "vendor=1"}
    assert context.parent == ABOVE and context.sampled
    every = [ids.context(f"dec_{n}") for n in range(1000)]
    assert len({each.trace_id for each in every}) == len({each.span for each in every}) == 1000
    assert len({context.exchange(n / 1000) for n in range(1000)} | {f"{context.span:016x}"}) == 1001
    assert TraceIds(b"other", 0.5).context("dec_1").trace_id != ids.context("dec_1").trace_id


def test_the_ratio_is_the_share_without_a_parent() -> None:
    """A state without a parent goes nowhere; a huge one neither."""
    for ratio in (0.0, 0.1, 1.0):
        ids = TraceIds(b"secret", ratio)
        assert abs(sum(ids.context(f"dec_{n}").sampled for n in range(4000)) / 4000 - ratio) < 0.03
    assert set(dict(ids.headers("dec_1", {STATE: "a=1"}, 0.0))) == {PARENT}
    assert set(dict(ids.headers("dec_1", {PARENT: GOOD, STATE: "a" * 513}, 0.0))) == {PARENT}
