"""Reads the content parts of a message, common extensions included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime.contract.messages import Extra, Media, Refusal, Text
from runtime.dialects.openai_chat.read_request.tools import WIRE, cache
from runtime.wire import data_url, members
from runtime.wire.raw_body import BadBody

Content = Text | Media | Refusal

_MARKS = frozenset({"type", "cache_control"})


def content(value: Any, at: str) -> tuple[Content, ...]:
    """A message's content: a string or a list of parts. Empty texts are left out."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise members.wrong(at, "a string or a list of parts")
    parts: list[Content] = []
    for place, part in enumerate(value):
        here = f"{at}[{place}]"
        if isinstance(part, str):
            parts.append(Text(part))
            continue
        if not isinstance(part, dict):
            raise members.wrong(here, "an object")
        kind = part.get("type")
        read = _READERS.get(kind) if isinstance(kind, str) else None
        if read is None:
            known = ", ".join(_READERS)
            raise BadBody(f"a part of type {kind!r} is not known; known are {known}", f"{here}.type")
        parts.append(read(part, here))
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def read_text(part: dict[str, Any], at: str) -> Text:
    """A part of text."""
    value = members.text(part, "text", at)
    if value is None:
        raise members.wrong(f"{at}.text", "a string")
    return Text(value, cache(part), _extra(part, "text"))


def read_refusal(part: dict[str, Any], at: str) -> Refusal:
    """A part of a refusal that the client gives back."""
    return Refusal(members.text(part, "refusal", at) or "")


def read_url(part: dict[str, Any], at: str) -> Media:
    """An image, a sound or a video by URL, in the member that the part's type names."""
    member: str = part["type"]
    kind = _BY_URL[member]
    place = f"{at}.{member}"
    value = part.get(member)
    inner: dict[str, Any] = {"url": value} if isinstance(value, str) else members.table(part, member, at) or {}
    url = members.needed_text(inner, "url", place)
    extra = _extra(part, member)
    detail = members.text(inner, "detail", place)
    inline = _inline(url, place)
    if inline is None:
        return Media(kind, url=url, detail=detail, cache=cache(part), extra=extra)
    mime = data_url.guessed(inline.mime, None, inline.data)
    return Media(kind, mime, data=inline.data, detail=detail, cache=cache(part), extra=extra)


def read_sound(part: dict[str, Any], at: str) -> Media:
    """A sound in base64, or as a data URL."""
    place = f"{at}.input_audio"
    inner = members.table(part, "input_audio", at) or {}
    data = members.needed_text(inner, "data", place)
    inline = _inline(data, place)
    mime = f"audio/{members.text(inner, 'format', place) or 'wav'}" if inline is None else inline.mime
    payload = data if inline is None else inline.data
    return Media("audio", mime, data=payload, cache=cache(part), extra=_extra(part, "input_audio"))


def read_file(part: dict[str, Any], at: str) -> Media:
    """A file by id, by URL, or in base64."""
    place = f"{at}.file"
    inner = members.table(part, "file", at) or {}
    name = members.text(inner, "filename", place) or members.text(inner, "name", place)
    mark, extra = cache(part), _extra(part, "file")
    file_id = members.text(inner, "file_id", place)
    if file_id:
        return Media("document", file_id=file_id, name=name, cache=mark, extra=extra)
    url = members.text(inner, "file_url", place) or members.text(inner, "url", place)
    given = members.text(inner, "file_data", place) or url
    if not given:
        raise BadBody("a file needs one of file_data, file_id, file_url", place)
    declared = members.text(inner, "format", place) or members.text(inner, "mime_type", place) or ""
    inline = _inline(given, place)
    if inline is None and given.startswith(("http://", "https://", "gs://")):
        mime = data_url.guessed(declared, name or given.partition("?")[0])
        return Media(data_url.kind(mime), mime, url=given, name=name, cache=mark, extra=extra)
    mime, payload = inline or (declared, given)
    mime = data_url.guessed(mime, name, payload)
    return Media(data_url.kind(mime), mime, data=payload, name=name, cache=mark, extra=extra)


def _inline(url: str, at: str) -> data_url.Inline | None:
    inline = data_url.read(url)
    if inline is not None and not inline.data:
        raise BadBody(f"{at!r} is a data URL without data", at)
    return inline


def _extra(part: Mapping[str, Any], own: str) -> Extra:
    found = members.rest(part, _MARKS | {own})
    return {WIRE: found} if found else {}


_BY_URL: Mapping[str, data_url.Kind] = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_READERS: Mapping[str, Callable[[dict[str, Any], str], Content]] = {
    "text": read_text,
    "image_url": read_url,
    "input_audio": read_sound,
    "audio_url": read_url,
    "video_url": read_url,
    "file": read_file,
    "refusal": read_refusal,
}
