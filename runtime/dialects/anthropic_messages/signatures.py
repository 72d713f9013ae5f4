"""Signatures of other wires' models, carried through clients that hand back two members of this wire untouched.

A thinking block's `signature` and a redacted block's `data` are opaque to clients, so another model's signature can travel in
them. The prefix `hearth:` marks such foreign values. This wire's own models refuse a signature they did not make; foreign
blocks are therefore never sent to one.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from runtime.wire.raw_body import BadBody, RawBody

FOREIGN = "hearth:"
_CALL = f"{FOREIGN}call:"
_REDACTED = f"{FOREIGN}block:"
_IN_JSON = b'"hearth:'  # how a foreign value begins in a body

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class CallSignature(NamedTuple):
    """The signature of one tool call. model: the model that made it, "" if not known."""

    call_id: str
    model: str
    signature: str


_call = msgspec.json.Decoder(CallSignature)


def foreign_signature(signature: str | None) -> str:
    """The `signature` of a thinking block; of an unsigned one, too, so that it is recognised when it comes back."""
    return f"{FOREIGN}{signature or ''}"


def original_signature(text: str | None) -> str | None:
    """The signature as its model made it; None if there is none."""
    return (text.removeprefix(FOREIGN) if text else None) or None


def call_data(signed: CallSignature) -> str:
    """The `data` of the redacted block that is written before a signed call."""
    return _CALL + base64.b64encode(msgspec.json.encode(signed)).decode()


def redacted_data(redacted: str) -> str:
    """The `data` of a redacted block of another wire."""
    return f"{_REDACTED}{redacted}"


def read_redacted(data: str) -> str | CallSignature | None:
    """The content of a redacted block: opaque reasoning, or the signature of a call; None if a client damaged it."""
    if not data.startswith(_CALL):
        return data.removeprefix(_REDACTED)
    try:
        return _call.decode(base64.b64decode(data.removeprefix(_CALL), validate=True))
    except (ValueError, msgspec.DecodeError):
        return None


def is_foreign(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(FOREIGN)


def without_foreign(body: RawBody) -> bytes | None:
    """`messages` without foreign blocks, every other byte as the client wrote it; None if there are none.

    Each message is cleaned by itself, so that the prefix is the same in every turn and prompt caches survive.
    """
    if _IN_JSON not in body.raw or not isinstance(body.data.get("messages"), list):
        return None
    raws = [bytes(raw) for raw in _raws.decode(body.value("messages"))]
    kept = [_native_message(raw) if _IN_JSON in raw else raw for raw in raws]
    return None if kept == raws else b"[" + b",".join(raw for raw in kept if raw is not None) + b"]"


def _native_message(raw: bytes) -> bytes | None:
    """The message without foreign blocks; None if no block is left."""
    message = _object(raw)
    if message is None or not isinstance(message.data.get("content"), list):
        return raw
    blocks = [bytes(block) for block in _raws.decode(message.value("content"))]
    kept = [_native_block(block) if _IN_JSON in block else block for block in blocks]
    if kept == blocks:
        return raw
    left = [block for block in kept if block is not None]
    return message.spliced({"content": b"[" + b",".join(left) + b"]"}) if left else None


def _native_block(raw: bytes) -> bytes | None:
    """The block, of a text block without foreign citations; None if the block itself is foreign."""
    block = _object(raw)
    data = block.data if block is not None else {}
    match data.get("type"):
        case "thinking":
            return None if is_foreign(data.get("signature")) else raw
        case "redacted_thinking":
            return None if is_foreign(data.get("data")) else raw
        case "text" if block is not None and isinstance(data.get("citations"), list):
            cited = data["citations"]
            own = [each for each in cited if not (isinstance(each, dict) and is_foreign(each.get("encrypted_index")))]
            if len(own) == len(cited):
                return raw
            if not own and not data.get("text"):
                return None
            return block.spliced({"citations": msgspec.json.encode(own)} if own else {}, () if own else ("citations",))
        case _:
            return raw


def _object(raw: bytes) -> RawBody | None:
    """None if this is no JSON object: it is sent as it is, and the target decides whether it is valid."""
    try:
        return RawBody(raw)
    except BadBody:
        return None
