"""Characters that a server cut in two, half in one event and half in the next: as surrogate escapes, or as bytes of UTF-8.

Neither half is valid JSON. `mended` makes an event readable by itself, for meters; `CutCharacters` joins the halves again, for
translation. Works on the bytes of JSON texts; knows no wire.
"""

from __future__ import annotations

import re

# A pair of backslashes and a whole pair of escapes are matched to be skipped; the named group is a lone escape.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_HIGH = re.compile(rb"\\u[dD][89abAB]")
_HALF = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})(?=\")")
_REST = re.compile(rb"\"(?=[\x80-\xbf])")
_REPLACED = b"\\ufffd"


def mended(data: bytes) -> bytes:
    """The JSON text with U+FFFD in place of each half of a character; the same object if it has none."""
    return CutCharacters().joined(data, last=True)


class CutCharacters:
    """The events of one stream, in order."""

    __slots__ = ("_bytes", "_escape")

    def __init__(self) -> None:
        self._escape = b""  # the first half of a pair of escapes, from the end of a string
        self._bytes = b""  # the first bytes of a character

    def joined(self, data: bytes, *, last: bool = False) -> bytes:
        """The event with the half that the one before it ended with, and without the half that it ends with itself.

        last: no event follows that could bring the other half.
        """
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                if self._bytes:
                    data = _REST.sub(b'"' + self._bytes, data, count=1)
                    self._bytes = b""
                half = None if last else _HALF.search(data)
                if half is not None:
                    self._bytes = half.group()
                    data = data[: half.start()] + data[half.end() :]
                data = data.decode(errors="replace").encode()
        if b"\\ud" in data or b"\\uD" in data:
            data = self._joined_escapes(data, last)
        return data

    def _joined_escapes(self, data: bytes, last: bool) -> bytes:
        held, self._escape = self._escape, b""

        def replaced(found: re.Match[bytes]) -> bytes:
            nonlocal held
            lone = found["lone"]
            if lone is None:
                return found.group()
            before, after = data[found.start() - 1 : found.start()], data[found.end() : found.end() + 1]
            if _HIGH.match(lone):
                if after == b'"' and not last:
                    self._escape = lone
                    return b""
            elif held and before == b'"':
                whole, held = held + lone, b""
                return whole
            return _REPLACED

        return _ESCAPES.sub(replaced, data)
