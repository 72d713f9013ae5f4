"""The headers of limits as this wire's clients read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def rate_headers(name: str, limit: int, remaining: int, reset_at: float) -> dict[str, str]:
    """name: requests or tokens. reset_at: unix seconds at which the limit is whole again."""
    at = datetime.fromtimestamp(math.ceil(reset_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = {"limit": limit, "remaining": remaining, "reset": at}
    return {f"anthropic-ratelimit-{name}-{part}": str(value) for part, value in values.items()}
