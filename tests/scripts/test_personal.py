"""The tables of what the search for personal data finds are those in the documentation."""

from __future__ import annotations

from pathlib import Path

from scripts.personal.__main__ import by_country, by_kind, measured
from scripts.personal.measure import labelled

ROOT = Path(__file__).resolve().parents[2]


def test_the_documented_shares_are_those_of_these_patterns() -> None:
    """Whoever changes a pattern measures again."""
    page, halves = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8"), measured()
    assert by_kind(halves) in page and by_country(halves) in page


def test_the_set_is_as_large_as_it_is_said_to_be() -> None:
    """Of eleven countries, and every second text held out."""
    rows = labelled()
    with_one, without = [each for each in rows if each.kind], [each for each in rows if not each.kind]
    assert len(with_one) >= 400 and len(without) >= 200
    assert len({each.country for each in with_one}) == 11
    for half in ("shown", "held"):
        assert sum(each.half == half for each in with_one) * 2 == len(with_one)
