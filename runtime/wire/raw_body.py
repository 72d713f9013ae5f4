"""A request body: its parsed JSON, beside the bytes that the client wrote.

Parses the JSON once, in full, and remembers where each top-level member stands, so that a member can be replaced, added or
removed by splicing: key order, spacing and number spelling of everything else survive, and with them prompt caches.
A megabyte, whatever it holds, takes tens of milliseconds at most. Knows nothing of any dialect.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Collection, Mapping
from itertools import accumulate
from typing import Any

import msgspec

DEPTH_LIMIT = 200  # of nested lists and objects: whatever reads a body may recurse
CONTAINER_LIMIT = 100_000  # lists and objects: more take the parser longer than 50 ms
MEMBER_LIMIT = 1000  # of the top level: no wire has a hundred
KEY_LIMIT = 1000  # characters of a top-level key

_KEY = re.compile(rb'[ \t\r\n]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\r\n]*:[ \t\r\n]*')
_AFTER = re.compile(rb"[ \t\r\n]*([,}])")
_COMMA = ord(",")
_OFFSET = re.compile(r"byte (\d+)")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one deeper, one less deep
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _float(digits: str) -> float:
    """A float of JSON. The decoder's own reading takes 20 us for one near the largest there is."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return value


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder(float_hook=_float)


class BadBody(ValueError):
    """The wire does not allow the client's body. place: a member's name or a byte offset."""

    def __init__(self, message: str, place: str | None = None) -> None:
        super().__init__(message)
        self.place = place


Span = tuple[int, int, int]
"""Where a member stands in the raw bytes: its key's first byte, its value's first byte, one past its value's last."""


class RawBody:
    """One JSON object. data: parsed. raw: the bytes. spans: where each top-level member stands."""

    __slots__ = ("data", "raw", "spans")

    def __init__(
        self,
        raw: bytes,
        *,
        depth_limit: int = DEPTH_LIMIT,
        container_limit: int = CONTAINER_LIMIT,
        member_limit: int = MEMBER_LIMIT,
        key_limit: int = KEY_LIMIT,
    ) -> None:
        """Raises BadBody with the place: not JSON, not an object, too deep or too wide, or a top-level key given twice."""
        self.raw = raw
        if raw.count(b"[") + raw.count(b"{") > depth_limit:
            _check_nesting(raw, depth_limit, container_limit)
        try:
            data = _anything.decode(raw)
        except RecursionError as error:
            raise BadBody("the body is nested too deeply") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            offset = _OFFSET.search(str(error))
            raise BadBody(f"the body is not valid JSON: {error}", f"byte {offset[1]}" if offset else None) from error
        if not isinstance(data, dict):
            raise BadBody("the body must be a JSON object", "byte 0")
        self.data: dict[str, Any] = data
        if len(self.data) > member_limit:
            raise BadBody(f"the body has more than {member_limit} members")
        if any(len(name) > key_limit for name in self.data):
            raise BadBody(f"a member's name is longer than {key_limit} characters")
        values = _members.decode(raw)
        self.spans = _measured(raw, values) or _walked(raw, values)

    def value(self, name: str) -> bytes:
        """The member's value, as written."""
        _, start, end = self.spans[name]
        return self.raw[start:end]

    def spliced(self, put: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
        """The bytes with members replaced in place (or added at the end) and others removed."""
        raw, spans = self.raw, self.spans
        cuts: list[tuple[int, int, bytes]] = []
        added: list[bytes] = []
        for name, value in put.items():
            if name not in spans:
                added.append(msgspec.json.encode(name) + b":" + value)
            elif name not in drop:
                cuts.append((spans[name][1], spans[name][2], value))
        gone = [name for name in drop if name in spans]
        cuts += [(*self._with_comma(name, drop), b"") for name in gone]
        if added:
            end = raw.rindex(b"}")
            comma = b"," if len(spans) > len(gone) else b""
            cuts.append((end, end, comma + b",".join(added)))
        if len(cuts) > 1:
            cuts.sort()
        pieces: list[bytes] = []
        at = 0
        for start, end, value in cuts:
            pieces += (raw[at:start], value)
            at = end
        pieces.append(raw[at:])
        return b"".join(pieces)

    def _with_comma(self, name: str, drop: Collection[str]) -> tuple[int, int]:
        """The member's span with one of its commas: the one after it, or the one before if no kept member follows."""
        names = list(self.spans)
        place = names.index(name)
        span = self.spans[name]
        kept_before = [n for n in names[:place] if n not in drop]
        if any(n not in drop for n in names[place + 1 :]):
            return span[0], self.spans[names[place + 1]][0]
        if not kept_before:
            return span[0], self.spans[names[place + 1]][0] if place + 1 < len(names) else span[2]
        return self.spans[names[place - 1]][2], span[2]


def _check_nesting(raw: bytes, depth_limit: int, container_limit: int) -> None:
    """Raises BadBody for too many lists and objects, or too deep ones. Brackets in strings do not count."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    steps = b"".join(raw.split(b'"')[::2]).translate(_STEPS, _NO_BRACKETS)
    if len(steps) > 2 * container_limit:
        raise BadBody(f"the body has more than {container_limit} lists and objects")
    if max(accumulate(array("b", steps)), default=0) > depth_limit:
        raise BadBody(f"the body is nested more than {depth_limit} levels deep")


def _measured(raw: bytes, values: Mapping[str, msgspec.Raw]) -> dict[str, Span] | None:
    """Top-level spans of a body without spaces between its members, the common case; None for any other.

    The lengths show it: a space, a key given twice or one with an escape makes the body longer than its members are.
    """
    spans: dict[str, Span] = {}
    at = 1
    for name, value in values.items():
        start = at + len(name) + 3
        end = start + len(value)
        spans[name] = (at, start, end)
        at = end + 1
    return spans if at == len(raw) else None


def _walked(raw: bytes, values: dict[str, msgspec.Raw]) -> dict[str, Span]:
    """Top-level spans. The decoder keeps the last of two equal keys: a value that is not in its place was given twice."""
    spans: dict[str, Span] = {}
    key = _KEY.match(raw, raw.index(b"{") + 1)
    while key is not None:
        start = key.end()
        written = key[1]
        name = _anything.decode(b'"%b"' % written) if b"\\" in written else written.decode()
        value = bytes(values.pop(name, b""))
        end = start + len(value)
        if not value or not raw.startswith(value, start):
            raise BadBody(f"the member {name!r} is given twice", name)
        spans[name] = (key.start(1) - 1, start, end)
        at = end + 1
        if raw[end] != _COMMA:
            after = _AFTER.match(raw, end)
            if after is None:
                raise BadBody(f"the member {name!r} is given twice", name)
            if after[1] == b"}":
                break
            at = after.end()
        key = _KEY.match(raw, at)
    return spans
