"""Changes to a settings file, spliced into its text: every byte outside the changed values stays as it is.

Each result is parsed again and compared with the wanted tree: what cannot be spliced is refused and never written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from runtime.settings.commented import toml
from runtime.settings.faults import dotted
from runtime.settings.places import Key, Layout, layout

PartKey = tuple[str | int, ...]


class KeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key and its new value. A number in the key is a place in a list of tables; the one after the last adds to it."""

    key: PartKey
    value: Any


class SettingsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """set: values to write. unset: keys, or whole tables, to take out; they are taken out first, the last of a list first."""

    set: tuple[KeyChange, ...] = ()
    unset: tuple[PartKey, ...] = ()

    @property
    def keys(self) -> tuple[Key, ...]:
        return (*self.unset, *(each.key for each in self.set))


class CannotSplice(ValueError):
    """The file is written in a way that this change does not fit into. The message names the key."""


def edited(text: str, change: SettingsChange) -> str:
    """The text with the change in it. Raises CannotSplice; tomllib.TOMLDecodeError for a text that is no TOML."""
    wanted = tomllib.loads(text)
    for key in sorted(change.unset, key=lambda key: [(isinstance(part, str), part) for part in key], reverse=True):
        _take(wanted, key)
        text = _without(text, key)
    for each in change.set:
        _put(wanted, each.key, each.value)
        text = _with(text, each.key, each.value)
    try:
        made = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotSplice(f"{_named(change.keys)} cannot be changed in this file: {error}") from error
    if _plain(made) != _plain(wanted):
        raise CannotSplice(f"{_named(change.keys)} cannot be changed in this file as it is written: change it by hand")
    return text


def _with(text: str, key: Key, value: Any) -> str:
    found = layout(text)
    # (1) The value stands in the file, or within one that does.
    for end in range(len(key), 0, -1):
        if (pair := found.pairs.get(key[:end])) is not None:
            whole = value
            if end < len(key):
                whole = tomllib.loads(f"value = {text[pair.value : pair.end]}")
                _put(whole, ("value", *key[end:]), value)
                whole = whole["value"]
            return text[: pair.value] + toml(whole) + text[pair.end :]
    # (2) The table that it stands for gives way to it.
    if any(table.key[: len(key)] == key for table in found.tables):
        text = _without(text, key)
        found = layout(text)
    # (3) Its table is there.
    line = f"{dotted(key[-1:])} = {toml(value)}" if isinstance(key[-1], str) else ""
    if line:
        for table in found.tables:
            if table.key == key[:-1] and (table.key or table.end):
                return f"{text[: table.end]}\n{line}{text[table.end :]}"
        # Or its neighbours are written with dots.
        beside = [pair for place, pair in found.pairs.items() if len(key) > 1 and place[: len(key) - 1] == key[:-1]]
        last = max(beside, key=lambda pair: pair.start, default=None)
        inside = [table for table in found.tables if last is not None and table.start <= last.start][-1:]
        if last is not None and len(inside[0].key) < len(key) - 1:
            stop = text.find("\n", last.end)
            stop = len(text) if stop < 0 else stop
            return f"{text[:stop]}\n{dotted(key[len(inside[0].key) :])} = {toml(value)}{text[stop:]}"
    # (4) It begins a table: an entry of a list, a table with a name, or a section with this one key in it.
    if isinstance(key[-1], int) or (len(key) == 2 and isinstance(value, Mapping)):
        name = dotted(tuple(part for part in key if isinstance(part, str)))
        header = f"[[{name}]]" if isinstance(key[-1], int) else f"[{name}]"
        lines = [f"{dotted((str(inner),))} = {toml(entry)}" for inner, entry in dict(value).items()]
        return _appended(text, _end(found, key[:1]), [header, *lines])
    return _appended(text, len(text.rstrip()), [f"[{dotted(key[:-1])}]", line])


def _without(text: str, key: Key) -> str:
    found = layout(text)
    for end in range(len(key) - 1, 0, -1):
        if (pair := found.pairs.get(key[:end])) is not None:  # within a value
            whole = tomllib.loads(f"value = {text[pair.value : pair.end]}")
            _take(whole, ("value", *key[end:]))
            return text[: pair.value] + toml(whole["value"]) + text[pair.end :]
    spans = [(table.start, table.end) for table in found.tables if key and table.key[: len(key)] == key]
    spans += [
        (pair.start, pair.end) for place, pair in found.pairs.items() if place == key or _below(place, key, found)
    ]
    for start, end in sorted(spans, reverse=True):
        line = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", end)
        text = text[:line] + (text[stop + 1 :] if stop >= 0 else "")
    return text


def _below(place: Key, key: Key, found: Layout) -> bool:
    """True for a key that the file writes with dots, `a.b = 1`, below the one that goes, outside any table of that."""
    tables = [table.key for table in found.tables]
    return (
        place[: len(key)] == key
        and key not in tables
        and not any(place[:end] in found.pairs for end in range(len(place)))
    )


def _end(found: Layout, section: Key) -> int:
    """The end of a section's last table; the end of the text if there is none."""
    own = [table for table in found.tables if table.key[:1] == section]
    return max([table.end for table in own or found.tables])


def _appended(text: str, at: int, lines: list[str]) -> str:
    before = f"{text[:at]}\n\n" if text[:at].strip() else text[:at]
    after = text[at:] if text[at:].startswith("\n") else f"\n{text[at:]}"
    return before + "\n".join(lines) + after


def _put(tree: Any, key: Key, value: Any) -> None:
    """Raises CannotSplice where the way leads through a value that is no table."""
    for place, part in enumerate(key[:-1]):
        if isinstance(part, int):
            tree = _entry(tree, part, key)
        elif isinstance(tree, dict):
            tree = tree.setdefault(part, [] if isinstance(key[place + 1], int) else {})
        else:
            raise CannotSplice(f"{dotted(key)} is no key of a table")
    last = key[-1]
    if isinstance(tree, dict) and isinstance(last, str):
        tree[last] = value
    elif isinstance(tree, list) and isinstance(last, int) and last == len(tree):
        tree.append(value)
    elif isinstance(tree, list) and isinstance(last, int) and 0 <= last < len(tree):
        tree[last] = value
    else:
        raise CannotSplice(f"{dotted(key)} is no key of this file")


def _take(tree: Any, key: Key) -> None:
    """Raises CannotSplice for a key that the file does not set."""
    for part in key[:-1]:
        tree = _entry(tree, part, key)
    _entry(tree, key[-1], key)
    del tree[key[-1]]


def _entry(tree: Any, part: str | int, key: Key) -> Any:
    known = isinstance(tree, dict) and part in tree
    if not known and not (isinstance(tree, list) and isinstance(part, int) and 0 <= part < len(tree)):
        raise CannotSplice(f"the file does not set {dotted(key)}")
    return tree[part]


def _plain(tree: Any) -> Any:
    """The tree without empty tables and lists, which a file may leave out."""
    if isinstance(tree, Mapping):
        inner = {name: _plain(value) for name, value in tree.items()}
        return {name: value for name, value in inner.items() if value not in ({}, [])}
    return [_plain(each) for each in tree] if isinstance(tree, list | tuple) else tree


def _named(keys: Iterable[Key]) -> str:
    return ", ".join(map(dotted, keys))
