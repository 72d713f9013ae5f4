"""Recall and precision of a finder on the labelled set, by kind and by country, each with its 95 % interval."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from runtime.quality.binomial import clopper_pearson

FILE = Path(__file__).resolve().parents[2] / "tests" / "runtime" / "trust" / "labelled.jsonl"
SHOWN, HELD = "shown", "held"
PATTERNED = ("mail", "phone", "iban", "card", "tax", "passport", "record", "address")  # kinds that patterns look for
Finder = Callable[[str], frozenset[str]]


class Row(NamedTuple):
    """kind, country: "" for a text with no personal data. half: "shown" to whoever improves patterns, or "held" out."""

    country: str
    kind: str
    half: str
    text: str


class Share(NamedTuple):
    """So many of so many."""

    part: int
    whole: int

    def __str__(self) -> str:
        if not self.whole:
            return "-"
        low, high = clopper_pearson(self.part, self.whole)
        return f"{self.part / self.whole:.0%} ({low:.0%} to {high:.0%})"


class Found(NamedTuple):
    row: Row
    kinds: frozenset[str]


def labelled(path: Path = FILE) -> list[Row]:
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def searched(rows: Iterable[Row], finder: Finder) -> list[Found]:
    return [Found(row, finder(row.text)) for row in rows]


def recall(found: Sequence[Found], kind: str = "", country: str = "", within: Sequence[str] = ()) -> Share:
    """Of the texts that hold a kind, those in which it was found. within: the kinds counted where none is named."""
    asked = [
        each
        for each in found
        if each.row.kind and each.row.kind in ((kind,) if kind else within) and country in ("", each.row.country)
    ]
    return Share(sum(each.row.kind in each.kinds for each in asked), len(asked))


def precision(found: Sequence[Found], kind: str) -> Share:
    """Of the texts in which a kind was found, those that hold it."""
    said = [each for each in found if kind in each.kinds]
    return Share(sum(each.row.kind == kind for each in said), len(said))


def false_alarms(found: Sequence[Found]) -> Share:
    """Of the texts without personal data, those in which any was found."""
    clean = [each for each in found if not each.row.kind]
    return Share(sum(bool(each.kinds) for each in clean), len(clean))
