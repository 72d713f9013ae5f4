"""What other wires want back, carried in the two members that clients of this wire hand back untouched.

A thinking block's signature and a redacted block's data are opaque to clients, so what another wire's model signed can
travel in them. A mark tells ours from this wire's own: its own models would refuse a signature they did not make, so that
marked blocks never go up to them.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from runtime.wire.raw_body import BadBody, RawBody

MARK = "hearth:"
_CALL = f"{MARK}call:"
_BLOCK = f"{MARK}block:"
_SIGN = b'"hearth:'  # how a marked member begins in a body

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class CallSignature(NamedTuple):
    """What signs a tool call, for the call of this id. model: its maker, "" where not known."""

    call_id: str
    model: str
    signature: str


_call = msgspec.json.Decoder(CallSignature)


def signed(signature: str | None) -> str:
    """A thinking block's signature; of one that nobody signed, too."""
    return f"{MARK}{signature or ''}"


def signature(text: str | None) -> str | None:
    """The signature as its maker gave it; None where there is none."""
    return (text.removeprefix(MARK) if text else None) or None


def call_data(signed: CallSignature) -> str:
    """The data of a redacted block that goes before a signed call."""
    return _CALL + base64.b64encode(msgspec.json.encode(signed)).decode()


def block_data(redacted: str) -> str:
    return f"{_BLOCK}{redacted}"


def redacted(data: str) -> str | CallSignature | None:
    """What a redacted block's data holds: opaque reasoning, or the signature of a call; None where it is torn."""
    if not data.startswith(_CALL):
        return data.removeprefix(_BLOCK)
    try:
        return _call.decode(base64.b64decode(data.removeprefix(_CALL), validate=True))
    except (ValueError, msgspec.DecodeError):
        return None


def is_marked(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(MARK)


def without_marked(body: RawBody) -> bytes | None:
    """`messages` without what is marked, all else as written; None where nothing is.

    Deterministic and message by message, so that the prefix stays the same from turn to turn.
    """
    if _SIGN not in body.raw or not isinstance(body.data.get("messages"), list):
        return None
    raws = [bytes(raw) for raw in _raws.decode(body.value("messages"))]
    kept = [_cleaned(raw) if _SIGN in raw else raw for raw in raws]
    return None if kept == raws else b"[" + b",".join(raw for raw in kept if raw is not None) + b"]"


def _cleaned(raw: bytes) -> bytes | None:
    """A message without its marked blocks; None where nothing is left of it."""
    message = _object(raw)
    if message is None or not isinstance(message.data.get("content"), list):
        return raw
    blocks = [bytes(block) for block in _raws.decode(message.value("content"))]
    kept = [_block(block) if _SIGN in block else block for block in blocks]
    if kept == blocks:
        return raw
    left = [block for block in kept if block is not None]
    return message.spliced({"content": b"[" + b",".join(left) + b"]"}) if left else None


def _block(raw: bytes) -> bytes | None:
    block = _object(raw)
    data = block.data if block is not None else {}
    match data.get("type"):
        case "thinking":
            return None if is_marked(data.get("signature")) else raw
        case "redacted_thinking":
            return None if is_marked(data.get("data")) else raw
        case "text" if block is not None and isinstance(data.get("citations"), list):
            own = [each for each in data["citations"] if not _marked_citation(each)]
            if len(own) == len(data["citations"]):
                return raw
            return block.spliced({"citations": msgspec.json.encode(own)} if own else {}, () if own else ("citations",))
        case _:
            return raw


def _object(raw: bytes) -> RawBody | None:
    """What is malformed goes up as it is: whether it is valid is the target's question."""
    try:
        return RawBody(raw)
    except BadBody:
        return None


def _marked_citation(citation: Any) -> bool:
    return isinstance(citation, dict) and is_marked(citation.get("encrypted_index"))
