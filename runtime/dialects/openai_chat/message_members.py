"""Fits the messages of a chat body to a server of the same wire that refuses unknown members. All else keeps its bytes.

Reasoning of an earlier turn has two names on this wire, of which a server knows one or none; calls, parts and tools carry
members of other vendors (signatures, marks of cached prefixes).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from runtime.wire.raw_body import BadBody, RawBody

_FOREIGN = frozenset({"cache_control", "extra_content", "index"})  # of calls, parts and tools
REASONING = ("reasoning_content", "reasoning")
UNNAMED = _FOREIGN | {*REASONING, "reasoning_details", "thinking_blocks", "annotations"}
"""Members whose loss needs no word: reasoning of other models, and what a server works out by itself."""

_LISTS = ("tool_calls", "content")
_items = msgspec.json.Decoder(list[msgspec.Raw])


def unknown_members(body: Mapping[str, Any], known: Collection[str]) -> set[str]:
    """The members with a place in messages or tools that a server refuses. known: those of a message that it knows."""
    found: set[str] = set()
    within = [body.get("tools")]
    for message in _objects(body.get("messages")):
        found.update(name for name in message if name not in known)
        within += [message.get(member) for member in _LISTS]
    return found.union(*(_FOREIGN & item.keys() for each in within for item in _objects(each)))


def misnamed_reasoning(message: Any, echo: str) -> str | None:
    """The member in which a message holds its reasoning, where that is not `echo` and `echo` is free."""
    if not isinstance(message, dict) or message.get(echo):
        return None
    return next((name for name in REASONING if isinstance(message.get(name), str) and message[name]), None)


def fitted_messages(body: RawBody, known: Collection[str] | None, echo: str | None) -> RawBody:
    """The body with the known members alone. known: of a message; None for any. echo: the name for reasoning, None for any."""
    if not isinstance(body.data.get("messages"), list):
        return body
    written: list[bytes] = []
    put: dict[str, bytes] = {}
    try:
        for message, item in zip(body.data["messages"], _items.decode(body.value("messages")), strict=True):
            raw, changed, drop = bytes(item), dict[str, bytes](), set[str]()
            if isinstance(message, dict):
                parsed = RawBody(raw)
                if echo is not None and (name := misnamed_reasoning(message, echo)):
                    changed[echo] = parsed.value(name)
                    drop.add(name)
                if known is not None:
                    drop.update(name for name in message if name not in known and name != echo)
                    lists = [each for each in _LISTS if isinstance(message.get(each), list)]
                    changed |= {each: _without_foreign(parsed.value(each)) for each in lists}
                raw = parsed.spliced(changed, drop) if changed or drop else raw
            written.append(raw)
        if known is not None and isinstance(body.data.get("tools"), list):
            put["tools"] = _without_foreign(body.value("tools"))
        return RawBody(body.spliced(put | {"messages": b"[" + b",".join(written) + b"]"}))
    except BadBody:
        return body  # a key given twice: the server judges that


def _without_foreign(written: bytes) -> bytes:
    """A list as written, its objects without the foreign members."""
    items = [bytes(item) for item in _items.decode(written)]
    kept = [RawBody(item).spliced({}, _FOREIGN) if item.startswith(b"{") else item for item in items]
    return written if kept == items else b"[" + b",".join(kept) + b"]"


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
