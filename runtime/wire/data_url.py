"""Data URLs, MIME types and formats of media in base64. Fetches nothing, reads no system tables."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

Kind = Literal["image", "audio", "video", "document"]

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_TYPES = mimetypes.MimeTypes()  # Python's own tables: `mimetypes.guess_type` would read the system's
_FAMILIES: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
# The first base64 characters of files that came without name and type.
_SIGNS = (("JVBERi0", "application/pdf"), ("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"))
_SOUNDS = {"wav": "wav", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "mp3": "mp3", "mpeg": "mp3", "mpga": "mp3"}


class Inline(NamedTuple):
    """mime: "" where unknown. data: base64, standard alphabet."""

    mime: str
    data: str


def read(url: str) -> Inline | None:
    """A data URL's parts; None for any other URL."""
    head = _DATA_URL.match(url)
    if head is None:
        return None
    mime, marks, payload = head[1].strip().lower(), head[2].lower(), url[head.end() :]
    if marks.endswith(";base64"):
        return Inline(mime, payload)
    return Inline(mime or "text/plain", base64.b64encode(unquote_to_bytes(payload)).decode())


def write(mime: str, data: str) -> str:
    return f"data:{mime or 'application/octet-stream'};base64,{data}"


def guessed(mime: str, name: str | None, data: str = "") -> str:
    """The type as given, else from the file's name, else from its first bytes; "" if unknown."""
    if mime and mime != "application/octet-stream":
        return mime
    by_name = _TYPES.guess_type(name)[0] if name else None
    return by_name or next((known for sign, known in _SIGNS if data.startswith(sign)), mime)


def kind(mime: str) -> Kind:
    return _FAMILIES.get(mime.partition("/")[0], "document")


def sound_format(mime: str) -> str:
    """OpenAI's name for the format of a sound: wav, mp3; the subtype for any other."""
    subtype = mime.partition("/")[2].partition(";")[0]
    return _SOUNDS.get(subtype, subtype)


def plain_text(data: str) -> str | None:
    """The text in base64; None if it is not text."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
