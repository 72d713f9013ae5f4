"""Reasoning of a model, carried through clients that hand back `encrypted_content` untouched, and which model made which item.

Three things, all about one fact: a model's reasoning means something to that model alone. Other models refuse its encrypted
form, or look for an item they never stored.
    native      an encrypted reasoning item of this wire, as the signature that travels in the contract, and back
    foreign     signatures, redacted thinking, signed calls and blocks of other wires, in `encrypted_content` under a prefix
    makers      item id -> model, remembered for as long as there is room; ids of translated items say so themselves
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from runtime.contract.messages import Opaque, Reasoning
from runtime.dialects.openai_chat.signatures import origin
from runtime.dialects.openai_responses.words import NAME, UNDECODABLE

FOREIGN = "hearth:"
FOREIGN_IN_JSON = b'"hearth:'  # how a foreign `encrypted_content` begins in a body
_TRANSLATED = "_hearth"
TRANSLATED_IN_JSON = _TRANSLATED.encode()
_NATIVE = f"{NAME}#"

# Native


class NativeReasoning(NamedTuple):
    """id: the item's, "" where it had none. content: its `encrypted_content`."""

    id: str
    content: str


def native_signature(item_id: str, content: str) -> str:
    """`openai_responses#ID CONTENT`: the prefix names the wire, so that codecs of other wires leave it alone."""
    return f"{_NATIVE}{item_id} {content}"


def read_native(signature: str | None) -> NativeReasoning | None:
    """None if the signature belongs to another wire."""
    if signature is None or not signature.startswith(_NATIVE):
        return None
    item_id, space, content = signature.removeprefix(_NATIVE).partition(" ")
    return NativeReasoning(item_id, content) if space else None


# Foreign


class Carried(msgspec.Struct, frozen=True, omit_defaults=True, rename={"call_id": "call", "value": "opaque"}):
    """One thing another wire's model needs back. call_id: the signature belongs to this call. wire, value: an opaque block."""

    model: str | None = None
    signature: str | None = None
    redacted: str | None = None
    call_id: str | None = None
    wire: str | None = None
    value: Any = None


_carried = msgspec.json.Decoder(Carried)


def write_foreign(carried: Carried) -> str:
    """The `encrypted_content` that carries it."""
    return FOREIGN + msgspec.json.encode(carried).decode()


def read_foreign(content: Any) -> Carried | None:
    """None if the content is not foreign, or was changed by the client."""
    if not is_foreign(content):
        return None
    try:
        return _carried.decode(content.removeprefix(FOREIGN))
    except UNDECODABLE:
        return None


def is_foreign(content: Any) -> bool:
    """True if no model of this wire could read it: such items are never sent to one."""
    return isinstance(content, str) and content.startswith(FOREIGN)


def part_of(carried: Carried, text: str) -> Reasoning | Opaque | None:
    """The part of the model's turn that was carried; None for the signature of a call."""
    if carried.call_id is not None:
        return None
    if carried.wire is not None:
        return Opaque(carried.wire, carried.value)
    return Reasoning(text, carried.signature, carried.redacted, origin(carried.model))


# Makers


def translated_id(prefix: str, token: str) -> str:
    """The id of an item translated from another wire; it shows that no server of this wire ever stored the item."""
    return f"{prefix}{_TRANSLATED}{token}"


def is_translated(item_id: str) -> bool:
    return _TRANSLATED in item_id


class Makers:
    """Item id -> the model that made it; no content. most: items kept, the least recently used is dropped first."""

    __slots__ = ("_made", "_most")

    def __init__(self, most: int = 100_000) -> None:
        self._made: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._made)

    def note(self, items: Iterable[str], model: str) -> None:
        for item in items:
            self._made[item] = model
            self._made.move_to_end(item)
            if len(self._made) > self._most:
                self._made.popitem(last=False)

    def of(self, item: str) -> str | None:
        """The model's name; None if it is not known, or no longer."""
        model = self._made.get(item)
        if model is not None:
            with suppress(KeyError):  # a large body is read in a thread: the item may have been dropped meanwhile
                self._made.move_to_end(item)
        return model
