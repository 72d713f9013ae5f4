"""Differences that were reviewed and are right: a file of rules, each with its reason.

A rule excuses a kind of difference, never a case. Every field it has must fit; `*` stands for any text.
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

    of: "request" or "answer". given: members of the client's request, or names and words in the vendor's answer.
    named: parameters that Hearth reported as dropped.
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
    """of, wire, where, theirs, ours, model: patterns. given: the finding has one of these. left_out: it has none of these.

    named: parameters that must have been reported as dropped. why: the reason why Hearth is right. reviewed: the date.
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
        values = (found.of, found.wire, found.model, found.difference.where)
        patterns = (self.of, self.wire, self.model, self.where)
        return (
            all(_like(pattern, text) for pattern, text in zip(patterns, values, strict=True))
            and _like(self.theirs, found.difference.theirs)
            and _like(self.ours, found.difference.ours)
            and (not self.given or bool(found.given.intersection(self.given)))
            and found.given.isdisjoint(self.left_out)
            and found.named.issuperset(self.named)
        )


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def load(file: Path) -> Sequence[Exempt]:
    """Raises TypeError for a rule that lacks a field or has an unknown one."""
    written: dict[str, list[dict[str, Any]]] = tomllib.loads(file.read_text("utf-8"))
    rules = []
    for each in written["exception"]:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in each.items()
        }
        rules.append(Exempt(**fields))
    return rules
