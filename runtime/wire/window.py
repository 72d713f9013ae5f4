"""The page of a list that a query string asks for: `limit`, `after` and `order`, as OpenAI's lists have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from runtime.wire.api_error import ApiError

_ORDERS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Window:
    """One page. limit: items on it. after: id of the last item of the page before."""

    limit: int
    after: str | None = None
    newest_first: bool = True


def window(query: str, default: int, most: int) -> Window:
    """default, most: items of a page. Raises ApiError 400."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    order = asked.get("order", "desc")
    if order not in _ORDERS:
        raise ApiError(400, f"order must be one of {', '.join(_ORDERS)}", "invalid_parameter", "order")
    return Window(limit_of(asked, default, most), asked.get("after"), order == "desc")


def limit_of(asked: Mapping[str, str], default: int, most: int) -> int:
    """The parameter `limit`. Raises ApiError 400."""
    text = asked.get("limit", str(default))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= limit <= most:
        raise ApiError(400, f"limit must be a number from 1 to {most}", "invalid_parameter", "limit")
    return limit
