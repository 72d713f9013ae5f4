"""Hints of callers, and the errors of wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.routing.facts.hints import BadHint, Hints, read_hints
from tests.runtime.routing.boxes import CALM


def test_no_hints_are_the_defaults() -> None:
    """Live delivery, no demand, no wish."""
    assert read_hints({"model": "auto"}, {"content-type": "application/json"}) == Hints()


def test_every_member_of_the_body_is_read() -> None:
    """The whole object of the contract."""
    body = {
        "hearth": {
            "requires": ["HIPAA"],
            "max_cost_usd": 0.02,
            "ttft_ms": 800,
            "priority": "batch",
            "session": "s1",
            "delivery": "whole",
            "explain": True,
        }
    }
    assert read_hints(body, {}) == Hints(frozenset({"hipaa"}), 0.02, 800.0, "batch", "s1", "whole", True)


def test_headers_say_the_same() -> None:
    """Numbers, lists and booleans as text."""
    headers = {
        "x-hearth-requires": "hipaa, zdr",
        "x-hearth-max-cost-usd": "0.02",
        "x-hearth-ttft-ms": "800",
        "x-hearth-priority": "batch",
        "x-hearth-explain": "true",
    }
    assert read_hints({}, headers) == Hints(frozenset({"hipaa", "zdr"}), 0.02, 800.0, "batch", explain=True)


def test_demands_of_body_and_headers_are_joined() -> None:
    """A certificate asked for anywhere is asked for; elsewhere the body wins."""
    hints = read_hints(
        {"hearth": {"requires": ["zdr"], "ttft_ms": 500}}, {"x-hearth-requires": '["hipaa"]', "x-hearth-ttft-ms": "900"}
    )
    assert hints == Hints(frozenset({"hipaa", "zdr"}), ttft_ms=500.0)


@pytest.mark.parametrize(
    ("body", "headers", "place"),
    [
        ({"hearth": {"require": ["hipaa"]}}, {}, "hearth.require"),
        ({"hearth": ["hipaa"]}, {}, "hearth"),
        ({"hearth": {"requires": [1]}}, {}, "hearth.requires"),
        ({"hearth": {"requires": {"hipaa": True}}}, {}, "hearth.requires"),
        ({"hearth": {"ttft_ms": "fast"}}, {}, "hearth.ttft_ms"),
        ({"hearth": {"ttft_ms": True}}, {}, "hearth.ttft_ms"),
        ({"hearth": {"ttft_ms": -1}}, {}, "hearth.ttft_ms"),
        ({"hearth": {"max_cost_usd": 10**400}}, {}, "hearth.max_cost_usd"),
        ({"hearth": {"delivery": "later"}}, {}, "hearth.delivery"),
        ({"hearth": {"explain": "true"}}, {}, "hearth.explain"),
        ({"hearth": {"session": ""}}, {}, "hearth.session"),
        ({"hearth": {"session": "s" * 257}}, {}, "hearth.session"),
        ({"hearth": {"requires": ["c" * 257]}}, {}, "hearth.requires"),
        ({"hearth": {"requires": [f"c{n}" for n in range(33)]}}, {}, "hearth.requires"),
        ({}, {"x-hearth-requires": "a," * 1_000_000}, "x-hearth-requires"),
        ({}, {"x-hearth-reqires": "hipaa"}, "x-hearth-reqires"),
        ({}, {"x-hearth-ttft-ms": "nan"}, "x-hearth-ttft-ms"),
        ({}, {"x-hearth-requires": "[hipaa"}, "x-hearth-requires"),
    ],
)
def test_a_wrong_hint_is_refused_with_its_place(body: dict[str, Any], headers: dict[str, str], place: str) -> None:
    """A misspelt demand must not be ignored."""
    with pytest.raises(BadHint) as refused:
        read_hints(body, headers)
    assert refused.value.place == place


def test_a_long_unknown_hint_is_quoted_cut() -> None:
    """Megabytes of a name are neither compared nor sent back."""
    with pytest.raises(BadHint) as refused:
        read_hints({"hearth": {"requires" * 1_000_000: 1}}, {})
    assert len(str(refused.value)) < 400


def test_a_misspelt_hint_is_told_the_right_name() -> None:
    """The nearest name is in the message."""
    with pytest.raises(BadHint, match="requires"):
        read_hints({"hearth": {"require": []}}, {})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, **CALM)
@given(
    st.dictionaries(st.sampled_from(["requires", "ttft_ms", "session", "explain", "priority", "max_cost_usd"]), _JSON),
    st.dictionaries(st.sampled_from(["x-hearth-requires", "x-hearth-ttft-ms", "x-hearth-explain"]), st.text()),
)
def test_hints_are_read_or_refused_and_nothing_else(hearth: dict[str, Any], headers: dict[str, str]) -> None:
    """No value raises anything but BadHint."""
    try:
        read_hints({"hearth": hearth}, headers)
    except BadHint as refused:
        assert refused.place
