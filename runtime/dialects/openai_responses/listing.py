"""Pages of a stored response's input items, in the wire's shape.

Items stay as their client wrote them, but get what the wire promises of every listed one: an id, a type, content in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.wire.api_error import ApiError
from runtime.wire.window import Window


class _Identified(msgspec.Struct):
    id: Any = None


_identified = msgspec.json.Decoder(_Identified)


def page(items: Sequence[bytes], wanted: Window) -> bytes:
    """items: oldest first; one without an id gets its place as id. Raises ApiError if `after` is the id of none of them.

    Only the items of the page are decoded in full.
    """
    ids = [_identified.decode(item).id or f"item_{place}" for place, item in enumerate(items)]
    places = range(len(items))[:: -1 if wanted.newest_first else 1]
    if wanted.after is not None:
        if wanted.after not in ids:
            words = f"'after' is the id of no item of this response: {wanted.after[:100]!r}"
            raise ApiError(400, words, "invalid_parameter", "after")
        places = places[places.index(ids.index(wanted.after)) + 1 :]
    shown: list[dict[str, Any]] = []
    for place in places[: wanted.limit]:
        item = msgspec.json.decode(items[place])
        item |= {"id": ids[place], "type": item.get("type") or "message"}
        if item["type"] == "message" and isinstance(text := item.get("content"), str):
            part: dict[str, Any] = {"type": "input_text", "text": text}
            if item.get("role") == "assistant":
                part = {"type": "output_text", "text": text, "annotations": []}
            item |= {"content": [part], "status": item.get("status") or "completed"}
        shown.append(item)
    return msgspec.json.encode(
        {
            "object": "list",
            "data": shown,
            "first_id": shown[0]["id"] if shown else "",
            "last_id": shown[-1]["id"] if shown else "",
            "has_more": len(shown) < len(places),
        }
    )
