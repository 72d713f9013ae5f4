"""The differences between two meanings: the places, and both values there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts.differential.meaning import Meaning

Json = Any
ABSENT = "absent"
_HEAD = "system"


@dataclass(frozen=True, slots=True)
class Difference:
    """where: members and keywords, without numbers and without the client's own names. theirs, ours: JSON text."""

    where: str
    theirs: str
    ours: str


_NOTHING = object()
IN_PLACE = "kept in its place"


def differences(theirs: Meaning, ours: Meaning) -> list[Difference]:
    found = [*_head(theirs.get(_HEAD) or [], ours), *_members(_without_head(theirs), _without_head(ours), "")]
    return list(dict.fromkeys(found))


def _without_head(side: Meaning) -> Meaning:
    return {name: value for name, value in side.items() if name != _HEAD}


def _head(theirs: list[str], ours: Meaning) -> Iterator[Difference]:
    """The instructions that one side has beyond the other's; IN_PLACE if Hearth has them among the turns."""
    our: list[str] = ours.get(_HEAD) or []
    if theirs[: len(our)] == our and theirs != our:
        rest = theirs[len(our) :]
        texts = [item.get("text") for turn in ours.get("turns") or () for item in turn["items"]]
        yield Difference(f"{_HEAD}.rest", _text(rest), IN_PLACE if set(rest) <= set(texts) else ABSENT)
    elif our[: len(theirs)] == theirs and theirs != our:
        yield Difference(f"{_HEAD}.rest", ABSENT, _text(our[len(theirs) :]))
    elif theirs != our:
        yield _difference(_HEAD, theirs, our)


def _members(theirs: Json, ours: Json, at: str) -> Iterator[Difference]:
    for name in dict.fromkeys([*theirs, *ours]):
        yield from _value(theirs.get(name, _NOTHING), ours.get(name, _NOTHING), f"{at}.{name}" if at else name)


def _value(theirs: Json, ours: Json, at: str) -> Iterator[Difference]:
    if theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool):
        return
    last = at.rpartition(".")[2]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if last in _OWN_NAMES:
            if lacking := sorted(set(theirs) - set(ours)):
                yield _difference(f"{at}.lacking", lacking, _NOTHING)
            if more := sorted(set(ours) - set(theirs)):
                yield _difference(f"{at}.more", _NOTHING, more)
            for name in (name for name in theirs if name in ours):
                yield from _value(theirs[name], ours[name], f"{at}.*")
        elif last in _WHOLE:
            yield _difference(at, theirs, ours)
        else:
            yield from _members(theirs, ours, at)
    elif isinstance(theirs, list) and isinstance(ours, list) and last in _STEPS:
        yield from _listed(theirs, ours, at, _STEPS[last])
    else:
        yield _difference(at, theirs, ours)


_OWN_NAMES = frozenset({"properties", "tools", "cited"})  # inside these members names are the client's own
_WHOLE = frozenset({"arguments", "told"})
_STEPS = {
    "turns": "role",
    "items": "kind",
    "anyOf": "",
    "calls": "",
}  # lists -> the member that distinguishes their items


def _listed(theirs: list[Json], ours: list[Json], at: str, tell: str) -> Iterator[Difference]:
    """Differences item by item; of lists whose items do not correspond, the items' kinds."""
    steps = [[each.get(tell, "") if isinstance(each, dict) else "" for each in side] for side in (theirs, ours)]
    if steps[0] != steps[1]:
        yield _difference(f"{at}.{tell or 'length'}", *(side if tell else len(side) for side in steps))
        return
    for their, our in zip(theirs, ours, strict=True):
        deeper = f"{at}.{their[tell]}" if at.endswith("items") else at
        yield from _value(their, our, deeper)


def _difference(at: str, theirs: Json, ours: Json) -> Difference:
    return Difference(at, _text(theirs), _text(ours))


def _text(value: Json) -> str:
    return ABSENT if value is _NOTHING else json.dumps(value, ensure_ascii=False, sort_keys=True)
