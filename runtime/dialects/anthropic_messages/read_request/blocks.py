"""Content blocks of a client's messages as parts. A block only this wire knows is kept as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

OURS = "hearth"  # under this name a part says which model made it

Block = Mapping[str, Any]
Parts = tuple[Part, ...]


class Blocks:
    """Reads the blocks of one conversation, in order: results are named after the calls before them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._signed: dict[str, signatures.CallSignature] = {}  # calls, from the marked blocks before them

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
            case "tool_use":
                return (self._call(block, at),)
            case "tool_result":
                return (self._result(block, at),)
            case "redacted_thinking":
                return self._redacted(block, at)
            case kind:
                read = _READERS.get(kind)
                return (Opaque(NAME, block),) if read is None else read(block, at)

    def _call(self, block: Block, at: str) -> ToolCall:
        call_id, name = (members.needed_text(block, member, at) for member in ("id", "name"))
        self._names[call_id] = name
        arguments = msgspec.json.encode(members.table(block, "input", at) or {}).decode()
        own = extra_of(block, _CALL)
        signed = self._signed.get(call_id)
        if signed is None:
            return ToolCall(call_id, name, arguments, cache=cache_mark(block), extra=own)
        maker: Extra = {OURS: {"model": signed.model}} if signed.model else {}
        return ToolCall(call_id, name, arguments, signed.signature, cache_mark(block), {**own, **maker})

    def _result(self, block: Block, at: str) -> ToolResult:
        call_id = members.needed_text(block, "tool_use_id", at)
        return ToolResult(
            call_id,
            _result_content(block.get("content"), f"{at}.content"),
            name=self._names.get(call_id),
            is_error=members.flag(block, "is_error", at) or False,
            cache=cache_mark(block),
            extra=extra_of(block, _RESULT),
        )

    def _redacted(self, block: Block, at: str) -> Parts:
        data = members.needed_text(block, "data", at)
        held = signatures.read_redacted(data)
        if isinstance(held, str):
            return (Reasoning(redacted=held, extra=_origin(data)),)
        if held is not None:
            self._signed[held.call_id] = held
        return ()


def _text(block: Block, at: str) -> Parts:
    text = members.text(block, "text", at)
    if text is None:
        raise members.wrong(f"{at}.text", "a string")
    return (Text(text, cache_mark(block), extra_of(block, _TEXT)),)


def _thinking(block: Block, at: str) -> Parts:
    given = members.text(block, "signature", at)
    text = members.text(block, "thinking", at) or ""
    return (Reasoning(text, signatures.original_signature(given), extra=_origin(given) if given else {}),)


def _origin(opaque: str) -> Extra:
    """What bears no mark was made by this wire's own models."""
    return {} if signatures.is_foreign(opaque) else {NAME: {}}


_READERS: dict[str, Callable[[Block, str], Parts]] = {
    "text": _text,
    "thinking": _thinking,
    "image": lambda block, at: (image_of(block, at),),
    "document": document_of,
    "search_result": lambda block, at: (search_result_text(block, at),),
}


def _result_content(content: Any, at: str) -> tuple[Text | Media, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise members.wrong(at, "a string or a list of blocks")
    return tuple(part for n, block in enumerate(content) for part in _result_block(block, f"{at}[{n}]"))


def _result_block(block: Any, at: str) -> tuple[Text | Media, ...]:
    """What a tool may answer with. A reference to a tool is its name: every tool is declared to other wires anyway."""
    if not isinstance(block, dict):
        raise members.wrong(at, "an object with a type")
    match block.get("type"):
        case "text":
            return (Text(members.text(block, "text", at) or "", cache_mark(block)),)
        case "image":
            return (image_of(block, at),)
        case "document":
            return document_of(block, at)
        case "search_result":
            return (search_result_text(block, at),)
        case "tool_reference":
            return (Text(members.needed_text(block, "tool_name", at)),)
        case other:
            raise BadBody(f"a block of type {other!r} cannot stand in a tool's result", f"{at}.type")
