"""A page of a list in OpenAI's shape, as a query string asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from runtime.wire.api_error import ApiError


def limit_of(asked: Mapping[str, str], default: int, most: int) -> int:
    """The parameter `limit`. Raises ApiError 400."""
    text = asked.get("limit", str(default))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= limit <= most:
        raise ApiError(400, f"limit must be a number from 1 to {most}", "invalid_parameter", "limit")
    return limit


def listed(newest_first: Sequence[dict[str, Any]], query: str, default: int, most: int) -> dict[str, Any]:
    """`limit`, `after` and `order` of the query. Raises ApiError 400."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit, after = limit_of(asked, default, most), asked.get("after")
    rows = list(newest_first) if asked.get("order", "desc") == "desc" else list(reversed(newest_first))
    if after is not None:
        places = [place for place, row in enumerate(rows) if row["id"] == after]
        if not places:
            raise ApiError(400, f"'after' is the id of nothing listed: {after[:100]!r}", "invalid_parameter", "after")
        rows = rows[places[0] + 1 :]
    page = rows[:limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": len(rows) > len(page)}
