"""The wait that a server asks for in the headers of a refusal."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping
from datetime import datetime


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] | None = None) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or a date); None where neither is usable.

    now: the time that a date is compared with; None ignores dates. Never less than 0, never infinite.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / scale
            return max(0.0, seconds) if math.isfinite(seconds) else None
        except ValueError:
            pass
        try:
            when = email.utils.parsedate_to_datetime(value)
            return max(0.0, (when - now()).total_seconds()) if now is not None else None
        except (TypeError, ValueError):
            continue
    return None
