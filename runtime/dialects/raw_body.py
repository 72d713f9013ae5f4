"""A request body kept as the client wrote it, beside what it says.

Parses the JSON once, in full, and remembers where each top-level member stands, so that a member can be replaced, added or
removed by splicing: key order, spacing and number spelling of everything else survive, and with them prompt caches.
Knows nothing of any dialect.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder()
_KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_AFTER = re.compile(rb"[ \t\r\n]*([,}])")
_COMMA = ord(",")
_OFFSET = re.compile(r"byte (\d+)")


class BadBody(ValueError):
    """The client's body is not what the wire allows. `place` is a member's name or a byte offset."""

    def __init__(self, message: str, place: str | None = None) -> None:
        super().__init__(message)
        self.place = place


class Span(NamedTuple):
    """Where a member stands in the raw bytes: its key's first byte, its value's first byte, one past its value's last."""

    key: int
    start: int
    end: int


class RawBody:
    """One JSON object. `data` is its meaning, `raw` its bytes."""

    __slots__ = ("data", "raw", "spans")

    def __init__(self, raw: bytes) -> None:
        """Raises BadBody with the place: not JSON, not an object, or a top-level key given twice."""
        self.raw = raw
        self.data: dict[str, Any] = _parse(raw)
        self.spans = _walk(raw)

    def value(self, name: str) -> bytes:
        """The member's value, as written."""
        span = self.spans[name]
        return self.raw[span.start : span.end]

    def spliced(self, put: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
        """The bytes with members replaced in place (or added at the end) and others removed."""
        cuts = [
            (span.start, span.end, put[name]) for name, span in self.spans.items() if name in put and name not in drop
        ]
        cuts += [(*self._with_comma(name, drop), b"") for name in drop if name in self.spans]
        added = [msgspec.json.encode(name) + b":" + value for name, value in put.items() if name not in self.spans]
        if added:
            end = self.raw.rindex(b"}")
            comma = b"," if len(self.spans) > sum(name in self.spans for name in drop) else b""
            cuts.append((end, end, comma + b",".join(added)))
        if not cuts:
            return self.raw
        cuts.sort()
        pieces: list[bytes] = []
        at = 0
        for start, end, value in cuts:
            pieces += (self.raw[at:start], value)
            at = end
        pieces.append(self.raw[at:])
        return b"".join(pieces)

    def _with_comma(self, name: str, drop: Collection[str]) -> tuple[int, int]:
        """The member's span with one of its commas: the one behind it, or, where no kept member follows, the one before."""
        names = list(self.spans)
        place = names.index(name)
        span = self.spans[name]
        kept_before = [n for n in names[:place] if n not in drop]
        if any(n not in drop for n in names[place + 1 :]):
            return span.key, self.spans[names[place + 1]].key
        if not kept_before:
            return span.key, self.spans[names[place + 1]].key if place + 1 < len(names) else span.end
        return self.spans[names[place - 1]].end, span.end


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        data = _anything.decode(raw)
    except RecursionError as error:
        raise BadBody("the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        offset = _OFFSET.search(str(error))
        raise BadBody(f"the body is not valid JSON: {error}", f"byte {offset[1]}" if offset else None) from error
    if not isinstance(data, dict):
        raise BadBody("the body must be a JSON object", "byte 0")
    return data


def _walk(raw: bytes) -> dict[str, Span]:
    """Top-level spans. A decoder keeps the last of two equal keys: where the bytes and its values part, a key came twice."""
    values = _members.decode(raw)
    spans: dict[str, Span] = {}
    at = raw.index(b"{") + 1
    for _ in range(len(values)):
        key = _KEY.match(raw, at)
        if key is None:
            break
        written = key[1]
        name = written[1:-1].decode() if b"\\" not in written else _anything.decode(written)
        value = bytes(values[name])
        start = key.end()
        end = start + len(value)
        if name in spans or not raw.startswith(value, start):
            raise BadBody(f"the member {name!r} is given twice", name)
        spans[name] = Span(key.start(1), start, end)
        if raw[end] == _COMMA:
            at = end + 1
            continue
        after = _AFTER.match(raw, end)
        if after is None:
            raise BadBody(f"the member {name!r} is given twice", name)
        if after[1] == b"}":
            return spans
        at = after.end()
    key = _KEY.match(raw, at)
    if key is not None:
        name = _anything.decode(key[1])
        raise BadBody(f"the member {name!r} is given twice", name)
    return spans
