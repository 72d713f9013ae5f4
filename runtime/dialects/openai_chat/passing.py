"""What we gave a client beside its answers, taken out again before its bytes pass to a server of this wire.

A conversation may move: what a translated model wanted back in `extra_content` is nothing to another, and strict servers
refuse members they do not know. Everything else keeps its bytes, so that prefix caches hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.dialects.openai_chat.signatures import EXTRA, OURS
from runtime.wire.raw_body import BadBody, RawBody

_SIGN = b'"extra_content"'
_GIVEN = (EXTRA, "reasoning_content", "images", "files")  # members of a translated answer that the plain wire has not
_items = msgspec.json.Decoder(list[msgspec.Raw])


def without_ours(body: RawBody) -> RawBody:
    """The same body where there is nothing of ours in it."""
    if _SIGN not in body.raw or not isinstance(body.data.get("messages"), list):
        return body
    messages = body.data["messages"]
    raw = [bytes(item) for item in _items.decode(body.value("messages"))]
    cleaned = [_message(message, written) for message, written in zip(messages, raw, strict=True)]
    if cleaned == raw:
        return body
    return RawBody(body.spliced({"messages": _list(cleaned)}))


def _message(message: Any, written: bytes) -> bytes:
    extra = message.get(EXTRA) if isinstance(message, dict) else None
    if not isinstance(extra, dict) or OURS not in extra:
        return written
    try:
        raw = RawBody(written)
    except BadBody:
        return written  # a key given twice: the server's to judge
    put = {}
    if isinstance(message.get("tool_calls"), list):
        put["tool_calls"] = _list([_call(bytes(call)) for call in _items.decode(raw.value("tool_calls"))])
    return raw.spliced(put, _GIVEN)


def _call(written: bytes) -> bytes:
    if _SIGN not in written:
        return written
    try:
        return RawBody(written).spliced({}, (EXTRA,))
    except BadBody:
        return written


def _list(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
