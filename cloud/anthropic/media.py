"""Images and documents as blocks. Media that the model does not take are refused; nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from typing import Any

from cloud.anthropic import extras
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media

Block = dict[str, Any]

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
# A file's type by its first base64 characters; the type that a client gives is often wrong.
_SIGNS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", _PDF),
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # characters that no text file has
_OWN = frozenset({"citations", "context", "title"})
_PARAMS = {"image": "image_url", "audio": "input_audio", "video": "video_url", "document": "file"}
_OWN_FILE = "file_"  # how this vendor's file ids begin


def block(part: Media) -> Block:
    """Raises Unsupported."""
    match part.kind:
        case "image":
            if part.data is None:
                return {"type": "image", "source": _elsewhere(part)}
            mime = _sign(part.data) or part.mime.replace("image/jpg", "image/jpeg")
            if mime not in _IMAGES:
                raise _refused(part, f"an image must be JPEG, PNG, GIF or WebP, not {mime or 'of an unknown type'}")
            return {"type": "image", "source": {"type": "base64", "media_type": mime, "data": part.data}}
        case "document":
            title = {"title": part.name} if part.name else {}
            return {"type": "document", "source": _document(part)} | title | extras.own(part.extra, _OWN)
        case _:
            raise _refused(part, f"this model takes no {part.kind}")


def _document(part: Media) -> Block:
    if part.data is None:
        return _elsewhere(part)
    if _PDF in (_sign(part.data), part.mime):
        return {"type": "base64", "media_type": _PDF, "data": part.data}
    # Anything else must be text: base64 of UTF-8 without control characters.
    with contextlib.suppress(binascii.Error, ValueError):
        text = base64.b64decode(part.data, validate=True).decode()
        if not _NO_TEXT.search(text):
            return {"type": "text", "media_type": "text/plain", "data": text}
    raise _refused(part, f"a document must be a PDF or text, not {part.mime or 'of an unknown type'}")


def _elsewhere(part: Media) -> Block:
    if part.file_id is not None:
        if not part.file_id.startswith(_OWN_FILE):
            raise _refused(part, f"the file {part.file_id!r} was uploaded to another provider")
        return {"type": "file", "file_id": part.file_id}
    if part.url is None or not part.url.startswith(("https://", "http://")):
        raise _refused(part, "only data, http and https URLs can be passed on")
    return {"type": "url", "url": part.url}


def _sign(data: str) -> str | None:
    return next((mime for sign, mime in _SIGNS if data.startswith(sign)), None)


def _refused(part: Media, why: str) -> Unsupported:
    return Unsupported(why, _PARAMS[part.kind])
