"""Content blocks of a client's messages as parts of the contract. A block that only this wire knows stays opaque."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.messages import Extra, Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from runtime.dialects.anthropic_messages import signatures
from runtime.dialects.anthropic_messages.read_request.sources import (
    cache_mark,
    document_of,
    extra_of,
    image_of,
    search_result_text,
)
from runtime.dialects.anthropic_messages.words import NAME
from runtime.wire import members
from runtime.wire.raw_body import BadBody

_TEXT = frozenset({"type", "text", "cache_control"})
_CALL = frozenset({"type", "id", "name", "input", "cache_control"})
_RESULT = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})

ORIGIN = "hearth"  # the name in a part's extra that says which model made it

Block = Mapping[str, Any]
Parts = tuple[Part, ...]


class Blocks:
    """Reads the blocks of one conversation, in order, because a result gets the name of the call before it."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # call id -> name
        self._signed: dict[str, signatures.CallSignature] = {}  # call id -> signature, from the block before the call

    def parts(self, content: Any, at: str) -> Parts:
        """A message's content: a string or a list of blocks. Raises BadBody."""
        if isinstance(content, str):
            return (Text(content),)
        if not isinstance(content, list):
            raise members.wrong(at, "a string or a list of blocks")
        return tuple(part for n, block in enumerate(content) for part in self._block(block, f"{at}[{n}]"))

    def _block(self, block: Any, at: str) -> Parts:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise members.wrong(at, "an object with a type")
        match block["type"]:
            case "text":
                text = members.text(block, "text", at)
                if text is None:
                    raise members.wrong(f"{at}.text", "a string")
                return (Text(text, cache_mark(block), extra_of(block, _TEXT)),)
            case "thinking":
                given = members.text(block, "signature", at)
                text = members.text(block, "thinking", at) or ""
                return (
                    Reasoning(text, signatures.original_signature(given), extra=_native_extra(given) if given else {}),
                )
            case "redacted_thinking":
                data = members.needed_text(block, "data", at)
                held = signatures.read_redacted(data)
                if isinstance(held, str):
                    return (Reasoning(redacted=held, extra=_native_extra(data)),)
                if held is not None:
                    self._signed[held.call_id] = held
                return ()
            case "tool_use":
                return (self._call(block, at),)
            case "tool_result":
                call_id = members.needed_text(block, "tool_use_id", at)
                return (
                    ToolResult(
                        call_id,
                        _result_content(block.get("content"), f"{at}.content"),
                        name=self._names.get(call_id),
                        is_error=members.flag(block, "is_error", at) or False,
                        cache=cache_mark(block),
                        extra=extra_of(block, _RESULT),
                    ),
                )
            case "image" | "document" | "search_result":
                return _source(block, at)
            case _:
                return (Opaque(NAME, block),)

    def _call(self, block: Block, at: str) -> ToolCall:
        call_id, name = (members.needed_text(block, member, at) for member in ("id", "name"))
        self._names[call_id] = name
        arguments = msgspec.json.encode(members.table(block, "input", at) or {}).decode()
        own = extra_of(block, _CALL)
        signed = self._signed.get(call_id)
        if signed is None:
            return ToolCall(call_id, name, arguments, cache=cache_mark(block), extra=own)
        maker: Extra = {ORIGIN: {"model": signed.model}} if signed.model else {}
        return ToolCall(call_id, name, arguments, signed.signature, cache_mark(block), {**own, **maker})


def _native_extra(opaque: str) -> Extra:
    """An opaque value without the foreign prefix was made by this wire's own models."""
    return {} if signatures.is_foreign(opaque) else {NAME: {}}


def _source(block: Block, at: str) -> tuple[Text | Media, ...]:
    match block["type"]:
        case "image":
            return (image_of(block, at),)
        case "document":
            return document_of(block, at)
        case _:
            return (search_result_text(block, at),)


def _result_content(content: Any, at: str) -> tuple[Text | Media, ...]:
    """The content of a tool's result. A reference to a tool becomes its name, because every tool is declared to other wires."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise members.wrong(at, "a string or a list of blocks")
    parts: list[Text | Media] = []
    for place, block in enumerate(content):
        where = f"{at}[{place}]"
        if not isinstance(block, dict):
            raise members.wrong(where, "an object with a type")
        match block.get("type"):
            case "text":
                parts.append(Text(members.text(block, "text", where) or "", cache_mark(block)))
            case "image" | "document" | "search_result":
                parts += _source(block, where)
            case "tool_reference":
                parts.append(Text(members.needed_text(block, "tool_name", where)))
            case other:
                raise BadBody(f"a block of type {other!r} cannot stand in a tool's result", f"{where}.type")
    return tuple(parts)
