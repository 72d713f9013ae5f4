"""JSON values that grow by deltas. Nothing here knows a member's meaning: values are merged by their types.

Texts are appended, objects merged, lists joined (entries with an index by that index), any other value is replaced, and null
changes nothing. Names in `FIXED` are words, not text: they are replaced. Pieces of text are joined once, at the end.
"""

from __future__ import annotations

from typing import Any

FIXED = frozenset({"format", "id", "index", "object", "role", "type"})
_NAME = "name"  # arrives in pieces from some servers, and again and again from others

Table = dict[str, Any]


class Pieces(list[str]):
    """A text that grows."""


def grow(into: Table, delta: Table) -> None:
    """Merges a delta into a value."""
    for name, value in delta.items():
        before = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, str):
            if name in FIXED:
                into[name] = value or before or value
            elif isinstance(before, Pieces):
                if name != _NAME or "".join(before) != value:
                    before.append(value)
            elif isinstance(before, list):
                _join(before, [{"type": "text", "text": value}] if value else [])
            else:
                into[name] = Pieces([value])
        elif isinstance(value, dict):
            if not isinstance(before, dict):
                into[name] = before = {}
            grow(before, value)
        elif isinstance(value, list):
            if isinstance(before, Pieces):  # text of some servers is a list of parts as soon as it is more than text
                into[name] = before = [{"type": "text", "text": before}] if any(before) else []
            elif not isinstance(before, list):
                into[name] = before = []
            _join(before, value)
        else:
            into[name] = value


def _join(entries: list[Any], more: list[Any]) -> None:
    """Joins two lists: an entry with the index and the type of an earlier one, or text after text, continues it."""
    for entry in more:
        if not isinstance(entry, dict):
            entries.append(entry)
            continue
        if isinstance(entry.get("index"), int):
            same = next((each for each in reversed(entries) if _continues(each, entry)), None)
        else:
            last = entries[-1] if entries and isinstance(entries[-1], dict) else {}
            same = last if entry.keys() == {"type", "text"} == last.keys() and entry["type"] == last["type"] else None
        if same is None:
            entries.append(same := {})
        grow(same, entry)


def _continues(before: Any, entry: Table) -> bool:
    kind = entry.get("type")
    return isinstance(before, dict) and before.get("index") == entry["index"] and kind in (None, before.get("type"))


def grown(value: Any) -> Any:
    """The value with its texts joined."""
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {name: grown(each) for name, each in value.items()}
    return [grown(each) for each in value] if isinstance(value, list) else value
