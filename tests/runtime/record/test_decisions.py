"""Ids sort by time and never repeat."""

from __future__ import annotations

import msgspec

from runtime.record.decisions import Considered, Decision, DecisionIds, Exchange, floor_of, number_of


def test_ids_sort_in_the_order_they_were_made_even_when_the_clock_steps_back() -> None:
    """A clock that jumps, stands still or steps back yields strictly growing ids."""
    times = iter([100.0, 100.0, 100.001, 50.0, 50.0, 200.0])
    ids = DecisionIds(lambda: next(times), salt=0xABCDE)
    made = [ids.next() for _ in range(6)]
    assert made == sorted(set(made))
    assert all(id.startswith("dec_") and len(id) == 20 for id in made)


def test_two_processes_in_the_same_millisecond_make_different_ids() -> None:
    """The salt keeps them apart."""
    assert DecisionIds(lambda: 1.0, salt=1).next() != DecisionIds(lambda: 1.0, salt=2).next()


def test_an_id_carries_its_time() -> None:
    """What was made at a second sorts at or above that second's floor, and below the next one's."""
    number = number_of(DecisionIds(lambda: 1_700_000_000.5, salt=7).next())
    assert number is not None
    assert floor_of(1_700_000_000.5) <= number < floor_of(1_700_000_000.502)


def test_what_is_no_id_has_no_number() -> None:
    """Foreign text, wrong lengths and signs are not ids."""
    assert [number_of(text) for text in ("", "dec_", "dec_zz", "req_0000000000000001", "dec_ffffffffffffffff")] == [
        None
    ] * 5
    assert number_of("dec_-000000000000001") is None


def test_a_record_survives_its_encoding() -> None:
    """JSON and back gives an equal record, attempts and candidates included."""
    decision = Decision(
        id="dec_0000000000000001",
        at=1.5,
        dialect="openai_chat",
        model="auto",
        target="openai/x",
        considered=(Considered("local/a", "queue_depth", "7 wait"), Considered("openai/x", "fallback")),
        attempts=(Exchange("openai/x", "api", 0.1, 2.0, outcome="busy", status=429, retry_after=1.0),),
        degraded=("temperature",),
    )
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


def test_a_record_of_an_earlier_version_still_decodes() -> None:
    """Exchanges without usage and decisions without a caller are read with the defaults."""
    exchange = {"target": "openai/x", "lane": "api", "started_ms": 0.1, "ended_ms": 2.0}
    old = {"id": "dec_0000000000000001", "at": 1.5, "dialect": "openai_chat", "model": "auto", "attempts": [exchange]}
    decision = msgspec.json.decode(msgspec.json.encode(old), type=Decision)
    assert decision.caller == ""
    assert decision.attempts[0].prompt_tokens == 0
    assert decision.attempts[0].cost_usd is None
