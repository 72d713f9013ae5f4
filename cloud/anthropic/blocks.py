"""Parts of a message as content blocks. Texts without a word in them are nothing: the wire refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from cloud.anthropic import media, signatures
from cloud.anthropic.media import Block
from cloud.anthropic.names import WIRE, call_id, tool_name
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Cache,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

_TTLS = frozenset({"5m", "1h"})


def cached(block: Block, cache: Cache | None) -> Block:
    if cache is None:
        return block
    ttl = {"ttl": cache.ttl} if cache.ttl in _TTLS else {}
    return block | {"cache_control": {"type": "ephemeral"} | ttl}


def texts(message: Message) -> list[Block]:
    """The blocks of a system message. Raises Unsupported where it holds more than text."""
    if not all(isinstance(part, Text) for part in message.parts):
        raise Unsupported("instructions can hold text alone", "messages")
    return [block for part in message.parts if isinstance(part, Text) for block in _text(part.text, part.cache)]


def of_user(parts: Sequence[Part], losses: Losses) -> list[Block]:
    return [block for part in parts for block in _user(part, losses)]


def of_assistant(parts: Sequence[Part], model: str, at: str, losses: Losses) -> list[Block]:
    """at: where the message stands in the client's body."""
    return [block for part in parts for block in _assistant(part, model, at, losses)]


def _text(text: str, cache: Cache | None = None) -> Iterator[Block]:
    if text.strip():
        yield cached({"type": "text", "text": text}, cache)


def _user(part: Part, losses: Losses) -> Iterator[Block]:
    match part:
        case Text():
            yield from _text(part.text, part.cache)
        case Media():
            losses.add_if(part.detail not in (None, "auto"), "detail")
            yield cached(media.block(part), part.cache)
        case ToolResult():
            yield _result(part, losses)
        case Opaque():
            yield from _opaque(part, losses)
        case Refusal():
            yield from _text(part.text)
        case _:
            raise Unsupported("a user's turn holds what only a model's can", "messages")


def _result(part: ToolResult, losses: Losses) -> Block:
    """A mark on a part of a result is the result's: the wire caches whole blocks of a turn."""
    inner = [block for piece in part.content for block in _user(piece, losses)]
    marks = [part.cache, *(piece.cache for piece in part.content)]
    for block in inner:
        block.pop("cache_control", None)
    out: Block = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
    if inner:
        out["content"] = inner
    if part.is_error:
        out["is_error"] = True
    return cached(out, next((mark for mark in marks if mark is not None), None))


def _assistant(part: Part, model: str, at: str, losses: Losses) -> Iterator[Block]:
    match part:
        case Text():
            yield from _text(part.text, part.cache)
        case Refusal():
            yield from _text(part.text)
        case Reasoning():
            yield from _thinking(part, model)
        case ToolCall():
            yield _call(part, at)
        case Opaque():
            yield from _opaque(part, losses)
        case _:
            raise Unsupported("a model's turn can hold neither media nor results", "messages")


def _thinking(part: Reasoning, model: str) -> Iterator[Block]:
    """Thinking goes home or nowhere: the wire refuses what it did not sign."""
    redacted = signatures.unmarked(part.redacted, part, model)
    signature = signatures.unmarked(part.signature, part, model)
    if redacted is not None:
        yield {"type": "redacted_thinking", "data": redacted}
    elif signature is not None:
        yield {"type": "thinking", "thinking": part.text, "signature": signature}


def _call(part: ToolCall, at: str) -> Block:
    """The arguments go up as they were written: no number is spelled anew, no key moved."""
    written = part.arguments.strip() or "{}"
    try:
        meant = msgspec.json.decode(written)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Unsupported(f"{at}: the arguments of the call {part.id!r} are not JSON", "messages") from error
    if not isinstance(meant, dict):
        raise Unsupported(f"{at}: the arguments of the call {part.id!r} are not a JSON object", "messages")
    block = {"type": "tool_use", "id": call_id(part.id), "name": tool_name(part.name)}
    return cached(block | {"input": msgspec.Raw(written.encode())}, part.cache)


def _opaque(part: Opaque, losses: Losses) -> Iterator[Block]:
    if part.wire == WIRE and isinstance(part.value, dict):
        yield dict(part.value)
    else:
        losses.add("messages")
