"""Images, sound, video and documents as parts: inline, or by an address the vendor fetches itself. Nothing is fetched here."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cloud.gemini.names import Table, camel
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media
from runtime.contract.targets import Capabilities

FILES = "https://generativelanguage.googleapis.com/v1beta/"

_PDF = "application/pdf"
# The first base64 characters of a file say what it is; a client's own word is often wrong.
_SIGNS = (
    ("iVBORw0KGg", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("JVBERi0", _PDF),
)
_SPELT = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mpeg3": "audio/mp3"}
_PARAMS = {"image": "image_url", "audio": "input_audio", "video": "video_url", "document": "file"}
_TYPES = mimetypes.MimeTypes()  # Python's own tables, not the system's, and what older Pythons lack
for _later in ("audio/aac", "audio/flac", "audio/m4a", "audio/ogg", "image/heic", "image/heif", "image/webp"):
    _TYPES.add_type(_later, f".{_later.partition('/')[2]}")
_SCHEMES = frozenset({"https", "http", "gs"})
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
# What the wire takes inside a tool's result; the rest stands behind it.
_IN_RESULTS = frozenset({"image/png", "image/jpeg", "image/webp", _PDF, "text/plain"})


def part(media: Media, can: Capabilities) -> Table:
    """Raises Unsupported."""
    mime = _mime(media)
    _check(media, mime, can)
    out: Table = {"inlineData": {"mimeType": mime, "data": _base64(media.data)}} if media.data is not None else {}
    out = out or {"fileData": ({"mimeType": mime} if mime else {}) | {"fileUri": _address(media)}}
    level = _RESOLUTIONS.get(media.detail or "")
    if level and can.media_results:  # both came with the same generation
        out["mediaResolution"] = {"level": level}
    return out | _own(media)


def resolution(media: Media, can: Capabilities) -> str | None:
    """The resolution asked for that could not be set on the part itself."""
    return None if can.media_results else _RESOLUTIONS.get(media.detail or "")


def fits_in_result(made: Mapping[str, Any], can: Capabilities) -> bool:
    return can.media_results and made.get("inlineData", {}).get("mimeType") in _IN_RESULTS


def _check(media: Media, mime: str, can: Capabilities) -> None:
    needed = "pdf" if mime == _PDF else "text" if media.kind == "document" else media.kind
    if needed not in can.modalities:
        raise refused(media, f"this model takes no {needed}")
    if media.data is not None and not mime:
        raise refused(media, "the type of the file is not known")


def _mime(media: Media) -> str:
    """The type by its first bytes, else as given, else by the name in the address; "" where nothing tells."""
    told = media.mime.partition(";")[0].strip().lower()
    by_sign = next((mime for sign, mime in _SIGNS if media.data and media.data.startswith(sign)), None)
    named = media.name or urlsplit(media.url or "").path
    mime = by_sign or told or (_TYPES.guess_type(named)[0] if named else None) or ""
    return _SPELT.get(mime, mime)


def _base64(data: str) -> str:
    """Without the line breaks that some encoders put in."""
    return data if data.isascii() and not any(map(data.count, "\n\r ")) else "".join(data.split())


def _address(media: Media) -> str:
    address = media.url or media.file_id or ""
    if address.startswith("files/"):
        return FILES + address
    if urlsplit(address).scheme not in _SCHEMES:
        what = "the file was uploaded to another provider" if media.file_id else "only http, https and gs addresses go"
        raise refused(media, f"{address[:80]!r}: {what}")
    return address


def _own(media: Media) -> Table:
    """What only this wire says of media: cuts and frame rate of a video, a resolution."""
    said = camel(
        {name: value for extra in media.extra.values() if isinstance(extra, dict) for name, value in extra.items()}
    )
    return {name: said[name] for name in ("videoMetadata", "mediaResolution") if isinstance(said.get(name), dict)}


def refused(media: Media, why: str) -> Unsupported:
    return Unsupported(why, _PARAMS[media.kind])
