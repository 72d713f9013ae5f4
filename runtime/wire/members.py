"""Typed reads of a client's JSON. Each raises BadBody with the place of a value that the wire does not allow.

`null` counts as a missing member. Knows nothing of any member's meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from runtime.wire.raw_body import BadBody

Table = Mapping[str, Any]


def path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def text(data: Table, name: str, at: str = "") -> str | None:
    value = data.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong(path(at, name), "a string")


def needed_text(data: Table, name: str, at: str) -> str:
    value = text(data, name, at)
    if not value:
        raise wrong(path(at, name), "a string that is not empty")
    return value


def texts(data: Table, name: str) -> tuple[str, ...]:
    """One string or a list of them, without empty ones."""
    value = data.get(name)
    words = [value] if isinstance(value, str) else items(data, name)
    if not all(isinstance(word, str) for word in words):
        raise wrong(name, "a string or a list of strings")
    return tuple(word for word in words if word)


def number(data: Table, name: str, at: str = "") -> float | None:
    value = data.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wrong(path(at, name), "a number")


def whole(data: Table, name: str, least: int | None = None) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name, "an integer")
    if least is not None and value < least:
        raise BadBody(f"{name!r} must be at least {least}", name)
    return value


def flag(data: Table, name: str, at: str = "") -> bool | None:
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise wrong(path(at, name), "true or false")


def table(data: Table, name: str, at: str = "") -> dict[str, Any] | None:
    value = data.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise wrong(path(at, name), "an object")


def items(data: Table, name: str, at: str = "") -> list[Any]:
    value = data.get(name)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise wrong(path(at, name), "a list")


def rest(data: Table, known: Collection[str]) -> dict[str, Any]:
    """The members that `known` does not name, without nulls."""
    return {name: value for name, value in data.items() if name not in known and value is not None}


def wrong(place: str, wanted: str) -> BadBody:
    return BadBody(f"{place!r} must be {wanted}", place)
