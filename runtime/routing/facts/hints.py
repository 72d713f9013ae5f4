"""Hints: a caller's wishes for the decision itself, in the body's `hearth` object or in `x-hearth-*` headers.

Both unite. A member in both is taken from the body, except `requires`, whose sets are joined: a demand is never lost. An
unknown member or a bad value is the caller's error (`BadHint`), because a misspelt demand must not be ignored. Neither
goes upstream; the dialect takes them out of the body.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, cast

Delivery = Literal["live", "whole"]
Priority = Literal["interactive", "default", "batch"]

MEMBER = "hearth"  # of the body
PREFIX = "x-hearth-"  # of header names
_LONGEST = 256  # characters of a text
_MOST_NAMES = 32  # certificates of one request


class BadHint(Exception):
    """A hint that is unknown or malformed: 400 with its place ("hearth.ttft_ms", "x-hearth-requires")."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message


@dataclass(frozen=True, slots=True)
class Hints:
    """requires: certificates every candidate must have, lower case. ttft_ms: wanted time to the first token, milliseconds.

    explain: the answer says why it came from where it came from. sample: the request and its answer may be kept by
    `[quality.sample]`.
    """

    requires: frozenset[str] = frozenset()
    max_cost_usd: float | None = None
    ttft_ms: float | None = None
    priority: Priority | None = None
    session: str | None = None
    delivery: Delivery = "live"
    explain: bool = False
    sample: bool = True


NO_HINTS = Hints()


def read_hints(body: Mapping[str, Any], headers: Mapping[str, str]) -> Hints:
    """The hints of a request. `headers` has lower-case names. Raises BadHint."""
    members: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(PREFIX):
            member = name.removeprefix(PREFIX).replace("-", "_")
            _take(members, member, name, _FromHeader(value.strip()))
    given = body.get(MEMBER)
    if given is not None:
        if not isinstance(given, dict):
            raise BadHint("hearth", "must be an object")
        for name, value in given.items():
            _take(members, str(name), f"hearth.{name}", value)
    return Hints(**members) if members else NO_HINTS


def _take(members: dict[str, Any], name: str, place: str, value: Any) -> None:
    reader = _READERS.get(name)
    if reader is None:
        near = get_close_matches(name[:_LONGEST], _READERS, n=1)
        raise BadHint(place[:_LONGEST], f"unknown hint, did you mean {near[0]!r}?" if near else "unknown hint")
    if value is None:
        return
    read = reader(place, value)
    if name == "requires":
        read |= members.get(name, frozenset())
    members[name] = read


@dataclass(frozen=True, slots=True)
class _FromHeader:
    """A header's text: numbers and booleans may be written as text there, and nowhere else."""

    text: str


def _requires(place: str, value: Any) -> frozenset[str]:
    """Names: in a body a list or one name, in a header a comma list or a JSON list."""
    names = [value] if isinstance(value, str) else value
    if isinstance(value, _FromHeader):
        names = [name for name in value.text.split(",") if name.strip()]
        if value.text.startswith("["):
            try:
                names = json.loads(value.text)
            except ValueError:
                names = None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise BadHint(place, 'must be a list of names, such as ["hipaa"]')
    if len(names) > _MOST_NAMES or max(map(len, names), default=0) > _LONGEST:
        raise BadHint(place, f"must be at most {_MOST_NAMES} names of at most {_LONGEST} characters")
    return frozenset(name.strip().lower() for name in names)


def _positive(place: str, value: Any) -> float:
    number = math.nan
    written = value.text if isinstance(value, _FromHeader) else value
    if isinstance(value, int | float | _FromHeader) and not isinstance(value, bool):
        try:
            number = float(written)
        except (ValueError, OverflowError):
            number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadHint(place, "must be a number, 0 or greater")
    return number


def _text(place: str, value: Any) -> str:
    text = value.text if isinstance(value, _FromHeader) else value
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise BadHint(place, f"must be a text of 1 to {_LONGEST} characters")
    return text


def _one_of(*allowed: str) -> Callable[[str, Any], str]:
    def read(place: str, value: Any) -> str:
        text = value.text.lower() if isinstance(value, _FromHeader) else value
        if not isinstance(text, str) or text not in allowed:
            raise BadHint(place, "must be one of " + ", ".join(allowed))
        return text

    return read


def _flag(place: str, value: Any) -> bool:
    word = value.text.lower() if isinstance(value, _FromHeader) else value
    if isinstance(word, bool):
        return word
    if isinstance(value, _FromHeader) and word in _FLAGS:
        return _FLAGS[cast(str, word)]
    raise BadHint(place, "must be true or false")


_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_READERS: dict[str, Callable[[str, Any], Any]] = {
    "requires": _requires,
    "max_cost_usd": _positive,
    "ttft_ms": _positive,
    "priority": _one_of("interactive", "default", "batch"),
    "session": _text,
    "delivery": _one_of("live", "whole"),
    "explain": _flag,
    "sample": _flag,
}
