"""Content parts of an item, as clients of the responses wire write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.contract.messages import Cache, Media, Refusal, Text
from runtime.wire import data_url, members
from runtime.wire.raw_body import BadBody

Content = Text | Media | Refusal


def content(value: Any, at: str) -> tuple[Content, ...]:
    """A string or a list of parts. Empty texts are nothing."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise members.wrong(at, "a string or a list of parts")
    parts = [_part(part, f"{at}[{place}]") for place, part in enumerate(value)]
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def _part(part: Any, at: str) -> Content:
    if not isinstance(part, dict):
        raise members.wrong(at, "an object")
    kind = part.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        known = ", ".join(_READERS)
        raise BadBody(f"a part of type {kind!r} is not known; known are {known}", f"{at}.type")
    return read(part, at)


def _text(part: dict[str, Any], at: str) -> Text:
    value = members.text(part, "text", at)
    if value is None:
        raise members.wrong(f"{at}.text", "a string")
    return Text(value, _cache(part))


def _refusal(part: dict[str, Any], at: str) -> Refusal:
    return Refusal(members.text(part, "refusal", at) or "")


def _image(part: dict[str, Any], at: str) -> Media:
    detail, mark = members.text(part, "detail", at), _cache(part)
    file_id = members.text(part, "file_id", at)
    if file_id:
        return Media("image", file_id=file_id, detail=detail, cache=mark)
    given = part.get("image_url")
    if isinstance(given, dict):  # chat's spelling, which clients mix up with this wire's
        detail, given = detail or members.text(given, "detail", f"{at}.image_url"), given.get("url")
    if not isinstance(given, str) or not given:
        raise BadBody("an image needs one of image_url, file_id", f"{at}.image_url")
    inline = _inline(given, f"{at}.image_url")
    if inline is None:
        return Media("image", url=given, detail=detail, cache=mark)
    mime = data_url.guessed(inline.mime, None, inline.data)
    return Media("image", mime, data=inline.data, detail=detail, cache=mark)


def _sound(part: dict[str, Any], at: str) -> Media:
    inner = members.table(part, "input_audio", at) or {}
    place = f"{at}.input_audio"
    data = members.needed_text(inner, "data", place)
    inline = _inline(data, place)
    if inline is not None:
        return Media("audio", inline.mime, data=inline.data)
    return Media("audio", f"audio/{members.text(inner, 'format', place) or 'wav'}", data=data)


def _file(part: dict[str, Any], at: str) -> Media:
    name, mark = members.text(part, "filename", at), _cache(part)
    file_id = members.text(part, "file_id", at)
    if file_id:
        return Media("document", file_id=file_id, name=name, cache=mark)
    url = members.text(part, "file_url", at)
    if url:
        inline = _inline(url, f"{at}.file_url")
        if inline is None:
            mime = data_url.guessed("", name or url.partition("?")[0])
            return Media(data_url.kind(mime), mime, url=url, name=name, cache=mark)
        return _held(inline.mime, inline.data, name, mark)
    given = members.text(part, "file_data", at)
    if not given:
        raise BadBody("a file needs one of file_data, file_id, file_url", at)
    inline = _inline(given, f"{at}.file_data")
    return _held(inline.mime if inline else "", inline.data if inline else given, name, mark)


def _held(mime: str, data: str, name: str | None, mark: Cache | None) -> Media:
    mime = data_url.guessed(mime, name, data)
    return Media(data_url.kind(mime), mime, data=data, name=name, cache=mark)


def _inline(url: str, at: str) -> data_url.Inline | None:
    inline = data_url.read(url)
    if inline is not None and not inline.data:
        raise BadBody(f"{at!r} is a data URL without data", at)
    return inline


def _cache(part: dict[str, Any]) -> Cache | None:
    return Cache() if isinstance(part.get("prompt_cache_breakpoint"), dict) else None


_READERS: dict[str, Callable[[dict[str, Any], str], Content]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _sound,
    "refusal": _refusal,
}
