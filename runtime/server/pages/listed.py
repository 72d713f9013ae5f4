"""A page of a list in OpenAI's shape, as a query string asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.wire.api_error import ApiError
from runtime.wire.window import window


def listed(newest_first: Sequence[dict[str, Any]], query: str, default: int, most: int) -> dict[str, Any]:
    """`limit`, `after` and `order` of the query. Raises ApiError 400."""
    wanted = window(query, default, most)
    after, rows = wanted.after, list(newest_first) if wanted.newest_first else list(reversed(newest_first))
    if after is not None:
        places = [place for place, row in enumerate(rows) if row["id"] == after]
        if not places:
            raise ApiError(400, f"'after' is the id of nothing listed: {after[:100]!r}", "invalid_parameter", "after")
        rows = rows[places[0] + 1 :]
    page = rows[: wanted.limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": len(rows) > len(page)}
