"""Images, sound, video and documents as parts: inline, or by an address that the vendor fetches. Nothing is fetched here."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cloud.gemini.names import Table, camel
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Media, Request, ToolResult
from runtime.contract.targets import Capabilities

FILES = "https://generativelanguage.googleapis.com/v1beta/"

_PDF = "application/pdf"
# A file's type by its first base64 characters; the type that a client gives is often wrong.
_SIGNS = (
    ("iVBORw0KGg", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("JVBERi0", _PDF),
)
_SPELT = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mpeg3": "audio/mp3"}
_PARAMS = {"image": "image_url", "audio": "input_audio", "video": "video_url", "document": "file"}
_TYPES = mimetypes.MimeTypes()  # Python's own tables, not the system's, with the types that older Pythons lack
for _later in ("audio/aac", "audio/flac", "audio/m4a", "audio/ogg", "image/heic", "image/heif", "image/webp"):
    _TYPES.add_type(_later, f".{_later.partition('/')[2]}")
_SCHEMES = frozenset({"https", "http", "gs"})
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
# Types that the wire takes inside a tool's result; others stand behind it.
_IN_RESULTS = frozenset({"image/png", "image/jpeg", "image/webp", _PDF, "text/plain"})


def part(media: Media, can: Capabilities) -> Table:
    """Raises Unsupported."""
    # (1) The type: by the first bytes, else as given, else by the name in the address; "" where unknown.
    given = media.mime.partition(";")[0].strip().lower()
    by_sign = next((mime for sign, mime in _SIGNS if media.data and media.data.startswith(sign)), None)
    address = media.url or media.file_id or ""
    try:
        place = urlsplit(address)
    except ValueError as error:
        raise refused(media, f"{address[:80]!r} is no address") from error
    named = media.name or (place.path if media.url else "")
    mime = by_sign or given or (_TYPES.guess_type(named)[0] if named else None) or ""
    mime = _SPELT.get(mime, mime)
    needed = "pdf" if mime == _PDF else "text" if media.kind == "document" else media.kind
    if needed not in can.modalities:
        raise refused(media, f"this model takes no {needed}")
    if media.data is not None and not mime:
        raise refused(media, "the type of the file is not known")
    # (2) The content, without the line breaks that some encoders put in, or the address.
    out: Table
    if (data := media.data) is not None:
        broken = not data.isascii() or any(map(data.count, "\n\r "))
        out = {"inlineData": {"mimeType": mime, "data": "".join(data.split()) if broken else data}}
    else:
        if address.startswith("files/"):
            address = FILES + address
        elif place.scheme not in _SCHEMES:
            why = (
                "the file was uploaded to another provider" if media.file_id else "only http, https and gs addresses go"
            )
            raise refused(media, f"{address[:80]!r}: {why}")
        out = {"fileData": ({"mimeType": mime} if mime else {}) | {"fileUri": address}}
    # (3) Resolution (it came with the same generation as media in results), and the client's own members of this wire.
    level = _RESOLUTIONS.get(media.detail or "")
    if level and can.media_results:
        out["mediaResolution"] = {"level": level}
    own = camel(
        {name: each for extra in media.extra.values() if isinstance(extra, dict) for name, each in extra.items()}
    )
    return out | {name: own[name] for name in ("videoMetadata", "mediaResolution") if isinstance(own.get(name), dict)}


def resolutions(request: Request, can: Capabilities) -> set[str | None]:
    """The resolutions asked for that cannot be set on the parts themselves; None for media without one."""
    parts = [part for message in request.messages for part in message.parts]
    inner = [item for part in parts if isinstance(part, ToolResult) for item in part.content]
    seen = [one for one in (*parts, *inner) if isinstance(one, Media) and one.kind in ("image", "video")]
    return {None if can.media_results else _RESOLUTIONS.get(one.detail or "") for one in seen}


def fits_in_result(made: Mapping[str, Any], can: Capabilities) -> bool:
    return can.media_results and made.get("inlineData", {}).get("mimeType") in _IN_RESULTS


def refused(media: Media, why: str) -> Unsupported:
    return Unsupported(why, _PARAMS[media.kind])
