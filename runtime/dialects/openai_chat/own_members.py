"""Takes out of a conversation the members that Hearth added to translated answers, before it passes to a server of this wire.

A conversation may move to another model, for which signatures in `extra_content` mean nothing, and strict servers refuse
members they do not know. Everything else keeps its bytes, so that prefix caches hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.dialects.openai_chat.signatures import EXTRA, HEARTH
from runtime.wire.raw_body import BadBody, RawBody

IN_JSON = b'"extra_content"'  # in the bytes of every body that holds such members
_ADDED = (EXTRA, "reasoning_content", "images", "files")  # members of a translated answer that the plain wire has not
_items = msgspec.json.Decoder(list[msgspec.Raw])


def without_own_members(body: RawBody) -> RawBody:
    """The body itself if none of its messages has such a member."""
    if not isinstance(body.data.get("messages"), list):
        return body
    messages = body.data["messages"]
    raw = [bytes(item) for item in _items.decode(body.value("messages"))]
    cleaned = [_message(message, written) for message, written in zip(messages, raw, strict=True)]
    return body if cleaned == raw else RawBody(body.spliced({"messages": _list(cleaned)}))


def _message(message: Any, written: bytes) -> bytes:
    """A message without the added members, if it carries Hearth's mark."""
    extra = message.get(EXTRA) if isinstance(message, dict) else None
    if not isinstance(extra, dict) or HEARTH not in extra:
        return written
    try:
        raw = RawBody(written)
        put = {}
        if isinstance(message.get("tool_calls"), list):
            calls = [bytes(call) for call in _items.decode(raw.value("tool_calls"))]
            put["tool_calls"] = _list(
                [RawBody(call).spliced({}, (EXTRA,)) if IN_JSON in call else call for call in calls]
            )
        return raw.spliced(put, _ADDED)
    except BadBody:
        return written  # a key given twice: the server judges that


def _list(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
