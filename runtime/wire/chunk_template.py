"""Recognizes chunks of a stream that differ from an earlier one in nothing but their plain text: most of them.

Knows the bytes of one string in one JSON object, nothing of what the rest means. Comparing bytes costs a tenth of parsing
them, and every token takes this path.
"""

from __future__ import annotations

import msgspec


class ChunkTemplate(msgspec.Struct, frozen=True, gc=False):
    """The bytes of a parsed chunk around its text. A chunk with the same bytes there differs in its text alone.

    That holds because a text without quotes, backslashes and control characters is a JSON string as it stands.
    """

    head: bytes
    tail: bytes

    @classmethod
    def of(cls, data: bytes, member: bytes, text: str) -> ChunkTemplate | None:
        """From a chunk whose `member` ('"content":') was parsed as `text`; None if the bytes do not show that plainly."""
        rest = data.partition(member)[2]
        value = rest.removeprefix(b" ")
        plain = text.encode("utf-8", "surrogatepass")
        if not plain or not value.startswith(b'"%b"' % plain):
            return None
        return cls(data[: len(data) - len(value) + 1], value[1 + len(plain) :])

    def text(self, data: bytes) -> str | None:
        """The text of a chunk that fits; None for any other, and for one whose text is empty or not plain."""
        if not (data.startswith(self.head) and data.endswith(self.tail)):
            return None
        plain = data[len(self.head) : -len(self.tail)]
        if not plain or b'"' in plain or b"\\" in plain:
            return None
        try:
            text = plain.decode()
        except UnicodeDecodeError:
            return None
        return text if text.isprintable() else None
