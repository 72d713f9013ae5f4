"""The list of models in this wire's shape: `GET /v1/models` with an `anthropic-version` header."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

_VERSION_HEADER = "anthropic-version"


class ModelRow(NamedTuple):
    """One model. created: unix seconds. window: tokens of context, None if not known."""

    id: str
    created: int
    window: int | None = None
    max_output: int | None = None


def wanted(headers: Sequence[str]) -> bool:
    """True if a client that sent headers of these names (lower case) speaks this wire."""
    return _VERSION_HEADER in headers


def model(row: ModelRow) -> dict[str, Any]:
    return {
        "type": "model",
        "id": row.id,
        "display_name": row.id,
        "created_at": datetime.fromtimestamp(row.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": row.window,
        "max_tokens": row.max_output,
    }


def page(rows: Sequence[ModelRow]) -> dict[str, Any]:
    """All models on one page."""
    return {
        "data": [model(row) for row in rows],
        "has_more": False,
        "first_id": rows[0].id if rows else None,
        "last_id": rows[-1].id if rows else None,
    }
