"""The input items of a kept response, a page of them at a time, as the wire gives them.

Items stay as their client wrote them, but for what the wire promises of every listed one: an id, a type, content in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import msgspec

from runtime.wire.api_error import ApiError

_USUAL, _MOST = 20, 100
_ORDERS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Window:
    """Which page. after: the id of the last item of the page before it."""

    after: str | None = None
    limit: int = _USUAL
    newest_first: bool = True


def window(query: bytes) -> Window:
    """Of a query string. Raises ApiError."""
    said = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    limit, order = said.get("limit", str(_USUAL)), said.get("order", "desc")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _MOST):
        raise ApiError(400, f"'limit' must be a number from 1 to {_MOST}", "invalid_query", "limit")
    if order not in _ORDERS:
        raise ApiError(400, f"'order' must be one of {', '.join(_ORDERS)}", "invalid_query", "order")
    return Window(said.get("after"), int(limit), order == "desc")


def page(items: Sequence[bytes], wanted: Window) -> bytes:
    """items: oldest first; one without an id gets its place. Raises ApiError for an `after` that names none of them."""
    every = [_listed(msgspec.json.decode(item), place) for place, item in enumerate(items)]
    if wanted.newest_first:
        every.reverse()
    start = 0
    if wanted.after is not None:
        places = [place for place, item in enumerate(every) if item["id"] == wanted.after]
        if not places:
            raise ApiError(
                400, f"'after' names no item of this response: {wanted.after[:100]!r}", "invalid_query", "after"
            )
        start = places[0] + 1
    shown = every[start : start + wanted.limit]
    told = {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else "",
        "last_id": shown[-1]["id"] if shown else "",
        "has_more": start + len(shown) < len(every),
    }
    return msgspec.json.encode(told)


def _listed(item: dict[str, Any], place: int) -> dict[str, Any]:
    said = {"id": item.get("id") or f"item_{place}", "type": item.get("type") or "message"}
    if said["type"] == "message" and isinstance(text := item.get("content"), str):
        spoken = item.get("role") == "assistant"
        part = (
            {"type": "output_text", "text": text, "annotations": []} if spoken else {"type": "input_text", "text": text}
        )
        return item | said | {"content": [part], "status": item.get("status") or "completed"}
    return item | said
