"""Content parts of an item of the responses wire, as parts of the contract. Fetches nothing."""

from __future__ import annotations

from typing import Any

from runtime.contract.messages import Cache, Media, Refusal, Text
from runtime.wire import data_url, members
from runtime.wire.raw_body import BadBody

Content = Text | Media | Refusal

_KINDS = (
    "input_text",
    "output_text",
    "text",
    "summary_text",
    "input_image",
    "input_file",
    "input_audio",
    "refusal",
)


def content(value: Any, at: str) -> tuple[Content, ...]:
    """A string or a list of parts, without empty texts. Raises BadBody with the part's place."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise members.wrong(at, "a string or a list of parts")
    parts: list[Content] = []
    for place, part in enumerate(value):
        where = f"{at}[{place}]"
        if not isinstance(part, dict):
            raise members.wrong(where, "an object")
        match part.get("type"):
            case "input_text" | "output_text" | "text" | "summary_text":
                text = members.text(part, "text", where)
                if text is None:
                    raise members.wrong(f"{where}.text", "a string")
                parts += [Text(text, _cache(part))] if text else []
            case "input_image":
                parts.append(_image(part, where))
            case "input_file":
                parts.append(_file(part, where))
            case "input_audio":
                audio, inner = members.table(part, "input_audio", where) or {}, f"{where}.input_audio"
                data = members.needed_text(audio, "data", inner)
                inline = _inline(data, inner)
                mime = inline.mime if inline else f"audio/{members.text(audio, 'format', inner) or 'wav'}"
                parts.append(Media("audio", mime, data=inline.data if inline else data))
            case "refusal":
                parts.append(Refusal(members.text(part, "refusal", where) or ""))
            case kind:
                known = ", ".join(_KINDS)
                raise BadBody(f"a part of type {kind!r} is not known; known are {known}", f"{where}.type")
    return tuple(parts)


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


def _file(part: dict[str, Any], at: str) -> Media:
    name, mark = members.text(part, "filename", at), _cache(part)
    file_id, url = members.text(part, "file_id", at), members.text(part, "file_url", at)
    if file_id:
        return Media("document", file_id=file_id, name=name, cache=mark)
    given = url or members.text(part, "file_data", at)
    if not given:
        raise BadBody("a file needs one of file_data, file_id, file_url", at)
    inline = _inline(given, f"{at}.file_url" if url else f"{at}.file_data")
    if url and inline is None:
        mime = data_url.guessed("", name or url.partition("?")[0])
        return Media(data_url.kind(mime), mime, url=url, name=name, cache=mark)
    data = inline.data if inline else given
    mime = data_url.guessed(inline.mime if inline else "", name, data)
    return Media(data_url.kind(mime), mime, data=data, name=name, cache=mark)


def _inline(url: str, at: str) -> data_url.Inline | None:
    """The content of a data URL; None for any other address."""
    inline = data_url.read(url)
    if inline is not None and not inline.data:
        raise BadBody(f"{at!r} is a data URL without data", at)
    return inline


def _cache(part: dict[str, Any]) -> Cache | None:
    return Cache() if isinstance(part.get("prompt_cache_breakpoint"), dict) else None
