"""A sealed reasoning item of this wire as the signature that travels in the contract, and back.

The signature says whose it is: `openai_responses#ID CONTENT`. Other wires' codecs leave it alone.
"""

from __future__ import annotations

from typing import NamedTuple

from runtime.dialects.openai_responses.words import NAME

_MARK = f"{NAME}#"


class Native(NamedTuple):
    """id: the item's, "" where it had none. content: its `encrypted_content`."""

    id: str
    content: str


def signature(item_id: str, content: str) -> str:
    return f"{_MARK}{item_id} {content}"


def native(signature: str | None) -> Native | None:
    """None where the signature is another wire's."""
    if signature is None or not signature.startswith(_MARK):
        return None
    item_id, space, content = signature.removeprefix(_MARK).partition(" ")
    return Native(item_id, content) if space else None
