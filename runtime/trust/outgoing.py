"""The text of a body: all that a target would read of it, in any dialect's shapes. Pure, and never raises on a strange body.

It goes through every member, so that a new kind of message part is read without being known here: messages, instructions,
tools, tool arguments and results, documents and files of text, prompts in lists, names of members. Left out are media
(pictures, sound, video, files that are not text), token ids, and `hearth`, which stays on the box.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

MOST_CHARACTERS = 4_000_000  # of one request that are looked at
DATA = frozenset({"data", "file_data", "b64_json", "encrypted_content", "signature"})  # members of bodies
_OURS = "hearth"
_BESIDE = 64  # characters of a value whose member's name is read with it: "ssn": "219099999"
_LEAST_NUMBER = 10**6  # a smaller one is nobody's
_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.=+-]+)*,")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{32,}[=\s]*\Z|[A-Za-z0-9+/_-]{64}")  # of base64, not of words
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt])")
_SNIFFED = 4096  # characters of encoded data that are looked at for whether it is text; divisible by 4


class Outgoing(NamedTuple):
    """text: one part a line. whole: False if the body holds more than was read."""

    text: str
    whole: bool


def outgoing(body: Any, most: int = MOST_CHARACTERS) -> Outgoing:
    """most: characters that are read."""
    parts: list[str] = []
    left = most
    for part in _texts(
        {name: each for name, each in body.items() if name != _OURS} if isinstance(body, dict) else body
    ):
        parts.append(part[:left])
        left -= len(part)
        if left < 0:
            return Outgoing("\n".join(parts), False)
    return Outgoing("\n".join(parts), True)


def _texts(body: Any) -> Iterator[str]:
    """Each text of a body, in order. A stack, not recursion: bodies are as deep as the door lets them be."""
    left: list[tuple[str, Any]] = [("", body)]
    while left:
        name, value = left.pop()
        if isinstance(value, str):
            text = _decoded(value) if name in DATA or value.startswith("data:") else value
            text = _ESCAPED.sub(_unescaped, text) if "\\" in text else text
            yield f"{name}: {text}" if name and len(text) <= _BESIDE else text
        elif isinstance(value, dict):
            left.extend([(str(each), value[each]) for each in reversed(value)])
            yield from [str(each) for each in value if not str(each).isidentifier()]
        elif isinstance(value, list):
            left.extend([(name if isinstance(each, dict | list) else "", each) for each in reversed(value)])
        elif isinstance(value, int) and abs(value) >= _LEAST_NUMBER:
            yield f"{name}: {value}"


def _unescaped(found: re.Match[str]) -> str:
    """JSON within a text: tool arguments, and most tool results."""
    return chr(int(found[1], 16)) if found[1] else "\n"


def _decoded(value: str) -> str:
    """The text in a data URL, or in base64; "" for what is not text. Words that only look like one are left as they are."""
    url = _URL.match(value)
    encoded = value[url.end() :] if url is not None else value
    if url is not None and ";base64" not in url.group():
        return unquote(encoded)
    if url is None and not _ENCODED.match(encoded):
        return value
    plain = encoded.replace("-", "+").replace("_", "/")
    try:
        start = binascii.a2b_base64(plain[:_SNIFFED] + "==")
        if b"\x00" in start or len(start.decode("utf-8", "replace").strip("\ufffd").encode()) < len(start) - 3:
            return ""  # a picture, a sound, a PDF: seen at its beginning
        return binascii.a2b_base64(plain + "==").decode("utf-8")
    except ValueError:
        return "" if url is not None or len(encoded) > _SNIFFED else value
