"""What other wires' models want back, carried in the one member of a reasoning item that clients hand back untouched.

`encrypted_content` is opaque to clients, so signatures, redacted thinking, signed calls and foreign blocks travel in it. Ours
begin with a mark: no model of this wire could read them, so that marked items never go up to one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.contract.messages import Opaque, Reasoning
from runtime.dialects.openai_chat.signatures import origin
from runtime.dialects.openai_responses.words import UNDECODABLE

MARK = "hearth:"
MARK_IN_JSON = b'"hearth:'  # how a marked member begins in a body


class Sealed(msgspec.Struct, frozen=True, omit_defaults=True, rename={"call_id": "call", "value": "opaque"}):
    """What is carried. call_id: the signature is this call's. wire, value: a block only that wire knows."""

    model: str | None = None
    signature: str | None = None
    redacted: str | None = None
    call_id: str | None = None
    wire: str | None = None
    value: Any = None


_read = msgspec.json.Decoder(Sealed)


def written(sealed: Sealed) -> str:
    return MARK + msgspec.json.encode(sealed).decode()


def read(content: Any) -> Sealed | None:
    """None where the content is not ours, or no longer what it was."""
    if not is_marked(content):
        return None
    try:
        return _read.decode(content.removeprefix(MARK))
    except UNDECODABLE:
        return None


def is_marked(content: Any) -> bool:
    return isinstance(content, str) and content.startswith(MARK)


def part_of(sealed: Sealed, text: str) -> Reasoning | Opaque | None:
    """The part of a turn that was carried; None for the signature of a call."""
    if sealed.call_id is not None:
        return None
    if sealed.wire is not None:
        return Opaque(sealed.wire, sealed.value)
    return Reasoning(text, sealed.signature, sealed.redacted, origin(sealed.model))
