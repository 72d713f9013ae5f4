"""Images, documents and search results of this wire as media and text. Fetches nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from runtime.contract.messages import Cache, Extra, Media, Text
from runtime.dialects.anthropic_messages.words import NAME
from runtime.wire import members
from runtime.wire.raw_body import BadBody

_OWN = frozenset({"type", "source", "title", "context", "cache_control"})


def cache_mark(block: Mapping[str, Any]) -> Cache | None:
    mark = block.get("cache_control")
    if not isinstance(mark, dict):
        return None
    ttl = mark.get("ttl")
    return Cache(ttl if isinstance(ttl, str) else None)


def extra_of(block: Mapping[str, Any], own: frozenset[str]) -> Extra:
    """The members of a block besides `own`, under this wire's name."""
    left = members.rest(block, own)
    return {NAME: left} if left else {}


def image_of(block: Mapping[str, Any], at: str) -> Media:
    return _media("image", block, _source(block, at), f"{at}.source")


def document_of(block: Mapping[str, Any], at: str) -> tuple[Text | Media, ...]:
    """A document after the client's words about it. A document made of blocks becomes its blocks."""
    source = _source(block, at)
    context = members.text(block, "context", at)
    about = (Text(context),) if context else ()
    match source.get("type"):
        case "text":
            raw = members.text(source, "data", f"{at}.source") or ""
            data = base64.b64encode(raw.encode("utf-8", "surrogatepass")).decode()
            mime = members.text(source, "media_type", f"{at}.source") or "text/plain"
            return (*about, Media("document", mime, data=data, **_beside(block, at)))
        case "content":
            return (*about, *_content(source, block, at))
        case _:
            return (*about, _media("document", block, source, f"{at}.source"))


def _content(source: Mapping[str, Any], block: Mapping[str, Any], at: str) -> tuple[Text | Media, ...]:
    title = members.text(block, "title", at)
    head = (Text(title),) if title else ()
    inner = source.get("content")
    if isinstance(inner, str):
        return (*head, Text(inner, cache_mark(block)))
    parts: list[Text | Media] = list(head)
    for place, each in enumerate(members.items(source, "content", f"{at}.source")):
        where = f"{at}.source.content[{place}]"
        if not isinstance(each, dict):
            raise members.wrong(where, "an object")
        is_text = each.get("type") == "text"
        parts.append(Text(members.text(each, "text", where) or "") if is_text else image_of(each, where))
    return tuple(parts)


def search_result_text(block: Mapping[str, Any], at: str) -> Text:
    """A search result as text: title, source, content."""
    pieces = [members.text(block, name, at) for name in ("title", "source")]
    for place, each in enumerate(members.items(block, "content", at)):
        if isinstance(each, dict):
            pieces.append(members.text(each, "text", f"{at}.content[{place}]"))
    return Text("\n".join(piece for piece in pieces if piece), cache_mark(block))


def _source(block: Mapping[str, Any], at: str) -> dict[str, Any]:
    source = members.table(block, "source", at)
    if source is None:
        raise members.wrong(f"{at}.source", "an object")
    return source


def _media(kind: Literal["image", "document"], block: Mapping[str, Any], source: Mapping[str, Any], at: str) -> Media:
    mime = "application/pdf" if kind == "document" else ""
    beside = _beside(block, at)
    match source.get("type"):
        case "base64":
            mime = members.text(source, "media_type", at) or mime
            return Media(kind, mime, data=members.needed_text(source, "data", at), **beside)
        case "url":
            return Media(kind, mime, url=members.needed_text(source, "url", at), **beside)
        case "file":
            return Media(kind, file_id=members.needed_text(source, "file_id", at), **beside)
        case other:
            raise BadBody(f"a source of type {other!r} is not known", f"{at}.type")


def _beside(block: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {"name": members.text(block, "title", at), "cache": cache_mark(block), "extra": extra_of(block, _OWN)}
