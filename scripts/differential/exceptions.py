"""Differences that were looked at and are right as they are: a file of rules, each with its reason.

A rule speaks of a kind of difference, never of a case. Every field it has must fit; `*` stands for any text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from scripts.differential.comparison import Difference


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference and its circumstances.

    of: "request" or "answer". given: members of the client's request, or names and words that
    stand in the vendor's answer. named: parameters Hearth told the client it dropped.
    """

    of: str
    wire: str
    model: str
    case: str
    difference: Difference
    given: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Exempt:
    """of, wire, where, theirs, ours, model: patterns. given: of these it has one. left_out: of these it has none.

    named: parameters the client must have been told of. why: why what Hearth does is right. reviewed: when that was judged.
    """

    wire: str
    where: str
    theirs: str
    ours: str
    why: str
    reviewed: date
    of: str = "request"
    model: str = "*"
    given: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def fits(self, found: Finding) -> bool:
        said = (found.of, found.wire, found.model, found.difference.where)
        asked = (self.of, self.wire, self.model, self.where)
        return (
            all(_like(pattern, text) for pattern, text in zip(asked, said, strict=True))
            and _like(self.theirs, found.difference.theirs)
            and _like(self.ours, found.difference.ours)
            and (not self.given or bool(found.given.intersection(self.given)))
            and found.given.isdisjoint(self.left_out)
            and found.named.issuperset(self.named)
        )


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def load(file: Path) -> Sequence[Exempt]:
    """Raises TypeError for a rule that lacks a field or has one nobody reads."""
    written: dict[str, list[dict[str, Any]]] = tomllib.loads(file.read_text("utf-8"))
    return [_rule(each) for each in written["exception"]]


def _rule(written: dict[str, Any]) -> Exempt:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
    }
    return Exempt(**fields)
