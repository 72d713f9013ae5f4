"""Content parts of a message, as clients of OpenAI's chat wire write them, common extensions included."""

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
    """A message's content: a string or a list of parts. Empty texts are nothing."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise members.wrong(at, "a string or a list of parts")
    parts = [_part(part, f"{at}[{place}]") for place, part in enumerate(value)]
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def _part(part: Any, at: str) -> Content:
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, dict):
        raise members.wrong(at, "an object")
    read = _READERS.get(part.get("type", ""))
    if read is None:
        known = ", ".join(_READERS)
        raise BadBody(f"a part of type {part.get('type')!r} is not known; known are {known}", f"{at}.type")
    return read(part, at)


def _text(part: dict[str, Any], at: str) -> Text:
    value = members.text(part, "text", at)
    if value is None:
        raise members.wrong(f"{at}.text", "a string")
    return Text(value, cache(part), _extra(part, "text"))


def _refusal(part: dict[str, Any], at: str) -> Refusal:
    return Refusal(members.text(part, "refusal", at) or "")


def _by_url(kind: data_url.Kind) -> Callable[[dict[str, Any], str], Media]:
    member = f"{kind}_url"

    def read(part: dict[str, Any], at: str) -> Media:
        value = part.get(member)
        place = f"{at}.{member}"
        inner: dict[str, Any] = {"url": value} if isinstance(value, str) else members.table(part, member, at) or {}
        url = members.needed_text(inner, "url", place)
        extra = _extra(part, member)
        detail = members.text(inner, "detail", place)
        inline = _inline(url, place)
        if inline is None:
            return Media(kind, url=url, detail=detail, cache=cache(part), extra=extra)
        mime = data_url.guessed(inline.mime, None, inline.data)
        return Media(kind, mime, data=inline.data, detail=detail, cache=cache(part), extra=extra)

    return read


def _sound(part: dict[str, Any], at: str) -> Media:
    place = f"{at}.input_audio"
    inner = members.table(part, "input_audio", at) or {}
    data = members.needed_text(inner, "data", place)
    inline = _inline(data, place)
    mime = f"audio/{members.text(inner, 'format', place) or 'wav'}" if inline is None else inline.mime
    payload = data if inline is None else inline.data
    return Media("audio", mime, data=payload, cache=cache(part), extra=_extra(part, "input_audio"))


def _file(part: dict[str, Any], at: str) -> Media:
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
    told = members.text(inner, "format", place) or members.text(inner, "mime_type", place) or ""
    inline = _inline(given, place)
    if inline is None and given.startswith(("http://", "https://", "gs://")):
        mime = data_url.guessed(told, name or given.partition("?")[0])
        return Media(data_url.kind(mime), mime, url=given, name=name, cache=mark, extra=extra)
    mime, payload = inline or (told, given)
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


_READERS: dict[str, Callable[[dict[str, Any], str], Content]] = {
    "text": _text,
    "image_url": _by_url("image"),
    "input_audio": _sound,
    "audio_url": _by_url("audio"),
    "video_url": _by_url("video"),
    "file": _file,
    "refusal": _refusal,
}
