"""Parts of a message as content blocks. Blank texts are left out, because the wire refuses them."""

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
    """The blocks of a model's turn. at: the message's place in the client's body. Raises Unsupported.

    Thinking is sent to the model that signed it and left out for any other: the wire refuses a foreign signature.
    """
    out: list[Block] = []
    for part in parts:
        match part:
            case Text():
                out += _text(part.text, part.cache)
            case Refusal():
                out += _text(part.text)
            case Reasoning():
                redacted = signatures.unmarked(part.redacted, part, model)
                signature = signatures.unmarked(part.signature, part, model)
                if redacted is not None:
                    out.append({"type": "redacted_thinking", "data": redacted})
                elif signature is not None:
                    out.append({"type": "thinking", "thinking": part.text, "signature": signature})
            case ToolCall():
                # The arguments stay byte by byte as the client wrote them: no number is respelled, no key moved.
                written = part.arguments.strip() or "{}"
                try:
                    arguments = msgspec.json.decode(written)
                except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                    raise Unsupported(
                        f"{at}: the arguments of the call {part.id!r} are not JSON", "messages"
                    ) from error
                if not isinstance(arguments, dict):
                    raise Unsupported(f"{at}: the arguments of the call {part.id!r} are not a JSON object", "messages")
                call: Block = {"type": "tool_use", "id": call_id(part.id), "name": tool_name(part.name)}
                out.append(cached(call | {"input": msgspec.Raw(written.encode())}, part.cache))
            case Opaque():
                out += _opaque(part, losses)
            case _:
                raise Unsupported("a model's turn can hold neither media nor results", "messages")
    return out


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
            # The wire caches whole blocks of a turn: a mark on a part of a result moves to the result.
            inner = [block for piece in part.content for block in _user(piece, losses)]
            marks = (part.cache, *(piece.cache for piece in part.content))
            for block in inner:
                block.pop("cache_control", None)
            content = {"content": inner} if inner else {}
            error = {"is_error": True} if part.is_error else {}
            result: Block = {"type": "tool_result", "tool_use_id": call_id(part.call_id)} | content | error
            yield cached(result, next((mark for mark in marks if mark is not None), None))
        case Opaque():
            yield from _opaque(part, losses)
        case Refusal():
            yield from _text(part.text)
        case _:
            raise Unsupported("a user's turn can hold neither thinking nor calls", "messages")


def _opaque(part: Opaque, losses: Losses) -> Iterator[Block]:
    if part.wire == WIRE and isinstance(part.value, dict):
        yield dict(part.value)
    else:
        losses.add("messages")
