"""The places of the keys in a TOML text that the parser has accepted. Knows how TOML is laid out, not what it means."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

Key = tuple[str | int, ...]  # from the root: names of keys, and places in lists from 0


class SourcePlace(NamedTuple):
    """Both count from 1."""

    line: int
    column: int


class PairSpan(NamedTuple):
    """Characters of one `name = value`: from the name, from the value, to its end."""

    start: int
    value: int
    end: int


class TableSpan(NamedTuple):
    """Characters of a table under a header: from the header to the end of its last line that holds something."""

    key: Key
    start: int
    end: int


class Layout(NamedTuple):
    """pairs: every `name = value`, also within a value. tables: in order; the first one is the root, before any header."""

    pairs: dict[Key, PairSpan]
    tables: list[TableSpan]


def layout(text: str) -> Layout:
    """The places of everything in the text."""
    scan = _Scan(text)
    return Layout(scan.pairs, scan.tables)


def places(text: str) -> dict[Key, SourcePlace]:
    """The place of every table, key and list entry. A key's place is where its name begins."""
    return _Scan(text).found


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_REST_OF_LINE = re.compile(r"[^\n]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # several lines
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d [^\s,\]}#]+|[^\s,\]}#]+")  # the first: a date, a space, a time


class _Scan:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Key, SourcePlace] = {}
        self.pairs: dict[Key, PairSpan] = {}
        self.tables = [TableSpan((), 0, 0)]
        self._lists: dict[Key, int] = {}  # lists of tables: how many so far
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._document()

    def _document(self) -> None:
        table: Key = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                start = self.at
                table = self._header()
                self._skip(_REST_OF_LINE)
                self.tables.append(TableSpan(table, start, self.at))
            else:
                self._pair(table)
                self._skip(_REST_OF_LINE)
                self.tables[-1] = self.tables[-1]._replace(end=self.at)
            self._skip(_BLANK)

    def _header(self) -> Key:
        start, brackets = self.at, 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        names = self._names()
        self.at += brackets
        # Names lead through the last entry of each list of tables on the way.
        table: Key = ()
        for name in names[:-1]:
            table = (*table, name)
            if table in self._lists:
                table = (*table, self._lists[table] - 1)
        table = (*table, *names[-1:])
        if brackets == 2:
            self._lists[table] = self._lists.get(table, 0) + 1
            table = (*table, self._lists[table] - 1)
        self._record(table, start)
        return table

    def _pair(self, table: Key) -> None:
        start = self.at
        key = table + self._names()
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._record(key, start)
        value = self.at
        self._value(key)
        self.pairs[key] = PairSpan(start, value, self.at)

    def _names(self) -> Key:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            if self.text[self.at] in "\"'":
                names.append(tomllib.loads(f"name = {self._take(_STRING)}")["name"])
            else:
                names.append(self._take(_BARE_KEY))
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return tuple(names)
            self.at += 1

    def _value(self, key: Key) -> None:
        opening = self.text[self.at]
        if opening == "[":
            for index in self._until("]"):
                self._record((*key, index), self.at)
                self._value((*key, index))
        elif opening == "{":
            for _ in self._until("}"):
                self._pair(key)
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _until(self, closing: str) -> Iterator[int]:
        """Stands before one entry after another, and behind the closing bracket at the end."""
        self.at += 1
        for index in count():
            self._skip(_BLANK)
            if self.text[self.at] == closing:
                self.at += 1
                return
            yield index
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1

    def _record(self, key: Key, at: int) -> None:
        line = bisect_right(self._line_starts, at)
        place = SourcePlace(line, at - self._line_starts[line - 1] + 1)
        for end in range(1, len(key) + 1):
            self.found.setdefault(key[:end], place)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"no TOML at character {self.at}")
        self.at = match.end()
        return match.group()
